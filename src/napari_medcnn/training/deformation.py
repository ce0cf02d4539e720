"""Turn, scale and bend a patch in millimetres, with one interpolation from the stored voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

Shape: TypeAlias = tuple[int, ...]
Floats: TypeAlias = npt.NDArray[np.float32]

_PLACE = (2, 1, 0)
"""Where torch expects x, y and z in a position: it names the fastest axis first."""

KNOTS = 5
"""Knots of an elastic deformation along each axis of the patch."""


@dataclass(frozen=True, eq=False)
class Deformation:
    """Where a patch takes its voxels from.

    Parameters
    ----------
    matrix : numpy.ndarray
        3 × 3, from the offset of a voxel ``(x, y, z)`` of the patch from its centre to that in the
        image, both in voxels.
    bend : numpy.ndarray, optional
        ``(3, KNOTS, KNOTS, KNOTS)`` additional offsets in voxels of the image on an even lattice
        over the patch; one knot along an axis of one voxel.
    """

    matrix: npt.NDArray[np.float64]
    bend: Floats | None = None


def affine_in_mm(
    turn: npt.NDArray[np.float64], scale: Sequence[float], spacing: Sequence[float]
) -> npt.NDArray[np.float64]:
    """The matrix in voxels of a turn and a scaling in millimetres.

    Parameters
    ----------
    turn : numpy.ndarray
        3 × 3 rotation of ``(x, y, z)`` in mm.
    scale : sequence of float
        How much larger things look along each axis of the patch.
    spacing : sequence of float
        Of both grids ``(x, y, z)`` in mm.
    """
    step = np.asarray(spacing, dtype=np.float64)
    return np.asarray((turn / np.asarray(scale)) * step / step[:, np.newaxis])


def rotation(angles: Sequence[float]) -> npt.NDArray[np.float64]:
    """The rotation by angles in radians about the axes x, then y, then z."""
    whole = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = [other for other in range(3) if other != axis]
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[b, a], turn[a, b] = np.sin(angle), -np.sin(angle)
        whole = turn @ whole
    return whole


def cut(image: torch.Tensor, centre: Sequence[int], shape: Shape) -> torch.Tensor:
    """The box of `shape` around a voxel, filled up with zeros outside of the image.

    Parameters
    ----------
    image : torch.Tensor
        ``(channel, x, y, z)``.
    centre : sequence of int
        The voxel that becomes ``shape // 2``; anywhere.
    """
    inside, part = _overlap(tuple(image.shape[1:]), centre, shape)
    if all(p.stop - p.start == n for p, n in zip(part, shape, strict=True)):
        return image[(slice(None), *inside)].clone()
    box = image.new_zeros((image.shape[0], *shape))
    box[(slice(None), *part)] = image[(slice(None), *inside)]
    return box


def deformed(
    image: torch.Tensor,
    label: torch.Tensor | None,
    centre: Sequence[int],
    shape: Shape,
    change: Deformation,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """A deformed patch around a voxel: image by linear interpolation, label by nearest voxel.

    Only the part of the image is read that the patch needs; what lies outside of the image is zero.

    Parameters
    ----------
    image, label : torch.Tensor
        ``(channel, x, y, z)`` float32 and ``(x, y, z)`` int16.
    """
    import torch

    positions = _positions(shape, centre, change)
    reach = [_reach(positions[..., _PLACE[a]], n) for a, n in enumerate(image.shape[1:])]
    for axis, (low, high) in enumerate(reach):
        # As torch wants them: -1 and 1 are the outer faces of the outer voxels.
        along = positions[..., _PLACE[axis]]
        along *= 2 / (high - low)
        along += (1 - 2 * low) / (high - low) - 1
    grid = torch.from_numpy(positions)
    box = tuple(slice(low, high) for low, high in reach)
    values = _sampled(image[(slice(None), *box)], grid, "bilinear")
    if label is None:
        return values, None
    classes = _sampled(label[box][None].float(), grid, "nearest")
    return values, classes[0].to(label.dtype)


def _positions(shape: Shape, centre: Sequence[int], change: Deformation) -> Floats:
    """``(x, y, z, 3)``: for each voxel of the patch its place in the image, as (z, y, x)."""
    lines = [np.arange(n, dtype=np.float64) - n // 2 for n in shape]
    x, y, z = (
        (line[:, np.newaxis] * change.matrix[:, axis]).astype(np.float32)
        for axis, line in enumerate(lines)
    )
    x += np.asarray(centre, dtype=np.float32)
    positions = np.empty((*shape, 3), np.float32)
    plane = y[:, np.newaxis] + z[np.newaxis]
    bend = None if change.bend is None else _spread(change.bend, shape)
    for axis, place in enumerate(_PLACE):  # one at a time: numpy is slow on rows of three
        out = positions[..., place]
        np.add(x[:, axis, np.newaxis, np.newaxis], plane[..., axis], out=out)
        if bend is not None:
            out += bend[axis]
    return positions


def _spread(bend: Floats, shape: Shape) -> Floats:
    import torch
    from torch.nn import functional

    smooth = functional.interpolate(
        torch.from_numpy(bend)[None], size=shape, mode="trilinear", align_corners=True
    )
    spread: Floats = smooth[0].numpy()
    return spread


def _reach(along: Floats, count: int) -> tuple[int, int]:
    """First and last + 1 voxel of the image that positions on one axis need; at least one voxel."""
    low = min(max(int(np.floor(along.min())), 0), count - 1)
    high = min(int(np.ceil(along.max())) + 1, count)
    return low, max(high, low + 1)


def _sampled(part: torch.Tensor, grid: torch.Tensor, mode: str) -> torch.Tensor:
    from torch.nn import functional

    if part.shape[-1] == grid.shape[2] == 1:  # a picture: half of the work
        return functional.grid_sample(
            part[None, ..., 0], grid[None, :, :, 0, 1:], mode, "zeros", align_corners=False
        )[0][..., None]
    return functional.grid_sample(part[None], grid[None], mode, "zeros", align_corners=False)[0]


def _overlap(
    size: Shape, centre: Sequence[int], shape: Shape
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Slices of the image, and of the patch, that are the same voxels; empty without any."""
    inside: list[Any] = []
    part: list[Any] = []
    for count, middle, length in zip(size, centre, shape, strict=True):
        start = int(middle) - length // 2
        first, last = min(max(start, 0), count), max(min(start + length, count), 0)
        last = max(first, last)
        inside.append(slice(first, last))
        part.append(slice(first - start, last - start) if last > first else slice(0, 0))
    return tuple(inside), tuple(part)
