"""Where planes of a segmentation lie in a volume: on its voxels, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import GeometryError
from napari_medcnn.core.geometry import AxisMap, FloatArray, Geometry
from napari_medcnn.io.label_layers import Box

VOXEL_TOLERANCE = 0.05
"""Voxels coincide when their centres differ by less than this part of a voxel.

Headers round positions and cosines (up to 0.02 mm for real scanners); a grid that is really another
one is off by much more somewhere in the image."""


@dataclass(frozen=True, eq=False)
class Placement:
    """Planes in a volume: ``axes.apply(array)`` has their order (plane, row, column)."""

    axes: AxisMap
    starts: npt.NDArray[np.intp]
    """``(plane, 3)``: the index of each plane's first pixel in that order."""


def place_planes(
    positions: npt.ArrayLike,
    orientation: Sequence[float],
    spacing: Sequence[float],
    shape: tuple[int, int],
    grid: Geometry,
) -> Placement:
    """Find the voxels under the pixels of parallel planes.

    Parameters
    ----------
    positions : array_like
        ``(plane, 3)``: LPS mm of each plane's first pixel.
    orientation : sequence of float
        Image Orientation (Patient): unit vectors along a row, then along a column.
    spacing : sequence of float
        Mm between rows, between columns.
    shape : tuple of int
        Rows, columns.
    grid : Geometry
        Of the volume.

    Raises
    ------
    GeometryError
        When pixels do not lie on voxels; nothing is interpolated.
    """
    along_row, along_column = np.reshape(np.asarray(orientation, dtype=np.float64), (2, 3))
    steps = np.stack([along_column * spacing[0], along_row * spacing[1]])
    in_voxels = steps @ np.linalg.inv(grid.affine[:3, :3]).T
    axes, drift = _axes_of(in_voxels, shape)
    starts = grid.reordered(axes).lps_to_index(np.reshape(positions, (-1, 3)))
    rounded = np.rint(starts)
    off = float(np.abs(starts - rounded).max(initial=0.0)) + drift
    if off > VOXEL_TOLERANCE:
        raise GeometryError(
            f"its pixels do not lie on the image's voxels (off by up to {off:.2f} voxels)",
            hint="open the image that it was made on",
        )
    return Placement(axes, rounded.astype(np.intp))


def inside(
    start: npt.NDArray[np.intp], mask: npt.NDArray[Any], shape: Sequence[int]
) -> tuple[Box, npt.NDArray[Any]]:
    """A plane's box within an array of `shape`, and the part of the plane that lies in it.

    Raises
    ------
    GeometryError
        When something marked lies outside.
    """
    plane, row, column = (int(n) for n in start)
    rows, columns = mask.shape
    if (
        0 <= plane < shape[0]
        and row >= 0
        and column >= 0
        and row + rows <= shape[1]
        and column + columns <= shape[2]
    ):
        return (plane, slice(row, row + rows), slice(column, column + columns)), mask
    low_row, low_column = max(row, 0), max(column, 0)
    high_row = max(min(row + rows, shape[1]), low_row)
    high_column = max(min(column + columns, shape[2]), low_column)
    kept = mask[low_row - row : high_row - row, low_column - column : high_column - column]
    if not 0 <= plane < shape[0]:
        kept, plane, high_row = kept[:0], 0, low_row
    if np.count_nonzero(kept) != np.count_nonzero(mask):
        raise GeometryError(
            "marks voxels outside the image", hint="open the whole image that it was made on"
        )
    return (plane, slice(low_row, high_row), slice(low_column, high_column)), kept


def stacked_geometry(
    positions: FloatArray, orientation: Sequence[float], spacing: Sequence[float], step: float,
    shape: tuple[int, int],
) -> Geometry:  # fmt: skip
    """The grid that planes span by themselves, for a segmentation without its images.

    `step` is the distance of neighbouring planes in mm.

    Raises
    ------
    GeometryError
        When the planes are not on one grid.
    """
    along_row, along_column = np.reshape(np.asarray(orientation, dtype=np.float64), (2, 3))
    normal = np.cross(along_row, along_column)
    heights = positions @ normal
    first = positions[int(np.argmin(heights))]
    affine = np.eye(4)
    affine[:3, 0] = normal * step
    affine[:3, 1] = along_column * spacing[0]
    affine[:3, 2] = along_row * spacing[1]
    affine[:3, 3] = first
    count = int(np.rint((heights.max() - heights.min()) / step)) + 1
    return Geometry((count, *shape), affine)


def _axes_of(steps: FloatArray, shape: tuple[int, int]) -> tuple[AxisMap, float]:
    """The order of axes in which rows and columns step by one voxel, and the drift over a plane."""
    nearest = np.rint(steps)
    drift = float((np.abs(steps - nearest) * (np.array(shape)[:, np.newaxis] - 1)).max())
    for order in permutations(range(3)):
        _, row_axis, column_axis = order
        unit = np.zeros((2, 3))
        unit[0, row_axis] = nearest[0, row_axis]
        unit[1, column_axis] = nearest[1, column_axis]
        if np.array_equal(unit, nearest) and np.array_equal(np.abs(unit).sum(axis=1), (1, 1)):
            flips = (False, bool(unit[0, row_axis] < 0), bool(unit[1, column_axis] < 0))
            return AxisMap((order[0], row_axis, column_axis), flips), drift
    raise GeometryError(
        "its pixels have another size or direction than the image's voxels",
        hint="open the image that it was made on",
    )
