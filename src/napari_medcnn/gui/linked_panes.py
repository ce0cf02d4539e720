"""Panes that show planes of a viewer at its point, and move the point when they are clicked."""

from __future__ import annotations

import weakref
from collections.abc import Generator
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer
from napari.viewer import Viewer
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QSplitter, QWidget

from napari_medcnn.gui.view_access import array_axes, background_events, unwrapped, viewer_axes
from napari_medcnn.gui.view_pane import PlanePane
from napari_medcnn.gui.view_planes import Plane
from napari_medcnn.gui.views import attach, show_plane

REDRAW_MS = 15
"""Changes that follow each other faster are drawn together: a brush stroke makes hundreds."""

CLICK_DISTANCE_PX = 3
"""A press that moved farther was a drag, i.e. napari's panning, and no click."""

# Events of a layer after which its picture is the same.
_UNSEEN = {
    *("status", "help", "cursor", "cursor_size", "mouse_pan", "mouse_zoom", "mode", "name"),
    *("thumbnail", "scale_factor", "loaded", "reload", "metadata", "editable", "locked"),
    *("extent", "_extent_augmented", "brush_size", "brush_shape", "n_edit_dimensions"),
    *("contiguous", "preserve_labels", "rendering", "interpolation3d", "_overlays", "_slice"),
}


class LinkedPanes(QWidget):
    """Panes in a splitter; they are drawn again when the viewer's point or layers change.

    Parameters
    ----------
    napari_viewer : Viewer
        Held weakly.
    """

    def __init__(self, napari_viewer: Viewer | ViewerModel) -> None:
        super().__init__()
        viewer = unwrapped(napari_viewer)
        attach(viewer)
        self._viewer = weakref.ref(viewer)
        self._panes: list[PlanePane] = []
        self.splitter = QSplitter()
        self._redraw = QTimer(self)
        self._redraw.setSingleShot(True)
        self._redraw.setInterval(REDRAW_MS)
        self._redraw.timeout.connect(self._update_panes)
        self._link = _ViewerLink(viewer, self)
        self.destroyed.connect(self._link.close)

    def add_pane(self, pane: PlanePane) -> None:
        """Show a pane after those that are there."""
        self._panes.append(pane)
        self.splitter.addWidget(pane)
        pane.pointed.connect(self._move_point)
        pane.scrolled.connect(self._scroll)
        pane.opened.connect(self._open)

    def draw_soon(self, changed: Layer | None = None) -> None:
        """Draw the panes at the next occasion, with a changed layer's slices coloured anew."""
        if changed is not None:
            for pane in self._panes:
                pane.forget(changed)
        if not self._redraw.isActive():
            self._redraw.start()

    def follow_point(self) -> None:
        """Draw the panes at the viewer's point, moved into sight."""
        for pane in self._panes:
            pane.follow()
        self.draw_soon()

    def _update_panes(self) -> None:
        for pane in self._panes:
            pane.update()

    def _move_point(self, coordinates: dict[int, float]) -> None:
        viewer = self._viewer()
        if viewer is not None:
            axes = viewer_axes(viewer, tuple(coordinates))
            viewer.dims.set_point(axes, tuple(coordinates.values()))

    def _scroll(self, plane: Plane, steps: int) -> None:
        viewer = self._viewer()
        if viewer is not None and viewer.dims.ndim >= 3:
            (axis,) = viewer_axes(viewer, (plane.sliced,))
            viewer.dims.set_current_step(axis, viewer.dims.current_step[axis] + steps)

    def _open(self, plane: Plane) -> None:
        viewer = self._viewer()
        if viewer is not None:
            show_plane(viewer, plane)


class _ViewerLink:
    """Tells the widget what happens in the viewer.

    A plain object between the two: when Qt has deleted the widget, nothing calls into it any more.
    """

    def __init__(self, viewer: ViewerModel, widget: LinkedPanes) -> None:
        self._viewer = weakref.ref(viewer)
        self._widget: weakref.ref[LinkedPanes] | None = weakref.ref(widget)
        self._events = (
            (viewer.dims.events.point, self._on_point),
            (viewer.layers.events.inserted, self._on_inserted),
            (viewer.layers.events.removed, self._on_removed),
            (viewer.layers.events.reordered, self._on_look),
            *((event, self._on_look) for event in background_events(viewer)),
        )
        for event, callback in self._events:
            event.connect(callback)
        for layer in viewer.layers:
            layer.events.connect(self._on_layer)
        viewer.mouse_drag_callbacks.append(self._on_drag)

    def close(self, widget: object = None) -> None:
        """Hear no more of the viewer."""
        if self._widget is None:
            return
        self._widget = None
        for event, callback in self._events:
            event.disconnect(callback)
        viewer = self._viewer()
        if viewer is not None:
            for layer in viewer.layers:
                layer.events.disconnect(self._on_layer)
            viewer.mouse_drag_callbacks.remove(self._on_drag)

    def _target(self) -> LinkedPanes | None:
        return None if self._widget is None else self._widget()

    def _on_point(self, event: Any) -> None:
        widget = self._target()
        if widget is not None:
            widget.follow_point()

    def _on_look(self, event: Any) -> None:
        widget = self._target()
        if widget is not None:
            widget.draw_soon()

    def _on_inserted(self, event: Any) -> None:
        event.value.events.connect(self._on_layer)
        self._on_look(event)

    def _on_removed(self, event: Any) -> None:
        event.value.events.disconnect(self._on_layer)
        self._on_look(event)

    def _on_layer(self, event: Any) -> None:
        widget = self._target()
        if widget is not None and event.type not in _UNSEEN:
            widget.draw_soon(changed=event.source)

    def _on_drag(self, viewer: ViewerModel, event: Any) -> Generator[None, None, None]:
        """Move the point to a click in the main view, as in the panes."""
        start = np.asarray(event.pos)
        yield
        while event.type == "mouse_move":
            yield
        moved = np.abs(np.asarray(event.pos) - start).max() > CLICK_DISTANCE_PX
        axes = array_axes(viewer, event.dims_displayed)
        if moved or axes is None or len(axes) != 2 or not _is_free_click(viewer, event):
            return
        displayed = list(event.dims_displayed)
        viewer.dims.set_point(displayed, [event.position[axis] for axis in displayed])


def _is_free_click(viewer: ViewerModel, event: Any) -> bool:
    """Whether no layer's tool is at work."""
    active = viewer.layers.selection.active
    idle = active is None or str(active.mode) == "pan_zoom"
    return idle and event.button == 1 and not event.modifiers
