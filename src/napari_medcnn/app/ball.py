"""Balls in millimetres on any grid, to mark a lesion that was missed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.geometry import Geometry, Index
from napari_medcnn.core.segmentation import Segmentation


@dataclass(frozen=True)
class Box:
    """A half-open box of voxels, ``start`` and ``stop`` as ``(z, y, x)``."""

    start: Index
    stop: Index

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """To index an array ``(z, y, x)``."""
        z, y, x = (slice(a, b) for a, b in zip(self.start, self.stop, strict=True))
        return z, y, x


def ball(
    geometry: Geometry, centre: tuple[float, float, float], radius_mm: float
) -> tuple[Box, npt.NDArray[np.bool_]]:
    """The voxels whose centres lie within `radius_mm` of a point, clipped to the grid.

    Parameters
    ----------
    geometry : Geometry
        The grid, whatever its spacing, obliquity or shear.
    centre : tuple of float
        Index ``(z, y, x)`` of the ball's centre, inside the grid. Its nearest voxel always
        belongs to the ball, however small the radius.
    radius_mm : float
        Positive.

    Returns
    -------
    Box, numpy.ndarray
        Where the ball lies, and its mask ``(z, y, x)`` within that box.
    """
    nearest = np.rint(centre).astype(int)
    # A ball in mm is an ellipsoid in indices; its half-width along an index axis is the length of
    # that row of the inverse matrix times the radius.
    rows = np.linalg.inv(geometry.affine[:3, :3])
    reach = np.linalg.norm(rows, axis=1) * radius_mm
    start = np.clip(np.minimum(np.ceil(np.subtract(centre, reach)), nearest), 0, None).astype(int)
    stop = np.maximum(np.floor(np.add(centre, reach)), nearest).astype(int) + 1
    stop = np.minimum(stop, geometry.shape)
    index = np.stack(np.meshgrid(*map(np.arange, start, stop), indexing="ij"), axis=-1)
    offset = geometry.index_to_lps(index) - geometry.index_to_lps(centre)
    mask = np.einsum("...i,...i", offset, offset) <= radius_mm**2
    mask[tuple(nearest - start)] = True
    return Box(_index(start), _index(stop)), mask


def paint_ball(
    segmentation: Segmentation,
    centre: tuple[float, float, float],
    radius_mm: float,
    label: int,
) -> Box:
    """Set the background voxels of a ball to `label`, in place, and return its box.

    Raises
    ------
    MedcnnError
        When the centre is outside the grid, the radius not positive, or nothing there is
        background.
    """
    shape = segmentation.geometry.shape
    inside = all(-0.5 <= c < n - 0.5 for c, n in zip(centre, shape, strict=True))
    if not inside or radius_mm <= 0:
        raise MedcnnError("a new lesion needs a centre inside the image and a positive radius")
    box, mask = ball(segmentation.geometry, centre, radius_mm)
    region = segmentation.array[box.slices]
    mask &= region == 0
    if not mask.any():
        raise MedcnnError("there is a lesion here already", hint="choose a place in the background")
    region[mask] = label
    return box


def _index(values: npt.NDArray[np.int_]) -> Index:
    z, y, x = (int(v) for v in values)
    return z, y, x
