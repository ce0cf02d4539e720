"""Does a map point at the truth: its peak, its energy, and its strongest part against a mask.

Where a figure does not exist it is None, and :attr:`Localisation.undefined` says why: an empty mask
cannot be hit, and a map of one value has no peak.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import GeometryError
from napari_medcnn.core.geometry import Geometry

Points: TypeAlias = tuple[float, float, float]

NO_MASK = "the mask is empty"
FLAT = "the map has a single value"
NOT_POSITIVE = "the map is positive nowhere"


@dataclass(frozen=True)
class Localisation:
    """Figures of a map against a mask; None where one does not exist.

    Parameters
    ----------
    hit : bool, optional
        The pointing game (Zhang et al. 2018, Top-down neural attention by excitation backprop):
        whether the map's peak lies within `tolerance_mm` of the mask. Of several voxels that share
        the peak all must.
    distance_mm : float, optional
        From the peak to the nearest voxel centre of the mask, 0 inside; the largest one where
        several voxels share the peak.
    peak_lps_mm : tuple of float, optional
        Where the peak is; the mean position where several voxels share it.
    energy : float, optional
        Share of the map's positive values that lies inside the mask (Wang et al. 2020, Score-CAM).
    mask_share : float
        Share of the grid that the mask fills: the energy of a map that knows nothing.
    iou : float, optional
        Intersection over union of the mask and as many voxels with the largest values. Where the
        last of them share a value with others, the expectation of drawing among these.
    tolerance_mm : float
        Of `hit`.
    undefined : str
        Why figures are None.
    """

    hit: bool | None
    distance_mm: float | None
    peak_lps_mm: Points | None
    energy: float | None
    mask_share: float
    iou: float | None
    tolerance_mm: float = 0.0
    undefined: str = ""


def localise(
    values: npt.NDArray[Any],
    mask: npt.NDArray[Any],
    geometry: Geometry,
    *,
    tolerance_mm: float = 0.0,
) -> Localisation:
    """All figures of a map against a mask.

    Parameters
    ----------
    values : numpy.ndarray
        The map ``(z, y, x)``; larger means more important.
    mask : numpy.ndarray
        ``(z, y, x)``; other than 0 is inside.
    geometry : Geometry
        The grid of both.
    tolerance_mm : float
        How far from the mask a peak may lie and still hit it.

    Raises
    ------
    GeometryError
        When an array does not fit the grid.
    """
    for array in (values, mask):
        if array.shape != geometry.shape:
            raise GeometryError(f"{array.shape} voxels do not fit a grid of {geometry.shape}")
    inside = np.asarray(mask) != 0
    share = float(inside.mean())
    why = NO_MASK if not inside.any() else FLAT if np.ptp(values) == 0 else ""
    if why:
        return Localisation(None, None, None, None, share, None, tolerance_mm, why)
    peaks = geometry.index_to_lps(np.argwhere(values == values.max()))
    distance = _farthest(peaks, geometry.index_to_lps(np.argwhere(inside)))
    positive = np.clip(values, 0, None, dtype=np.float64)
    total = float(positive.sum())
    x, y, z = (float(mm) for mm in peaks.mean(axis=0))
    return Localisation(
        hit=distance <= tolerance_mm,
        distance_mm=distance,
        peak_lps_mm=(x, y, z),
        energy=float(positive[inside].sum()) / total if total else None,
        mask_share=share,
        iou=_iou_of_strongest(values, inside),
        tolerance_mm=tolerance_mm,
        undefined="" if total else NOT_POSITIVE,
    )


def _farthest(peaks: npt.NDArray[np.float64], mask: npt.NDArray[np.float64]) -> float:
    """The largest distance of a peak ``(point, 3)`` to the nearest point of the mask, in mm."""
    from scipy.spatial import KDTree

    distances, _ = KDTree(mask).query(peaks)
    return float(np.max(distances))


def _iou_of_strongest(values: npt.NDArray[Any], inside: npt.NDArray[np.bool_]) -> float:
    """The mask against as many of the strongest voxels; ties by their expectation."""
    count = int(inside.sum())
    last = np.partition(values, values.size - count, axis=None)[values.size - count]
    above, level = values > last, values == last
    drawn = (count - int(above.sum())) / int(level.sum())
    common = int(above[inside].sum()) + drawn * int(level[inside].sum())
    return common / (2 * count - common)
