"""Axial, coronal, sagittal and 3D views of a viewer, the right way up and never mirrored.

The commands act on viewers that show volumes of this package; a viewer with anything else is left
as it is.
"""

from __future__ import annotations

import weakref

from napari.components import ViewerModel
from napari.utils.notifications import show_info
from napari.viewer import Viewer

from napari_medcnn.gui.markers import OrientationMarkers
from napari_medcnn.gui.view_access import (
    array_axes,
    camera_of,
    medical_layers,
    spatial_count,
    unwrapped,
    viewer_axes,
)
from napari_medcnn.gui.view_planes import Plane, after_roll, orientation_of


def show_axial(viewer: Viewer) -> None:
    """Show the axial plane at the current point: Anterior up, the patient's right on the left."""
    show_plane(viewer, Plane.AXIAL)


def show_coronal(viewer: Viewer) -> None:
    """Show the coronal plane at the current point: Superior up, the patient's right on the left."""
    show_plane(viewer, Plane.CORONAL)


def show_sagittal(viewer: Viewer) -> None:
    """Show the sagittal plane at the current point: Superior up, Anterior on the left."""
    show_plane(viewer, Plane.SAGITTAL)


def show_3d(viewer: Viewer) -> None:
    """Show the volume from the front: Superior up, the patient's right on the left.

    The order of axes is the coronal one, so that napari's home button leads back to this view.
    """
    _show(viewer, Plane.CORONAL, ndisplay=3)


def show_plane(viewer: Viewer | ViewerModel, plane: Plane) -> None:
    """Show a plane at the current point."""
    _show(viewer, plane, ndisplay=2)


def attach(viewer: Viewer | ViewerModel) -> ViewController:
    """Let a viewer's views stay the right way up, with markers and keys; once per viewer.

    Returns
    -------
    ViewController
        The viewer's own. It lives as long as the viewer and does not keep it alive.
    """
    viewer = unwrapped(viewer)
    if viewer not in _controllers:
        _controllers[viewer] = ViewController(viewer)
    return _controllers[viewer]


def detach(viewer: Viewer | ViewerModel) -> None:
    """Leave a viewer alone again: its orientation, keys and canvas as before :func:`attach`."""
    controller = _controllers.pop(unwrapped(viewer), None)
    if controller is not None:
        controller.close()


KEYS = {
    "Alt-1": show_axial,
    "Alt-2": show_coronal,
    "Alt-3": show_sagittal,
    "Alt-4": show_3d,
}
"""Bound by :func:`attach` where they are free."""


class ViewController:
    """Keeps one viewer's picture the right way up when the displayed axes change.

    An orientation that the user sets by hand stays until the axes change; the markers tell it.

    Parameters
    ----------
    viewer : ViewerModel
        Held weakly.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = weakref.ref(viewer)
        self._order = tuple(viewer.dims.order)
        self._foreign_orientation: tuple[str, ...] | None = None
        # napari calls the last one connected first: the letters are written after the turn.
        self.markers = OrientationMarkers(viewer)
        viewer.dims.events.order.connect(self._on_order)
        viewer.dims.events.ndisplay.connect(self._orient)
        viewer.layers.events.inserted.connect(self._on_layers)
        viewer.layers.events.removed.connect(self._on_layers)
        self._keys = tuple(key for key in KEYS if _is_free(viewer, key))
        for key in self._keys:
            viewer.bind_key(key, KEYS[key])
        self._on_layers()

    def close(self) -> None:
        """Stop following the viewer and give back what was taken from it."""
        self.markers.close()
        viewer = self._viewer()
        if viewer is None:
            return
        viewer.dims.events.order.disconnect(self._on_order)
        viewer.dims.events.ndisplay.disconnect(self._orient)
        viewer.layers.events.inserted.disconnect(self._on_layers)
        viewer.layers.events.removed.disconnect(self._on_layers)
        for key in self._keys:
            viewer.bind_key(key, None)
        self._give_back(viewer)

    def _on_layers(self, event: object = None) -> None:
        viewer = self._viewer()
        if viewer is None:
            return
        if not medical_layers(viewer):
            self._give_back(viewer)
        elif self._foreign_orientation is None:
            self._foreign_orientation = tuple(str(to) for to in camera_of(viewer).orientation)
            self._order = tuple(viewer.dims.order)
            self._orient()

    def _on_order(self, event: object = None) -> None:
        viewer = self._viewer()
        if viewer is None or self._foreign_orientation is None:
            return
        before, after = self._order, tuple(viewer.dims.order)
        self._order = after
        plane = after_roll(before, after) if spatial_count(viewer) == 3 else None
        if plane is not None and plane.order != after and viewer.dims.ndisplay == 2:
            viewer.dims.order = plane.order
        else:
            self._orient()

    def _orient(self, event: object = None) -> None:
        viewer = self._viewer()
        if viewer is None or self._foreign_orientation is None:
            return
        displayed = array_axes(viewer, viewer.dims.displayed)
        if displayed is not None:
            camera_of(viewer).orientation = orientation_of(displayed[-2], displayed[-1])

    def _give_back(self, viewer: ViewerModel) -> None:
        if self._foreign_orientation is not None:
            camera_of(viewer).orientation = self._foreign_orientation
            self._foreign_orientation = None


_controllers: weakref.WeakKeyDictionary[ViewerModel, ViewController] = weakref.WeakKeyDictionary()


def _show(viewer: Viewer | ViewerModel, plane: Plane, ndisplay: int) -> None:
    viewer = unwrapped(viewer)
    if spatial_count(viewer) < 3:
        show_info("This viewer shows no volume of several slices: load one first.")
        return
    attach(viewer)
    point = viewer.dims.point
    order = (*range(viewer.dims.ndim - 3), *viewer_axes(viewer, plane.order))
    if viewer.dims.ndisplay != ndisplay:
        viewer.dims.ndisplay = ndisplay
    viewer.dims.order = order
    # Leaving 3D, napari moves the slice to the camera's centre; the reader's point matters more.
    viewer.dims.point = point
    viewer.reset_view()


def _is_free(viewer: ViewerModel, key: str) -> bool:
    from napari.utils.key_bindings import coerce_keybinding

    binding = coerce_keybinding(key)
    return binding not in viewer.keymap and binding not in type(viewer).class_keymap
