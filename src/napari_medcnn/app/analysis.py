"""The whole road of one case: read, segment, measure, write. What the command runs.

A case's folder counts as done when it holds ``run.json``, which is written last: what an aborted
run leaves behind cannot be taken for a result.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_medcnn.app.case_folder import (
    LABELS,
    LESIONS_CSV,
    LESIONS_JSON,
    OVERLAY,
    RUN,
    require_own_results,
    require_writable,
)
from napari_medcnn.app.volume_reference import fingerprint
from napari_medcnn.core.errors import InputMismatch, ReadError
from napari_medcnn.core.events import Done, Event, Job, JobControl, Progress
from napari_medcnn.core.lesion import LesionTable
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.models.spec import ModelSpec

if TYPE_CHECKING:
    from napari_medcnn.report.run_record import StageClock

READING, MEASURING, WRITING = "reading image", "measuring", "writing"
"""The stages beside the model's own."""

Inputs = str | Path | Sequence[str | Path]


@dataclass(frozen=True, eq=False)
class CaseResult:
    """What came out of one case, and where it was written.

    Parameters
    ----------
    folder : Path
        Holds ``labels.nii.gz``, ``lesions.csv``, ``lesions.json``, ``overlay.png``, ``run.json``.
    volume : Volume
        The image; the first one for a model of several channels.
    segmentation : Segmentation
        On its grid.
    table : LesionTable
        The lesions.
    seconds : dict
        Time by stage.
    """

    folder: Path
    volume: Volume
    segmentation: Segmentation
    table: LesionTable
    seconds: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The result for programs: where it is, its lesions and findings."""
        from napari_medcnn.report.tables import lesion_records

        return {
            "name": self.volume.name,
            "folder": str(self.folder),
            "findings": [finding.to_json() for finding in self.volume.findings],
            "lesions": lesion_records(self.table),
            "dropped_count": self.table.dropped_count,
            "min_volume_mm3": self.table.min_volume_mm3,
            "seconds": self.seconds,
        }


def analyse(
    inputs: Inputs,
    spec: ModelSpec,
    out_dir: str | Path,
    *,
    control: JobControl | None = None,
    device: str = "auto",
    min_volume_mm3: float | None = None,
    series: str | None = None,
    accept_findings: bool = False,
    dicom: Sequence[str] = (),
    overwrite: bool = False,
) -> Job:
    """Read a case, segment it, measure its lesions and write everything into a folder.

    Parameters
    ----------
    inputs : path or sequence of paths
        A file or folder with one volume; for a model of several channels one each, in its order.
    spec : ModelSpec
        The model.
    out_dir : str or Path
        The case's folder; made if needed. Results of the same images and model are replaced.
    control : JobControl, optional
        Cancels, pauses and resumes.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
    min_volume_mm3 : float, optional
        Smaller components are left out of the tables; the model's own advice by default.
    series : str, optional
        Which volume of the input, where there are several.
    accept_findings : bool
        Go on although the reader found something that forbids measuring.
    dicom : sequence of str
        DICOM objects to write too, see :func:`napari_medcnn.app.dicom_export.write_objects`.
    overwrite : bool
        Replace the results of another case or model too.

    Yields
    ------
    Event
        Of reading, of the model, of measuring and writing; ``Done(CaseResult)`` at last.

    Raises
    ------
    ReadError, InputMismatch, ModelError, WriteError, Cancelled
        As reading, segmenting and writing do.
    """
    from napari_medcnn.imaging.lesions import find_lesions
    from napari_medcnn.report.run_record import StageClock

    control = control or JobControl()
    folder = Path(out_dir)
    clock = StageClock()
    require_writable(folder)

    yield Progress(READING, 0, 1)
    with clock.stage(READING):
        volumes = tuple(one_volume(path, series) for path in _paths(inputs))
        for volume in volumes:
            require_measurable(volume, accept_findings)
        if not overwrite:
            require_own_results(folder, spec.id, [fingerprint(v) for v in volumes])
    yield Progress(READING, 1, 1)

    segmentation = yield from _segmented(volumes, spec, control, device, accept_findings, clock)

    control.checkpoint()
    yield Progress(MEASURING, 0, 1)
    with clock.stage(MEASURING):
        advised = segmentation.advised_min_volume_mm3
        smallest = advised if min_volume_mm3 is None else min_volume_mm3
        table = find_lesions(
            segmentation, volumes[0], min_volume_mm3=smallest, accept_blocking=accept_findings
        )
    yield Progress(MEASURING, 1, 1)

    control.checkpoint()
    yield Progress(WRITING, 0, 1)
    result = _write(CaseResult(folder, volumes[0], segmentation, table), volumes, clock, dicom)
    yield Progress(WRITING, 1, 1)
    yield Done(result)


def one_volume(path: str | Path, series: str | None = None) -> Volume:
    """The only volume of a file or folder.

    Raises
    ------
    ReadError
        When there are several; the hint lists them.
    """
    from napari_medcnn.io.read import read

    volumes = read(path, series)
    if len(volumes) > 1:
        names = "; ".join(f"{v.name} (series {v.source.series})" for v in volumes)
        raise ReadError(
            f"holds {len(volumes)} volumes", source=path, hint=f"choose a series: {names}"
        )
    return volumes[0]


def require_measurable(volume: Volume, accept_findings: bool) -> None:
    """Refuse a volume with findings that forbid measuring, unless the user accepts them.

    Raises
    ------
    InputMismatch
        With the findings' texts.
    """
    if volume.blocking_findings and not accept_findings:
        raise InputMismatch(
            "must not be measured unseen: " + " ".join(f.text for f in volume.blocking_findings),
            source=volume.source.path or volume.name,
            hint="look at it, then accept the findings",
        )


def _segmented(
    volumes: tuple[Volume, ...],
    spec: ModelSpec,
    control: JobControl,
    device: str,
    accept_findings: bool,
    clock: StageClock,
) -> Generator[Event, None, Segmentation]:
    from napari_medcnn.inference.segment import segment

    job = segment(volumes, spec, control, device=device, accept_findings=accept_findings)
    clock.start()
    for event in job:
        clock.on_event(event)
        if isinstance(event, Done):
            segmentation: Segmentation = event.result
            return segmentation
        yield event
    raise RuntimeError("the model's job ended without a result")


def _write(
    result: CaseResult, inputs: tuple[Volume, ...], clock: StageClock, dicom: Sequence[str]
) -> CaseResult:
    """Write the case's files, the record last; an earlier run's record goes first."""
    from napari_medcnn.app.dicom_export import write_objects
    from napari_medcnn.io.write import write_segmentation
    from napari_medcnn.report.overlay import write_overlay
    from napari_medcnn.report.run_record import RunRecord
    from napari_medcnn.report.tables import write_lesions_csv, write_lesions_json

    folder, volume = result.folder, result.volume
    segmentation, table = result.segmentation, result.table
    with clock.stage(WRITING):
        (folder / RUN).unlink(missing_ok=True)
        write_segmentation(segmentation, volume, folder / LABELS)
        write_lesions_csv(table, folder / LESIONS_CSV)
        write_lesions_json(table, folder / LESIONS_JSON, volume=volume, segmentation=segmentation)
        write_overlay(volume, segmentation, table, folder / OVERLAY)
        if dicom:
            write_objects(dicom, segmentation, volume, table, folder)
    if segmentation.model is None:
        raise RuntimeError("a model's segmentation names its model")
    # The record has times of its own, of the whole case: two that differ would only puzzle.
    parameters = {k: v for k, v in segmentation.parameters.items() if k != "seconds"}
    RunRecord(
        model=segmentation.model,
        input_name=", ".join(_input_name(volume) for volume in inputs),
        parameters={**parameters, "min_volume_mm3": table.min_volume_mm3},
        seconds_by_stage=clock.seconds,
        started=clock.started,
        findings=tuple(finding for volume in inputs for finding in volume.findings),
        input_fingerprints=tuple(fingerprint(volume) for volume in inputs),
    ).write(folder / RUN)
    return replace(result, seconds=clock.seconds)


def _input_name(volume: Volume) -> str:
    return volume.name if volume.source.path is None else volume.source.path.name


def _paths(inputs: Inputs) -> list[str | Path]:
    return [inputs] if isinstance(inputs, str | Path) else list(inputs)
