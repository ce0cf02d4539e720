"""Which grey values a picture of a volume shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.geometry import Index
from napari_medcnn.core.lesion import Lesion
from napari_medcnn.core.volume import Volume

_SAMPLED_VOXELS = 200_000
_LUNG_BELOW_HU = -400.0
_SURROUNDINGS_VOXELS = 12


@dataclass(frozen=True)
class Window:
    """Values from black to white."""

    low: float
    high: float
    name: str = ""


SOFT_TISSUE = Window(-160, 240, "soft tissue window")
LUNG = Window(-1350, 150, "lung window")


def choose_window(volume: Volume, lesions: tuple[Lesion, ...]) -> Window:
    """For CT in HU, lung or soft tissue by what surrounds the first lesion; else percentiles.

    Percentiles are the 0.5th and the 99.5th of the values above the least one, which in most
    scans is the empty background.
    """
    return window_at(volume, (lesions[0].bbox_start, lesions[0].bbox_stop) if lesions else None)


def window_at(volume: Volume, box: tuple[Index, Index] | None) -> Window:
    """As :func:`choose_window`, by what surrounds a half-open box of voxels ``(z, y, x)``."""
    if volume.modality == "CT" and volume.unit == "HU":
        return LUNG if box is not None and _is_in_lung(volume.array, box) else SOFT_TISSUE
    sample = volume.array.ravel(order="K")
    sample = sample[:: max(1, sample.size // _SAMPLED_VOXELS)]
    sample = sample[np.isfinite(sample)].astype(np.float64)
    tissue = sample[sample > sample.min()] if sample.size else sample
    if not tissue.size:
        return Window(0, 1)
    low, high = np.percentile(tissue, (0.5, 99.5))
    return Window(float(low), float(max(high, low + 1e-6)))


def _is_in_lung(array: npt.NDArray[Any], box: tuple[Index, Index]) -> bool:
    around = tuple(
        slice(max(start - _SURROUNDINGS_VOXELS, 0), stop + _SURROUNDINGS_VOXELS)
        for start, stop in zip(*box, strict=True)
    )
    return float(np.nanmedian(array[around])) < _LUNG_BELOW_HU
