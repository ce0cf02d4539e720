"""Where the patient is in a scan: everything that is not air, table or noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.filters import threshold_otsu

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.imaging.brain import MaskArray, clean_brain_mask
from napari_medcnn.imaging.resample import grid_with_spacing, resample

WORKING_MM = 3.0
"""Grid on which the body is sought: finer than any gap between skin and table, and fast."""

AIR_BELOW_HU = -400.0
"""What a CT shows below is air, or lung; skin and fat lie above -150."""

LEAST_AIR_HU = -700.0
"""Values lower than this are found in CT alone: other images have no such scale."""

_OF_OTSU = 0.5
"""Otsu's threshold of an MR scan lies between dark and bright tissue; noise lies far below half."""

_TABLE_MM = 5.0
"""What is thinner in CT is taken off before the largest part is sought: tables and wires."""


def looks_like_ct(array: npt.NDArray[Any]) -> bool:
    """Whether values are on the scale of CT, where air is -1000."""
    return float(np.min(array)) < LEAST_AIR_HU


def body_mask(array: npt.NDArray[Any], geometry: Geometry) -> MaskArray:
    """The patient's body, with what it encloses in three dimensions or in a slice.

    Parameters
    ----------
    array : numpy.ndarray
        ``(z, y, x)``, any real type, finite.
    geometry : Geometry
        Its grid.

    Returns
    -------
    numpy.ndarray
        ``(z, y, x)`` bool, exact to some `WORKING_MM`.

    Raises
    ------
    InputMismatch
        When the image has one value everywhere.
    """
    if array.min() == array.max():
        raise InputMismatch("the image has the same value everywhere", hint="choose another image")
    z, y, x = (max(WORKING_MM, step) for step in geometry.spacing)
    coarse = grid_with_spacing(geometry, (z, y, x))
    blurred = ndimage.gaussian_filter(
        array.astype(np.float32), [0.4 * WORKING_MM / step for step in geometry.spacing]
    )
    values = resample(blurred, geometry, coarse, fill=float(blurred.min()))
    is_ct = looks_like_ct(array)
    bright = values > _threshold(values, is_ct)
    body = clean_brain_mask(_without_table(bright, coarse) if is_ct else bright)
    # Lungs and sinuses are open to the outside in space, but hardly ever within their slice.
    filled = np.stack([ndimage.binary_fill_holes(plane) for plane in body])
    return resample(filled.astype(np.uint8), coarse, geometry, order=0) > 0


def _without_table(bright: MaskArray, geometry: Geometry) -> MaskArray:
    """Without what is thin; the edge of the field of view is no surface."""
    reach = [max(0, round(_TABLE_MM / 2 / step)) for step in geometry.spacing]
    kernel = np.ones([2 * n + 1 for n in reach], dtype=bool)
    opened: MaskArray = ndimage.binary_opening(np.pad(bright, 8, mode="edge"), kernel)
    opened = opened[8:-8, 8:-8, 8:-8]
    return opened if opened.any() else bright


def _threshold(values: npt.NDArray[np.float32], is_ct: bool) -> float:
    if is_ct:
        return AIR_BELOW_HU
    low, high = np.percentile(values, (1, 99))
    if low == high:
        return float(low)
    otsu = threshold_otsu(np.clip(values, low, high))  # type: ignore[no-untyped-call]
    return float(low + _OF_OTSU * (otsu - low))
