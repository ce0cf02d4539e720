"""Jobs of the dock *Evaluate*, without Qt: read labelled data, measure models, open a case."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.events import CaseUpdate, Done, Event, Job, JobControl, Message, Progress
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.models.spec import ModelSpec
from napari_medcnn.training.manifest import Manifest, Part, Split
from napari_medcnn.training.run_folder import RunFolder

if TYPE_CHECKING:
    from napari_medcnn.evaluation.comparison import Comparison
    from napari_medcnn.evaluation.run import EvaluationRun

PARTS: tuple[Part | None, ...] = (None, "test", "validation")
"""What a model may be measured on; None is every labelled case."""

COLOURS = {1: (0.0, 0.75, 0.45), 2: (1.0, 0.35, 0.1), 3: (0.35, 0.7, 1.0)}
"""Of true positives, false positives and false negatives: apart for the colour-blind, too."""


@dataclass(frozen=True, eq=False)
class LabelledData:
    """A data set, how it is divided, and how many labelled cases each of :data:`PARTS` has."""

    manifest: Manifest
    split: Split | None
    counts: dict[Part | None, int]


@dataclass(frozen=True, eq=False)
class Request:
    """What is to be measured: one or two models, on a part of a data set, and how."""

    specs: tuple[ModelSpec, ...]
    manifest: Manifest
    part: Part | None
    split: Split | None
    options: RunOptions
    lesion_wise: bool = True
    tolerance_mm: float = 1.0


@dataclass(frozen=True, eq=False)
class Evaluated:
    """A model measured, and a second one on the same cases; `problem`: why they do not compare."""

    run: EvaluationRun
    against: EvaluationRun | None = None
    comparison: Comparison | None = None
    problem: str = ""


@dataclass(frozen=True, eq=False)
class JudgedCase:
    """A case to look at; of a segmentation with its errors.

    Parameters
    ----------
    id : str
        Its name in the data set.
    volumes : tuple of Volume
        Its images.
    errors : dict
        Label maps ``(z, y, x)`` by the name of what they show, e.g. ``"true positive"``: each
        voxel has the value of the label that it is an error, or a hit, of.
    focus : tuple of float, optional
        The voxel ``(z, y, x)`` to look at first: amid the slice with most errors.
    """

    id: str
    volumes: tuple[Volume, ...]
    errors: dict[str, Segmentation] = field(default_factory=dict)
    focus: tuple[float, ...] | None = None


def read_labelled(source: Path, split: Path | None, control: JobControl) -> Job:
    """Read a data set of any form, or that of a training's run; ends in ``Done(LabelledData)``.

    Parameters
    ----------
    source : Path
        A file or folder of a data set, or the folder of a run, whose split comes with it.
    split : Path, optional
        A split's file.
    """
    from napari_medcnn.app.evaluation_data import CaseChoice, chosen_cases
    from napari_medcnn.training.sources import manifest_from
    from napari_medcnn.training.splits import read_split

    yield Progress("reading the data set", 0, 1)
    parts: Split | None = None
    if RunFolder(source).is_run:
        job = RunFolder(source).read_job()
        manifest, parts = job.manifest, job.split
    else:
        manifest = manifest_from(source, control)
    if split is not None:
        parts = read_split(split, manifest)
    counts: dict[Part | None, int] = {}
    for part in PARTS:
        try:
            counts[part] = len(chosen_cases(manifest, CaseChoice(part, parts)))
        except InputMismatch:
            counts[part] = 0
    yield Done(LabelledData(manifest, parts, counts))


def evaluate(request: Request, control: JobControl) -> Job:
    """Measure one or two models case by case, and compare them; ends in ``Done(Evaluated)``.

    Progress is told in cases alone; a case that fails is told and passed by. What was measured
    before a cancelling is lost: figures are of all cases or of none.

    Raises
    ------
    InputMismatch
        Before anything is run, when a model does not fit the data set.
    """
    from napari_medcnn.app.evaluation_data import CaseChoice, values_of_model
    from napari_medcnn.app.evaluation_run import evaluate_model
    from napari_medcnn.evaluation.cases import Rules

    for spec in request.specs:
        values_of_model(spec, request.manifest)
    choice = CaseChoice(request.part, request.split)
    rules = Rules(request.tolerance_mm, request.lesion_wise)
    runs: list[EvaluationRun] = []
    for spec in request.specs:
        measuring = evaluate_model(
            spec, request.manifest, choice, rules=rules, options=request.options, control=control
        )
        started = time.perf_counter()
        for event in measuring:
            if isinstance(event, Done):
                runs.append(event.result)
            else:
                yield from _told(event, spec, started)
    if len(runs) < 2:
        yield Done(Evaluated(runs[0]))
        return
    yield Progress("comparing the models", 0, 1)
    yield Done(_compared(*runs))


def open_judged(request: Request, case_id: str, control: JobControl) -> Job:
    """Read a case; of a segmentation run the model on it again; ends in ``Done(JudgedCase)``."""
    from napari_medcnn.app.evaluation_data import CaseLoader, values_of_model

    yield Progress(f"reading {case_id}", 0, 1)
    spec, manifest = request.specs[0], request.manifest
    loader = CaseLoader(manifest, manifest.case(case_id), values_of_model(spec, manifest))
    if manifest.task == "classification":
        yield Done(JudgedCase(case_id, tuple(loader.target()[0])))
        return
    from napari_medcnn.inference.segment import segment

    volumes, truth = loader.labels()
    for event in segment(volumes, spec, control, request.options):
        if isinstance(event, Done):
            found = errors_of(event.result.array, truth, volumes[0], spec.labels)
            yield Done(JudgedCase(case_id, tuple(volumes), found, focus_of(found)))
        else:
            yield event


def errors_of(
    prediction: npt.NDArray[Any],
    truth: npt.NDArray[Any],
    volume: Volume,
    labels: Sequence[Label],
) -> dict[str, Segmentation]:
    """Hits, false alarms and misses of every label, each in a label map of its own.

    Parameters
    ----------
    prediction, truth : numpy.ndarray
        Label maps ``(z, y, x)`` on the grid of `volume`. A voxel with two different labels is a
        false alarm of one and a miss of the other.
    """
    from napari_medcnn.evaluation.error_map import NAMES, voxel_errors

    maps = {kind: np.zeros(truth.shape, np.uint8) for kind in NAMES}
    for label in labels:
        errors = voxel_errors(prediction == label.value, truth == label.value)
        for kind, array in maps.items():
            array[errors == kind] = label.value
    return {
        name: Segmentation(
            maps[kind],
            volume.geometry,
            tuple(replace(label, colour=COLOURS[kind]) for label in labels),
            volume.id,
        )
        for kind, name in NAMES.items()
    }


def focus_of(errors: dict[str, Segmentation]) -> tuple[float, ...] | None:
    """The middle of the errors in the slice with most of them; of the hits where all is right."""
    hits, *wrong = (found.array for found in errors.values())
    for arrays in (wrong, (hits,)):
        counts = sum(np.count_nonzero(array, axis=(1, 2)) for array in arrays)
        z = int(np.argmax(counts))
        there = np.argwhere(sum(array[z] != 0 for array in arrays))
        if len(there):
            y, x = there.mean(0)
            return float(z), float(y), float(x)
    return None


def save(evaluated: Evaluated, folder: Path, control: JobControl) -> Job:
    """Write figures, cases and curves into a folder; ends in ``Done(folder)``."""
    from napari_medcnn.app.evaluation_files import write_evaluation

    yield Progress("writing figures", 0, 1)
    against = None
    if evaluated.against is not None and evaluated.comparison is not None:
        against = evaluated.against, evaluated.comparison
    control.checkpoint()
    write_evaluation(folder, evaluated.run, against)
    yield Done(folder)


def report(
    evaluated: Evaluated, specs: Sequence[ModelSpec], folder: Path, control: JobControl
) -> Job:
    """Write the report as a page and as a PDF; ends in ``Done(path of the page)``."""
    from napari_medcnn.report.evaluation_report import write_report

    yield Progress("writing the report", 0, 1)
    against = None
    if evaluated.against is not None and evaluated.comparison is not None:
        against = evaluated.against, evaluated.comparison
    control.checkpoint()
    page, _ = write_report(folder, evaluated.run, cards=specs, against=against)
    yield Done(page)


def _told(event: Event, spec: ModelSpec, started: float) -> Job:
    """What the dock shows of an evaluation's event."""
    from napari_medcnn.evaluation.cases import STAGE

    match event:
        case Progress(stage, done, total) if stage == STAGE:
            passed = time.perf_counter() - started
            eta = passed / done * (total - done) if done else None
            yield replace(event, stage=f"cases by {spec.title}", eta_s=eta)
            if done == total:
                yield Progress("working out figures and intervals", 0, 1)
        case Progress():
            pass  # windows within a case
        case CaseUpdate(case, "failed", text):
            yield Message(f"{case} failed with {spec.title}: {text}", "warning")
        case _:
            yield event


def _compared(first: EvaluationRun, second: EvaluationRun) -> Evaluated:
    from napari_medcnn.app.evaluation_run import compare_runs

    try:
        return Evaluated(first, second, compare_runs(first, second))
    except InputMismatch as error:  # a case failed with one of them
        return Evaluated(first, second, problem=str(error))
