"""Draw a plot of an evaluation by pyqtgraph in colours of a theme, and write it as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph
from napari.settings import get_settings
from napari.utils.theme import get_theme
from qtpy.QtCore import QBuffer, QByteArray, QIODevice, QPoint, QRect, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QPaintDevice, QPainter
from qtpy.QtSvg import QSvgGenerator

from napari_medcnn.core.atomic import write_bytes, write_text

if TYPE_CHECKING:
    from napari_medcnn.gui.evaluate_plots import Grid, Line, Plot

HEIGHT_PX = 250
EXPORT_SIZE_PX = (1000, 800)
PNG_SCALE = 2
_LONGEST_TICK = 9
_MARGIN = 0.04
_CORNERS = {"lower right": (-6, -6), "lower left": (6, -6)}
_GRID_TEXT_SIDE = 12
"""Larger matrices have no room for numbers in a dock; their table has them."""


@dataclass(frozen=True)
class Palette:
    """Colours of a plot."""

    background: QColor
    text: QColor
    main: QColor
    second: QColor

    @classmethod
    def of_theme(cls) -> Palette:
        """That of napari's theme, dark or light."""
        theme = get_theme(get_settings().appearance.theme)
        background, text = (
            QColor(*getattr(theme, role).as_rgb_tuple()[:3]) for role in ("background", "text")
        )
        if background.lightness() > 127:
            return cls(background, text, PAPER.main, PAPER.second)
        return cls(background, text, QColor(86, 180, 233), QColor(240, 170, 40))


PAPER = Palette(QColor("white"), QColor("black"), QColor(0, 90, 170), QColor(190, 80, 0))
"""Of pictures that are written."""


class Canvas(pyqtgraph.PlotWidget):
    """A plot without the mouse, which would scroll away in a dock."""

    def __init__(self) -> None:
        super().__init__()
        self.setMinimumWidth(1)
        self.setFixedHeight(HEIGHT_PX)
        self.setMenuEnabled(False)
        self.hideButtons()
        self.setMouseEnabled(x=False, y=False)
        self.getAxis("left").setWidth(52)
        # An axis lets its title hang over its lower edge, where it would be cut off.
        self.plotItem.layout.setContentsMargins(0, 0, 4, 6)
        for side in ("left", "bottom"):
            self.getAxis(side).enableAutoSIPrefix(False)
        self._legend = self.addLegend(labelTextSize="8pt")
        self._mark: pyqtgraph.PlotDataItem | None = None
        self._palette = PAPER

    def draw(self, plot: Plot, palette: Palette) -> None:
        """Draw a plot in place of what is there."""
        self.clear()
        self._legend.clear()
        self._mark, self._palette = None, palette
        self.setAccessibleName(f"Plot: {plot.title}")
        self._draw_frame(plot, palette)
        if plot.grid is not None:
            self._draw_grid(plot.grid, palette)
        for line in plot.lines:
            self._draw_line(line, palette)

    def mark(self, x: float, y: float) -> None:
        """Mark one point; the mark moves to the next one."""
        if self._mark is None:
            pen = pyqtgraph.mkPen(self._palette.text, width=2)
            self._mark = self.plot(pen=None, symbol="o", symbolSize=11, symbolPen=pen)
            self._mark.setSymbolBrush(pyqtgraph.mkBrush(self._palette.second))
            self._mark.setZValue(10)
        self._mark.setData([x], [y])

    # ------------------------------------------------------------------------------------------

    def _draw_frame(self, plot: Plot, palette: Palette) -> None:
        self.setBackground(palette.background)
        self.setLabel("bottom", plot.x_label)
        self.setLabel("left", plot.y_label)
        self.invertY(plot.grid is not None)
        self.setXRange(*plot.x_range, padding=_MARGIN)
        self.setYRange(*plot.y_range, padding=_MARGIN)
        self.showGrid(x=plot.grid is None, y=plot.grid is None, alpha=0.15)
        self._legend.setLabelTextColor(palette.text)
        self._legend.setOffset(_CORNERS[plot.legend])
        for side in ("left", "bottom"):
            axis = self.getAxis(side)
            axis.setPen(pyqtgraph.mkPen(palette.text))
            axis.setTextPen(pyqtgraph.mkPen(palette.text))
            axis.setTicks(None)
        if plot.x_ticks:
            self.getAxis("bottom").setTicks([_ticks([name for _, name in plot.x_ticks], 0.0)])
        if plot.grid is not None:
            self.getAxis("bottom").setTicks([_ticks(plot.grid.columns, 0.5)])
            self.getAxis("left").setTicks([_ticks(plot.grid.rows, 0.5)])

    def _draw_line(self, line: Line, palette: Palette) -> None:
        colour = palette.second if line.look == "second" else palette.main
        if line.look in ("faint", "guide"):
            colour = QColor(palette.text)
            colour.setAlpha(110)
        if line.look == "dots":
            faded = QColor(palette.text)
            faded.setAlpha(150)
            brush = pyqtgraph.mkBrush(faded)
            self.plot(line.x, line.y, pen=None, symbol="o", symbolSize=6, symbolBrush=brush,
                      symbolPen=None)  # fmt: skip
            return
        if line.band is not None:
            self._draw_band(line, colour)
        style = {"second": Qt.PenStyle.DashLine, "guide": Qt.PenStyle.DotLine}.get(
            line.look, Qt.PenStyle.SolidLine
        )
        width = 2.5 if line.look in ("main", "second") else 1
        pen = pyqtgraph.mkPen(colour, width=width, style=style)
        item = self.plot(line.x, line.y, pen=pen, name=line.name or None)
        if line.has_points:
            item.setSymbol("o")
            item.setSymbolSize(6)
            item.setSymbolPen(None)
            item.setSymbolBrush(pyqtgraph.mkBrush(colour))

    def _draw_band(self, line: Line, colour: QColor) -> None:
        band = line.band
        if band is None:
            return
        faded = QColor(colour)
        faded.setAlpha(50)
        edges = (pyqtgraph.PlotDataItem(band.x, edge) for edge in (band.low, band.high))
        self.addItem(pyqtgraph.FillBetweenItem(*edges, brush=pyqtgraph.mkBrush(faded)))

    def _draw_grid(self, grid: Grid, palette: Palette) -> None:
        totals = np.maximum(grid.counts.sum(1, keepdims=True), 1)
        shares = grid.counts / totals
        ends = [np.array(c.getRgb()[:3]) for c in (palette.background, palette.main)]
        colours = ends[0] + shares[..., None] * (ends[1] - ends[0])
        image = pyqtgraph.ImageItem(colours.astype(np.uint8), axisOrder="row-major")
        self.addItem(image)
        if max(grid.counts.shape) > _GRID_TEXT_SIDE:
            return
        for (row, column), count in np.ndenumerate(grid.counts):
            text = pyqtgraph.TextItem(
                str(count), color=_readable(colours[row, column]), anchor=(0.5, 0.5)
            )
            text.setPos(column + 0.5, row + 0.5)
            self.addItem(text)


