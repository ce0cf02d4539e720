"""nnU-Net's grids: the size after resampling, when slices go by themselves, and the way back.

Axes are nnU-Net's own: those of its array after ``transpose_forward``. Without a transposition they
are the file's axes in reverse, z first. No voxels are touched here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from napari_medcnn.core.errors import ModelError
from napari_medcnn.inference.way_back import Span, Stage

Three: TypeAlias = tuple[int, int, int]

ANISOTROPIC = 3.0
"""Slices thicker than this many times the pixels are interpolated by themselves (nnU-Net)."""

TIE = 1e-7
"""Decides which slice is the nearest halfway between two: so far a position is moved."""


@dataclass(frozen=True)
class Resampling:
    """The arguments of nnU-Net's ``resample_data_or_seg_to_shape``.

    Parameters
    ----------
    order : int
        Of the splines within a volume or within slices.
    order_z : int
        Across slices that go by themselves; only 0, the nearest slice, is supported.
    force_separate_z : bool, optional
        Whether slices go by themselves; None leaves it to the spacings.
    separate_z_anisotropy_threshold : float
        From which ratio of spacings on they do.
    """

    order: int = 3
    order_z: int = 0
    force_separate_z: bool | None = False
    separate_z_anisotropy_threshold: float = ANISOTROPIC

    def __post_init__(self) -> None:
        if self.order not in range(6) or self.order_z != 0:
            raise ModelError(
                f"resampling of the orders {self.order} and {self.order_z} is not supported"
            )


def resampled_shape(
    shape: Sequence[int], old_spacing: Sequence[float], new_spacing: Sequence[float]
) -> Three:
    """How many voxels nnU-Net makes of each axis."""
    triples = zip(shape, old_spacing, new_spacing, strict=True)
    a, b, c = (round(old / new * n) for n, old, new in triples)
    return a, b, c


def slice_axis(
    old_spacing: Sequence[float], new_spacing: Sequence[float], how: Resampling
) -> int | None:
    """The axis along which slices are interpolated each by itself; None for none."""
    if how.force_separate_z is False:
        return None
    candidates = (old_spacing,) if how.force_separate_z else (old_spacing, new_spacing)
    for spacing in candidates:
        thick = [axis for axis, s in enumerate(spacing) if max(spacing) / s == 1]
        threshold = how.separate_z_anisotropy_threshold
        if how.force_separate_z or max(spacing) / min(spacing) > threshold:
            return thick[0] if len(thick) == 1 else None
    return None


def nearest_slices(old: int, new: int) -> list[int]:
    """The slice of `old` ones that stands for each of `new` ones."""
    positions = (np.arange(new) + 0.5) * (old / new) - 0.5
    return [int(k) for k in np.clip(np.floor(positions + 0.5), 0, old - 1)]


def crop_stage(shape: Sequence[int], forward: Sequence[int], crop: Sequence[Span]) -> Stage:
    """From the image to the transposed and cropped grid.

    Parameters
    ----------
    shape : sequence of int
        The image's ``(x, y, z)`` in the file's order.
    forward : sequence of int
        nnU-Net's ``transpose_forward``, of axes ``(z, y, x)``.
    crop : sequence of (int, int)
        First and last + 1 voxel along each of nnU-Net's axes.
    """
    return Stage(
        old_shape=tuple(shape),
        new_shape=tuple(stop - start for start, stop in crop),
        axes=tuple(2 - axis for axis in forward),
        scale=(1.0, 1.0, 1.0),
        offset=tuple(-float(start) for start, _ in crop),
        clamped=False,
    )


def resampling_stage(
    old: Sequence[int], new: Sequence[int], order: int, slices: int | None
) -> Stage:
    """From the cropped grid to the network's, both with the same outer edges.

    Parameters
    ----------
    old, new : sequence of int
        Sizes of the cropped grid and of the network's.
    order : int
        Of the way back: 0 or 1.
    slices : int, optional
        The axis whose slices go by themselves on the way back: each takes the nearest one.
    """
    scale = [n / o for o, n in zip(old, new, strict=True)]
    nearest = [order == 0 or axis == slices for axis in range(3)]
    ties = [_tie(o, n) if near else 0.0 for near, o, n in zip(nearest, old, new, strict=True)]
    a, b, c = nearest
    return Stage(
        old_shape=tuple(old),
        new_shape=tuple(new),
        axes=(0, 1, 2),
        scale=tuple(scale),
        offset=tuple(0.5 * factor - 0.5 + tie for factor, tie in zip(scale, ties, strict=True)),
        clamped=True,
        nearest=(a, b, c),
    )


def _tie(old: int, new: int) -> float:
    """How far to move positions so that rounding them takes the slices that nnU-Net takes.

    Halfway between two it takes the upper one, but for some sizes the digits of its calculation
    make it the lower one.
    """
    if old == new:
        return 0.0
    exact = (np.arange(old) + 0.5) * (new / old) - 0.5
    wanted = np.array(nearest_slices(new, old))

    def misses(tie: float) -> int:
        return int((np.clip(np.rint(exact + tie), 0, new - 1) != wanted).sum())

    return min((TIE, -TIE), key=misses)
