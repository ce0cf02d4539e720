"""A map of real numbers from the network's grid back to the image's."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.geometry import Geometry, Index
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference.preprocess import Prepared
from napari_medcnn.inference.regrid import interpolated
from napari_medcnn.inference.way_back import Span, WayBack

Floats = npt.NDArray[np.float32]

_ROUNDING = 1e-4
"""Voxels by which a box's corner may be beyond a voxel's edge and still be on it."""


def map_on_image(values: Floats, prepared: Prepared, volume: Volume) -> Floats:
    """The map ``(z, y, x)`` on the grid of `volume`, interpolated linearly.

    Parameters
    ----------
    values : numpy.ndarray
        ``(x, y, z)`` on the network's grid.
    prepared : Prepared
        The image that the network saw, with its way back; what was cropped away is zero.
    volume : Volume
        The first of the images that it was prepared from.
    """
    if prepared.way_back is None:
        return _by_monai(values, prepared)
    way_back = prepared.way_back
    stored = np.empty([len(p) for p in way_back.positions], dtype=np.float32)
    held, positions = _bordered(values, way_back)
    for _ in interpolated(held, positions, stored):
        pass
    in_file = stored.transpose(np.argsort(way_back.axes))  # (x, y, z) of the file
    moved: npt.NDArray[Any] = volume.source.axes.apply(in_file.transpose(2, 1, 0))
    return np.ascontiguousarray(moved)


def box_on_image(
    spans: tuple[Span, Span, Span], grid: Geometry, volume: Volume
) -> tuple[Index, Index]:
    """The box ``(z, y, x)`` of the volume's voxels, start and stop, around a box of a grid.

    Parameters
    ----------
    spans : tuple of (int, int)
        First and last + 1 voxel of the grid ``(x, y, z)``; what is beyond the grid does not count.
    grid : Geometry
        The network's, axes ``(z, y, x)``.
    """
    ends = [
        (max(start, 0) - 0.5, min(stop, n) - 0.5)
        for (start, stop), n in zip(reversed(spans), grid.shape, strict=True)
    ]
    corners = np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, 3)
    index = volume.geometry.lps_to_index(grid.index_to_lps(corners)) + 0.5
    shape = volume.geometry.shape
    low = np.clip(np.floor(index.min(0) + _ROUNDING), 0, shape).astype(int).tolist()
    high = np.clip(np.ceil(index.max(0) - _ROUNDING), 0, shape).astype(int).tolist()
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])


def _bordered(values: Floats, way_back: WayBack) -> tuple[Floats, list[npt.NDArray[np.float64]]]:
    """What stands for the image, with a zero around it, and the positions in that.

    What lies beyond counts as zero, and so does all between it and the first voxel, by its share.
    """
    held = np.pad(values[tuple(slice(*span) for span in way_back.inside)], 1)
    positions = [
        np.clip(p - start + 1, 0, stop - start + 1)
        for p, (start, stop) in zip(way_back.positions, way_back.inside, strict=True)
    ]
    return held, positions


def _by_monai(values: Floats, prepared: Prepared) -> Floats:
    import torch

    if prepared.to_source is None:
        raise ValueError("the image has no way back")
    back: Floats = prepared.to_source(torch.from_numpy(np.ascontiguousarray(values))[None], False)
    return np.ascontiguousarray(back[0])
