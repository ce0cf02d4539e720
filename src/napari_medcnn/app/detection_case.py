"""The whole road of one case through a detector: read, find boxes, write."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from napari_medcnn.app.analysis import READING, WRITING, ReadCase, read_case
from napari_medcnn.app.case import Case, Inputs, case_of
from napari_medcnn.app.case_folder import OVERLAY, RUN, require_writable, rewriting
from napari_medcnn.app.case_options import DEFAULT_OPTIONS, CaseOptions, region_within
from napari_medcnn.app.case_run import followed, input_name, record_of
from napari_medcnn.app.volume_reference import fingerprint
from napari_medcnn.core.detection import Detections
from napari_medcnn.core.events import Done, Fallback, Job, JobControl, Progress
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.models.spec import ModelSpec

BOXES_CSV, BOXES_JSON = "boxes.csv", "boxes.json"

DETECTION_FILES = (BOXES_CSV, BOXES_JSON, OVERLAY, RUN)
"""What a run writes; the record is written last."""


@dataclass(frozen=True, eq=False)
class DetectedCase:
    """What came out of one case, and where it was written.

    Parameters
    ----------
    folder : Path
        Holds :data:`DETECTION_FILES`.
    volume : Volume
        The image; the first one for a model of several channels.
    detections : Detections
        Its boxes.
    seconds : dict
        Time by stage.
    """

    folder: Path
    volume: Volume
    detections: Detections
    seconds: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The result for programs: where it is, its boxes and findings."""
        from napari_medcnn.report.boxes import box_records

        return {
            "name": self.volume.name,
            "folder": str(self.folder),
            "findings": [finding.to_json() for finding in self.volume.findings],
            "boxes": box_records(self.detections),
            "score_threshold": self.detections.parameters["score_threshold"],
            "seconds": self.seconds,
        }


def detect_case(
    inputs: Inputs | Case,
    spec: ModelSpec,
    out_dir: str | Path,
    options: CaseOptions = DEFAULT_OPTIONS,
    *,
    control: JobControl | None = None,
    series: str | None = None,
) -> Job:
    """Read a case, find objects in it and write everything into a folder.

    Parameters
    ----------
    inputs : path or sequence of paths, or Case
        A file or folder with one volume; for a model of several channels one each, in its order.
    spec : ModelSpec
        A model that detects.
    out_dir : str or Path
        The case's folder; made if needed. Results of the same images and model are replaced.
    options : CaseOptions
        Of these `run` and `overwrite` apply.
    control : JobControl, optional
        Cancels, pauses and resumes.
    series : str, optional
        Which volume of the input, where there are several.

    Yields
    ------
    Event
        Of reading, of the model and of writing; ``Done(DetectedCase)`` at last.

    Raises
    ------
    ReadError, InputMismatch, ModelError, WriteError, Cancelled
        As reading, detecting and writing do.
    """
    from napari_medcnn.inference.detect import detect
    from napari_medcnn.report.peak_memory import peak_memory_gb, restart_peak

    control = control or JobControl()
    folder = Path(out_dir)
    case = inputs if isinstance(inputs, Case) else case_of(inputs, series=series)
    require_writable(folder)
    yield Progress(READING, 0, 1)
    read = read_case(case, spec, folder, options)
    yield Progress(READING, 1, 1)

    restart_peak()
    fallbacks: list[Fallback] = []
    job = detect(read.volumes, spec, control, _run_options(read, options))
    found: Detections = yield from followed(job, read.clock, fallbacks)
    peak = peak_memory_gb()
    control.checkpoint()
    yield Progress(WRITING, 0, 1)
    result = DetectedCase(folder, read.volumes[0], found)
    result = replace(result, seconds=_write(result, read, fallbacks, peak))
    yield Progress(WRITING, 1, 1)
    yield Done(result)


def _run_options(read: ReadCase, options: CaseOptions) -> RunOptions:
    region = region_within(options.run.region, read.volumes[0].geometry.shape)
    return replace(options.run, region=region)


def _write(
    result: DetectedCase, read: ReadCase, fallbacks: list[Fallback], peak: float | None
) -> dict[str, float]:
    """Write a case's files, the record last, and return the seconds by stage."""
    from napari_medcnn.report.box_overlay import write_box_overlay
    from napari_medcnn.report.boxes import write_boxes_csv, write_boxes_json

    found, clock = result.detections, read.clock
    images = [fingerprint(volume) for volume in read.volumes]
    with rewriting(read.folder, input_name(read.volumes), found.model.id, images):
        with clock.stage(WRITING):
            write_boxes_csv(found, read.folder / BOXES_CSV)
            write_boxes_json(found, read.folder / BOXES_JSON, result.volume)
            write_box_overlay(result.volume, found, read.folder / OVERLAY)
        record_of(
            read.volumes,
            found.model,
            found.parameters,
            clock,
            fallbacks,
            peak_memory_gb=peak,
            request=read.request.to_json(),
        ).write(read.folder / RUN)
    return clock.seconds
