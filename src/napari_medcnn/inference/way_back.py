"""From the network's grid back to the image's: where each voxel of the image takes its value.

Reorienting, cropping, padding and respacing map each axis to one axis. A chain of them is therefore
one list of positions an axis, and interpolating along three axes one after the other is the same as
interpolating in space.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Matrix: TypeAlias = npt.NDArray[np.float64]
Span: TypeAlias = tuple[int, int]

STRAIGHT = 0.01
"""Voxels by which the ends of an axis may move along another one and still count as straight.
Direction cosines in files are rounded, so that few oblique grids have axes at right angles
exactly."""

WHOLE = 1e-4
"""Positions this near to whole voxels are whole: rounding of affines, not interpolation."""

NOWHERE = -1e9
"""The position of voxels that no step after this one can bring back: they were cropped away."""


@dataclass(frozen=True)
class Stage:
    """One step from an older grid to a newer one, as positions on the newer seen from the older.

    Axes are those of the network's tensor, ``x, y, z``. The voxel `i` of the older grid along its
    axis ``axes[a]`` lies at ``scale[a] * i + offset[a]`` of the newer grid's axis `a`.

    Parameters
    ----------
    old_shape, new_shape : tuple of int
        Sizes of both grids.
    axes : tuple of int
        For each axis of the newer grid the older grid's axis.
    scale, offset : tuple of float
        The position's line, for each axis of the newer grid.
    clamped : bool
        Whether positions outside of the newer grid take its border; they hold zero otherwise.
    nearest : tuple of bool
        For each axis of the newer grid, whether the way back takes the nearest voxel.
    """

    old_shape: tuple[int, ...]
    new_shape: tuple[int, ...]
    axes: tuple[int, ...]
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    clamped: bool
    nearest: tuple[bool, ...] = (False, False, False)


@dataclass(frozen=True, eq=False)
class WayBack:
    """Where the image's voxels lie on the network's grid.

    Parameters
    ----------
    positions : tuple of numpy.ndarray
        For each axis of the network's tensor, the float64 positions of the image's voxels along
        `axes[a]`.
    axes : tuple of int
        For each axis of the network's tensor the axis of the image ``(x, y, z)`` in file order.
    inside : tuple of (int, int)
        First and last + 1 voxel of the network's grid that stand for a part of the image; all
        others, and all beyond the grid, count as zero.
    """

    positions: tuple[Matrix, Matrix, Matrix]
    axes: tuple[int, int, int]
    inside: tuple[Span, Span, Span]

    def within(self, region: Sequence[slice]) -> WayBack:
        """The way back to a part of the image, sliced along the image's axes in file order."""
        x, y, z = (p[region[axis]] for p, axis in zip(self.positions, self.axes, strict=True))
        return replace(self, positions=(x, y, z))

    def box(self) -> tuple[Span, Span, Span]:
        """First and last + 1 voxel of the network's grid that the image needs, axis by axis.

        Empty (0, 0) along all axes when it needs none.
        """
        spans = [_needed(p, span) for p, span in zip(self.positions, self.inside, strict=True)]
        if any(start >= stop for start, stop in spans):
            return (0, 0), (0, 0), (0, 0)
        return spans[0], spans[1], spans[2]

    def rounded(self) -> WayBack:
        """The same positions moved to the nearest voxels, halves to the even one as in torch."""
        x, y, z = (np.rint(p) for p in self.positions)
        return replace(self, positions=(x, y, z))


def stage_between(
    old_affine: Matrix,
    old_shape: Sequence[int],
    new_affine: Matrix,
    new_shape: Sequence[int],
    *,
    clamped: bool,
    nearest: bool = False,
) -> Stage | None:
    """The stage between two grids in the same space, or None when an axis is no axis of the other.

    Parameters
    ----------
    old_affine, new_affine : numpy.ndarray
        4 × 4, from voxel ``(x, y, z)`` to space.
    """
    relation = np.linalg.solve(new_affine, old_affine)
    axes = [int(np.argmax(np.abs(row[:3]))) for row in relation[:3]]
    if sorted(axes) != [0, 1, 2]:
        return None
    aside = relation[:3, :3].copy()
    aside[range(3), axes] = 0
    middle = (np.asarray(old_shape) - 1) / 2
    if (np.abs(aside) @ middle).max() > STRAIGHT:
        return None
    offset = relation[:3, 3] + aside @ middle
    return Stage(
        tuple(old_shape),
        tuple(new_shape),
        tuple(axes),
        tuple(float(relation[a, axes[a]]) for a in range(3)),
        tuple(float(o) for o in offset),
        clamped,
        (nearest,) * 3,
    )


