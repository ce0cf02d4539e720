"""Lead the views to a lesion and frame it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
from napari.layers import Labels, Layer
from napari.utils.colormaps import DirectLabelColormap
from napari.viewer import Viewer

from napari_medcnn.core.lesion import Lesion
from napari_medcnn.gui.foreign_labels import OWN_LAYERS
from napari_medcnn.gui.layer_links import layer_index
from napari_medcnn.gui.view_access import camera_of, highlight_colour

LAYER_NAME = "Selected lesion"
MARGIN_MM = 4.0
"""Between a lesion and its frame: close enough to belong to it, and nothing of it is covered."""

FLAT_OPACITY, SOLID_OPACITY = 0.9, 0.25
"""Of the frame: in 2D a clear outline, in 3D a box to look through."""

VISIBLE_SHARE = 0.8
"""A lesion closer to the edge than this share of the canvas counts as out of sight."""


class LesionFocus:
    """Moves slices and camera to a lesion, and keeps a frame around it.

    The frame is a small Labels layer, a box that is shown by its contour: so it appears on every
    slice of the lesion, in every plane, in every view that shows the layer. In 3D, where napari
    draws no contours, the box is translucent.
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._frame: Labels | None = None
        viewer.dims.events.ndisplay.connect(self._suit_display)

    def show(self, lesion: Lesion, layer: Labels) -> None:
        """Go to a lesion of a Labels layer."""
        anchor = np.asarray(layer.data_to_world(layer_index(layer, lesion.anchor_index)))
        self._move_slices(anchor)
        self._draw_frame(lesion, layer)
        self._bring_into_sight(anchor)

    def go_to(self, world: Sequence[float]) -> None:
        """Go to a point of the world, without a frame."""
        self.clear()
        point = np.asarray(world, dtype=float)
        self._move_slices(point)
        self._bring_into_sight(point)

    def clear(self) -> None:
        """Take the frame away."""
        if self._frame is not None and self._frame in self._viewer.layers:
            self._viewer.layers.remove(self._frame)
        self._frame = None

    def _move_slices(self, point: npt.NDArray[np.float64]) -> None:
        first = self._viewer.dims.ndim - len(point)
        self._viewer.dims.set_point(range(first, self._viewer.dims.ndim), list(point))

    def _draw_frame(self, lesion: Lesion, layer: Labels) -> None:
        scale = np.asarray(layer.scale)
        margin = np.ceil(MARGIN_MM / scale).astype(int)
        start = np.asarray(layer_index(layer, lesion.bbox_start), dtype=int) - margin
        stop = np.asarray(layer_index(layer, lesion.bbox_stop), dtype=int) + margin
        start, stop = np.maximum(start, 0), np.minimum(stop, layer.data.shape)
        # The contour is drawn where a label meets another value: the box needs an empty rim.
        box = np.pad(np.ones(stop - start, dtype=np.uint8), 1)
        start = start - 1
        translate = np.asarray(layer.translate) + start * scale
        if self._frame is None or self._frame not in self._viewer.layers:
            self._frame = self._add_frame(box, translate, layer)
            self._suit_display()
            return
        self._frame.translate = translate
        self._frame.data = box

    def _add_frame(
        self, box: npt.NDArray[np.uint8], translate: npt.NDArray[np.float64], layer: Labels
    ) -> Labels:
        clear = (0.0, 0.0, 0.0, 0.0)
        with keeping_selection(self._viewer):
            frame = self._viewer.add_labels(
                box,
                name=LAYER_NAME,
                colormap=DirectLabelColormap(
                    color_dict={None: clear, 0: clear, 1: highlight_colour()}
                ),
                blending="translucent_no_depth",
                scale=layer.scale,
                translate=translate,
                units=layer.units,
                axis_labels=layer.axis_labels,
                metadata={OWN_LAYERS: True},
            )
        frame.editable = False
        return frame

    def _suit_display(self) -> None:
        """Outline in 2D, see-through in 3D."""
        if self._frame is not None:
            flat = self._viewer.dims.ndisplay == 2
            self._frame.contour = 1 if flat else 0
            self._frame.opacity = FLAT_OPACITY if flat else SOLID_OPACITY

    def _bring_into_sight(self, world: npt.NDArray[np.float64]) -> None:
        """Centre the camera where the lesion is not in sight, as after zooming in."""
        dims, camera = self._viewer.dims, camera_of(self._viewer)
        point = np.zeros(dims.ndim)
        point[-len(world) :] = world
        displayed = point[list(dims.displayed)]
        centre = np.asarray(camera.center)[-len(displayed) :]
        half = VISIBLE_SHARE * np.asarray(self._viewer.canvas.size, dtype=float) / camera.zoom / 2
        if dims.ndisplay == 3 or (np.abs(displayed - centre) > half).any():
            camera.center = tuple(displayed)


@contextmanager
def keeping_selection(viewer: Viewer) -> Iterator[None]:
    """Leave the selected and the active layer as they were; napari selects what is added."""
    selected: set[Layer] = set(viewer.layers.selection)
    active = viewer.layers.selection.active
    yield
    if selected:
        viewer.layers.selection = {layer for layer in selected if layer in viewer.layers}
        viewer.layers.selection.active = active if active in viewer.layers else None
