"""Measure a model of the list on a labelled data set: the job behind the command and the dock."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from napari_medcnn.core.errors import InputMismatch, MedcnnError
from napari_medcnn.core.events import Done, Event, Job, JobControl
from napari_medcnn.core.segmentation import ModelReference
from napari_medcnn.core.volume import Volume
from napari_medcnn.evaluation.calibration import CalibrationFigures, calibration_figures
from napari_medcnn.evaluation.case_table import CaseTable, LabelSummary, summarise
from napari_medcnn.evaluation.cases import NOTHING_KEPT, LabelledCase, Rules, evaluate_cases
from napari_medcnn.evaluation.classification import (
    RESAMPLES,
    ClassificationFigures,
    classification_figures,
)
from napari_medcnn.evaluation.classified_cases import ClassCase, ClassifiedCases, classify_cases
from napari_medcnn.evaluation.comparison import Comparison, compare_answers, compare_tables
from napari_medcnn.evaluation.curves import Curve, pr_curves, roc_curves
from napari_medcnn.evaluation.reliability import Reliability, reliability
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.models.spec import ModelSpec
from napari_medcnn.models.weights import combined_sha256
from napari_medcnn.training.label_on_grid import label_values
from napari_medcnn.training.manifest import Manifest, Part, Split, TrainCase
from napari_medcnn.training.prepared_case import case_volumes, class_index

USUAL = Rules(lesion_wise=True)


@dataclass(frozen=True)
class CaseChoice:
    """Which cases of a data set a model is measured on.

    Parameters
    ----------
    part : {"train", "validation", "test"}, optional
        Of `split`, or of the parts that the data set's makers gave; None for all cases.
    split : Split, optional
        How the data set was divided; its groups stand for patients where these are unknown.
    """

    part: Part | None = None
    split: Split | None = None


@dataclass(frozen=True, eq=False)
class ClassificationResult:
    """All that is known of how a model classifies a set of cases.

    Parameters
    ----------
    cases : ClassifiedCases
        What it said of each.
    figures : ClassificationFigures
        With intervals.
    calibration : CalibrationFigures
        Whether its probabilities mean what they say.
    roc, pr : tuple of Curve
        Of each class.
    reliability : tuple of Reliability
        Equal-width bins, then adaptive ones.
    """

    cases: ClassifiedCases
    figures: ClassificationFigures
    calibration: CalibrationFigures
    roc: tuple[Curve, ...]
    pr: tuple[Curve, ...]
    reliability: tuple[Reliability, ...]


@dataclass(frozen=True, eq=False)
class SegmentationResult:
    """How a model segments a set of cases: each, the worst first, and their means."""

    table: CaseTable
    summary: tuple[LabelSummary, ...]
    rules: Rules


@dataclass(frozen=True, eq=False)
class EvaluationRun:
    """A model measured on a data set.

    Parameters
    ----------
    model : ModelReference
        Which one, with the hash of its weights.
    data, licence : str
        The data set's name, and its licence.
    part : str
        ``"all"``, or the part of it.
    cases, patients : int
        How many were measured, and of how many patients (or groups, or cases where neither is
        known).
    patients_known : bool
        Whether the data set names the patient of every case.
    result : ClassificationResult or SegmentationResult
        The figures.
    failed : tuple of (case, reason)
        Cases without figures.
    seconds : float
        The whole.
    """

    model: ModelReference
    data: str
    licence: str
    part: str
    cases: int
    patients: int
    patients_known: bool
    result: ClassificationResult | SegmentationResult
    failed: tuple[tuple[str, str], ...]
    seconds: float


def evaluate_model(
    spec: ModelSpec,
    manifest: Manifest,
    choice: CaseChoice = CaseChoice(),
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
    values = _values_of_model(spec, manifest)
    control = control or JobControl()
    loaders = [_Loader(manifest, case, values) for case in cases]
    groups = [group_of(case, choice.split) for case in cases]
    result: ClassificationResult | SegmentationResult
    if spec.task == "classification":
        found = yield from _classified(spec, loaders, groups, options, control)
        failed = tuple((one.case, one.reason) for one in found.failed)
        if found.answers is None:
            raise _nothing_measured(manifest, failed)
        measured, result = found.answers.groups, _judged(found, seed, resamples)
    else:
        table = yield from _segmented(spec, loaders, groups, options, control, rules)
        failed = tuple((case.case, case.error) for case in table.failed)
        if not table.measured:
            raise _nothing_measured(manifest, failed)
        measured = tuple(case.group for case in table.measured)
        result = SegmentationResult(table, summarise(table, seed=seed), rules)
    yield Done(
        EvaluationRun(
            spec.reference(combined_sha256(spec.weight_files)),
            manifest.name,
            manifest.licence,
            choice.part or "all",
            len(measured),
            len(set(measured)),
            all(case.patient is not None for case in cases),
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


def chosen_cases(manifest: Manifest, choice: CaseChoice) -> tuple[TrainCase, ...]:
    """The cases with truth that were chosen.

    Raises
    ------
    InputMismatch
        When there is none.
    MedcnnError
        When the split names a case that the data set lacks.
    """
    if choice.part is None:
        found = list(manifest.cases)
    elif choice.split is not None:
        found = [manifest.case(name) for name in choice.split.parts[choice.part]]
    else:
        found = [case for case in manifest.cases if case.part == choice.part]
    cases = tuple(case for case in found if manifest.has_truth(case))
    if not cases:
        what = (
            "labelled case" if choice.part is None else f"labelled case of the part {choice.part}"
        )
        raise InputMismatch(
            f"the data set {manifest.name} has no {what}",
            hint="name a split, or evaluate all cases" if choice.part else None,
        )
    return cases


def group_of(case: TrainCase, split: Split | None) -> str:
    """Whose case it is, as far as it is known: its group in the split, its patient, or itself."""
    known = {} if split is None else split.groups
    return known.get(case.id) or case.patient or case.id


@dataclass(frozen=True)
class _Loader:
    """Reads one case when its turn comes, with the truth in the model's numbers."""

    manifest: Manifest
    case: TrainCase
    values: tuple[int, ...]

    def labels(self) -> tuple[Sequence[Volume], npt.NDArray[Any]]:
        """Images, and the label map with the model's values."""
        volumes = case_volumes(self.case, self.manifest)
        own = label_values(self.manifest, self.case, volumes[0])
        truth = own * 0
        for number, value in enumerate(self.values, start=1):
            truth[own == number] = value
        return volumes, truth

    def target(self) -> tuple[Sequence[Volume], int]:
        """Images, and the number of the class among the model's outputs."""
        truth = self.values[class_index(self.case, self.manifest)]
        return case_volumes(self.case, self.manifest), truth


