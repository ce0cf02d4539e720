"""Judge a run's result on the cases that were kept aside, as a user will run it."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import Done, Event, Job, JobControl
from napari_medcnn.core.volume import Volume
from napari_medcnn.evaluation.case_table import (
    CaseTable,
    LabelSummary,
    summarise,
    write_table,
)
from napari_medcnn.evaluation.cases import (
    NOTHING_KEPT,
    LabelledCase,
    Rules,
    evaluate_cases,
)
from napari_medcnn.evaluation.classification import ClassificationFigures, classification_figures
from napari_medcnn.evaluation.classified_cases import (
    ClassCase,
    ClassifiedCases,
    classify_cases,
    write_answers,
)
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.weights import sha256
from napari_medcnn.training.bundle_config import WEIGHTS
from napari_medcnn.training.job import Resources, TrainJob
from napari_medcnn.training.label_on_grid import label_values
from napari_medcnn.training.manifest import Part, TrainCase
from napari_medcnn.training.prepared_case import case_volumes, class_index
from napari_medcnn.training.run_folder import RunFolder
from napari_medcnn.training.strict_json import write_record

FILE = "held_out.json"
"""In the run's folder of the evaluation."""


USUAL = Rules()


@dataclass(frozen=True)
class HeldOut:
    """Figures of a run's result on cases that it was not taught with.

    Parameters
    ----------
    part : {"test", "validation"}
        ``validation`` where no test part was kept: those cases chose the best state, so that the
        figures flatter it.
    weights_sha256 : str
        Of the weights that were judged.
    cases, patients : int
        How many were measured, of how many patients or groups.
    segmentation : tuple of LabelSummary
        All labels, then each.
    classification : ClassificationFigures, optional
        Of a classification.
    tolerance_mm : float
        Of the normalised surface distance.
    failed : tuple of str
        Cases without figures, and why.
    seconds : float
        The whole.
    """

    part: Part
    weights_sha256: str
    cases: int
    patients: int
    segmentation: tuple[LabelSummary, ...] = ()
    classification: ClassificationFigures | None = None
    tolerance_mm: float = Rules.tolerance_mm
    failed: tuple[str, ...] = ()
    seconds: float = 0.0


def evaluate_held_out(
    run_folder: str | Path,
    bundle: Path,
    control: JobControl | None = None,
    resources: Resources | None = None,
    rules: Rules = USUAL,
) -> Job:
    """Judge a bundle on its run's test cases; a generator that ends in ``Done(HeldOut)``.

    Where the split has no test part, on the validation cases. The table of cases, worst first, and
    the figures are written into the run's ``evaluation`` folder.

    Parameters
    ----------
    run_folder : path
        Of the run.
    bundle : Path
        What :func:`~napari_medcnn.training.export.export_bundle` made of it.
    control : JobControl, optional
        Cancels, pauses and resumes.
    resources : Resources, optional
        Device and threads.
    rules : Rules
        How segmentations are measured.

    Raises
    ------
    ModelError
        When the bundle cannot be run.
    MedcnnError
        When no case could be measured.
    Cancelled
        When the job was cancelled.
    """
    run = RunFolder(run_folder)
    job, control = run.read_job(), control or JobControl()
    start = time.perf_counter()
    part: Part = "test" if job.split.test else "validation"
    cases = tuple(job.manifest.case(name) for name in job.split.parts[part])
    judge = _segmented if job.manifest.task == "segmentation" else _classified
    found = yield from judge(run, job, cases, bundle, control, resources or Resources(), rules)
    if not found.cases:
        raise MedcnnError(
            f"none of the {len(cases)} {part} cases could be measured: {found.failed[0]}",
            source=run.path,
        )
    seconds = round(time.perf_counter() - start, 1)
    found = replace(found, part=part, seconds=seconds, weights_sha256=sha256(bundle / WEIGHTS))
    write_record(run.evaluation / FILE, found)
    yield Done(found)


def group_of(job: TrainJob, case: TrainCase) -> str:
    """Whose case it is, as far as it is known: its group in the split, its patient, or itself."""
    return job.split.groups.get(case.id) or case.patient or case.id


def _segmented(
    run: RunFolder,
    job: TrainJob,
    cases: Sequence[TrainCase],
    bundle: Path,
    control: JobControl,
    resources: Resources,
    rules: Rules,
) -> Generator[Event, None, HeldOut]:
    labelled = [LabelledCase(c.id, group_of(job, c), _Loader(job, c)) for c in cases]
    options = run_options(resources)
    table = CaseTable(())
    for event in evaluate_cases(read_bundle(bundle), labelled, control, options, rules):
        if isinstance(event, Done):
            table = event.result
        else:
            yield event
    summary = summarise(table, seed=job.seed)
    write_table(run.evaluation, table, summary)
    return HeldOut(
        "test",
        "",
        len(table.measured),
        len({case.group for case in table.measured}),
        segmentation=summary,
        tolerance_mm=rules.tolerance_mm,
        failed=tuple(f"{case.case}: {case.error}" for case in table.failed),
    )


@dataclass(frozen=True)
class _Loader:
    """Reads one case when its turn comes."""

    job: TrainJob
    case: TrainCase

    def __call__(self) -> tuple[Sequence[Volume], npt.NDArray[Any]]:
        volumes = case_volumes(self.case, self.job.manifest)
        return volumes, label_values(self.job.manifest, self.case, volumes[0])


def _classified(
    run: RunFolder,
    job: TrainJob,
    cases: Sequence[TrainCase],
    bundle: Path,
    control: JobControl,
    resources: Resources,
    rules: Rules,
) -> Generator[Event, None, HeldOut]:
    labelled = labelled_images(job, [case.id for case in cases])
    found = ClassifiedCases(None, (), ())
    for event in classify_cases(read_bundle(bundle), labelled, control, run_options(resources)):
        if isinstance(event, Done):
            found = event.result
        else:
            yield event
    figures = None
    answers = found.answers
    if answers is not None:
        figures = classification_figures(
            answers.truth,
            answers.probabilities,
            answers.classes,
            groups=answers.groups,
            seed=job.seed,
        )
        write_answers(run.evaluation / "cases.csv", found)
    return HeldOut(
        "test",
        "",
        0 if answers is None else len(answers.cases),
        0 if answers is None else len(set(answers.groups)),
        classification=figures,
        failed=tuple(f"{one.case}: {one.reason}" for one in found.failed),
    )


def labelled_images(job: TrainJob, cases: Sequence[str]) -> tuple[ClassCase, ...]:
    """Cases of a classification, to be read when their turn comes."""
    found = [job.manifest.case(case) for case in cases]
    return tuple(ClassCase(c.id, group_of(job, c), _ImageLoader(job, c)) for c in found)


@dataclass(frozen=True)
class _ImageLoader:
    """Reads one image when its turn comes."""

    job: TrainJob
    case: TrainCase

    def __call__(self) -> tuple[Sequence[Volume], int]:
        truth = class_index(self.case, self.job.manifest)
        return case_volumes(self.case, self.job.manifest), truth


def run_options(resources: Resources) -> RunOptions:
    """How a training's result is run on the cases of its data set."""
    return replace(
        NOTHING_KEPT,
        device=resources.device,
        threads=resources.threads,
        accept_findings=True,  # the check of the data set told of them before the training
    )
