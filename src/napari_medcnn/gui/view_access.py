"""What the views need of napari, in one place: its API for these moved in 0.9 and may again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.components import Camera, ViewerModel
from napari.components.overlays import TextOverlay
from napari.layers import Layer
from napari.settings import get_settings
from napari.viewer import Viewer
from qtpy.QtWidgets import QWidget

from napari_medcnn.app.adoption import ORIENTATION_ASSUMED
from napari_medcnn.app.layers import METADATA_KEY
from napari_medcnn.core.geometry import FloatArray
from napari_medcnn.core.volume import Volume

AXIS_LABELS = ("z", "y", "x")

PROJECTIONS = frozenset({"CR", "DX", "IO", "MG", "PX", "RF", "XA"})
"""Modalities (DICOM PS3.3 C.7.3.1.1.1) whose pictures are no slices through the patient."""


def unwrapped(viewer: Viewer | ViewerModel) -> Any:
    """The viewer itself; plugins are handed a proxy, which is another object each time."""
    return getattr(viewer, "__wrapped__", viewer)


def canvas_of(viewer: Viewer) -> QWidget:
    """The widget that holds the viewer's canvas and takes what is dropped on it."""
    canvas: QWidget = unwrapped(viewer).window._qt_viewer
    return canvas


def camera_of(viewer: ViewerModel) -> Camera:
    """The viewer's camera."""
    return viewer.scene.camera


def background_of(viewer: ViewerModel) -> tuple[float, float, float]:
    """Colour of the canvas behind the layers, RGB in 0..1; it follows the theme."""
    red, green, blue = (float(v) for v in viewer.canvas.background_color[:3])
    return red, green, blue


def highlight_colour() -> tuple[float, ...]:
    """The colour that the user chose for what is pointed at, RGBA in 0..1."""
    return tuple(float(v) for v in get_settings().appearance.highlight.highlight_color)


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


def medical_layers(viewer: ViewerModel) -> list[Layer]:
    """The layers that this package made of volumes; the views are about nothing else."""
    return [layer for layer in viewer.layers if METADATA_KEY in layer.metadata]


def spatial_count(viewer: ViewerModel) -> int:
    """How many axes of the viewer are z, y, x: 3, or 2 for single slices; 0 for no volume."""
    return max((_spatial_count(layer) for layer in medical_layers(viewer)), default=0)


def array_axes(viewer: ViewerModel, axes: Sequence[int]) -> tuple[int, ...] | None:
    """Axes of the viewer as 0, 1, 2 for z, y, x; None when a time or channel axis is among them."""
    shift = 3 - viewer.dims.ndim
    first = 3 - spatial_count(viewer)
    found = tuple(axis + shift for axis in axes)
    return found if min(found) >= first else None


def viewer_axes(viewer: ViewerModel, axes: Sequence[int]) -> tuple[int, ...]:
    """Axes 0, 1, 2 for z, y, x as axes of the viewer."""
    return tuple(axis + viewer.dims.ndim - 3 for axis in axes)


def has_planes(layer: Layer) -> bool:
    """Whether a layer can be cut along z, y and x: it has the three and is not turned."""
    if layer.ndim < 3 or (METADATA_KEY in layer.metadata and _spatial_count(layer) < 3):
        return False
    matrix = axis_matrix(layer)
    return np.allclose(matrix, np.diag(np.diagonal(matrix))) and bool((np.diag(matrix) > 0).all())


def axis_matrix(layer: Layer) -> np.ndarray:
    """3x3 from the layer's last three data axes to world axes, without the translation."""
    ndim = layer.ndim
    origin = np.asarray(layer.data_to_world((0.0,) * ndim))
    columns = [np.asarray(layer.data_to_world(tuple(row))) - origin for row in np.eye(ndim)[-3:]]
    return np.stack(columns, axis=1)[-3:]


def patient_axes(viewer: ViewerModel) -> FloatArray | None:
    """``Geometry.direction`` of the volume shown, None where it does not know the patient.

    A photograph of a film and an X-ray have axes, but not the patient's.
    """
    for layer in medical_layers(viewer):
        volume = layer.metadata[METADATA_KEY].get("volume")
        if isinstance(volume, Volume) and _knows_patient(volume):
            return volume.geometry.direction
    return None


def _knows_patient(volume: Volume) -> bool:
    assumed = any(finding.code == ORIENTATION_ASSUMED.code for finding in volume.findings)
    return volume.source.format != "picture" and volume.modality not in PROJECTIONS and not assumed


def _spatial_count(layer: Layer) -> int:
    labels = tuple(layer.axis_labels)
    return next((n for n in (3, 2) if labels[-n:] == AXIS_LABELS[-n:]), 0)
