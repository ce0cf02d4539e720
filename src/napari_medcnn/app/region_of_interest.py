"""A region of interest in voxels of a volume: from drawn shapes, or around a label."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from napari_medcnn.app.layers import placement
from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.geometry import FloatArray, Geometry, Index
from napari_medcnn.core.volume import Volume

Region: TypeAlias = tuple[Index, Index]
"""Start and stop ``(z, y, x)``, half open, in voxels of the volume's array."""

_EXACT = 6
"""Decimals of an index that count: coordinates come through several products of floats."""


def region_of_shapes(
    volume: Volume, shapes: Sequence[npt.ArrayLike], *, all_slices: bool
) -> Region:
    """The voxels that drawn shapes touch, as the smallest box around all of them.

    Parameters
    ----------
    volume : Volume
        The image, shown as :func:`~napari_medcnn.app.layers.placement` says.
    shapes : sequence of array
        The vertices ``(n, 3)`` of each shape as ``(z, y, x)``, or ``(n, 2)`` as ``(y, x)``, in the
        millimetres in which the image is shown.
    all_slices : bool
        How far the box reaches along an axis on which no shape extends, as z has it for rectangles
        in axial slices: through the whole image, or from the first of the shapes to the last. An
        axis on which another shape extends has its length from that one.

    Raises
    ------
    InputMismatch
        When there is no shape, or the box holds no voxel.
    """
    place = placement(volume)
    boxes = [_box(vertices, place.scale, place.translate) for vertices in shapes]
    if not boxes:
        raise InputMismatch("no shape is drawn yet", hint="draw a rectangle over the image")
    start, stop = [], []
    for axis, length in enumerate(volume.geometry.shape):
        spans = [(low[axis], high[axis]) for low, high in boxes]
        known = [(low, high) for low, high in spans if np.isfinite(low)]
        long = [(low, high) for low, high in known if high > low]
        if long or (known and not all_slices):
            first, last = _touched(*(zip(*(long or known), strict=True)))
        else:
            first, last = 0, length
        start.append(first)
        stop.append(last)
    return _within(volume, start, stop, "the drawn shapes lie outside of the image")


def region_of_label(
    volume: Volume,
    labels: npt.NDArray[Any],
    grid: Geometry,
    value: int | None,
    margin_mm: float,
) -> Region:
    """The voxels of the smallest box around a label, with a margin on all sides.

    Parameters
    ----------
    volume : Volume
        The image.
    labels : numpy.ndarray
        ``(z, y, x)`` integers.
    grid : Geometry
        Where `labels` lies, which need not be on the image's grid.
    value : int, optional
        Which label; None for all but the background.
    margin_mm : float
        At least 0.

    Raises
    ------
    InputMismatch
        When the label does not occur, or lies outside of the image.
    """
    box = bounding_box(labels, value)
    if box is None:
        what = "no label" if value is None else f"no label {value}"
        raise InputMismatch(f"{what} is drawn yet", hint="choose another label or layer")
    faces = [(a - 0.5, z - 0.5) for a, z in zip(*box, strict=True)]
    corners = volume.geometry.lps_to_index(grid.index_to_lps(list(itertools.product(*faces))))
    # A ball of the margin is an ellipsoid in indices; see app.ball.
    rows = np.linalg.inv(volume.geometry.affine[:3, :3])
    reach = np.linalg.norm(rows, axis=1) * margin_mm
    low, high = corners.min(axis=0) - reach, corners.max(axis=0) + reach
    spans = [_touched((a,), (z,)) for a, z in zip(low, high, strict=True)]
    start, stop = zip(*spans, strict=True)
    return _within(volume, start, stop, "the label lies outside of the image")


def shown_grid(
    volume: Volume, shape: Index, scale: Sequence[float], translate: Sequence[float]
) -> Geometry:
    """The grid of an array that is shown over `volume` by a scale and a translation in mm."""
    affine = np.eye(4)
    affine[:3, :3] = volume.geometry.direction * np.asarray(scale, dtype=float)
    affine[:3, 3] = volume.geometry.direction @ np.asarray(translate, dtype=float)
    return Geometry(shape, affine)


def bounding_box(labels: npt.NDArray[Any], value: int | None) -> Region | None:
    """The smallest box ``(z, y, x)`` around a value, or all but 0; None where there is none.

    Slice by slice: no mask of the whole array is made.
    """
    slices: list[int] = []
    rows = np.zeros(labels.shape[1], dtype=bool)
    columns = np.zeros(labels.shape[2], dtype=bool)
    for number, plane in enumerate(labels):
        mask = plane != 0 if value is None else plane == value
        if mask.any():
            slices.append(number)
            rows |= mask.any(axis=1)
            columns |= mask.any(axis=0)
    if not slices:
        return None
    y, x = np.flatnonzero(rows), np.flatnonzero(columns)
    start = (slices[0], int(y[0]), int(x[0]))
    return start, (slices[-1] + 1, int(y[-1]) + 1, int(x[-1]) + 1)


def region_text(region: Region, shape: Index) -> str:
    """E.g. ``only 96 × 80 × 40 voxels (x × y × z), 4% of the image``."""
    size = [stop - start for start, stop in zip(*region, strict=True)]
    voxels = " × ".join(str(n) for n in reversed(size))
    share = float(np.prod(size)) / float(np.prod(shape))
    part = "less than 1%" if share < 0.01 else f"{share:.0%}"
    return f"only {voxels} voxels (x × y × z), {part} of the image"


def _box(
    vertices: npt.ArrayLike, scale: Sequence[float], translate: Sequence[float]
) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest index ``(z, y, x)`` of a shape; NaN along z where it has none."""
    points = np.asarray(vertices, dtype=np.float64)
    axes = points.shape[1]
    index = (points - np.asarray(translate)[-axes:]) / np.asarray(scale)[-axes:]
    low, high = np.full(3, np.nan), np.full(3, np.nan)
    low[-axes:], high[-axes:] = index.min(axis=0), index.max(axis=0)
    return np.round(low, _EXACT), np.round(high, _EXACT)


def _touched(lows: Sequence[float], highs: Sequence[float]) -> tuple[int, int]:
    """First and last-but-one voxel that a span of indices touches; index 0 is a centre."""
    start = int(np.floor(np.round(min(lows), _EXACT) + 0.5))
    stop = int(np.ceil(np.round(max(highs), _EXACT) - 0.5)) + 1
    return start, max(stop, start + 1)


def _within(volume: Volume, start: Sequence[int], stop: Sequence[int], otherwise: str) -> Region:
    shape = volume.geometry.shape
    z0, y0, x0 = (max(a, 0) for a in start)
    z1, y1, x1 = (min(b, n) for b, n in zip(stop, shape, strict=True))
    if z0 >= z1 or y0 >= y1 or x0 >= x1:
        raise InputMismatch(otherwise, hint="draw it over the image, or run the whole image")
    return (z0, y0, x0), (z1, y1, x1)
