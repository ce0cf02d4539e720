"""A planned stack to a volume: decode, interpolate where it is no grid, name unit and findings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_medcnn.core.volume import Finding, FrameAxis, Severity, Volume
from napari_medcnn.imaging.uneven_slices import onto_grid
from napari_medcnn.io.dicom.decode import decode
from napari_medcnn.io.dicom.header import FrameHeader
from napari_medcnn.io.dicom.stack import Stack, plane_of
from napari_medcnn.io.dicom.suv import SUV_UNIT, SuvScale, suv_scale
from napari_medcnn.io.file_image import FileImage, sheared_finding, to_volume

_UNITS = {"HU": "HU", "BQML": "Bq/mL", "GML": "g/mL", "GY": "Gy"}


@dataclass(frozen=True, eq=False)
class Planned:
    """A volume before its pixels are decoded; `series` is its unique name in its source."""

    stack: Stack
    name: str
    series: str
    findings: tuple[Finding, ...] = ()

    @property
    def first(self) -> FrameHeader:
        """The header of its first slice."""
        return self.stack.frames[0][0]


def pet_scale(plan: Planned) -> SuvScale | None:
    """The way from a PET volume's values to SUV, None of other modalities."""
    if plan.first.modality != "PT":
        return None
    return suv_scale([frame for row in plan.stack.frames for frame in row])


def findings_before_decoding(
    plan: Planned, scale: SuvScale | None, *, resample: bool = True
) -> tuple[Finding, ...]:
    """The findings that need no pixels: of the stack, its values' meaning, and its grid."""
    findings = (*plan.findings, *plan.stack.findings)
    if scale is not None and scale.factor is None:
        findings = (*findings, scale.finding)
    if plan.first.has_lookup_table:
        text = "Values are as stored: the file's modality look-up table was not applied."
        findings = (*findings, Finding("lookup-table-ignored", Severity.WARNING, text))
    if plan.stack.geometry.is_sheared:
        findings = (*findings, sheared_finding(plan.stack.geometry, straightened=resample))
    return findings


def volume_of(plan: Planned, origin: Path, *, resample: bool = True, suv: bool = True) -> Volume:
    """Decode a planned volume.

    Parameters
    ----------
    plan : Planned
        What to decode.
    origin : Path
        The file or folder that the user named.
    resample : bool
        Whether a sheared grid is straightened.
    suv : bool
        Whether PET becomes SUVbw where its tags allow it.

    Raises
    ------
    ReadError
        When pixels cannot be decoded.
    """
    stack, first = plan.stack, plan.first
    scale = pet_scale(plan) if suv else None
    findings = findings_before_decoding(plan, scale, resample=resample)
    unit, frames = value_unit(first), stack.frames
    if scale is not None and scale.factor is not None:
        frames, unit = _scaled(frames, scale.factor), SUV_UNIT
    axes = stack.geometry.canonical_axes()
    array, notes = decode(frames, axes)
    header = _header(stack, first)
    if stack.places is not None:
        array = onto_grid(array, stack.places, plane_of(stack), stack.geometry)
    image = FileImage(
        array=array if stack.axis else array[0],
        geometry=stack.geometry,
        format="dicom",
        name=plan.name,
        frames=stack.axis,
        header=header,
        findings=(*findings, *notes),
        modality=first.modality,
        unit=unit,
        spacing_known=first.pixel_spacing is not None,
    )
    volume = to_volume(image, origin, plan.series, straighten_shear=resample)
    return replace(volume, resampled=volume.resampled or stack.places is not None)


def _scaled(frames: list[list[FrameHeader]], factor: float) -> list[list[FrameHeader]]:
    return [
        [replace(f, slope=f.slope * factor, intercept=f.intercept * factor) for f in row]
        for row in frames
    ]


def _header(stack: Stack, first: FrameHeader) -> dict[str, Any]:
    header: dict[str, Any] = {
        "series_description": first.series_description,
        "series_number": first.series_number,
        "image_type": list(first.image_type),
        # For results that go back to these images: UID and frame number of every slice.
        "instances": [[[f.sop_uid, f.stored_index + 1] for f in row] for row in stack.frames],
    }
    if stack.places is not None or stack.geometry.is_sheared or first.tile is not None:
        header["source_slices"] = _source_slices(stack)
    gradients = [row[0].order.gradient for row in stack.frames]
    if isinstance(stack.axis, FrameAxis) and any(g is not None for g in gradients):
        # Unit vectors in LPS, one a frame; None without diffusion weighting.
        header["gradients_lps"] = [None if g is None else list(g) for g in gradients]
    return header


def _source_slices(stack: Stack) -> dict[str, Any]:
    """Where the stored slices lie, for labels that go back to them from another grid."""
    plane = plane_of(stack)
    return {
        "shape_yx": list(plane.shape[1:]),
        "column_step_lps_mm": plane.affine[:3, 2].tolist(),
        "row_step_lps_mm": plane.affine[:3, 1].tolist(),
        "positions_lps_mm": [
            np.asarray(frame.position, dtype=float).tolist() for frame in stack.frames[0]
        ],
        "tiles": [frame.tile and list(frame.tile) for frame in stack.frames[0]],
    }


def value_unit(frame: FrameHeader) -> str:
    """The unit of a frame's rescaled values, ``""`` where it is arbitrary or not told."""
    if frame.units:
        return _UNITS.get(frame.units.upper(), frame.units)
    if frame.modality == "CT" and frame.has_rescale:
        # Rescale Type may be left out where it is HU (PS3.3 C.8.2.1); US means unspecified.
        known = {"": "HU", "HU": "HU", "US": ""}
        return known.get(frame.rescale_type, frame.rescale_type)
    return ""
