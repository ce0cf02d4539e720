"""What one plane of a napari layer looks like: a coloured slice, circles or outlines.

The layer stays the only owner of its voxels and colours; nothing is copied but the slice that is
seen. Places are millimetres on the screen, `u` to the right and `v` downwards, so that a plane is
the right way up by construction (see :mod:`napari_medcnn.gui.view_planes`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Labels, Layer, Points, Shapes
from scipy import ndimage

from napari_medcnn.gui.view_access import axis_matrix, has_planes
from napari_medcnn.gui.view_planes import Plane

LARGEST_COLOUR_TABLE = 4096
"""Label values up to this one are coloured through a table, larger ones each by itself."""

Rectangle: TypeAlias = tuple[float, float, float, float]
"""Left, top, width and height in mm on the screen."""


@dataclass(frozen=True, eq=False)
class ColouredSlice:
    """One plane of an Image or Labels layer.

    Parameters
    ----------
    rgba : numpy.ndarray
        ``(rows, columns, 4)`` uint8, contiguous, as seen on the screen.
    where : tuple of float
        The rectangle that it fills.
    smooth : bool
        Whether to interpolate between its pixels.
    """

    rgba: npt.NDArray[np.uint8]
    where: Rectangle
    smooth: bool


@dataclass(frozen=True)
class Mark:
    """A circle (one point with a diameter) or an outline (several points), in mm on the screen."""

    points: tuple[tuple[float, float], ...]
    diameter: float
    colour: tuple[float, float, float, float]
    width: float


def on_screen(plane: Plane, world: npt.ArrayLike) -> tuple[float, float]:
    """Place on the screen (u, v) of a point (z, y, x) in mm."""
    _, rows, columns = plane.order
    place = np.asarray(world, dtype=float)
    return float(place[columns]), float(place[rows]) * (1 if plane.rows_grow_down else -1)


def from_screen(plane: Plane, u: float, v: float) -> dict[int, float]:
    """Coordinates in mm of a place on the screen, by axis."""
    _, rows, columns = plane.order
    return {rows: v * (1 if plane.rows_grow_down else -1), columns: u}


def can_slice(layer: Layer) -> bool:
    """Whether a layer can be shown here: of a kind that is known, with planes along z, y, x."""
    return isinstance(layer, Image | Labels | Points | Shapes) and has_planes(layer)


def slice_key(layer: Layer, plane: Plane, point: Sequence[float]) -> tuple[int, ...] | None:
    """Indices of the slice at a point of the viewer, the sliced axis last; None outside.

    Before it come those of axes that are not of space, as time.
    """
    axes = (*range(layer.ndim - 3), layer.ndim - 3 + plane.sliced)
    where, shape = _data_point(layer, point), _data(layer).shape
    key = tuple(round(float(where[axis])) for axis in axes)
    inside = all(0 <= index < shape[axis] for axis, index in zip(axes, key, strict=True))
    return key if inside else None


def extent_on_screen(layer: Layer, plane: Plane) -> Rectangle:
    """The rectangle that an Image or Labels layer fills, to the outer edges of its voxels."""
    shape = np.array(_data(layer).shape[: layer.ndim])
    first, last = np.zeros(layer.ndim), shape - 1.0
    first[-3:] -= 0.5
    last[-3:] += 0.5
    corners = [np.asarray(layer.data_to_world(tuple(corner)))[-3:] for corner in (first, last)]
    (u0, v0), (u1, v1) = (on_screen(plane, corner) for corner in corners)
    return min(u0, u1), min(v0, v1), abs(u1 - u0), abs(v1 - v0)


def coloured_slice(
    layer: Image | Labels, plane: Plane, point: Sequence[float]
) -> ColouredSlice | None:
    """The plane of a layer through a point, None where the point is outside.

    Parameters
    ----------
    layer : Image or Labels
        One for which :func:`can_slice` holds.
    plane : Plane
        Which one.
    point : sequence of float
        The viewer's ``dims.point``.
    """
    key = slice_key(layer, plane, point)
    if key is None:
        return None
    chosen: list[int | slice] = [*key[:-1], slice(None), slice(None), slice(None)]
    chosen[layer.ndim - 3 + plane.sliced] = key[-1]
    pixels = np.asarray(_data(layer)[tuple(chosen)])
    if not plane.rows_grow_down:
        pixels = pixels[::-1]
    if isinstance(layer, Labels):
        rgba, smooth = _colour_labels(layer, pixels), False
    else:
        rgba, smooth = _colour_image(layer, pixels), str(layer.interpolation2d) != "nearest"
    return ColouredSlice(np.ascontiguousarray(rgba), extent_on_screen(layer, plane), smooth)


def marks(layer: Points | Shapes, plane: Plane, point: Sequence[float]) -> list[Mark]:
    """The points and outlines of a layer that lie in the plane through a point."""
    if isinstance(layer, Points):
        return _circles(layer, plane, point)
    return _outlines(layer, plane, point)


def _circles(layer: Points, plane: Plane, point: Sequence[float]) -> list[Mark]:
    scale = np.diag(axis_matrix(layer))
    half_slice = scale[plane.sliced] / 2
    at = float(np.asarray(point)[-3:][plane.sliced])
    found = []
    for row in np.flatnonzero(layer.shown):
        world = np.asarray(layer.data_to_world(tuple(layer.data[row])))[-3:]
        radius = float(layer.size[row]) * float(scale.mean()) / 2
        distance = abs(float(world[plane.sliced]) - at)
        if str(layer.projection_mode).startswith("rescale"):
            # A point stands for a ball: farther from its centre the plane cuts a smaller circle.
            radius = float(np.sqrt(max(0.0, radius**2 - distance**2)))
        elif distance > half_slice:
            continue
        if radius > 0:
            colour = _rgba(layer.border_color[row])
            found.append(Mark((on_screen(plane, world),), 2 * radius, colour, 2.0))
    return found


def _outlines(layer: Shapes, plane: Plane, point: Sequence[float]) -> list[Mark]:
    half_slice = np.diag(axis_matrix(layer))[plane.sliced] / 2
    at = float(np.asarray(point)[-3:][plane.sliced])
    found = []
    for row, vertices in enumerate(layer.data):
        world = [np.asarray(layer.data_to_world(tuple(vertex)))[-3:] for vertex in vertices]
        if max(abs(float(vertex[plane.sliced]) - at) for vertex in world) <= half_slice:
            places = tuple(on_screen(plane, vertex) for vertex in world)
            found.append(Mark(places, 0.0, _rgba(layer.edge_color[row]), 2.0))
    return found


def _colour_image(layer: Image, pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    if layer.rgb:
        opaque = np.full((*pixels.shape[:2], 4), 255, dtype=np.uint8)
        opaque[..., : pixels.shape[-1]] = (
            pixels if pixels.dtype == np.uint8 else np.clip(pixels, 0, 1) * 255
        )
        return opaque
    low, high = layer.contrast_limits
    level = pixels.astype(np.float32)
    if pixels.dtype.kind == "f":
        np.nan_to_num(level, copy=False)
    level -= low
    level *= 1 / (high - low)
    np.clip(level, 0, 1, out=level)
    if layer.gamma != 1:
        level **= layer.gamma
    level *= 255
    level += 0.5
    return _looked_up(layer.colormap.map(np.linspace(0, 1, 256)), level.astype(np.uint8))


def _colour_labels(layer: Labels, values: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
    if layer.contour > 0:
        values = _contour(values, layer.contour)
    if values.size and values.min() >= 0 and values.max() <= LARGEST_COLOUR_TABLE:
        table = layer.colormap.map(np.arange(int(values.max()) + 1, dtype=values.dtype))
        return _looked_up(table, values)
    present, places = np.unique(values, return_inverse=True)
    return _looked_up(layer.colormap.map(present), places.reshape(values.shape))


def _contour(values: npt.NDArray[np.integer], width: int) -> npt.NDArray[np.integer]:
    size = 2 * width + 1
    lowest = ndimage.minimum_filter(values, size)
    inside = lowest == ndimage.maximum_filter(values, size)
    return np.where(inside, np.zeros_like(values), values)


def _data(layer: Layer) -> Any:
    """The layer's array, of a pyramid the full one; it need not be numpy's."""
    return layer.data[0] if getattr(layer, "multiscale", False) else layer.data


def _data_point(layer: Layer, point: Sequence[float]) -> npt.NDArray[np.float64]:
    world = np.zeros(layer.ndim)
    shared = min(layer.ndim, len(point))
    world[-shared:] = np.asarray(point, dtype=float)[-shared:]
    return np.asarray(layer.world_to_data(tuple(world)), dtype=float)


def _looked_up(
    colours: npt.NDArray[np.floating], places: npt.NDArray[np.integer]
) -> npt.NDArray[np.uint8]:
    """Colours (n, 4) in 0..1 at the given rows, as bytes; a pixel is fetched as one number."""
    table = np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8)
    packed = table.view(np.uint32)[:, 0]
    rgba: npt.NDArray[np.uint8] = packed[places].view(np.uint8).reshape(*places.shape, 4)
    return rgba


def _rgba(colour: npt.NDArray[np.floating]) -> tuple[float, float, float, float]:
    red, green, blue, alpha = (float(v) for v in colour)
    return red, green, blue, alpha
