"""DICOM files to volumes, series by series; what is no regular grid is refused with its reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_medcnn.core.errors import GeometryError, ReadError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Finding, FrameAxis, Severity, Volume
from napari_medcnn.io.dicom.decode import decode, same_pixels
from napari_medcnn.io.dicom.group import groups, without_copies
from napari_medcnn.io.dicom.header import FrameHeader
from napari_medcnn.io.dicom.scan import scan, series_title
from napari_medcnn.io.dicom.stack import Stack, stacks
from napari_medcnn.io.file_image import FileImage, to_volume

_PROJECTIONS = ("CR", "DX", "MG", "RF", "XA", "PX", "IO", "DR", "US", "OT", "SC", "XC")
"""Modalities whose images lie in a detector's plane rather than at a place in the patient."""

_UNITS = {"HU": "HU", "BQML": "Bq/mL", "SUVBW": "SUVbw"}


def read_dicom(paths: Iterable[Path], origin: Path, series: str | None = None) -> list[Volume]:
    """Volumes of DICOM files, sorted by series number, scouts last.

    Parameters
    ----------
    paths : iterable of Path
        Files that may be DICOM; others are left out with a finding.
    origin : Path
        The file or folder that the user named.
    series : str, optional
        Series Instance UID or series number; only this series is decoded.

    Raises
    ------
    ReadError
        When no volume can be made; with every series' reason.
    """
    found = scan(paths)
    frames, copies = without_copies(found.frames)
    findings = found.findings
    if copies:
        text = f"{copies} files repeat another file's image and were left out."
        findings = (*findings, Finding("repeated-files", Severity.INFO, text))
    if not frames:
        reasons = "; ".join(found.skipped) or "it is empty"
        raise ReadError(f"holds no DICOM image ({reasons})", source=origin)
    if series is not None:
        frames = _chosen(frames, series, origin)
    volumes: list[Volume] = []
    refused: list[str] = []
    for group in sorted(groups(frames), key=_place_in_list):
        try:
            volumes.extend(_volumes(group, origin))
        except (ReadError, GeometryError) as error:
            refused.append(f"{series_title(group[0])}: {error.what}")
    if not volumes:
        raise ReadError(
            "no regular volume: " + "; ".join(refused),
            source=origin,
            hint="look at the series in a DICOM viewer, or export it again",
        )
    if refused:
        findings = (*findings, Finding("series-refused", Severity.WARNING,
                                       "Not read: " + "; ".join(refused)))  # fmt: skip
    return [
        replace(volume, findings=(*volume.findings, *findings)) for volume in _named_apart(volumes)
    ]


def _chosen(frames: list[FrameHeader], series: str, origin: Path) -> list[FrameHeader]:
    uid = series.split("#", maxsplit=1)[0]
    chosen = [f for f in frames if uid in (f.series_uid, str(f.series_number))]
    if not chosen:
        there = sorted({f"{f.series_number}: {f.series_description}" for f in frames})
        raise ReadError(
            f"has no series {series!r}", source=origin, hint="there are " + ", ".join(there)
        )
    return chosen


def _place_in_list(group: list[FrameHeader]) -> tuple[Any, ...]:
    first = group[0]
    return (_is_scout(first), first.series_number or 0, first.series_uid, first.contrast[1:2] or 0)


def _is_scout(frame: FrameHeader) -> bool:
    return bool({"LOCALIZER", "SCOUT"} & set(frame.image_type))


def _volumes(group: list[FrameHeader], origin: Path) -> list[Volume]:
    first = group[0]
    if first.refusal:
        raise ReadError(first.refusal)
    if first.position is None or first.orientation is None:
        return [_volume(_picture(group), origin)]
    return [_volume(stack, origin) for stack in stacks(group, same_pixels)]


