"""Draw a plane's slices, marks, crosshair and letters with a QPainter."""

from __future__ import annotations

from dataclasses import dataclass

from qtpy.QtCore import QPointF, QRect, QRectF, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPen, QPolygonF

from napari_medcnn.gui.view_slices import ColouredSlice, Mark

MARGIN_PX = 22
"""Room at the edges for the letters."""

CROSSHAIR_GAP_PX = 9
"""Half of the crosshair's opening: what it points at stays in sight."""

EDGES = {
    "left": Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter,
    "right": Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
    "top": Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignHCenter,
    "bottom": Qt.AlignmentFlag.AlignBottom | Qt.AlignmentFlag.AlignHCenter,
}
CORNER = Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft

_OVER = QPainter.CompositionMode.CompositionMode_SourceOver
_COMPOSITION = {
    "additive": QPainter.CompositionMode.CompositionMode_Plus,
    "minimum": QPainter.CompositionMode.CompositionMode_Darken,
    "multiplicative": QPainter.CompositionMode.CompositionMode_Multiply,
}


@dataclass(frozen=True)
class Framing:
    """Where millimetres on the screen lie in a widget.

    Parameters
    ----------
    canvas : QRectF
        The widget's rectangle in pixels.
    centre : QPointF
        What is in its middle, in mm.
    scale : float
        Pixels a millimetre.
    """

    canvas: QRectF
    centre: QPointF
    scale: float

    @classmethod
    def fitting(
        cls, canvas: QRectF, bounds: QRectF, zoom: float, centre: QPointF | None
    ) -> Framing:
        """All of `bounds` at a zoom of 1, around its centre unless another is given."""
        room = canvas.adjusted(MARGIN_PX, MARGIN_PX, -MARGIN_PX, -MARGIN_PX)
        scale = zoom
        if not bounds.isEmpty():
            width, height = max(1.0, room.width()), max(1.0, room.height())
            scale = zoom * min(width / bounds.width(), height / bounds.height())
        return cls(canvas, bounds.center() if centre is None else centre, scale)

    def to_pixels(self, place: QPointF) -> QPointF:
        """The pixel of a place in mm."""
        return (place - self.centre) * self.scale + self.canvas.center()

    def to_place(self, pixel: QPointF) -> QPointF:
        """The place in mm of a pixel."""
        return (pixel - self.canvas.center()) / self.scale + self.centre


def blend(painter: QPainter, blending: str, opacity: float, bottom: bool) -> None:
    """Mix what is drawn next as napari does; its bottom layer ignores the background."""
    painter.setOpacity(opacity)
    painter.setCompositionMode(_OVER if bottom else _COMPOSITION.get(blending, _OVER))


def draw_slice(painter: QPainter, framing: Framing, cut: ColouredSlice) -> None:
    """Draw a coloured slice at its place."""
    rows, columns = cut.rgba.shape[:2]
    image = QImage(cut.rgba.data, columns, rows, 4 * columns, QImage.Format.Format_RGBA8888)
    left, top, width, height = cut.where
    corners = QPointF(left, top), QPointF(left + width, top + height)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, cut.smooth)
    painter.drawImage(QRectF(*(framing.to_pixels(corner) for corner in corners)), image)


def draw_mark(painter: QPainter, framing: Framing, mark: Mark) -> None:
    """Draw a circle or an outline."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(QColor.fromRgbF(*mark.colour), mark.width))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    pixels = [framing.to_pixels(QPointF(*place)) for place in mark.points]
    if mark.diameter > 0:
        radius = mark.diameter * framing.scale / 2
        painter.drawEllipse(pixels[0], radius, radius)
    else:
        painter.drawPolygon(QPolygonF(pixels))


def draw_crosshair(painter: QPainter, framing: Framing, at: QPointF, colour: QColor) -> None:
    """Draw lines to all edges that leave the middle open."""
    pixel, canvas, gap = framing.to_pixels(at), framing.canvas, CROSSHAIR_GAP_PX
    x, y = round(pixel.x()), round(pixel.y())
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    painter.setPen(QPen(colour, 1))
    for start, end in (
        ((canvas.left(), y), (x - gap, y)),
        ((x + gap, y), (canvas.right(), y)),
        ((x, canvas.top()), (x, y - gap)),
        ((x, y + gap), (x, canvas.bottom())),
    ):
        if start[0] <= end[0] and start[1] <= end[1]:
            painter.drawLine(QPointF(*start), QPointF(*end))


def draw_text(
    painter: QPainter, canvas: QRect, where: Qt.AlignmentFlag, text: str, background: QColor
) -> None:
    """Write text that is legible over bright and dark: on a veil of the background's colour."""
    room = canvas.adjusted(5, 3, -5, -3)
    veil = QColor(background)
    veil.setAlphaF(0.7)
    box = painter.boundingRect(room, int(where), text)
    painter.fillRect(box.adjusted(-3, 0, 3, 0), veil)
    painter.setPen(contrasting(background))
    painter.drawText(room, int(where), text)


def contrasting(background: QColor) -> QColor:
    """Black or white, whichever can be read on a background."""
    return QColor(Qt.GlobalColor.white if background.lightnessF() < 0.5 else Qt.GlobalColor.black)