def _values_of_model(spec: ModelSpec, manifest: Manifest) -> tuple[int, ...]:
    """For each class of the data set its label value (or number of output) in the model."""
    if spec.task != manifest.task:
        raise InputMismatch(
            f"{spec.title} is a model of {spec.task}, the data set {manifest.name} is one of "
            f"{manifest.task}"
        )
    own = [(label.name.casefold(), label.value) for label in spec.labels]
    if spec.task == "classification":
        own = [(name, number) for number, (name, _) in enumerate(own)]
    known = dict(own)
    if len(manifest.classes) == len(own) == 1:
        return (own[0][1],)  # whatever the two call it
    strange = [name for name in manifest.classes if name.casefold() not in known]
    if strange:
        names = ", ".join(label.name for label in spec.labels)
        raise InputMismatch(
            f"{spec.title} does not know the class {strange[0]!r} of the data set {manifest.name}",
            hint=f"the model's classes: {names}; `medcnn dataset make --class` renames",
        )
    return tuple(known[name.casefold()] for name in manifest.classes)


def _classified(
    spec: ModelSpec,
    loaders: Sequence[_Loader],
    groups: Sequence[str],
    options: RunOptions,
    control: JobControl,
) -> Generator[Event, None, ClassifiedCases]:
    cases = [ClassCase(r.case.id, g, r.target) for r, g in zip(loaders, groups, strict=True)]
    for event in classify_cases(spec, cases, control, options):
        if isinstance(event, Done):
            found: ClassifiedCases = event.result
            return found
        yield event
    raise RuntimeError("the evaluation ended without a result")


def _segmented(
    spec: ModelSpec,
    loaders: Sequence[_Loader],
    groups: Sequence[str],
    options: RunOptions,
    control: JobControl,
    rules: Rules,
) -> Generator[Event, None, CaseTable]:
    cases = [LabelledCase(r.case.id, g, r.labels) for r, g in zip(loaders, groups, strict=True)]
    for event in evaluate_cases(spec, cases, control, options, rules):
        if isinstance(event, Done):
            found: CaseTable = event.result
            return found
        yield event
    raise RuntimeError("the evaluation ended without a result")


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
