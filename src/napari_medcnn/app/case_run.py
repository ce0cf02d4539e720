"""A model's run on a case's images, whatever the model does: its events, and the record of it."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from napari_medcnn.app.volume_reference import fingerprint
from napari_medcnn.core.events import Done, Event, Fallback, Job
from napari_medcnn.core.segmentation import ModelReference
from napari_medcnn.core.volume import Volume

if TYPE_CHECKING:
    from napari_medcnn.report.run_record import RunRecord, StageClock


def followed(job: Job, clock: StageClock, fallbacks: list[Fallback]) -> Generator[Event, None, Any]:
    """Pass a job's events on, timed, and return its result; its fallbacks are added to a list."""
    clock.start()
    for event in job:
        clock.on_event(event)
        if isinstance(event, Done):
            return event.result
        if isinstance(event, Fallback):
            fallbacks.append(event)
        yield event
    raise RuntimeError("the model's job ended without a result")


def input_name(volumes: Sequence[Volume]) -> str:
    """The files of a case's images, without their folders; an image without a file by its name."""
    return ", ".join(v.name if v.source.path is None else v.source.path.name for v in volumes)


def record_of(
    volumes: Sequence[Volume],
    model: ModelReference,
    parameters: Mapping[str, Any],
    clock: StageClock,
    fallbacks: Sequence[Fallback],
    **more: Any,
) -> RunRecord:
    """What ran on which images, how, and how long it took.

    Parameters
    ----------
    volumes : sequence of Volume
        The images, in the order of the model's channels.
    model : ModelReference
        What ran.
    parameters : Mapping
        Of the run. Its ``seconds`` are left out: the record has times of its own, of the whole
        case, and two that differ would only puzzle.
    clock : StageClock
        Of the whole case.
    fallbacks : sequence of Fallback
        What went otherwise than planned.
    **more
        Further fields of :class:`~napari_medcnn.report.run_record.RunRecord`.
    """
    from napari_medcnn.report.run_record import RunRecord

    return RunRecord(
        model=model,
        input_name=input_name(volumes),
        parameters={k: v for k, v in parameters.items() if k != "seconds"},
        seconds_by_stage=clock.seconds,
        started=clock.started,
        findings=tuple(finding for volume in volumes for finding in volume.findings),
        input_fingerprints=tuple(fingerprint(volume) for volume in volumes),
        fallbacks=tuple(asdict(fallback) for fallback in fallbacks),
        **more,
    )
