"""Evaluations made of drawn answers and masks by the same functions that judge a model's."""

from __future__ import annotations

from functools import cache

import numpy as np

from napari_medcnn.app.evaluation_run import compare_runs
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import Label, ModelReference
from napari_medcnn.core.volume import Volume
from napari_medcnn.evaluation.answers import Answers
from napari_medcnn.evaluation.calibration import calibration_figures
from napari_medcnn.evaluation.case_table import CaseFigures, froc_of, summarise, worst_first
from napari_medcnn.evaluation.cases import Rules, measure_case
from napari_medcnn.evaluation.classification import classification_figures
from napari_medcnn.evaluation.classified_cases import ClassifiedCases, FailedCase
from napari_medcnn.evaluation.comparison import Comparison
from napari_medcnn.evaluation.curves import pr_curves, roc_curves
from napari_medcnn.evaluation.reliability import reliability
from napari_medcnn.evaluation.run import ClassificationResult, EvaluationRun, SegmentationResult

RESAMPLES = 40
CLASSES = ("glioma", "meningioma", "pituitary <tumour>")
GRID = Geometry.from_spacing((10, 20, 20), (2.0, 1.0, 1.0))
RULES = Rules(lesion_wise=True)
WHY = "/data/clinic/Doe^Jane/scan 7.nii.gz: cannot be read (is it an image?)"


@cache
def classified(seed: int = 0, skill: float = 1.5, cases: int = 60) -> EvaluationRun:
    """A classifier of three classes that is right the more often the larger its skill is."""
    truth = np.arange(cases) % len(CLASSES)
    scores = np.random.default_rng(seed).normal(size=(cases, len(CLASSES)))
    scores += skill * np.eye(len(CLASSES))[truth]
    chances = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    return judged(Answers(*_names(cases), CLASSES, truth, chances))


@cache
def multi_label(cases: int = 40) -> EvaluationRun:
    """Three classes that do not exclude each other; no case is of the third."""
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, (cases, 3))
    truth[:, 2] = 0
    chances = np.clip(0.3 + 0.4 * truth + rng.normal(0, 0.2, truth.shape), 0.01, 0.99)
    chances[:, 2] *= 0.3
    return judged(Answers(*_names(cases), CLASSES, truth, chances, multi_label=True))


def judged(answers: Answers) -> EvaluationRun:
    """The evaluation that these answers come to, with one more case that failed."""
    failed = (FailedCase("case_lost", "patient_lost", WHY),)
    found = ClassifiedCases(answers, tuple(0.1 for _ in answers.cases), failed)
    figures = classification_figures(
        answers.truth,
        answers.probabilities,
        answers.classes,
        groups=answers.groups,
        multi_label=answers.multi_label,
        resamples=RESAMPLES,
    )
    result = ClassificationResult(
        found,
        figures,
        calibration_figures(answers),
        roc_curves(answers, resamples=RESAMPLES),
        pr_curves(answers, resamples=RESAMPLES),
        (*reliability(answers), *reliability(answers, "adaptive")),
    )
    return _run(result, len(answers.cases), len(set(answers.groups)))


@cache
def segmented(shift: int = 1, cases: int = 8) -> EvaluationRun:
    """Two labels; masks are off by `shift` voxels, the last case has nothing of the second."""
    labels = (Label(1, "core"), Label(2, "oedema"))
    found = []
    for number in range(cases):
        truth = np.zeros(GRID.shape, np.uint8)
        truth[2:6, 3:9, 3 : 7 + number % 4] = 1
        if number < cases - 1:
            truth[6:9, 12:17, 10:16] = 2
        guess = np.roll(truth, shift if number % 3 else 0, axis=2)
        guess[0, 17:19, 1:4] = number % 2
        chance = np.where(guess > 0, 0.6 + 0.04 * number, 0.0).astype(np.float32)
        chance[0] = np.where(guess[0] > 0, 0.75, 0)  # a false alarm among the true ones
        volume = Volume(np.zeros(GRID.shape, np.float32), GRID)
        figures = measure_case(guess, truth, volume, labels, RULES, 4.0, chance)
        found.append(CaseFigures(f"case_{number}", f"patient_{number}", figures, 0.5))
    found.append(CaseFigures("case_lost", "patient_lost", error=WHY))
    table = worst_first(found)
    result = SegmentationResult(table, summarise(table), RULES, froc_of(table))
    return _run(result, cases, cases)


@cache
def compared(first: EvaluationRun, second: EvaluationRun) -> Comparison:
    """How two of these compare."""
    return compare_runs(first, second)


def _names(cases: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names = tuple(f"case_{n:02d}" for n in range(cases))
    return names, tuple(f"patient_{n // 2}" for n in range(cases))


def _run(
    result: ClassificationResult | SegmentationResult, cases: int, patients: int
) -> EvaluationRun:
    model = ModelReference("drawn", "1.2", "ab" * 32, "Drawn & <judged>")
    failed = (("case_lost", WHY),)
    return EvaluationRun(
        model, "Made up", "CC0", "test", cases, patients, "patients", result, failed, 12.5
    )
