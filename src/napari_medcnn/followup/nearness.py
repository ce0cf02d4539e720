"""How much lesions of two studies lie in each other, as far as the registration can tell.

Two figures of a pair, both ways; no mask is resampled for either, the voxels of one study's lesion
are looked up in the other's mask on its own grid.

The *share* of lesion A in lesion B is the part of A's voxels that lie in B as they are registered.

A registration is never exact, and a small lesion may miss itself. The *cover* of A by B is the same
with B's mask blurred by the registration's residual, divided by what A has in its own blurred mask:
1 where A lies within B, or exactly where B is, however small both are. The blur is normal, with the
residual as standard deviation along each axis. Where the error is normal with the residual as root
mean square over the three axes together, it exceeds 1.6 residuals in 5 % of cases, and a lesion as
small as a point that is so far off has a cover of ``exp(-1.6^2 / 2)``, a quarter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import KDTree

from napari_medcnn.core.geometry import FloatArray
from napari_medcnn.core.lesion import Lesion
from napari_medcnn.followup.placed import PlacedLesions

Pairs: TypeAlias = npt.NDArray[np.intp]

_TRUNCATE = 3.0
"""Standard deviations after which a normal distribution is taken to end."""


_DECIMALS = 9
"""What differs by less is rounding, which must not decide between two lesions."""


@dataclass(frozen=True, eq=False)
class Nearness:
    """Share and cover of every pair of lesions that come near each other.

    Parameters
    ----------
    pairs : numpy.ndarray
        ``(pair, 2)``: numbers of the lesion before and of the one after, counted from 0.
    shares, covers : numpy.ndarray
        ``(shift, pair, 2)``: of the one before in the one after, and the reverse, with the lesions
        before moved by each shift.
    """

    pairs: Pairs
    shares: FloatArray
    covers: FloatArray

    def part(self, chosen: npt.NDArray[np.bool_]) -> Nearness:
        """Some of the pairs ``(pair,)`` alone."""
        return Nearness(self.pairs[chosen], self.shares[:, chosen], self.covers[:, chosen])


def nearness(
    before: PlacedLesions, after: PlacedLesions, residual_mm: float, shifts_mm: FloatArray
) -> Nearness:
    """Measure share and cover of all pairs of one label.

    Parameters
    ----------
    before, after : PlacedLesions
        Lesions of two studies.
    residual_mm : float
        Root mean square error of the registration between them.
    shifts_mm : numpy.ndarray
        ``(shift, 3)`` LPS mm in the baseline's space, see :class:`Nearness`.
    """
    clouds = [[side.points(lesion) for lesion in side.lesions] for side in (before, after)]
    longest = float(np.linalg.norm(shifts_mm, axis=1).max(initial=0.0))
    # Masks are interpolated: one ends up to a voxel beyond its outermost centres.
    reach = longest + _TRUNCATE * residual_mm + max(_voxel_mm(before), _voxel_mm(after))
    pairs = np.array(list(_near(before, after, clouds, reach)), dtype=np.intp).reshape(-1, 2)
    there = _figures(before, after, clouds[0], pairs, residual_mm, shifts_mm)
    back = _figures(after, before, clouds[1], pairs[:, ::-1], residual_mm, -shifts_mm)
    shares, covers = (np.stack(both, axis=-1) for both in zip(there, back, strict=True))
    return Nearness(pairs, shares, covers)


def gap_mm(before: PlacedLesions, earlier: Lesion, after: PlacedLesions, later: Lesion) -> float:
    """The smallest distance of the centres of two lesions' voxels, in the baseline's space.

    0 where a voxel of one has its centre in the other.
    """
    sides = ((before, earlier), (after, later))
    clouds = [side.points(lesion) for side, lesion in sides]
    for points, (side, lesion) in zip(clouds, reversed(sides), strict=True):
        if side.holds(lesion, points).any():
            return 0.0
    return float(KDTree(clouds[0]).query(clouds[1])[0].min())


def _near(
    before: PlacedLesions, after: PlacedLesions, clouds: list[list[FloatArray]], reach: float
) -> Iterator[tuple[int, int]]:
    """Numbers of lesions of one label whose bounding boxes come within reach of each other."""
    if not (clouds[0] and clouds[1]):
        return
    labels = np.array([lesion.label for lesion in after.lesions])
    boxes = np.array([(cloud.min(axis=0), cloud.max(axis=0)) for cloud in clouds[1]])
    for row, (lesion, cloud) in enumerate(zip(before.lesions, clouds[0], strict=True)):
        gaps = np.maximum(boxes[:, 0] - cloud.max(axis=0), cloud.min(axis=0) - boxes[:, 1])
        apart = np.linalg.norm(np.maximum(gaps, 0.0), axis=1)
        for column in np.flatnonzero((apart <= reach) & (labels == lesion.label)):
            yield row, int(column)


def _voxel_mm(side: PlacedLesions) -> float:
    return float(np.linalg.norm(side.geometry.spacing))


def _figures(
    inner: PlacedLesions,
    outer: PlacedLesions,
    clouds: Sequence[FloatArray],
    pairs: Pairs,
    residual_mm: float,
    shifts_mm: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Share and cover ``(shift, pair)`` of the first lesion of each pair in the second."""
    shares, covers = np.zeros((2, len(shifts_mm), len(pairs)))
    own = {i: _own_cover(inner, inner.lesions[i], clouds[i], residual_mm) for i in {*pairs[:, 0]}}
    moves = outer.shift_of_index(shifts_mm)
    for j in np.unique(pairs[:, 1]):
        masks = [_blurred(outer, outer.lesions[j], sigma_mm) for sigma_mm in (0.0, residual_mm)]
        for number in np.flatnonzero(pairs[:, 1] == j):
            i = pairs[number, 0]
            index = outer.to_index(clouds[i])
            shares[:, number] = masks[0].means(index, moves)
            covers[:, number] = np.minimum(masks[1].means(index, moves) / own[i], 1.0)
    return shares.round(_DECIMALS), covers.round(_DECIMALS)


def _own_cover(
    side: PlacedLesions, lesion: Lesion, points: FloatArray, residual_mm: float
) -> float:
    blurred = _blurred(side, lesion, residual_mm)
    return float(blurred.means(side.to_index(points), np.zeros((1, 3)))[0])


@dataclass(frozen=True, eq=False)
class _Blurred:
    """A lesion's mask from 0 to 1, in a box that begins at an index (z, y, x) of its grid."""

    values: FloatArray
    start: FloatArray

    def means(self, index: FloatArray, moves: FloatArray) -> FloatArray:
        """Its mean ``(move,)`` over indices ``(n, 3)``, all moved by each of ``(move, 3)``."""
        moved = index - self.start + moves[:, None]
        values = ndimage.map_coordinates(
            self.values, moved.reshape(-1, 3).T, order=1, mode="constant"
        )
        means: FloatArray = values.reshape(moved.shape[:2]).mean(axis=1)
        return means


def _blurred(side: PlacedLesions, lesion: Lesion, sigma_mm: float) -> _Blurred:
    sigma = sigma_mm / np.array(side.geometry.spacing)
    margin = np.ceil(_TRUNCATE * sigma).astype(int) + 1
    mask = np.pad(side.mask(lesion).astype(np.float64), [(int(m), int(m)) for m in margin])
    if sigma_mm > 0:
        mask = ndimage.gaussian_filter(mask, sigma, truncate=_TRUNCATE, mode="constant")
    return _Blurred(mask, np.array(lesion.bbox_start, dtype=np.float64) - margin)
