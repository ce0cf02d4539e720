"""Run a segmentation model on labelled cases and measure it on each, with the model loaded once."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import Cancelled, InputMismatch, MedcnnError, ModelError
from napari_medcnn.core.events import CaseUpdate, Done, Event, Job, JobControl, Progress, result_of
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.evaluation.case_table import CaseFigures, LabelFigures, worst_first
from napari_medcnn.evaluation.froc import score_candidates
from napari_medcnn.evaluation.lesion_wise import MIN_IOU, match_lesions
from napari_medcnn.evaluation.overlap import TOLERANCE_MM, measure_overlap
from napari_medcnn.inference.loaded import LoadedModel, load_model
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.inference.segment import segment
from napari_medcnn.models.spec import ModelSpec

STAGE = "evaluating"
"""The stage's name in :class:`~napari_medcnn.core.events.Progress`; its steps are cases."""

LabelMap: TypeAlias = npt.NDArray[Any]

NOTHING_KEPT = RunOptions(keep_probability=False)


@dataclass(frozen=True)
class LabelledCase:
    """A case with its truth.

    Parameters
    ----------
    id, group : str
        Its name, and its patient's.
    load : callable
        Gives the images, one volume a channel in the model's order, and the true label map
        ``(z, y, x)`` on the first one's grid, with the values of the model's labels.
    """

    id: str
    group: str
    load: Callable[[], tuple[Sequence[Volume], LabelMap]]


@dataclass(frozen=True)
class Rules:
    """How cases are measured.

    Parameters
    ----------
    tolerance_mm : float
        Of the normalised surface distance.
    lesion_wise : bool
        Whether lesions are counted one by one, too.
    min_iou : float
        What a predicted and a true lesion share at least of their union to be partners.
    """

    tolerance_mm: float = TOLERANCE_MM
    lesion_wise: bool = False
    min_iou: float = MIN_IOU


def evaluate_cases(
    spec: ModelSpec,
    cases: Sequence[LabelledCase],
    control: JobControl | None = None,
    options: RunOptions = NOTHING_KEPT,
    rules: Rules = Rules(),
) -> Job:
    """Measure a model on labelled cases; a generator of events that ends in ``Done(CaseTable)``.

    A case that cannot be read, run or measured is told and passed by.

    Parameters
    ----------
    spec : ModelSpec
        A segmentation model.
    cases : sequence of LabelledCase
        Read one after the other.
    control : JobControl, optional
        Cancels, pauses and resumes.
    options : RunOptions
        How the model is run.
    rules : Rules
        How it is measured. Components below the model's advised volume are no lesions.

    Raises
    ------
    ModelError
        When the model itself cannot be run.
    Cancelled
        When the job was cancelled.
    """
    control = control or JobControl()
    found: list[CaseFigures] = []
    with load_model(spec, options) as loaded:
        for number, case in enumerate(cases):
            yield Progress(STAGE, number, len(cases))
            control.checkpoint()
            yield CaseUpdate(case.id, "computing")
            figures = yield from _one(case, loaded, control, rules)
            found.append(figures)
            state = "failed" if figures.error else "done"
            yield CaseUpdate(case.id, state, figures.error, seconds=figures.seconds)  # type: ignore[arg-type]
    yield Progress(STAGE, len(cases), len(cases))
    yield Done(worst_first(found))


def measure_case(
    result: LabelMap,
    truth: LabelMap,
    volume: Volume,
    labels: Sequence[Label],
    rules: Rules = Rules(),
    min_lesion_volume_mm3: float = 0.0,
    probability: LabelMap | None = None,
) -> tuple[LabelFigures, ...]:
    """Every label of one result against the truth.

    Parameters
    ----------
    result, truth : numpy.ndarray
        Label maps ``(z, y, x)`` on the grid of `volume`.
    labels : sequence of Label
        The model's.
    min_lesion_volume_mm3 : float
        Components below it are no lesions.
    probability : numpy.ndarray, optional
        ``(z, y, x)``, of each voxel's label: scores the predicted lesions, where lesions count.

    Raises
    ------
    InputMismatch
        When the truth holds values that are none of the labels.
    GeometryError
        When a label map is not on the volume's grid.
    """
    strange = sorted({int(v) for v in np.unique(truth)} - {0} - {label.value for label in labels})
    if strange:
        raise InputMismatch(f"the truth has the value {strange[0]}, which is none of the labels")
    geometry, found = volume.geometry, []
    for label in labels:
        one, other = result == label.value, truth == label.value
        overlap = measure_overlap(
            one,
            other,
            geometry,
            tolerance_mm=rules.tolerance_mm,
            spacing_known=volume.spacing_known,
        )
        lesions = candidates = None
        if rules.lesion_wise:
            voxel, least = geometry.voxel_volume_mm3, min_lesion_volume_mm3
            lesions = match_lesions(one, other, voxel, min_iou=rules.min_iou, min_volume_mm3=least)
            if probability is not None:
                candidates = score_candidates(
                    one, probability, other, voxel, min_iou=rules.min_iou, min_volume_mm3=least
                )
        found.append(LabelFigures(label.value, label.name, overlap, lesions, candidates))
    return tuple(found)


def _one(
    case: LabelledCase, loaded: LoadedModel, control: JobControl, rules: Rules
) -> Generator[Event, None, CaseFigures]:
    """One case's figures, or why it has none."""
    start = time.perf_counter()
    spec = loaded.spec
    labels: tuple[LabelFigures, ...] = ()
    error = ""
    try:
        volumes, truth = case.load()
        control.checkpoint()
        job = segment(volumes, loaded.spec, control, loaded.options, loaded)
        result = yield from result_of(job, Segmentation)
        labels = measure_case(
            result.array,
            truth,
            volumes[0],
            spec.labels,
            rules,
            spec.min_lesion_volume_mm3,
            result.probability,
        )
    except (Cancelled, ModelError):
        raise
    except MedcnnError as reason:
        error = str(reason)
    except (OSError, ValueError, RuntimeError, MemoryError) as reason:
        error = f"{type(reason).__name__}: {reason}"
    return CaseFigures(case.id, case.group, labels, time.perf_counter() - start, error)
