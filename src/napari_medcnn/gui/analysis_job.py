"""The whole analysis of one case in the background: segment, then locate and measure."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from napari_medcnn.app.result import new_result
from napari_medcnn.core.events import Done, Job, JobControl, Progress
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume
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
    device : str
        As :func:`~napari_medcnn.inference.segment.segment` takes it.
    min_volume_mm3 : float
        Smaller components are no lesions.
    accept_findings : bool
        The user's yes to blocking findings.
    """

    volumes: tuple[Volume, ...]
    spec: ModelSpec
    device: str
    min_volume_mm3: float
    accept_findings: bool = False


def analyse(analysis: Analysis, control: JobControl) -> Job:
    """Run an analysis; ends in ``Done(Result)``."""
    from napari_medcnn.inference.options import RunOptions
    from napari_medcnn.inference.segment import segment

    segmentation: Segmentation | None = None
    job = segment(
        _subject(analysis.volumes),
        analysis.spec,
        control,
        RunOptions(
            device=analysis.device,
            accept_findings=analysis.accept_findings,
            threads=_threads(),
        ),
    )
    for event in job:
        if isinstance(event, Done):
            segmentation = event.result
        else:
            yield event
    control.checkpoint()
    yield Progress("measuring lesions", 0, 1)
    assert segmentation is not None  # segment() ends in Done or raises
    yield Done(
        new_result(
            segmentation,
            analysis.volumes[0],
            analysis.min_volume_mm3,
            accept_blocking=analysis.accept_findings,
        )
    )


def _subject(volumes: Sequence[Volume]) -> Volume | Sequence[Volume]:
    return volumes[0] if len(volumes) == 1 else volumes


def _threads() -> int:
    """All cores but one: the window that shows the progress must stay fluent."""
    return max(1, (os.cpu_count() or 2) - 1)