def export_picture(plot: Plot, path: Path) -> None:
    """Write a plot as PNG or SVG on white, atomically.

    Raises
    ------
    WriteError
        When the file cannot be written.
    """
    canvas = Canvas()
    canvas.setFixedSize(*EXPORT_SIZE_PX)
    canvas.draw(plot, PAPER)
    canvas.setTitle(plot.title, color=PAPER.text)
    canvas.grab()  # legends and texts know their places only when they were drawn once
    write_bytes(path, _svg(canvas, plot.title) if path.suffix.lower() == ".svg" else _png(canvas))
    canvas.close()


def export_table(plot: Plot, path: Path) -> None:
    """Write what a plot shows as CSV, atomically.

    Raises
    ------
    WriteError
        When the file cannot be written.
    """
    import pandas as pd

    frame = pd.DataFrame(list(plot.records))
    write_text(path, frame.to_csv(index=False, lineterminator="\n"))


def _svg(canvas: Canvas, title: str) -> bytes:
    """By Qt: pyqtgraph's own writer cannot write filled bands."""
    content = QByteArray()
    buffer = QBuffer(content)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    generator = QSvgGenerator()
    generator.setOutputDevice(buffer)
    generator.setSize(QSize(*EXPORT_SIZE_PX))
    generator.setViewBox(QRect(QPoint(0, 0), QSize(*EXPORT_SIZE_PX)))
    generator.setTitle(title)
    _render(canvas, generator)
    return bytes(content.data())


def _png(canvas: Canvas) -> bytes:
    image = QImage(QSize(*EXPORT_SIZE_PX) * PNG_SCALE, QImage.Format.Format_RGB32)
    image.setDevicePixelRatio(PNG_SCALE)
    _render(canvas, image)
    content = QByteArray()
    buffer = QBuffer(content)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")
    return bytes(content.data())


def _render(canvas: Canvas, device: QPaintDevice) -> None:
    painter = QPainter(device)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    whole = QRect(QPoint(0, 0), QSize(*EXPORT_SIZE_PX))
    canvas.render(painter, QRectF(whole), whole)
    painter.end()


def _ticks(names: Sequence[str], offset: float) -> list[tuple[float, str]]:
    return [(n + offset, _short(name)) for n, name in enumerate(names)]


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_TICK else f"{name[: _LONGEST_TICK - 1]}…"


def _readable(colour: np.ndarray) -> QColor:
    """Black or white, whichever stands out."""
    luminance = float(colour @ np.array([0.299, 0.587, 0.114]))
    return QColor("black") if luminance > 140 else QColor("white")
