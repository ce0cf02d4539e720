"""Judge a run's result on the cases that were kept aside, as a user will run it."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.atomic import write_text
from napari_medcnn.core.classification import Classification
from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import (
    CaseUpdate,
    Done,
    Event,
    Job,
    JobControl,
    Progress,
    run_to_end,
)
from napari_medcnn.core.volume import Volume
from napari_medcnn.evaluation.case_table import (
    CaseTable,
    LabelSummary,
    summarise,
    write_table,
)
from napari_medcnn.evaluation.cases import (
    NOTHING_KEPT,
    STAGE,
    LabelledCase,
    Rules,
    evaluate_cases,
)
from napari_medcnn.evaluation.classification import ClassificationFigures, classification_figures
from napari_medcnn.inference.classifier import Classifier
from napari_medcnn.inference.classify import classify
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
    options = _run_options(resources)
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


@dataclass(frozen=True)
class _Answer:
    case: TrainCase
    group: str
    truth: int
    probabilities: tuple[float, ...]
    seconds: float


def _classified(
    run: RunFolder,
    job: TrainJob,
    cases: Sequence[TrainCase],
    bundle: Path,
    control: JobControl,
    resources: Resources,
    rules: Rules,
) -> Generator[Event, None, HeldOut]:
    options = _run_options(resources)
    answers: list[_Answer] = []
    failed: list[tuple[TrainCase, str]] = []
    with Classifier(read_bundle(bundle), options) as loaded:
        for number, case in enumerate(cases):
            yield Progress(STAGE, number, len(cases))
            control.checkpoint()
            try:
                answers.append(_answer(job, case, loaded, options, control))
                yield CaseUpdate(case.id, "done", seconds=answers[-1].seconds)
            except (MedcnnError, RuntimeError) as error:
                control.checkpoint()
                failed.append((case, str(error)))
                yield CaseUpdate(case.id, "failed", str(error))
    yield Progress(STAGE, len(cases), len(cases))
    figures = None
    if answers:
        figures = classification_figures(
            [answer.truth for answer in answers],
            np.array([answer.probabilities for answer in answers]),
            job.manifest.classes,
            groups=[answer.group for answer in answers],
            seed=job.seed,
        )
    _write_answers(run, job, answers, failed)
    return HeldOut(
        "test",
        "",
        len(answers),
        len({answer.group for answer in answers}),
        classification=figures,
        failed=tuple(f"{case.id}: {why}" for case, why in failed),
    )


def _answer(
    job: TrainJob, case: TrainCase, loaded: Classifier, options: RunOptions, control: JobControl
) -> _Answer:
    """What the model says of one case, run as a user runs it."""
    start = time.perf_counter()
    truth = class_index(case, job.manifest)
    run = classify(
        case_volumes(case, job.manifest),
        loaded.spec,
        options=options,
        control=control,
        loaded=loaded,
    )
    (said,) = run_to_end(run, Classification).probabilities
    chances = tuple(float(p) for p in said)
    return _Answer(case, group_of(job, case), truth, chances, time.perf_counter() - start)


def _run_options(resources: Resources) -> RunOptions:
    return replace(
        NOTHING_KEPT,
        device=resources.device,
        threads=resources.threads,
        accept_findings=True,  # the check of the data set told of them before the training
    )


def _write_answers(
    run: RunFolder,
    job: TrainJob,
    answers: Sequence[_Answer],
    failed: Sequence[tuple[TrainCase, str]],
) -> None:
    """``cases.csv``: cases that failed, then the true class's probability, the smallest first."""
    import pandas as pd

    classes = job.manifest.classes
    rows: list[dict[str, Any]] = [
        {"case": case.id, "patient": group_of(job, case), "note": why} for case, why in failed
    ]
    for answer in sorted(answers, key=lambda a: (a.probabilities[a.truth], a.case.id)):
        said = classes[int(np.argmax(answer.probabilities))]
        chances = {f"p {name}": p for name, p in zip(classes, answer.probabilities, strict=True)}
        rows.append(
            {
                "case": answer.case.id,
                "patient": answer.group,
                "truth": classes[answer.truth],
                "said": said,
                "right": said == classes[answer.truth],
                **chances,
                "seconds": round(answer.seconds, 3),
                "note": "",
            }
        )
    columns = ["case", "patient", "truth", "said", "right", *(f"p {n}" for n in classes)]
    frame = pd.DataFrame(rows, columns=[*columns, "seconds", "note"])
    write_text(run.evaluation / "cases.csv", frame.to_csv(index=False, lineterminator="\n"))
