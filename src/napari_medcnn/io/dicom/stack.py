"""Slices to a grid: every slice's own position is held against the grid, and none is moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.geometry import FloatArray, Geometry
from napari_medcnn.core.volume import Finding, FrameAxis, Severity
from napari_medcnn.io.dicom.header import FrameHeader
from napari_medcnn.io.dicom.order import Positions, in_frames, split_by_value

GRID_TOLERANCE_MM = 0.02
"""A slice may lie this far from its place on a regular grid; real scanners' headers round below
it, and no missing slice or changed spacing hides under it."""

SAME_POSITION_MM = 0.01
"""Slices closer than this are at the same position."""

MIN_RUN = 3
"""Fewest evenly spaced slices that are given as a volume of their own beside a gap."""

_UNIT_TOLERANCE = 0.01

SamePixels = Callable[[FrameHeader, FrameHeader], bool]


@dataclass(frozen=True, eq=False)
class Stack:
    """Frames ``[frame][slice]`` in the order of the grid, which may be sheared."""

    frames: list[list[FrameHeader]]
    geometry: Geometry
    axis: FrameAxis | None
    findings: tuple[Finding, ...] = ()


def stacks(group: list[FrameHeader], same_pixels: SamePixels) -> list[Stack]:
    """The volumes of one group of frames.

    Frames at equal positions become the fourth dimension, or separate volumes where a header
    value tells them apart, or are dropped where their pixels are equal. Where slices are missing
    or the spacing changes, each evenly spaced run becomes a volume with a blocking finding.

    Raises
    ------
    ReadError
        With the reason, when the slices form no regular grid.
    """
    _check_placed(group[0])
    positions = by_position(group)
    if len({len(frames) for frames in positions}) == 1:
        return _runs(positions, ())
    parts = split_by_value(positions)
    if parts:
        return [stack for part in parts for stack in _runs(by_position(part), ())]
    single, dropped = _without_equal_pixels(positions, same_pixels)
    text = f"{dropped} slices that repeat another one's position and pixels were left out."
    finding = Finding("repeated-slices", Severity.INFO, text)
    return _runs(single, (finding,))


def by_position(group: list[FrameHeader]) -> Positions:
    """Frames by position, sorted along the slices' normal."""
    points = np.array([frame.position for frame in group])
    heights = points @ _normal(group[0])
    positions: Positions = []
    last: FloatArray | None = None
    for index in np.argsort(heights, kind="stable"):
        if last is not None and np.linalg.norm(points[index] - last) < SAME_POSITION_MM:
            positions[-1].append(group[index])
        else:
            positions.append([group[index]])
            last = points[index]
    return positions


def _check_placed(frame: FrameHeader) -> None:
    if frame.position is None or frame.orientation is None:
        raise ReadError("its images do not say where they lie in the patient")
    if frame.pixel_spacing is None:
        raise ReadError("its images do not say how large their pixels are")
    lengths = np.linalg.norm(np.reshape(frame.orientation, (2, 3)), axis=1)
    if np.abs(lengths - 1).max() > _UNIT_TOLERANCE:
        raise ReadError("its direction cosines are no unit vectors")


def _runs(positions: Positions, findings: tuple[Finding, ...]) -> list[Stack]:
    points = np.array([frames[0].position for frames in positions])
    if _distance_from_line(points) <= GRID_TOLERANCE_MM:
        return [_stack(positions, points, findings)]
    bounds = _even_runs(points)
    gaps = ", ".join(_gap(points, end) for _, end in bounds[:-1])
    if min(end - start for start, end in bounds) < MIN_RUN or any(
        _distance_from_line(points[start:end]) > GRID_TOLERANCE_MM for start, end in bounds
    ):
        raise ReadError(
            f"its {len(points)} slices are not evenly spaced: {gaps or 'their line bends'}"
        )
    found = []
    for number, (start, end) in enumerate(bounds, 1):
        text = (
            f"Slices are missing or change their spacing ({gaps}); this is part {number} of "
            f"{len(bounds)}. What crosses a gap is cut."
        )
        finding = Finding("slices-missing", Severity.BLOCKING, text)
        found.append(_stack(positions[start:end], points[start:end], (*findings, finding)))
    return found


def _stack(positions: Positions, points: FloatArray, findings: tuple[Finding, ...]) -> Stack:
    frames, axis = in_frames(positions)
    first = frames[0][0]
    assert first.pixel_spacing is not None
    rows, columns = first.shape
    row_direction, column_direction = _unit_directions(first)
    if len(points) > 1:
        step = (points[-1] - points[0]) / (len(points) - 1)
    else:
        step = _normal(first) * (first.thickness or 1.0)
        if not first.thickness:
            text = "One slice of unknown thickness; 1 mm is assumed, volumes are not to be trusted."
            findings = (*findings, Finding("thickness-unknown", Severity.WARNING, text))
    affine = np.eye(4)
    affine[:3, 0] = step
    affine[:3, 1] = column_direction * first.pixel_spacing[0]
    affine[:3, 2] = row_direction * first.pixel_spacing[1]
    affine[:3, 3] = points[0]
    return Stack(frames, Geometry((len(points), rows, columns), affine), axis, findings)


def _distance_from_line(points: FloatArray) -> float:
    """Largest distance in mm from evenly spaced points between the first and the last."""
    parts = np.linspace(0, 1, len(points))[:, np.newaxis]
    even = points[0] + parts * (points[-1] - points[0])
    return float(np.linalg.norm(points - even, axis=1).max())


def _even_runs(points: FloatArray) -> list[tuple[int, int]]:
    """Bounds of the longest stretches with an even step, from the first slice on."""
    bounds, start = [], 0
    for end in range(2, len(points) + 1):
        if end == len(points) or _distance_from_line(points[start : end + 1]) > GRID_TOLERANCE_MM:
            bounds.append((start, end))
            start = end
            if start >= len(points):
                break
    return _merged_pairs(bounds, len(points))


def _merged_pairs(bounds: list[tuple[int, int]], count: int) -> list[tuple[int, int]]:
    covered = bounds[-1][1] if bounds else 0
    return bounds if covered == count else [*bounds, (covered, count)]


def _gap(points: FloatArray, index: int) -> str:
    before, after = np.linalg.norm(np.diff(points[max(0, index - 2) : index + 1], axis=0), axis=1)
    return f"{after:.2f} mm after slice {index} where {before:.2f} mm are usual"


def _without_equal_pixels(positions: Positions, same_pixels: SamePixels) -> tuple[Positions, int]:
    single: Positions = []
    for frames in positions:
        if any(not same_pixels(frames[0], other) for other in frames[1:]):
            raise ReadError(
                "some positions hold more images than others, and nothing tells them apart"
            )
        single.append(frames[:1])
    return single, sum(len(frames) - 1 for frames in positions)


def _unit_directions(frame: FrameHeader) -> tuple[FloatArray, FloatArray]:
    """Unit vectors along a row (to the next column) and along a column (to the next row)."""
    vectors = np.reshape(np.asarray(frame.orientation, dtype=np.float64), (2, 3))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit[0], unit[1]


def _normal(frame: FrameHeader) -> FloatArray:
    normal: FloatArray = np.cross(*_unit_directions(frame))
    return normal
