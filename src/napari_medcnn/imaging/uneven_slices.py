"""Parallel slices at uneven heights, or shifted within their planes, onto a right-angled grid.

SimpleITK interpolates within planes; between the planes interpolation is linear, and a plane of
the new grid that is one of the old ones keeps its values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import GeometryError
from napari_medcnn.core.geometry import FloatArray, Geometry
from napari_medcnn.imaging.resample import resample

SAME_PLANE_MM = 0.02
"""Planes closer than this are one; scanners' headers round below it."""

FINEST_PART = 4
"""A new grid may divide the smallest old step into so many, so that it meets every old plane."""

MOST_SLICES_PER_SLICE = 6
"""A new grid of more slices for each old one says that the old ones form no stack."""


def even_heights(heights: FloatArray) -> FloatArray:
    """Evenly spaced heights in mm from the first to the last of `heights`, which increase.

    The step is the largest, up to the smallest old one, that meets every old height; where none
    does, about half of the smallest.

    Raises
    ------
    GeometryError
        When that would need too many slices.
    """
    extent = heights[-1] - heights[0]
    smallest = float(np.diff(heights).min())
    if smallest <= 0 or extent / smallest > MOST_SLICES_PER_SLICE * len(heights):
        raise GeometryError("its slices lie too unevenly to be one stack")
    for part in range(1, FINEST_PART + 1):
        count = max(1, round(extent / (smallest / part)))
        even = np.linspace(heights[0], heights[-1], count + 1)
        if np.abs(heights - even[nearest(even, heights)]).max() <= SAME_PLANE_MM:
            break
    else:
        even = np.linspace(heights[0], heights[-1], int(np.ceil(2 * extent / smallest)) + 1)
    if len(even) > MOST_SLICES_PER_SLICE * len(heights):
        raise GeometryError("its slices lie too unevenly to be one stack")
    return even


def nearest(even: FloatArray, heights: FloatArray) -> npt.NDArray[np.intp]:
    """Index of the closest even height to each of `heights`."""
    step = (even[-1] - even[0]) / max(1, len(even) - 1)
    index = np.rint((heights - even[0]) / step).astype(np.intp)
    clipped: npt.NDArray[np.intp] = np.clip(index, 0, len(even) - 1)
    return clipped


def even_grid(places: FloatArray, plane: Geometry) -> Geometry:
    """The right-angled grid over slices at `places`.

    Parameters
    ----------
    places : numpy.ndarray
        ``(n, 3)``, LPS mm of each slice's first pixel, in order along the normal.
    plane : Geometry
        One slice ``(1, y, x)``: directions, pixel spacing and shape of all; its own place does
        not matter.

    Raises
    ------
    GeometryError
        When the slices lie too unevenly.
    """
    heights, shifts = heights_and_shifts(places, plane)
    even = even_heights(heights)
    spacing = np.asarray(plane.spacing[1:])
    pixels = shifts / spacing
    low = np.floor(pixels.min(axis=0) + 1e-6)
    extra = np.ceil(pixels.max(axis=0) - low - 1e-3).astype(int)
    if (np.ptp(shifts, axis=0) <= SAME_PLANE_MM).all():
        low, extra = np.zeros(2), np.zeros(2, dtype=int)
    affine = plane.affine.copy()
    normal = _normal(plane)
    affine[:3, 0] = normal * (even[-1] - even[0]) / (len(even) - 1)
    affine[:3, 3] = places[0] + plane.affine[:3, 1:3] @ low
    return Geometry(
        (len(even), plane.shape[1] + int(extra[0]), plane.shape[2] + int(extra[1])), affine
    )


def heights_and_shifts(places: FloatArray, plane: Geometry) -> tuple[FloatArray, FloatArray]:
    """Each slice's height along the normal ``(n,)`` and shift along y and x ``(n, 2)``, in mm.

    Shifts count from the first slice.
    """
    offsets = places - places[0]
    along: FloatArray = offsets @ plane.direction[:, 1:3]
    heights: FloatArray = offsets @ _normal(plane)
    return heights, along


def onto_grid(
    array: npt.NDArray[Any],
    places: FloatArray,
    plane: Geometry,
    target: Geometry,
) -> npt.NDArray[Any]:
    """Interpolate slices at `places` onto a grid of :func:`even_grid`, as float32.

    Parameters
    ----------
    array : numpy.ndarray
        ``(z, y, x)`` or ``(frame, z, y, x)``, one slice a place.
    places, plane
        As in :func:`even_grid`.
    target : Geometry
        The grid. Where a slice does not reach, voxels get the lowest value of `array`.
    """
    if array.ndim == 4:
        return np.stack([onto_grid(frame, places, plane, target) for frame in array])
    heights, _ = heights_and_shifts(places, plane)
    even = np.linspace(heights[0], heights[-1], target.shape[0])
    fill = float(np.nanmin(array))
    result = np.empty(target.shape, dtype=np.float32)
    planes: dict[int, npt.NDArray[Any]] = {}
    for number, height in enumerate(even):
        above = int(np.clip(np.searchsorted(heights, height), 1, len(heights) - 1))
        below = above - 1
        for index in (below, above):
            if index not in planes:
                planes[index] = _in_plane(array[index], places[index], plane, target, fill)
        for done in [index for index in planes if index < below]:
            del planes[done]
        weight = (height - heights[below]) / (heights[above] - heights[below])
        if height - heights[below] <= SAME_PLANE_MM:
            weight = 0.0
        elif heights[above] - height <= SAME_PLANE_MM:
            weight = 1.0
        result[number] = (1 - weight) * planes[below] + weight * planes[above]
    return result


def _in_plane(
    picture: npt.NDArray[Any],
    place: FloatArray,
    plane: Geometry,
    target: Geometry,
    fill: float,
) -> npt.NDArray[Any]:
    """One slice on the rows and columns of the target grid, at its own height."""
    own_affine = plane.affine.copy()
    own_affine[:3, 3] = place
    own = Geometry(plane.shape, own_affine)
    wanted_affine = target.affine.copy()
    wanted_affine[:3, 0] = own_affine[:3, 0]
    normal = _normal(plane)
    lift = (place - target.affine[:3, 3]) @ normal
    wanted_affine[:3, 3] = target.affine[:3, 3] + lift * normal
    wanted = Geometry((1, *target.shape[1:]), wanted_affine)
    if own.is_close(wanted, SAME_PLANE_MM):
        return picture
    moved: npt.NDArray[Any] = resample(picture[np.newaxis], own, wanted, fill=fill)[0]
    return moved


def _normal(plane: Geometry) -> FloatArray:
    """Unit normal of rows and columns, on the side to which the slice axis points."""
    normal = np.cross(plane.direction[:, 2], plane.direction[:, 1])
    normal /= np.linalg.norm(normal)
    return np.asarray(normal * np.sign(normal @ plane.direction[:, 0]), dtype=np.float64)