def voxels_of(stage: Stage) -> tuple[Matrix, Matrix, Matrix]:
    """The other way: for each axis of the older grid where the newer grid's voxels lie on it.

    Within the older grid's ends: what lies beyond takes its border.
    """
    lines: dict[int, Matrix] = {}
    for a, old in enumerate(stage.axes):
        scale, offset, _ = _line_of(stage, a)
        where = (np.arange(stage.new_shape[a]) - offset) / scale
        where = np.rint(where) if stage.nearest[a] else where
        lines[old] = np.clip(where, 0, stage.old_shape[old] - 1)
    return lines[0], lines[1], lines[2]


def compose(stages: Iterable[Stage], shape: Sequence[int]) -> WayBack | None:
    """All stages as one way back, or None when two of them interpolate along the same axis.

    Parameters
    ----------
    stages : iterable of Stage
        In the order of preprocessing.
    shape : sequence of int
        The image's grid ``(x, y, z)`` in file order.
    """
    lines = [_Line(np.arange(n, dtype=np.float64), axis, (0, n)) for axis, n in enumerate(shape)]
    for stage in stages:
        moved = [_on_newer_grid(lines[old], stage, a) for a, old in enumerate(stage.axes)]
        lines = [line for line in moved if line is not None]
        if len(lines) < len(moved):
            return None
    x, y, z = lines
    return WayBack(
        (x.positions, y.positions, z.positions),
        (x.axis, y.axis, z.axis),
        (x.inside, y.inside, z.inside),
    )


@dataclass(frozen=True, eq=False)
class _Line:
    """One axis on its way through the stages."""

    positions: Matrix
    axis: int
    inside: Span


def _on_newer_grid(line: _Line, stage: Stage, a: int) -> _Line | None:
    """The line along the newer grid's axis `a`; None when it lies between voxels already."""
    scale, offset, is_whole = _line_of(stage, a)
    size = stage.new_shape[a]
    if is_whole:
        start, stop = line.inside
        ends = sorted((start * scale + offset, (stop - 1) * scale + offset))
        inside = (max(int(ends[0]), 0), min(int(ends[1]) + 1, size))
        return _Line(line.positions * scale + offset, line.axis, inside)
    if (line.positions != np.rint(line.positions)).any():
        return None
    moved = line.positions * scale + offset
    if stage.nearest[a]:
        moved = np.rint(moved)
    if stage.clamped:
        moved = np.clip(moved, 0, size - 1)
    start, stop = line.inside
    nowhere = (line.positions < start) | (line.positions >= stop)
    return _Line(np.where(nowhere, NOWHERE, moved), line.axis, (0, size))


def _line_of(stage: Stage, a: int) -> tuple[float, float, bool]:
    """Scale and offset along the newer grid's axis `a`, and whether voxels go to whole voxels.

    Then both are whole too: a trace of a neighbour would make foreground of a zero beside it.
    """
    scale, offset = stage.scale[a], stage.offset[a]
    reach = stage.old_shape[stage.axes[a]]
    if abs(abs(scale) - 1) * reach < WHOLE and abs(offset - round(offset)) < WHOLE:
        return round(scale), round(offset), True
    return scale, offset, False


def _needed(positions: Matrix, inside: Span) -> Span:
    start, stop = inside
    reached = positions[(positions > start - 1) & (positions < stop)]
    if not reached.size:
        return 0, 0
    return max(int(np.floor(reached.min())), start), min(int(np.ceil(reached.max())) + 1, stop)
