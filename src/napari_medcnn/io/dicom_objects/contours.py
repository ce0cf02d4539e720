"""Masks to closed contours and back, in one plane, exact at the pixels' centres.

Points are ``(row, column)`` in pixels, 0 at the centre of the first one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.geometry import FloatArray

Mask = npt.NDArray[np.bool_]

_HALF = 0.5


def outlines(mask: Mask) -> list[FloatArray]:
    """Closed contours around what a mask marks, each with its holes keyholed into it.

    The contour runs half-way between pixels inside and outside (marching squares at one half), so
    that every marked pixel's centre is inside and no other's is; each outline encloses half a
    pixel less than its pixels' area, each hole likewise. A hole is joined to its outline by a
    channel of no width, as RTSTRUCT readers expect (PS3.3 C.8.8.6.3).

    Parameters
    ----------
    mask : numpy.ndarray
        ``(row, column)``. Pixels that touch by a corner only are apart.

    Returns
    -------
    list of numpy.ndarray
        ``(point, 2)`` each, the last point not repeating the first.
    """
    from scipy import ndimage

    parts, count = ndimage.label(mask)
    boxes = ndimage.find_objects(parts, max_label=count)
    found = []
    for number, box in enumerate(boxes, 1):
        corner = np.array([part.start for part in box]) - 1
        found.append(_outline(np.pad(parts[box] == number, 1)) + corner)
    return found


def filled(polygons: Sequence[FloatArray], shape: tuple[int, int]) -> Mask:
    """Pixels whose centre is inside an odd number of closed polygons (even-odd rule).

    A centre on a left or upper edge is inside, on a right or lower one outside, so that polygons
    that share an edge share no pixel.

    Parameters
    ----------
    polygons : sequence of numpy.ndarray
        ``(point, 2)`` each; they may leave the image.
    shape : tuple of int
        Rows, columns.
    """
    rows, columns = shape
    toggles = np.zeros((rows, columns + 1), dtype=np.int32)
    for polygon in polygons:
        row, column = _crossings(np.asarray(polygon, dtype=np.float64), rows)
        np.add.at(toggles, (row, np.clip(np.ceil(column), 0, columns).astype(np.intp)), 1)
    inside: Mask = (np.cumsum(toggles, axis=1)[:, :columns] & 1).astype(bool)
    return inside


def _crossings(points: FloatArray, rows: int) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Where a closed polygon's edges cross the rows of pixel centres: row and column."""
    start, end = points, np.roll(points, -1, axis=0)
    swap = (start[:, 0] > end[:, 0])[:, np.newaxis]
    low, high = np.where(swap, end, start), np.where(swap, start, end)
    first = np.clip(np.ceil(low[:, 0]), 0, rows).astype(np.intp)
    stop = np.clip(np.ceil(high[:, 0]), 0, rows).astype(np.intp)
    count = np.maximum(stop - first, 0)
    edge = np.repeat(np.arange(len(points)), count)
    offset = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    row = first[edge] + offset
    part = (row - low[edge, 0]) / (high[edge, 0] - low[edge, 0])
    return row, low[edge, 1] + part * (high[edge, 1] - low[edge, 1])


def _outline(mask: Mask) -> FloatArray:
    """The contour of one connected part, with its holes joined in."""
    from skimage.measure import find_contours

    lines: list[FloatArray] = find_contours(  # type: ignore[no-untyped-call]
        mask.astype(np.float64), _HALF, fully_connected="low"
    )
    closed = [line[:-1] for line in lines]
    outer = max(range(len(closed)), key=lambda number: abs(_area(closed[number])))
    outline = closed[outer]
    for number, hole in enumerate(closed):
        if number != outer:
            outline = _joined(outline, hole)
    return outline


def _joined(outline: FloatArray, hole: FloatArray) -> FloatArray:
    """An outline that goes to a hole at the nearest points, around it, and the same way back."""
    from scipy.spatial import KDTree

    if _area(outline) * _area(hole) > 0:
        hole = hole[::-1]
    distance, nearest = KDTree(outline).query(hole)
    at_hole = int(np.argmin(distance))
    at_outline = int(nearest[at_hole])
    around = np.roll(hole, -at_hole, axis=0)
    joined: FloatArray = np.concatenate(
        [outline[: at_outline + 1], around, around[:1], outline[at_outline:]], axis=0
    )
    return joined


def _area(points: FloatArray) -> float:
    """Signed area of a closed polygon (shoelace formula)."""
    row, column = points[:, 0], points[:, 1]
    return float(row @ np.roll(column, -1) - column @ np.roll(row, -1)) / 2
