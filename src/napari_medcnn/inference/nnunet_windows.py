"""Where nnU-Net lays its windows, and how it weighs them: not as MONAI does.

nnU-Net spreads the windows evenly over an axis, where MONAI moves only the last one back. Its
Gaussian has its peak on the voxel behind the middle, and falls off to the smallest number of half
precision, where MONAI's stays at a thousandth of the peak.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

SIGMA = 1 / 8
"""Of nnU-Net's Gaussian, as a share of the window."""

PEAK = 10.0
"""nnU-Net's weight in the middle of a window; half precision then sets the smallest one."""


def window_starts(size: int, window: int, overlap: float) -> tuple[int, ...]:
    """First voxels of the windows along one axis, as nnU-Net lays them.

    An axis shorter than the window is padded and holds one.
    """
    size = max(size, window)
    count = math.ceil((size - window) / (window * (1 - overlap))) + 1
    if count == 1:
        return (0,)
    step = (size - window) / (count - 1)
    return tuple(int(np.round(step * number)) for number in range(count))


def gaussian(window: Sequence[int]) -> npt.NDArray[np.float32]:
    """The weight of each voxel of a window, as the array of the window's shape.

    The numbers are those of nnU-Net's half precision, so that sums weigh alike.
    """
    from scipy.ndimage import gaussian_filter1d

    weight = np.ones((1,) * len(window))
    for axis, size in enumerate(window):
        line = np.zeros(size)
        line[size // 2] = 1
        line = gaussian_filter1d(line, size * SIGMA, mode="constant")
        shape = [1] * len(window)
        shape[axis] = size
        weight = weight * line.reshape(shape)
    half = (weight * (PEAK / weight.max())).astype(np.float16)
    half[half == 0] = half[half > 0].min()
    result: npt.NDArray[np.float32] = half.astype(np.float32)
    return result
