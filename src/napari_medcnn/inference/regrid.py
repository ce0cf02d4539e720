"""Interpolate stored voxels onto a network's grid, axis by axis, without a copy of the image.

The grid is MONAI's: its own transforms say what they would make of the image, and are not run. The
values are those of trilinear interpolation in space, which along straight axes is three linear
ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.inference.way_back import Matrix

if TYPE_CHECKING:
    import torch


def interpolated(
    voxels: npt.NDArray[Any], positions: Sequence[Matrix], out: npt.NDArray[Any]
) -> Iterator[None]:
    """Fill `out` with `voxels` at positions along each axis; yields after each slice.

    Parameters
    ----------
    voxels : numpy.ndarray
        Real numbers ``(a, b, c)`` of any type, in any memory order; never copied as a whole.
    positions : sequence of numpy.ndarray
        For each axis where the values are taken, within ``0..n - 1``.
    out : numpy.ndarray
        ``(len(positions[0]), len(positions[1]), len(positions[2]))`` floats, in any memory order.
    """
    import torch

    # Slices of neighbouring bytes are read once; a picture is one slice, whatever its strides say.
    strides = [
        np.inf if n == 1 else abs(s) for n, s in zip(voxels.shape, voxels.strides, strict=True)
    ]
    slow = int(np.argmax(strides))
    stack = np.moveaxis(voxels, slow, 0)
    along, *across = [positions[slow], *(p for a, p in enumerate(positions) if a != slow)]
    sampled = _Plane(across[0], across[1], stack.shape[1:])
    target = np.moveaxis(out, slow, 0)
    lower, weight = _split(along, stack.shape[0])
    kept: dict[int, torch.Tensor] = {}
    for j, (k, w) in enumerate(zip(lower, weight, strict=True)):
        needed = {int(k)} if w == 0 else {int(k), int(k) + 1}
        kept = {
            n: kept[n] if n in kept else sampled.of(torch.from_numpy(_float32(stack[n])))
            for n in needed
        }
        first = kept[int(k)]
        value = first if w == 0 else torch.lerp(first, kept[int(k) + 1], float(w))
        target[j] = value.numpy()
        yield


class _Plane:
    """Samples planes ``(b, c)`` at the same positions, one axis after the other."""

    def __init__(self, rows: Matrix, columns: Matrix, shape: Sequence[int]) -> None:
        import torch

        self._pairs = []
        for positions, size in zip((rows, columns), shape, strict=True):
            lower, weight = _split(positions, size)
            upper = np.minimum(lower + 1, size - 1)
            self._pairs.append(
                (torch.from_numpy(lower), torch.from_numpy(upper), torch.from_numpy(weight))
            )

    def of(self, plane: torch.Tensor) -> torch.Tensor:
        """The plane at the positions."""
        import torch

        for lower, upper, weight in self._pairs:  # rows first; then columns, as rows
            plane = (
                torch.lerp(
                    plane.index_select(0, lower), plane.index_select(0, upper), weight[:, None]
                )
                .t()
                .contiguous()
            )
        return plane


def _split(positions: Matrix, size: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """The voxel at or below each position, and the share of the next one."""
    lower = np.clip(np.floor(positions), 0, max(size - 1, 0)).astype(np.int64)
    return lower, (positions - lower).astype(np.float32)


def _float32(plane: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return np.array(plane, dtype=np.float32, order="C")  # a view may run backwards
