"""One plane of a viewer's layers as a plain Qt widget, with crosshair and letters.

It draws the slice itself instead of opening another OpenGL canvas: each canvas costs a copy of
every layer, an undo history of its own and a stall at every new volume; a slice costs milliseconds.
"""

from __future__ import annotations

import weakref

from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_medcnn.gui.markers import plane_marker
from napari_medcnn.gui.view_access import AXIS_LABELS, background_of, highlight_colour, patient_axes
from napari_medcnn.gui.view_drawing import (
    CORNER,
    EDGES,
    Framing,
    blend,
    draw_crosshair,
    draw_mark,
    draw_slice,
    draw_text,
)
from napari_medcnn.gui.view_planes import Plane, orientation_of, plane_edges
from napari_medcnn.gui.view_slices import (
    ColouredSlice,
    can_slice,
    coloured_slice,
    extent_on_screen,
    from_screen,
    marks,
    on_screen,
    slice_key,
)

_WHEEL_NOTCH = 120
_ZOOM_STEP = 1.2
_MAX_ZOOM = 40.0


class PlanePane(QWidget):
    """Shows one plane through the viewer's point.

    Left button: move the point. Wheel, up and down keys: slices. Control and wheel: zoom. Middle
    button, or Shift and left button: pan. Home key: fit. Double click: the plane in the main view.

    Parameters
    ----------
    viewer : ViewerModel
        Held weakly.
    plane : Plane
        Which one.

    Attributes
    ----------
    pointed : Signal
        Coordinates in mm by axis (0, 1, 2 for z, y, x) that the user asks for.
    scrolled : Signal
        The plane, and the number of slices to go along its axis.
    opened : Signal
        The plane, which the user wants in the main view.
    framed : Signal
        Zoom and centre (QPointF in mm on the screen, or None) after the user changed them.
    """

    pointed = Signal(object)
    scrolled = Signal(object, int)
    opened = Signal(object)
    framed = Signal(float, object)

    def __init__(self, viewer: ViewerModel, plane: Plane, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.plane = plane
        self._viewer = weakref.ref(viewer)
        self._slices: weakref.WeakKeyDictionary[Layer, tuple[tuple[int, ...], ColouredSlice]]
        self._slices = weakref.WeakKeyDictionary()
        self._zoom = 1.0
        self._centre: QPointF | None = None
        self._grabbed: QPointF | None = None
        self._wheel = 0
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(110, 110)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(f"{plane.value} view")
        self.setToolTip(
            "Click: move here · wheel: slices · Ctrl+wheel: zoom · Shift+drag: pan · "
            "Home: fit · double click: show in the main view"
        )

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """A third of a usual dock."""
        return QSize(320, 260)

    def forget(self, layer: Layer) -> None:
        """Colour a layer's slice anew at the next paint."""
        self._slices.pop(layer, None)

    def fit(self) -> None:
        """Show the whole plane."""
        self.frame_as(1.0, None)
        self.framed.emit(self._zoom, self._centre)

    def frame_as(self, zoom: float, centre: QPointF | None) -> None:
        """Show the part of the plane that another pane told with `framed`."""
        self._zoom, self._centre = zoom, centre
        self.update()

    def show_plane(self, plane: Plane) -> None:
        """Show another plane, the whole of it."""
        self.plane = plane
        self._slices.clear()
        self.setAccessibleName(f"{plane.value} view")
        self.frame_as(1.0, None)

    def follow(self) -> None:
        """Bring the viewer's point into sight where zooming in had left it outside."""
        viewer = self._viewer()
        if viewer is None or self._centre is None:
            return
        place = QPointF(*on_screen(self.plane, viewer.dims.point[-3:]))
        if not QRectF(self.rect()).contains(self.framing().to_pixels(place)):
            self._centre = place

    def framing(self) -> Framing:
        """What of the plane is seen now."""
        return self._framing(self._layers())

    def _layers(self) -> list[Layer]:
        viewer = self._viewer()
        layers = [] if viewer is None else viewer.layers
        return [layer for layer in layers if layer.visible and can_slice(layer)]

    def _framing(self, layers: list[Layer]) -> Framing:
        bounds = QRectF()
        for layer in layers:
            if isinstance(layer, Image | Labels):
                bounds = bounds.united(QRectF(*extent_on_screen(layer, self.plane)))
        return Framing.fitting(QRectF(self.rect()), bounds, self._zoom, self._centre)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw layers, crosshair and letters."""
        viewer = self._viewer()
        if viewer is None:
            return
        layers = self._layers()
        framing = self._framing(layers)
        background = QColor.fromRgbF(*background_of(viewer))
        painter = QPainter(self)
        painter.fillRect(self.rect(), background)
        self._draw_layers(painter, framing, layers, viewer)
        if layers:
            place = QPointF(*on_screen(self.plane, viewer.dims.point[-3:]))
            draw_crosshair(painter, framing, place, QColor.fromRgbF(*highlight_colour()))
        draw_text(painter, self.rect(), CORNER, self._title(layers, viewer), background)
        self._draw_letters(painter, viewer, background)
        painter.end()

    def _draw_layers(
        self, painter: QPainter, framing: Framing, layers: list[Layer], viewer: ViewerModel
    ) -> None:
        bottom = True
        for layer in layers:
            blend(painter, str(layer.blending), layer.opacity, bottom)
            if isinstance(layer, Image | Labels):
                cut = self._slice_of(layer, viewer)
                if cut is not None:
                    draw_slice(painter, framing, cut)
                    bottom = False
                continue
            for mark in marks(layer, self.plane, viewer.dims.point):
                draw_mark(painter, framing, mark)
        blend(painter, "", 1.0, bottom=True)

    def _slice_of(self, layer: Image | Labels, viewer: ViewerModel) -> ColouredSlice | None:
        key = slice_key(layer, self.plane, viewer.dims.point)
        known = self._slices.get(layer)
        if known is not None and known[0] == key:
            return known[1]
        cut = coloured_slice(layer, self.plane, viewer.dims.point)
        if key is not None and cut is not None:
            self._slices[layer] = (key, cut)
        return cut

    def _draw_letters(self, painter: QPainter, viewer: ViewerModel, background: QColor) -> None:
        axes = patient_axes(viewer)
        if axes is None:
            return
        font = self.font()
        font.setBold(True)
        painter.setFont(font)
        _, rows, columns = self.plane.order
        edges = plane_edges(rows, columns, orientation_of(rows, columns), axes).named()
        for edge, vector in edges.items():
            draw_text(painter, self.rect(), EDGES[edge], plane_marker(vector), background)

    def _title(self, layers: list[Layer], viewer: ViewerModel) -> str:
        """Plane and slice, counted as napari's own sliders count."""
        name = self.plane.value.capitalize()
        for layer in layers:
            if isinstance(layer, Image | Labels):
                key = slice_key(layer, self.plane, viewer.dims.point)
                last = layer.data.shape[layer.ndim - 3 + self.plane.sliced] - 1
                axis = AXIS_LABELS[self.plane.sliced]
                return name if key is None else f"{name}  {axis} {key[-1]}/{last}"
        return name

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Move the point, or start panning."""
        shifted = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        left = event.button() == Qt.MouseButton.LeftButton
        if event.button() == Qt.MouseButton.MiddleButton or (left and shifted):
            self._grabbed = event.position()
        elif left:
            self._point_at(event.position())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Move the point or the picture along."""
        if self._grabbed is not None:
            framing = self.framing()
            self._centre = framing.centre - (event.position() - self._grabbed) / framing.scale
            self._grabbed = event.position()
            self.update()
            self.framed.emit(self._zoom, self._centre)
        elif event.buttons() & Qt.MouseButton.LeftButton:
            self._point_at(event.position())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """End panning."""
        self._grabbed = None

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Show the plane in the main view."""
        self.opened.emit(self.plane)

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 - Qt's name
        """Scroll through slices, or zoom around the pointer with Control."""
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self._zoom_at(event.position(), _ZOOM_STEP ** (event.angleDelta().y() / _WHEEL_NOTCH))
        else:
            # Touch pads send many small steps: a slice is due when they add up to a notch.
            self._wheel += event.angleDelta().y()
            steps = int(self._wheel / _WHEEL_NOTCH)
            self._wheel -= steps * _WHEEL_NOTCH
            if steps:
                self.scrolled.emit(self.plane, steps)
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Scroll with the arrow and page keys, fit with Home."""
        steps = {
            Qt.Key.Key_Up: 1,
            Qt.Key.Key_Down: -1,
            Qt.Key.Key_PageUp: 5,
            Qt.Key.Key_PageDown: -5,
        }.get(event.key(), 0)
        if steps:
            self.scrolled.emit(self.plane, steps)
        elif event.key() == Qt.Key.Key_Home:
            self.fit()
        else:
            super().keyPressEvent(event)

    def _point_at(self, pixel: QPointF) -> None:
        if self._layers():
            place = self.framing().to_place(pixel)
            self.pointed.emit(from_screen(self.plane, place.x(), place.y()))

    def _zoom_at(self, pixel: QPointF, factor: float) -> None:
        place = self.framing().to_place(pixel)
        self._zoom = min(_MAX_ZOOM, max(1.0, self._zoom * factor))
        if self._zoom == 1.0:
            self._centre = None
        else:
            scale = self.framing().scale
            self._centre = place - (pixel - QRectF(self.rect()).center()) / scale
        self.update()
        self.framed.emit(self._zoom, self._centre)
