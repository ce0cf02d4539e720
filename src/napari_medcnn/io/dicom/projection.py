"""Images without a place in the patient: radiographs, and frames of one detector over time."""

from __future__ import annotations

from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Finding, FrameAxis, Severity
from napari_medcnn.io.dicom.header import FrameHeader
from napari_medcnn.io.dicom.stack import Stack

_PROJECTIONS = ("CR", "DX", "MG", "RF", "XA", "PX", "IO", "DR", "US", "OT", "SC", "XC")
"""Modalities whose images lie in a detector's plane rather than at a place in the patient."""


def picture_stack(group: list[FrameHeader]) -> Stack:
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
