"""Resize volumes as nnU-Net does: splines between the outer edges of both grids.

Resizing is linear and works on each axis by itself, so it is one matrix an axis: what scikit-image
makes of the unit matrix. That gives scikit-image's own values without a spline of 64 neighbours for
every voxel.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_medcnn.inference.nnunet_grid import nearest_slices

if TYPE_CHECKING:
    import torch


def resized(
    volume: torch.Tensor, shape: Sequence[int], order: int, slices: int | None
) -> Iterator[torch.Tensor]:
    """Resize a volume; yields after each axis, the last time the result.

    Parameters
    ----------
    volume : torch.Tensor
        Three axes, float32.
    shape : sequence of int
        The new size.
    order : int
        Of the splines, 0 to 5.
    slices : int, optional
        The axis whose slices are resized each by itself; along it the nearest slice is taken.
    """
    import torch

    old = tuple(volume.shape)
    if old == tuple(shape):
        yield volume
        return
    if slices is not None:
        chosen = nearest_slices(old[slices], shape[slices])
        if old[slices] != shape[slices]:
            volume = volume.index_select(slices, torch.tensor(chosen))
    within = [axis for axis in range(3) if axis != slices]
    low, high = volume.amin(within, keepdim=True), volume.amax(within, keepdim=True)
    for axis in sorted(within, key=lambda a: shape[a] / old[a]):  # what shrinks comes first
        if shape[axis] != old[axis]:
            matrix = torch.from_numpy(resize_matrix(old[axis], shape[axis], order))
            volume = torch.tensordot(matrix, volume, dims=([1], [axis])).movedim(0, axis)
            yield volume
    # Splines overshoot; like scikit-image nnU-Net keeps to the values that there were.
    yield torch.clamp(volume, low, high)


@functools.lru_cache(maxsize=16)
def resize_matrix(old: int, new: int, order: int) -> npt.NDArray[np.float32]:
    """The matrix ``(new, old)`` that resizes one axis as ``skimage.transform.resize`` does."""
    from skimage.transform import resize

    how = {"order": order, "mode": "edge", "anti_aliasing": False, "clip": False}
    matrix = resize(np.eye(old), (new, old), **how)  # type: ignore[no-untyped-call]
    result: npt.NDArray[np.float32] = np.ascontiguousarray(matrix, dtype=np.float32)
    return result
