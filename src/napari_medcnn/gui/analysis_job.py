"""The whole analysis of one case in the background: segment, then locate and measure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from napari_medcnn.app.result import Result, new_result
from napari_medcnn.core.detection import Detections
from napari_medcnn.core.events import Done, Job, JobControl, Progress
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.models.spec import ModelSpec


@dataclass(frozen=True, eq=False)
class Analysis:
    """What the user asked for.

    Parameters
    ----------
    volumes : tuple of Volume
        One for each of the model's channels, in its order; results belong to the first.
    spec : ModelSpec
        The model.
    options : RunOptions
        How it runs.
    min_volume_mm3 : float
        Smaller components are no lesions.
    """

    volumes: tuple[Volume, ...]
    spec: ModelSpec
    options: RunOptions
    min_volume_mm3: float


@dataclass(frozen=True, eq=False)
class Analysed:
    """What came out, and what it took.

    Parameters
    ----------
    result : Result
        The labels and their lesions.
    seconds : float
        From the start to the label map; measuring lesions is not in it, nor in a plan.
    peak_memory_gb : float, optional
        Largest resident memory of this process meanwhile, in 10^9 bytes; None where the system
        tells only that of the whole process so far.
    """

    result: Result
    seconds: float
    peak_memory_gb: float | None


@dataclass(frozen=True, eq=False)
class Detected:
    """What a detector found, and what it took; as :class:`Analysed` of a model that segments."""

    detections: Detections
    seconds: float
    peak_memory_gb: float | None


def analyse(analysis: Analysis, control: JobControl) -> Job:
    """Run an analysis; ends in ``Done(Analysed)``, or ``Done(Detected)`` of a detector."""
    return (_detected if analysis.spec.task == "detection" else _analysed)(analysis, control)


def _detected(analysis: Analysis, control: JobControl) -> Job:
    from napari_medcnn.inference.detect import detect
    from napari_medcnn.report.peak_memory import peak_memory_gb, restart_peak

    is_own_peak, clock = restart_peak(), time.perf_counter()
    for event in detect(analysis.volumes, analysis.spec, control, analysis.options):
        if isinstance(event, Done):
            seconds = time.perf_counter() - clock
            peak = peak_memory_gb() if is_own_peak else None
            yield Done(Detected(event.result, seconds, peak))
        else:
            yield event


def _analysed(analysis: Analysis, control: JobControl) -> Job:
    from napari_medcnn.inference.segment import segment
    from napari_medcnn.report.peak_memory import peak_memory_gb, restart_peak

    segmentation: Segmentation | None = None
    is_own_peak, clock = restart_peak(), time.perf_counter()
    job = segment(_subject(analysis.volumes), analysis.spec, control, analysis.options)
    for event in job:
        if isinstance(event, Done):
            segmentation = event.result
        else:
            yield event
    seconds, peak = time.perf_counter() - clock, peak_memory_gb() if is_own_peak else None
    control.checkpoint()
    yield Progress("measuring lesions", 0, 1)
    assert segmentation is not None  # segment() ends in Done or raises
    result = new_result(
        segmentation,
        analysis.volumes[0],
        analysis.min_volume_mm3,
        accept_blocking=analysis.options.accept_findings,
    )
    yield Done(Analysed(result, seconds, peak))


def _subject(volumes: Sequence[Volume]) -> Volume | Sequence[Volume]:
    return volumes[0] if len(volumes) == 1 else volumes