def _picture(group: list[FrameHeader]) -> Stack:
    """A projection, or frames of one detector over time: one slice without a place."""
    first = group[0]
    if first.frame_count > 1 and first.modality not in _PROJECTIONS:
        raise ReadError("its frames do not say where they lie in the patient")
    spacing = first.pixel_spacing or (1.0, 1.0)
    findings = [_spacing_finding(first)]
    if first.spacing_source == "ImagerPixelSpacing" and (first.magnification or 0) > 1:
        spacing = (spacing[0] / first.magnification, spacing[1] / first.magnification)  # type: ignore[operator]
    text = "A projection has no place in the patient; positions count from its first pixel."
    findings.append(Finding("position-unknown", Severity.INFO, text))
    axis = None
    if first.frame_count > 1:
        step = (first.frame_time_ms or 0) / 1000
        values = tuple(round(index * step, 6) for index in range(len(group))) if step else ()
        axis = FrameAxis("time", values, "s" if step else "")
    geometry = Geometry.from_spacing((1, *first.shape), (1.0, *spacing))
    return Stack([[frame] for frame in group], geometry, axis, tuple(findings))


def _spacing_finding(frame: FrameHeader) -> Finding:
    if frame.spacing_source == "PixelSpacing":
        text = (
            "Pixel sizes are PixelSpacing, which was calibrated, or equals the detector's: check "
            "lengths against a known object."
        )
        return Finding("spacing-calibrated", Severity.INFO, text)
    if frame.spacing_source == "ImagerPixelSpacing" and (frame.magnification or 0) > 1:
        text = (
            "Pixel sizes are the detector's (ImagerPixelSpacing) divided by the estimated "
            f"magnification of {frame.magnification:g}."
        )
        return Finding("spacing-demagnified", Severity.INFO, text)
    if frame.spacing_source:
        text = (
            f"Pixel sizes are {frame.spacing_source}, at the detector; in the patient lengths are "
            "shorter by an unknown magnification."
        )
        return Finding("spacing-at-detector", Severity.WARNING, text)
    text = "The image does not say how large its pixels are; lengths are in pixels."
    return Finding("spacing-unknown", Severity.WARNING, text)


def _volume(stack: Stack, origin: Path) -> Volume:
    first = stack.frames[0][0]
    array, findings = decode(stack.frames)
    if first.has_lookup_table:
        text = "Values are as stored: the file's modality look-up table was not applied."
        findings = (*findings, Finding("lookup-table-ignored", Severity.WARNING, text))
    image = FileImage(
        array=array if stack.axis else array[0],
        geometry=stack.geometry,
        format="dicom",
        name=series_title(first),
        frames=stack.axis,
        header={
            "series_description": first.series_description,
            "series_number": first.series_number,
            "image_type": list(first.image_type),
            # For results that go back to these images: UID and frame number of every slice.
            "instances": [[[f.sop_uid, f.index + 1] for f in row] for row in stack.frames],
        },
        findings=(*stack.findings, *findings),
        modality=first.modality,
        unit=_unit(first),
        spacing_known=first.pixel_spacing is not None,
    )
    return to_volume(image, origin, first.series_uid)


def _unit(frame: FrameHeader) -> str:
    if frame.units:
        return _UNITS.get(frame.units.upper(), frame.units)
    if frame.modality == "CT" and frame.has_rescale:
        # Rescale Type may be left out where it is HU (PS3.3 C.8.2.1); US means unspecified.
        known = {"": "HU", "HU": "HU", "US": ""}
        return known.get(frame.rescale_type, frame.rescale_type)
    return ""


def _named_apart(volumes: list[Volume]) -> list[Volume]:
    """Volumes of one series get a number each, in name and in ``source.series``."""
    counts: dict[str, int] = {}
    named = []
    for volume in volumes:
        uid = volume.source.series
        total = sum(other.source.series == uid for other in volumes)
        if total > 1:
            counts[uid] = counts.get(uid, 0) + 1
            volume = replace(
                volume,
                name=f"{volume.name} {counts[uid]}",
                source=replace(volume.source, series=f"{uid}#{counts[uid]}"),
            )
        named.append(volume)
    return named
