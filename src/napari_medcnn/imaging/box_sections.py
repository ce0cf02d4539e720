"""Where a plane of voxels cuts a box in space."""

from __future__ import annotations

import itertools

import numpy as np

from napari_medcnn.core.geometry import FloatArray

_EDGES = tuple((a, a | bit) for a, bit in itertools.product(range(8), (4, 2, 1)) if not a & bit)
"""Pairs of corners that an edge joins: their numbers differ in one bit."""

_SAME = 1e-9
"""Points of a plane that are this near in voxels are one."""


def slices_of(corners: FloatArray, axis: int, count: int) -> range:
    """The slices along an axis of a grid whose centres a box holds; the nearest one if none.

    Parameters
    ----------
    corners : numpy.ndarray
        ``(8, 3)``, fractional indices ``(z, y, x)``, numbered as in
        :class:`~napari_medcnn.core.detection.Detection`.
    count : int
        Of slices; none beyond are given.
    """
    low, high = float(corners[:, axis].min()), float(corners[:, axis].max())
    first, last = int(np.ceil(low - _SAME)), int(np.floor(high + _SAME))
    if first > last:
        first = last = round((low + high) / 2)
    return range(max(first, 0), min(last, count - 1) + 1)


def section_of(corners: FloatArray, axis: int, index: float) -> FloatArray | None:
    """The convex outline ``(n, 2)`` in which a plane cuts a box; None where it does not.

    Parameters
    ----------
    corners : numpy.ndarray
        As for :func:`slices_of`.
    axis, index : int, float
        The plane: all voxels with this index along the axis. A box thinner than a voxel is cut in
        its middle.

    Returns
    -------
    numpy.ndarray
        Indices along the other two axes in their order, in the order of the outline.
    """
    heights = corners[:, axis]
    if heights.max() - heights.min() < 1:
        index = float(np.clip(index, heights.min(), heights.max()))
    others = [a for a in range(3) if a != axis]
    points = []
    for a, b in _EDGES:
        low, high = heights[a], heights[b]
        if min(low, high) - _SAME > index or max(low, high) + _SAME < index:
            continue
        if abs(high - low) < _SAME:
            points += [corners[a, others], corners[b, others]]
            continue
        share = np.clip((index - low) / (high - low), 0, 1)
        points.append(corners[a, others] + share * (corners[b, others] - corners[a, others]))
    if len(points) < 3:
        return None
    return _outline(np.array(points))


def _outline(points: FloatArray) -> FloatArray | None:
    """Points of a convex outline in their order around its middle, each once."""
    distinct = np.unique(np.round(points, 7), axis=0)
    if len(distinct) < 3:
        return None
    middle = distinct.mean(axis=0)
    angles = np.arctan2(distinct[:, 1] - middle[1], distinct[:, 0] - middle[0])
    ordered: FloatArray = distinct[np.argsort(angles, kind="stable")]
    return ordered
