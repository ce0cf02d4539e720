"""Which frames can belong to one volume at all: same series, matrix, scale, direction, contrast."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

from napari_medcnn.core.volume import Finding, Severity
from napari_medcnn.io.dicom.header import FrameHeader

ORIENTATION_TOLERANCE = 1e-3
"""Direction cosines of one stack may differ by this much; vendors' rounding reaches some 1e-4."""

SPACING_TOLERANCE = 1e-4
"""Relative difference of pixel spacings within one stack."""


def without_copies(frames: Iterable[FrameHeader]) -> tuple[list[FrameHeader], int]:
    """The frames without files that repeat a SOP Instance UID, and how many were dropped.

    Images that were edited and kept their UID differ in series, position or layout, and stay.
    """
    seen: dict[tuple[Any, ...], FrameHeader] = {}
    copies = 0
    for frame in frames:
        place = (frame.series_uid, frame.series_number, frame.position, frame.shape)
        key = (frame.sop_uid, frame.index, *place)
        if key in seen:
            copies += 1
        else:
            seen[key] = frame
    return list(seen.values()), copies


def groups(
    frames: Iterable[FrameHeader],
) -> list[tuple[list[FrameHeader], tuple[Finding, ...]]]:
    """Frames that may form one volume, by series and then by everything that must agree.

    Groups that differ in nothing but direction or pixel spacing are told with a finding, unless
    they are a scout's.
    """
    coarse: dict[Any, list[FrameHeader]] = defaultdict(list)
    for frame in frames:
        coarse[_key(frame)].append(frame)
    found: list[tuple[list[FrameHeader], tuple[Finding, ...]]] = []
    for members in coarse.values():
        parts = _by_grid(members)
        scout = "LOCALIZER" in members[0].image_type
        notes = (_split_finding(len(parts)),) if len(parts) > 1 and not scout else ()
        found.extend((part, notes) for part in parts)
    return found


def _split_finding(count: int) -> Finding:
    text = (
        f"The series holds slices of {count} directions or pixel sizes; each became a volume of "
        "its own, and what crosses their border is cut."
    )
    return Finding("directions-mixed", Severity.WARNING, text)


def _key(frame: FrameHeader) -> tuple[Any, ...]:
    return (
        frame.series_uid,
        frame.series_number,
        frame.modality,
        frame.shape,
        frame.colour,
        frame.photometric,
        frame.image_type,
        frame.contrast,
        frame.rescale_type,
        frame.refusal,
        frame.position is None or frame.orientation is None,
        frame.path if frame.position is None else None,
        frame.tile is None,
    )


def _by_grid(members: list[FrameHeader]) -> list[list[FrameHeader]]:
    """Split by orientation and pixel spacing, which compare by tolerance, not by equality."""
    found: list[list[FrameHeader]] = []
    for frame in members:
        for group in found:
            if _same_grid(group[0], frame):
                group.append(frame)
                break
        else:
            found.append([frame])
    return found


def _same_grid(first: FrameHeader, second: FrameHeader) -> bool:
    if (first.pixel_spacing is None) != (second.pixel_spacing is None):
        return False
    if first.pixel_spacing is not None and second.pixel_spacing is not None:
        ratio = np.divide(first.pixel_spacing, second.pixel_spacing)
        if np.abs(ratio - 1).max() > SPACING_TOLERANCE:
            return False
    if first.orientation is None or second.orientation is None:
        return True
    apart = np.subtract(first.orientation, second.orientation)
    return bool(np.abs(apart).max() <= ORIENTATION_TOLERANCE)
