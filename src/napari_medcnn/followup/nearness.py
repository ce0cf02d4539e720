"""How much lesions of two studies lie in each other, as far as the registration can tell.

A registration is never exact. Where it says that a voxel of one study lies in the other, the voxel
lies within some millimetres of that place: its error is taken as normal, with the stated residual
as root mean square over all three directions. So a lesion's mask is blurred by that much, on its
own grid, and the voxels of the other study's lesions are looked up in it. No mask is resampled.

The *cover* of lesion A by lesion B is the mean of B's blurred mask over A's voxels, divided by that
of A's own over them: 1 where A lies within B, or exactly where B is, however small both are against
the residual; 0 where they are farther from each other than the registration can be wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import KDTree

from napari_medcnn.core.geometry import FloatArray
from napari_medcnn.core.lesion import Lesion
from napari_medcnn.followup.placed import PlacedLesions

_TRUNCATE = 4.0
"""Standard deviations after which a normal distribution is taken to end."""


@dataclass(frozen=True, eq=False)
class Nearness:
    """Cover of every pair of lesions that come near each other.

    Parameters
    ----------
    pairs : numpy.ndarray
        ``(pair, 2)``: numbers of the lesion before and of the one after, counted from 0.
    of_before, of_after : numpy.ndarray
        ``(shift, pair)``: cover of the one before by the one after, and the reverse, with the
        lesions before moved by each shift.
    """

    pairs: npt.NDArray[np.intp]
    of_before: FloatArray
    of_after: FloatArray

    def part(self, chosen: npt.NDArray[np.bool_]) -> Nearness:
        """Some of the pairs ``(pair,)`` alone."""
        return Nearness(self.pairs[chosen], self.of_before[:, chosen], self.of_after[:, chosen])


def nearness(
    before: PlacedLesions, after: PlacedLesions, residual_mm: float, shifts_mm: FloatArray
) -> Nearness:
    """Measure the cover of all pairs of one label.

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
    reach = longest + _TRUNCATE * residual_mm + _voxel_mm(before) + _voxel_mm(after)
    pairs = np.array(list(_near(before, after, clouds, reach)), dtype=np.intp).reshape(-1, 2)
    return Nearness(
        pairs,
        _covers(before, after, clouds[0], pairs, residual_mm, shifts_mm),
        _covers(after, before, clouds[1], pairs[:, ::-1], residual_mm, -shifts_mm),
    )


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
    """Numbers of lesions of one label whose bounding balls come within reach of each other."""
    if not (clouds[0] and clouds[1]):
        return
    labels = np.array([lesion.label for lesion in after.lesions])
    balls = np.array([_ball(cloud) for cloud in clouds[1]])
    for row, (lesion, cloud) in enumerate(zip(before.lesions, clouds[0], strict=True)):
        ball = _ball(cloud)
        apart = np.linalg.norm(balls[:, :3] - ball[:3], axis=1) - balls[:, 3] - ball[3]
        for column in np.flatnonzero((apart <= reach) & (labels == lesion.label)):
            yield row, int(column)


def _ball(cloud: FloatArray) -> FloatArray:
    """Centre and radius of a ball that holds a cloud: x, y, z, radius."""
    centre = (cloud.min(axis=0) + cloud.max(axis=0)) / 2
    return np.append(centre, np.linalg.norm(cloud - centre, axis=1).max())


def _voxel_mm(side: PlacedLesions) -> float:
    return float(np.linalg.norm(side.geometry.spacing))


def _covers(
    inner: PlacedLesions,
    outer: PlacedLesions,
    clouds: Sequence[FloatArray],
    pairs: npt.NDArray[np.intp],
    residual_mm: float,
    shifts_mm: FloatArray,
) -> FloatArray:
    """Cover ``(shift, pair)`` of the first lesion of each pair by the second."""
    covers = np.zeros((len(shifts_mm), len(pairs)))
    lesions, sigma = inner.lesions, residual_mm / np.sqrt(3)
    own = {
        int(i): _shares(inner, lesions[i], clouds[i], np.zeros((1, 3)), sigma)[0]
        for i in np.unique(pairs[:, 0])
    }
    for number, (i, j) in enumerate(pairs):
        shares = _shares(outer, outer.lesions[j], clouds[i], shifts_mm, sigma)
        covers[:, number] = np.minimum(shares / own[int(i)], 1.0)
    return covers


def _shares(
    side: PlacedLesions, lesion: Lesion, points: FloatArray, shifts_mm: FloatArray, sigma_mm: float
) -> FloatArray:
    """Mean ``(shift,)`` of a lesion's blurred mask over points of the baseline's space."""
    blurred, start = _blurred(side, lesion, sigma_mm)
    index = side.to_index(points) - start
    moved = index + side.shift_of_index(shifts_mm)[:, None]
    values = ndimage.map_coordinates(blurred, moved.reshape(-1, 3).T, order=1, mode="constant")
    means: FloatArray = values.reshape(moved.shape[:2]).mean(axis=1)
    return means


def _blurred(side: PlacedLesions, lesion: Lesion, sigma_mm: float) -> tuple[FloatArray, FloatArray]:
    """A lesion's mask within a box that holds its blur, and the box's first index (z, y, x)."""
    sigma = sigma_mm / np.array(side.geometry.spacing)
    margin = np.ceil(_TRUNCATE * sigma).astype(int) + 1
    mask = np.pad(side.mask(lesion).astype(np.float64), [(int(m), int(m)) for m in margin])
    blurred: FloatArray = ndimage.gaussian_filter(mask, sigma, truncate=_TRUNCATE, mode="constant")
    return blurred, np.array(lesion.bbox_start) - margin
