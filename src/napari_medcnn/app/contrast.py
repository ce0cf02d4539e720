"""Which values an image shows from black to white when it is opened."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.volume import Volume

CT_SOFT_TISSUE_HU = (-160.0, 240.0)
"""Centre 40, width 400: what CT viewers open a scan with."""

PERCENTILES = (0.5, 99.5)
"""Single bright voxels (vessels, spikes) must not take the contrast of all others."""

SAMPLE = 1_000_000
"""About so many voxels are looked at; more change the range by less than one would see."""


def display_range(volume: Volume) -> tuple[float, float]:
    """Lowest and highest value to show; the lower is always below the higher.

    CT in HU gets the soft-tissue window. All else gets the 0.5th to 99.5th percentile of its voxels
    that are not zero, as zero is what masked and padded regions hold.
    """
    if volume.modality == "CT" and volume.unit == "HU":
        return CT_SOFT_TISSUE_HU
    return percentile_range(volume.array)


def percentile_range(array: npt.NDArray[Any]) -> tuple[float, float]:
    """The 0.5th to the 99.5th percentile of the voxels that are finite and not zero.

    Parameters
    ----------
    array : numpy.ndarray
        Of any shape; a large one is sampled.
    """
    step = max(1, round((array.size / SAMPLE) ** (1 / array.ndim)))
    # A slice axis can be short: thinning it too would leave whole structures unseen.
    steps = [step if n > 4 * step else 1 for n in array.shape]
    sample = array[tuple(slice(None, None, s) for s in steps)]
    values = sample[np.isfinite(sample) & (sample != 0)]
    if values.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values.astype(np.float64), PERCENTILES))
    return (low, high) if high > low else (low - 0.5, high + 0.5)
