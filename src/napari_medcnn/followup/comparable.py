"""Two registered images made comparable, voxel by voxel: resolution, shading, and grey values."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.imaging.brain import MaskArray

FloatImage = npt.NDArray[np.float32]

LANDMARKS = (2.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 98.0)
"""Percentiles that are matched. Lesions that change are far less than 2 % of a brain."""

SHADING_MM = 15.0
"""Standard deviation of what counts as shading: it leaves the largest lesions of MS alone."""

_BLUR = 0.425
"""Standard deviation of a Gaussian by its full width at half maximum."""


def blurred_like(array: npt.NDArray[Any], own: Geometry, other: Geometry) -> FloatImage:
    """An image ``(z, y, x)`` blurred along its axes where the other image's voxels are longer.

    Both grids are canonical, so that axes of one number run nearly alike. Done to both images, it
    leaves edges as wide in the one as in the other: what differs is then not the slices' thickness.
    """
    sigmas = [
        _BLUR * float(np.sqrt(max(0.0, theirs**2 - ours**2))) / ours
        for ours, theirs in zip(own.spacing, other.spacing, strict=True)
    ]
    values = np.asarray(array, dtype=np.float32)
    return np.asarray(ndimage.gaussian_filter(values, sigmas, mode="nearest"), dtype=np.float32)


def matched_values(moved: FloatImage, fixed: FloatImage, mask: MaskArray) -> FloatImage:
    """The moved image on the fixed one's grey values: percentiles in the mask become equal.

    Piecewise linear between `LANDMARKS` and beyond them as in the last piece: Nyúl, Udupa and
    Zhang, New variants of a method of MRI scale standardization, IEEE Trans Med Imaging 2000;19(2).

    Raises
    ------
    InputMismatch
        When an image has too few different values in the mask.
    """
    there, here = (np.percentile(image[mask], LANDMARKS) for image in (moved, fixed))
    if np.diff(there).min() <= 0 or here[-1] <= here[0]:
        raise InputMismatch(
            "an image has too few different values to be compared with another",
            hint="choose images with grey values, not label maps",
        )
    slopes = np.diff(here) / np.diff(there)
    piece = np.clip(np.searchsorted(there, moved) - 1, 0, len(slopes) - 1)
    matched = here[piece] + (moved - there[piece]) * slopes[piece]
    return np.asarray(matched, dtype=np.float32)


def without_relative_shading(
    moved: FloatImage, fixed: FloatImage, mask: MaskArray, spacing_mm: tuple[float, float, float]
) -> FloatImage:
    """The moved image with what slow shading differs from the fixed one's taken off.

    The ratio of both images, blurred within the mask, is what the one coil saw brighter than the
    other: Lewis and Fox, Correction of differential intensity inhomogeneity in longitudinal MR
    images, NeuroImage 23(1), 2004.
    """
    sigmas = [SHADING_MM / step for step in spacing_mm]
    weight = mask.astype(np.float32)
    ours, theirs = (
        ndimage.gaussian_filter(np.clip(image, 0, None) * weight, sigmas, mode="constant")
        for image in (moved, fixed)
    )
    usable = mask & (ours > 0) & (theirs > 0)
    ratio = np.divide(theirs, ours, out=np.ones_like(ours), where=usable)
    return np.asarray(moved * ratio, dtype=np.float32)
