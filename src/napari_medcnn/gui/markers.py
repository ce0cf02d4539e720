"""R, L, A, P, S, I at the edges of the canvas, so that nobody takes a left for a right.

The letters are computed from what the camera really does, not from what the presets ask of it, and
are drawn as napari's own text overlays: they follow the theme and are part of every screenshot.
"""

from __future__ import annotations

import weakref

from napari.components import ViewerModel

from napari_medcnn.core.geometry import OBLIQUE_TOLERANCE, FloatArray
from napari_medcnn.gui.view_access import (
    array_axes,
    camera_of,
    patient_axes,
    show_text,
    unwrapped,
)
from napari_medcnn.gui.view_planes import (
    Edges,
    closest_direction,
    compound_direction,
    edges_in_3d,
    obliqueness,
    plane_edges,
)

_POSITIONS = {
    "left": "middle_left",
    "right": "middle_right",
    "top": "top_center",
    "bottom": "bottom_center",
}
_LETTER_SIZE = 14.0
_NOTE_SIZE = 10.0
_NOTE = "note"


class OrientationMarkers:
    """The letters of one viewer; empty while it shows no volume in patient space.

    Parameters
    ----------
    viewer : ViewerModel
        Held weakly.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        viewer = unwrapped(viewer)
        self._viewer = weakref.ref(viewer)
        self._events = (
            viewer.dims.events.order,
            viewer.dims.events.ndisplay,
            camera_of(viewer).events.orientation,
            camera_of(viewer).events.angles,
            viewer.layers.events.inserted,
            viewer.layers.events.removed,
        )
        for event in self._events:
            event.connect(self.update)
        self.update()

    def update(self, event: object = None) -> None:
        """Write the letters of the view as it is now."""
        viewer = self._viewer()
        if viewer is not None:
            write_markers(viewer)

    def close(self) -> None:
        """Take the letters away and stop following the viewer."""
        for event in self._events:
            event.disconnect(self.update)
        viewer = self._viewer()
        if viewer is not None:
            _write(viewer, {}, "")


def write_markers(viewer: ViewerModel) -> None:
    """Write the letters at the edges of a viewer's canvas, and the note of an oblique volume."""
    axes = patient_axes(viewer)
    edges = None if axes is None else view_edges(viewer, axes)
    if axes is None or edges is None:
        _write(viewer, {}, "")
        return
    flat = viewer.dims.ndisplay == 2
    name = plane_marker if flat else compound_direction
    letters = {edge: name(vector) for edge, vector in edges.named().items()}
    _write(viewer, letters, oblique_note(axes))


def view_edges(viewer: ViewerModel, axes: FloatArray) -> Edges | None:
    """Directions at the edges of the canvas, None where a displayed axis is not one of space.

    Parameters
    ----------
    viewer : ViewerModel
        In 2D or 3D.
    axes : numpy.ndarray
        3x3, ``Geometry.direction``.
    """
    camera = camera_of(viewer)
    displayed = array_axes(viewer, viewer.dims.displayed)
    if displayed is None:
        return None
    depth, vertical, horizontal = (str(towards) for towards in camera.orientation)
    orientation = (depth, vertical, horizontal)
    if len(displayed) == 2:
        return plane_edges(displayed[0], displayed[1], orientation, axes)
    along, rows, columns = displayed
    return edges_in_3d(
        (along, rows, columns), orientation, camera.view_direction, camera.up_direction, axes
    )


def plane_marker(vector: FloatArray) -> str:
    """The closest letter, with the angle to it where that is a degree or more: ``"A 12°"``."""
    letter, degrees = closest_direction(vector)
    return f"{letter} {degrees:.0f}°" if round(degrees) >= 1 else letter


def oblique_note(axes: FloatArray) -> str:
    """What to tell about a volume that was not taken along the patient's axes; empty if it was."""
    if 1 - abs(axes).max(axis=0).min() <= OBLIQUE_TOLERANCE**2 / 2:
        return ""
    # In short lines: the letter in the middle of the top edge must stay free.
    return f"Oblique volume:\nimage axes up to {obliqueness(axes):.1f}°\noff the patient's"


def _write(viewer: ViewerModel, letters: dict[str, str], note: str) -> None:
    for edge, position in _POSITIONS.items():
        show_text(viewer, f"medcnn_{edge}", letters.get(edge, ""), position, _LETTER_SIZE)
    show_text(viewer, f"medcnn_{_NOTE}", note, "top_left", _NOTE_SIZE)
