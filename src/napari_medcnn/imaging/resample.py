"""Interpolate voxels from one grid onto another, and choose the grids worth going to.

Both grids are given by their affines, so rotated, flipped and sheared ones need no special case:
the interpolation runs in index space, where every grid is a unit lattice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import GeometryError
from napari_medcnn.core.geometry import FloatArray, Geometry

_CORNERS = np.stack(np.meshgrid(*[(0, 1)] * 3, indexing="ij"), -1).reshape(-1, 3)

_PART_OF_A_VOXEL = 1e-6
"""Rounding that must not add a voxel to a grid, as a part of one."""


def resample(
    array: npt.NDArray[Any],
    source: Geometry,
    target: Geometry,
    *,
    order: int = 1,
    fill: float = 0.0,
) -> npt.NDArray[Any]:
    """Interpolate `array` from the grid `source` at the voxel centres of the grid `target`.

    There is no low-pass filter: going to a much coarser grid aliases.

    Parameters
    ----------
    array : numpy.ndarray
        ``(z, y, x)`` on `source`.
    source, target : Geometry
        Grids in the same patient space; either may be rotated, flipped or sheared.
    order : int
        0 nearest neighbour (for labels), 1 trilinear, 3 cubic B-spline.
    fill : float
        Value of target voxels more than half a source voxel outside the source.

    Returns
    -------
    numpy.ndarray
        ``target.shape``; the dtype of `array` at order 0, else float32 (float64 stays float64).

    Raises
    ------
    GeometryError
        When `array` does not have the shape of `source`.
    ValueError
        When `order` is none of 0, 1, 3.
    """
    import SimpleITK as sitk

    interpolators = {0: sitk.sitkNearestNeighbor, 1: sitk.sitkLinear, 3: sitk.sitkBSpline3}
    if order not in interpolators:
        raise ValueError(f"order is 0, 1 or 3, not {order}")
    if array.shape != source.shape:
        raise GeometryError(f"an array of {array.shape} does not fit a grid of {source.shape}")
    result_dtype = array.dtype if order == 0 else np.result_type(array.dtype, np.float32)
    if order and result_dtype != np.float64:
        result_dtype = np.dtype(np.float32)
    # SimpleITK swaps bytes of no array and knows neither bool nor float16.
    work = array.astype(_sitk_dtype(array.dtype) if order == 0 else result_dtype, copy=False)
    to_source = np.linalg.inv(source.affine) @ target.affine
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(to_source[2::-1, 2::-1].ravel().tolist())
    transform.SetTranslation(to_source[2::-1, 3].tolist())
    resampled = sitk.Resample(
        sitk.GetImageFromArray(np.ascontiguousarray(work)),
        tuple(reversed(target.shape)),
        transform,
        interpolators[order],
        (0.0, 0.0, 0.0),
        (1.0, 1.0, 1.0),
        np.eye(3).ravel().tolist(),
        float(fill),
    )
    result: npt.NDArray[Any] = sitk.GetArrayFromImage(resampled)
    return result.astype(result_dtype, copy=False)


def straight_grid(geometry: Geometry) -> Geometry:
    """The right-angled grid that covers every voxel centre of a sheared one.

    The two axes that are closest to a right angle stay (of a tilted CT stack: rows and columns,
    so every new slice lies in an old slice's plane); the third becomes their normal, with the
    spacing that the slices have along it. A grid without shear comes back as it is.
    """
    if not geometry.is_sheared:
        return geometry
    direction, spacing = geometry.direction, np.asarray(geometry.spacing)
    cosines = np.abs(direction.T @ direction)
    first, second, third = min(
        ((1, 2, 0), (0, 2, 1), (0, 1, 2)), key=lambda axes: cosines[axes[0], axes[1]]
    )
    straight = np.empty((3, 3))
    straight[:, first] = direction[:, first]
    straight[:, second] = direction[:, second]
    straight[:, second] -= straight[:, first] * (straight[:, first] @ direction[:, second])
    straight[:, second] /= np.linalg.norm(straight[:, second])
    normal = np.cross(straight[:, first], straight[:, second])
    straight[:, third] = normal * np.sign(normal @ direction[:, third])
    # What a step along each old axis advances along its straightened one.
    spacing = spacing * np.einsum("ij,ij->j", straight, direction)
    return _covering_centres(geometry, straight, spacing)


def straighten(
    array: npt.NDArray[Any], geometry: Geometry, *, order: int = 1, fill: float | None = None
) -> tuple[npt.NDArray[Any], Geometry]:
    """Resample the array of a sheared grid onto :func:`straight_grid`.

    Parameters
    ----------
    array : numpy.ndarray
        ``(z, y, x)`` or ``(frame, z, y, x)`` on `geometry`.
    geometry : Geometry
        The sheared grid.
    order : int
        As in :func:`resample`.
    fill : float, optional
        Value where the sheared grid has no voxel; by default the lowest finite value of `array`,
        which is air in CT and background in MRI.

    Returns
    -------
    tuple of numpy.ndarray and Geometry
    """
    target = straight_grid(geometry)
    if fill is None:
        finite = array[np.isfinite(array)]
        fill = float(finite.min()) if finite.size else 0.0
    if array.ndim == 3:
        return resample(array, geometry, target, order=order, fill=fill), target
    frames = [resample(frame, geometry, target, order=order, fill=fill) for frame in array]
    return np.stack(frames), target


def grid_with_spacing(geometry: Geometry, spacing: tuple[float, float, float]) -> Geometry:
    """The grid of `spacing` (z, y, x, mm) over the same box, with the same axes and middle.

    The number of voxels along an axis is the nearest that fills the box, at least one. A sheared
    grid is straightened first.
    """
    straight = straight_grid(geometry)
    extent = np.asarray(straight.shape) * straight.spacing
    shape = np.maximum(1, np.rint(extent / spacing)).astype(int)
    middle = straight.index_to_lps((np.asarray(straight.shape) - 1) / 2)
    affine = np.eye(4)
    affine[:3, :3] = straight.direction * np.asarray(spacing)
    affine[:3, 3] = middle - affine[:3, :3] @ ((shape - 1) / 2)
    return Geometry((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def isotropic_grid(geometry: Geometry, spacing_mm: float) -> Geometry:
    """:func:`grid_with_spacing` with the same spacing in mm along every axis."""
    return grid_with_spacing(geometry, (spacing_mm, spacing_mm, spacing_mm))


def _covering_centres(geometry: Geometry, direction: FloatArray, spacing: FloatArray) -> Geometry:
    last = np.asarray(geometry.shape) - 1
    corners = geometry.index_to_lps(_CORNERS * last) @ direction
    low, high = corners.min(axis=0), corners.max(axis=0)
    shape = np.ceil((high - low) / spacing - _PART_OF_A_VOXEL).astype(int) + 1
    affine = np.eye(4)
    affine[:3, :3] = direction * spacing
    affine[:3, 3] = direction @ low
    return Geometry((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def _sitk_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    if dtype == np.bool_:
        return np.dtype(np.uint8)
    if dtype == np.float16:
        return np.dtype(np.float32)
    return dtype.newbyteorder("=")
