"""Slices to a grid: every slice's own position is held against the grid, and none is moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from napari_medcnn.core.errors import GeometryError, ReadError
from napari_medcnn.core.geometry import FloatArray, Geometry
from napari_medcnn.core.volume import Finding, FrameAxis, Severity
from napari_medcnn.imaging.uneven_slices import even_grid
from napari_medcnn.io.dicom.gaps import (
    distance_from_line,
    even_runs,
    gap_text,
    interleaved_parts,
    is_shifted,
    missing_steps,
    parts_without_jumps,
    uneven_findings,
)
from napari_medcnn.io.dicom.header import FrameHeader
from napari_medcnn.io.dicom.order import Positions, in_frames, split_by_value

GRID_TOLERANCE_MM = 0.02
"""A slice may lie this far from its place on a regular grid; real scanners' headers round below
it, and no missing slice or changed spacing hides under it."""

SAME_POSITION_MM = 0.01
"""Slices closer than this are at the same position."""

MIN_SHIFTED = 5
"""Fewest slices that are bridged over a gap and straightened at once."""

_UNIT_TOLERANCE = 0.01

SamePixels = Callable[[FrameHeader, FrameHeader], bool]


@dataclass(frozen=True, eq=False)
class Stack:
    """Frames ``[frame][slice]`` in the order of the grid, which may be sheared.

    With `places`, the slices are no regular grid: they lie there (``(slice, 3)``, LPS mm of the
    first pixel), and `geometry` is the grid onto which they must be interpolated.
    """

    frames: list[list[FrameHeader]]
    geometry: Geometry
    axis: FrameAxis | None
    findings: tuple[Finding, ...] = ()
    places: FloatArray | None = None


def stacks(
    group: list[FrameHeader], same_pixels: SamePixels, *, resample: bool = True
) -> list[Stack]:
    """The volumes of one group of frames.

    Frames at equal positions become the fourth dimension, or separate volumes where a header
    value tells them apart, or are dropped where their pixels are equal. Slices at uneven places
    are to be interpolated where no gap is too wide; across wider gaps, and everywhere without
    `resample`, each evenly spaced run is a volume of its own.

    Raises
    ------
    ReadError
        With the reason, when the slices form no volume.
    """
    _check_placed(group[0])
    positions = by_position(group)
    if len({len(frames) for frames in positions}) == 1:
        return _regular(positions, (), resample)
    parts = split_by_value(positions)
    if parts:
        return [stack for part in parts for stack in _regular(by_position(part), (), resample)]
    single, dropped = _without_equal_pixels(positions, same_pixels)
    text = f"{dropped} slices that repeat another one's position and pixels were left out."
    finding = Finding("repeated-slices", Severity.INFO, text)
    return _regular(single, (finding,), resample)


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


def _regular(positions: Positions, findings: tuple[Finding, ...], resample: bool) -> list[Stack]:
    points = _points(positions)
    if distance_from_line(points) <= GRID_TOLERANCE_MM:
        return [_stack(positions, findings)]
    normal = _normal(positions[0][0])
    apart = interleaved_parts(points, normal, _acquisitions(positions), GRID_TOLERANCE_MM)
    if apart:
        text = f"The series holds {len(apart)} stacks that lie between one another."
        finding = Finding("stacks-interleaved", Severity.WARNING, text)
        return [_stack(_taken(positions, part), (*findings, finding)) for part in apart]
    found: list[Stack] = []
    bounds = parts_without_jumps(points, normal)
    for start, end in bounds:
        part = positions[start:end]
        notes = (*findings, *_cut(points, bounds, start, end))
        if distance_from_line(points[start:end]) <= GRID_TOLERANCE_MM:
            found.append(_stack(part, notes))
        elif resample:
            found.append(_uneven(part, notes))
        else:
            found.extend(_as_stored(part, notes))
    return found


def _acquisitions(positions: Positions) -> list[object]:
    """What may tell two stacks apart: temporal position and acquisition number."""
    return [frames[0].order.keys[1:4:2] for frames in positions]


def _taken(positions: Positions, indices: list[int]) -> Positions:
    return [positions[index] for index in indices]


def _cut(
    points: FloatArray, bounds: list[tuple[int, int]], start: int, end: int
) -> tuple[Finding, ...]:
    """The blocking finding of a part beside a gap that is not bridged."""
    if len(bounds) == 1:
        return ()
    gaps = "; ".join(gap_text(points, stop) for _, stop in bounds[:-1])
    at = (0,) * (start > 0) + (end - start - 1,) * (end < len(points))
    text = (
        f"Slices are missing, or the table moved ({gaps}); this is part "
        f"{bounds.index((start, end)) + 1} of {len(bounds)}. What crosses a gap is cut."
    )
    return (Finding("slices-missing", Severity.BLOCKING, text, at),)


def _as_stored(positions: Positions, findings: tuple[Finding, ...]) -> list[Stack]:
    """Each evenly spaced run for itself."""
    points = _points(positions)
    bounds = even_runs(points, GRID_TOLERANCE_MM)
    return [
        _stack(positions[start:end], (*findings, *_cut(points, bounds, start, end)))
        for start, end in bounds
    ]


def _uneven(positions: Positions, findings: tuple[Finding, ...]) -> Stack:
    """Slices to be interpolated onto a regular grid."""
    points = _points(positions)
    plane = _plane(positions[0][0])
    missing = missing_steps(points, _normal(positions[0][0]))
    if missing and len(points) < MIN_SHIFTED and is_shifted(points, plane):
        raise ReadError(
            f"of its {len(points)} slices some are missing, and the others are shifted against "
            "each other; they are too few to tell how"
        )
    try:
        geometry = even_grid(points, plane)
    except GeometryError as error:
        gaps = ", ".join(
            gap_text(points, stop) for _, stop in even_runs(points, GRID_TOLERANCE_MM)[:-1]
        )
        raise ReadError(f"{error.what}: {gaps}") from error
    frames, axis = in_frames(positions)
    notes = uneven_findings(points, plane, geometry, missing)
    return Stack(frames, geometry, axis, (*findings, *notes), points)


def plane_of(stack: Stack) -> Geometry:
    """Directions, pixel spacing and shape of the stack's slices, at the first one's place."""
    return _plane(stack.frames[0][0])


def _stack(positions: Positions, findings: tuple[Finding, ...]) -> Stack:
    frames, axis = in_frames(positions)
    points = _points(positions)
    first = frames[0][0]
    affine = _plane(first).affine.copy()
    if len(points) > 1:
        affine[:3, 0] = (points[-1] - points[0]) / (len(points) - 1)
    elif not first.thickness:
        text = "One slice of unknown thickness; 1 mm is assumed, volumes are not to be trusted."
        findings = (*findings, Finding("thickness-unknown", Severity.WARNING, text))
    affine[:3, 3] = points[0]
    return Stack(frames, Geometry((len(points), *first.shape), affine), axis, findings)


def _plane(frame: FrameHeader) -> Geometry:
    """One slice as a grid; its third spacing is its thickness, 1 mm where unknown."""
    assert frame.pixel_spacing is not None
    assert frame.position is not None
    row_direction, column_direction = _unit_directions(frame)
    affine = np.eye(4)
    affine[:3, 0] = _normal(frame) * (frame.thickness or 1.0)
    affine[:3, 1] = column_direction * frame.pixel_spacing[0]
    affine[:3, 2] = row_direction * frame.pixel_spacing[1]
    affine[:3, 3] = frame.position
    return Geometry((1, *frame.shape), affine)


def _points(positions: Positions) -> FloatArray:
    return np.array([frames[0].position for frames in positions], dtype=np.float64)


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
