"""What the views need of napari, in one place: its API for these moved in 0.9 and may again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.components import Camera, ViewerModel
from napari.components.overlays import TextOverlay
from napari.layers import Layer
from napari.viewer import Viewer

from napari_medcnn.core.geometry import FloatArray

AXIS_LABELS = ("z", "y", "x")


def unwrapped(viewer: Viewer | ViewerModel) -> Any:
    """The viewer itself; plugins are handed a proxy, which is another object each time."""
    return getattr(viewer, "__wrapped__", viewer)


def camera_of(viewer: ViewerModel) -> Camera:
    """The viewer's camera."""
    return viewer.scene.camera


def background_of(viewer: ViewerModel) -> tuple[float, float, float]:
    """Colour of the canvas behind the layers, RGB in 0..1; it follows the theme."""
    red, green, blue = (float(v) for v in viewer.canvas.background_color[:3])
    return red, green, blue


def background_events(viewer: ViewerModel) -> tuple[Any, ...]:
    """The events after which :func:`background_of` may have changed."""
    return viewer.events.theme, viewer.canvas.events.background_color_override


def show_text(viewer: ViewerModel, name: str, text: str, position: str, size: float) -> None:
    """Write on the canvas, not in the scene; an empty text takes it away.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    name : str
        What was written under the same name before is replaced.
    text : str
        One or several lines.
    position : str
        napari's ``CanvasPosition``, e.g. ``"middle_left"``.
    size : float
        Of the font, in points.
    """
    overlays = viewer.canvas.overlays
    if name not in overlays:
        if not text:
            return
        overlays[name] = TextOverlay(
            text=text, position=position, font_size=size, gridded=True, visible=True
        )
        return
    overlay = overlays[name]
    if overlay.text != text:
        overlay.text = text
    if overlay.visible != bool(text):
        overlay.visible = bool(text)


def is_medical(layer: Layer) -> bool:
    """Whether a layer is a volume in patient space: its axes are named z, y, x."""
    return tuple(layer.axis_labels[-3:]) == AXIS_LABELS


def medical_layers(viewer: ViewerModel) -> list[Layer]:
    """The layers that the views of this package are about."""
    return [layer for layer in viewer.layers if is_medical(layer)]


def array_axes(viewer: ViewerModel, axes: Sequence[int]) -> tuple[int, ...] | None:
    """Axes of the viewer as 0, 1, 2 for z, y, x; None when a time or channel axis is among them."""
    lead = viewer.dims.ndim - 3
    if lead < 0 or min(axes) < lead:
        return None
    return tuple(axis - lead for axis in axes)


def axis_matrix(layer: Layer) -> np.ndarray:
    """3x3 from the layer's last three data axes to world axes, without the translation."""
    ndim = layer.ndim
    origin = np.asarray(layer.data_to_world((0.0,) * ndim))
    columns = [np.asarray(layer.data_to_world(tuple(row))) - origin for row in np.eye(ndim)[-3:]]
    return np.stack(columns, axis=1)[-3:]


def patient_axes(viewer: ViewerModel) -> FloatArray | None:
    """``Geometry.direction`` of the volumes shown, None where none of them knows it."""
    for layer in medical_layers(viewer):
        direction = layer.metadata.get("direction")
        if direction is not None:
            return np.asarray(direction, dtype=float)
    return None
