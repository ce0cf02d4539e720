"""Measure a model of the list on a labelled data set: the job behind the command and the dock."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import replace

from napari_medcnn.app.evaluation_data import (
    CaseChoice,
    CaseLoader,
    chosen_cases,
    group_of,
    resampled_unit,
    values_of_model,
)
from napari_medcnn.core.errors import InputMismatch, MedcnnError
from napari_medcnn.core.events import Done, Event, Job, JobControl, result_of
from napari_medcnn.evaluation.calibration import calibration_figures
from napari_medcnn.evaluation.case_table import CaseTable, froc_of, summarise
from napari_medcnn.evaluation.cases import NOTHING_KEPT, LabelledCase, Rules, evaluate_cases
from napari_medcnn.evaluation.classification import RESAMPLES, classification_figures
from napari_medcnn.evaluation.classified_cases import ClassCase, ClassifiedCases, classify_cases
from napari_medcnn.evaluation.comparison import Comparison, compare_answers, compare_tables
from napari_medcnn.evaluation.curves import pr_curves, roc_curves
from napari_medcnn.evaluation.reliability import reliability
from napari_medcnn.evaluation.run import ClassificationResult, EvaluationRun, SegmentationResult
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.models.spec import ModelSpec
from napari_medcnn.models.weights import combined_sha256
from napari_medcnn.training.manifest import Manifest

EVERY_CASE = CaseChoice()

USUAL = Rules(lesion_wise=True)


def evaluate_model(
    spec: ModelSpec,
    manifest: Manifest,
    choice: CaseChoice = EVERY_CASE,
    *,
    rules: Rules = USUAL,
    options: RunOptions = NOTHING_KEPT,
    control: JobControl | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Job:
    """Measure a model; a generator of events that ends in ``Done(EvaluationRun)``.

    A case that cannot be read, run or measured is told and passed by.

    Parameters
    ----------
    spec : ModelSpec
        A model that segments or classifies.
    manifest : Manifest
        The data set; its classes are found among the model's by their names.
    choice : CaseChoice
        Which of its cases.
    rules : Rules
        How segmentations are measured.
    options : RunOptions
        How the model is run.
    control : JobControl, optional
        Cancels, pauses and resumes.
    seed, resamples : int
        Of the bootstrap.

    Raises
    ------
    InputMismatch
        When model and data set have another task or other classes, or no case is to be measured.
    ModelError
        When the model cannot be run.
    MedcnnError
        When no case could be measured.
    Cancelled
        When the job was cancelled.
    """
    start = time.perf_counter()
    cases = chosen_cases(manifest, choice)
    values = values_of_model(spec, manifest)
    control = control or JobControl()
    loaders = [CaseLoader(manifest, case, values) for case in cases]
    groups = [group_of(case, choice.split) for case in cases]
    result: ClassificationResult | SegmentationResult
    if spec.task == "classification":
        found = yield from _classified(spec, loaders, groups, options, control)
        failed = tuple((one.case, one.reason) for one in found.failed)
        if found.answers is None:
            raise _nothing_measured(manifest, failed)
        measured, result = found.answers.groups, _judged(found, seed, resamples)
    else:
        # Predicted lesions are scored by the probabilities within them.
        options = replace(options, keep_probability=rules.lesion_wise)
        table = yield from _segmented(spec, loaders, groups, options, control, rules)
        failed = tuple((case.case, case.error) for case in table.failed)
        if not table.measured:
            raise _nothing_measured(manifest, failed)
        measured = tuple(case.group for case in table.measured)
        result = SegmentationResult(
            table, summarise(table, seed=seed), rules, froc_of(table, seed=seed)
        )
    yield Done(
        EvaluationRun(
            spec.reference(combined_sha256(spec.weight_files)),
            manifest.name,
            manifest.licence,
            choice.part or "all",
            len(measured),
            len(set(measured)),
            resampled_unit(cases, choice.split),
            result,
            failed,
            round(time.perf_counter() - start, 2),
        )
    )


def compare_runs(first: EvaluationRun, second: EvaluationRun, *, seed: int = 0) -> Comparison:
    """Compare two models that were measured on the same cases; differences are second less first.

    Raises
    ------
    InputMismatch
        When tasks, cases, truth or classes differ.
    """
    one, other = first.result, second.result
    if isinstance(one, SegmentationResult) and isinstance(other, SegmentationResult):
        return compare_tables(one.table, other.table, seed=seed)
    if isinstance(one, ClassificationResult) and isinstance(other, ClassificationResult):
        answers, others = one.cases.answers, other.cases.answers
        if answers is not None and others is not None:
            return compare_answers(answers, others, seed=seed)
    raise InputMismatch("one model segments, the other classifies: nothing to compare")


def _classified(
    spec: ModelSpec,
    loaders: Sequence[CaseLoader],
    groups: Sequence[str],
    options: RunOptions,
    control: JobControl,
) -> Generator[Event, None, ClassifiedCases]:
    cases = [ClassCase(r.case.id, g, r.target) for r, g in zip(loaders, groups, strict=True)]
    return (yield from result_of(classify_cases(spec, cases, control, options), ClassifiedCases))


def _segmented(
    spec: ModelSpec,
    loaders: Sequence[CaseLoader],
    groups: Sequence[str],
    options: RunOptions,
    control: JobControl,
    rules: Rules,
) -> Generator[Event, None, CaseTable]:
    cases = [LabelledCase(r.case.id, g, r.labels) for r, g in zip(loaders, groups, strict=True)]
    job = evaluate_cases(spec, cases, control, options, rules)
    return (yield from result_of(job, CaseTable))


def _judged(found: ClassifiedCases, seed: int, resamples: int) -> ClassificationResult:
    answers = found.answers
    if answers is None:
        raise RuntimeError("there are no answers to judge")
    figures = classification_figures(
        answers.truth,
        answers.probabilities,
        answers.classes,
        groups=answers.groups,
        multi_label=answers.multi_label,
        seed=seed,
        resamples=resamples,
    )
    return ClassificationResult(
        found,
        figures,
        calibration_figures(answers),
        roc_curves(answers, seed=seed, resamples=resamples),
        pr_curves(answers, seed=seed, resamples=resamples),
        (*reliability(answers, "equal width"), *reliability(answers, "adaptive")),
    )


def _nothing_measured(manifest: Manifest, failed: Sequence[tuple[str, str]]) -> MedcnnError:
    case, reason = failed[0]
    return MedcnnError(
        f"none of the cases could be measured; {case}: {reason}", source=manifest.name
    )
