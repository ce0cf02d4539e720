"""Bring MR intensities, which have no unit, to a scale that a network knows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import InputMismatch

MAX_NEGATIVE_SHARE = 0.05
"""Largest share of brain voxels below zero. Magnitude images have none, interpolation makes a few
at edges; a z-scored image has about half, and its median says nothing about its scale."""


def normalise_by_brain_median(
    array: npt.NDArray[Any], mask: npt.NDArray[Any]
) -> npt.NDArray[np.float32]:
    """Divide an image by the median of its brain, so that the brain's median becomes 1.

    The median is kept to rather than the mean and standard deviation: a heavy lesion load moves
    those two and with them the contrast of every lesion.

    Parameters
    ----------
    array : array (z, y, x), or with leading axes
        Image intensities; NaN and infinite voxels are left out of the median.
    mask : array of the same shape
        Brain where not zero. Voxels outside it are scaled too, not removed.

    Returns
    -------
    float32 array of the same shape

    Raises
    ------
    InputMismatch
        If the shapes differ, the mask is empty, the brain's median is not above zero, or more than
        a few of the brain's voxels are below zero.

    Examples
    --------
    >>> image = np.array([0.0, 50.0, 100.0, 200.0])
    >>> normalise_by_brain_median(image, image > 0)
    array([0. , 0.5, 1. , 2. ], dtype=float32)
    """
    if array.shape != mask.shape:
        raise InputMismatch(
            f"the brain mask's shape {mask.shape} is not the image's {array.shape}",
            hint="compute the mask on the same grid as the image",
        )
    inside = array[mask != 0]
    inside = inside[np.isfinite(inside)]
    if inside.size == 0:
        raise InputMismatch(
            "the brain mask holds no voxel with a value", hint="check the brain mask on the image"
        )
    median = float(np.median(inside))
    negative = float(np.mean(inside < 0))
    if median <= 0 or negative > MAX_NEGATIVE_SHARE:
        raise InputMismatch(
            f"the brain's median intensity is {median:g} and {negative:.0%} of the brain is below "
            "zero, so intensities have no scale to go by",
            hint="pass an MR image with positive intensities, not a z-scored or subtracted one",
        )
    return (array / median).astype(np.float32)
