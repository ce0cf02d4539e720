"""What DICOM files would load as, from their headers alone: for browsers and ``inspect``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Finding, FrameAxis, Severity
from napari_medcnn.io.dicom.assemble import (
    Planned,
    findings_before_decoding,
    pet_scale,
    value_unit,
)
from napari_medcnn.io.dicom.header import FrameHeader
from napari_medcnn.io.dicom.series import plan_series
from napari_medcnn.io.dicom.suv import SUV_UNIT


@dataclass(frozen=True, eq=False)
class ListedVolume:
    """A volume before its pixels are decoded.

    Parameters
    ----------
    name : str
        For people; no patient identity.
    series : str
        What ``read(..., series=...)`` takes.
    modality : str
        DICOM's term.
    unit : str
        Of its values; ``""`` if arbitrary.
    geometry : Geometry
        In the files' own axis order.
    frames : FrameAxis, optional
        Meaning of the leading axis.
    frame_count : int
        1 without a leading axis.
    files : tuple of Path
        The files that hold its slices.
    findings : tuple of Finding
        What is known before pixels are decoded.
    resampled : bool
        Whether it will be interpolated.
    """

    name: str
    series: str
    modality: str
    unit: str
    geometry: Geometry
    frames: FrameAxis | None
    frame_count: int
    files: tuple[Path, ...]
    findings: tuple[Finding, ...]
    resampled: bool


@dataclass(frozen=True, eq=False)
class Listing:
    """The volumes of some files, and what was refused or left out beside them."""

    volumes: tuple[ListedVolume, ...]
    findings: tuple[Finding, ...]


def list_volumes(paths: Iterable[Path], origin: Path, series: str | None = None) -> Listing:
    """The volumes that :func:`~napari_medcnn.io.dicom.series.read_dicom` would make of files.

    No pixels are decoded: a slice that repeats another's position is taken to repeat its pixels,
    which reading checks, and what only pixels tell (a file cut short, colour) is not known.

    Raises
    ------
    ReadError
        When the files hold no DICOM image at all, or not this series.
    """
    plan = plan_series(paths, origin, series, equal=_taken_for_equal)
    listed = tuple(_listed(planned) for planned in plan.volumes)
    refused = tuple(_refusal(reason) for reason in plan.refused)
    return Listing(listed, (*refused, *plan.findings))


def findings_of(paths: Iterable[Path]) -> tuple[Finding, ...]:
    """The findings that a series of files would load with, without decoding its pixels.

    A series that would be refused has one blocking finding of code ``series-refused`` with the
    reason. Findings of several volumes are given once each.
    """
    files = [Path(path) for path in paths]
    try:
        found = list_volumes(files, files[0].parent if files else Path())
    except ReadError as error:
        return (_refusal(error.what),)
    everything = [f for volume in found.volumes for f in volume.findings] + list(found.findings)
    return tuple(dict.fromkeys(everything))


def _refusal(reason: str) -> Finding:
    return Finding("series-refused", Severity.BLOCKING, f"Not read: {reason}")


def _listed(planned: Planned) -> ListedVolume:
    stack, first, scale = planned.stack, planned.first, pet_scale(planned)
    files = dict.fromkeys(frame.path for row in stack.frames for frame in row)
    return ListedVolume(
        name=planned.name,
        series=planned.series,
        modality=first.modality,
        unit=SUV_UNIT if scale and scale.factor else value_unit(first),
        geometry=stack.geometry,
        frames=stack.axis,
        frame_count=len(stack.frames),
        files=tuple(files),
        findings=findings_before_decoding(planned, scale),
        resampled=stack.places is not None or stack.geometry.is_sheared,
    )


def _taken_for_equal(first: FrameHeader, second: FrameHeader) -> bool:
    return True
