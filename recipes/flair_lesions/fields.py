"""Smooth random fields and warps; trilinear interpolation by torch, which is fast on one core."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from recipes.flair_lesions.template import FloatArray


def smooth_field(
    rng: np.random.Generator, shape: Sequence[int], scale_mm: float, channels: int = 1
) -> FloatArray:
    """Random field of about unit variance that varies over `scale_mm`; (channels, x, y, z)."""
    coarse = [max(3, round(size / scale_mm) + 2) for size in shape]
    nodes = torch.from_numpy(rng.standard_normal((1, channels, *coarse)).astype(np.float32))
    field = functional.interpolate(nodes, size=tuple(shape), mode="trilinear", align_corners=True)
    # Averaging neighbouring nodes lowers the variance to (2/3)^3 on average.
    return field[0].numpy() * np.float32(1.84)


def warp(maps: FloatArray, source_index: FloatArray) -> FloatArray:
    """Sample `maps` (channels, x, y, z) at `source_index` (3, x, y, z), clamped at the border."""
    sizes = maps.shape[1:]
    grid = np.stack(
        [2 * source_index[axis] / (sizes[axis] - 1) - 1 for axis in (2, 1, 0)], axis=-1
    ).astype(np.float32)
    sampled = functional.grid_sample(
        torch.from_numpy(np.ascontiguousarray(maps))[None],
        torch.from_numpy(grid)[None],
        mode="bilinear",
        padding_mode="border",
        align_corners=True,
    )
    return sampled[0].numpy()
