"""The probability of a class over the slices of an image: click to go to a slice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyqtgraph
from napari.settings import get_settings
from napari.utils.theme import get_theme
from pyqtgraph.exporters import ImageExporter
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QPainter
from qtpy.QtSvg import QSvgGenerator
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_medcnn.core.errors import WriteError

HEIGHT_PX = 130
EXPORT_WIDTH_PX = 1200


class StripPlot(QWidget):
    """One curve, and a line at the slice that the viewer shows.

    Attributes
    ----------
    slice_chosen : Signal
        The index of the slice that was clicked on.
    """

    slice_chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._numbers: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self.plot = pyqtgraph.PlotWidget()
        self.curve = self.plot.plot()
        self.line = pyqtgraph.InfiniteLine(angle=90, movable=False)
        self.plot.addItem(self.line)
        self._set_up()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.plot)
        self.plot.scene().sigMouseClicked.connect(self._on_click)
        get_settings().appearance.events.theme.connect(self._show_theme)
        self._show_theme()

    def show_curve(
        self, numbers: npt.NDArray[np.int64], values: npt.NDArray[np.float32], name: str
    ) -> None:
        """Show a class's probability ``(slice,)`` beside the slices' indices."""
        self._numbers = numbers
        self.curve.setData(numbers, values)
        self.plot.setToolTip(f"Probability of {name} in each slice: click to go to one")
        if len(numbers):
            self.plot.setXRange(int(numbers[0]), max(int(numbers[-1]), 1), padding=0.02)

    def mark(self, number: float | None) -> None:
        """Draw the line at a slice; none where the viewer shows no slice of the image."""
        self.line.setVisible(number is not None)
        if number is not None:
            self.line.setValue(number)

    def write(self, path: Path) -> None:
        """Write the plot as PNG or SVG, as the suffix says.

        Raises
        ------
        WriteError
            When the file cannot be written.
        """
        if path.suffix.lower() == ".svg":
            self._draw_svg(path)
        else:
            exporter = ImageExporter(self.plot.plotItem)
            exporter.parameters()["width"] = EXPORT_WIDTH_PX
            exporter.export(str(path))
        if not path.is_file():  # Qt says nothing where it writes no picture
            raise WriteError("the picture was not written", source=path, hint="another folder?")

    def _draw_svg(self, path: Path) -> None:
        """By Qt: the exporter of pyqtgraph fails on paths as Qt 6 writes them."""
        generator = QSvgGenerator()
        generator.setFileName(str(path))
        generator.setSize(self.plot.size())
        generator.setViewBox(self.plot.rect())
        generator.setTitle("Probability over slices")
        painter = QPainter()
        if painter.begin(generator):
            self.plot.render(painter)
            painter.end()

    def index_at(self, x: float) -> int | None:
        """The slice closest to a place on the horizontal axis."""
        if not len(self._numbers):
            return None
        return int(self._numbers[np.abs(self._numbers - x).argmin()])

    def _set_up(self) -> None:
        plot = self.plot
        plot.setFixedHeight(HEIGHT_PX)
        plot.setMinimumWidth(1)
        plot.setMenuEnabled(False)
        plot.hideButtons()
        plot.setMouseEnabled(x=False, y=False)
        plot.setYRange(0, 1, padding=0.03)
        for side, title in (("left", "p"), ("bottom", "slice")):
            # In this order: a label that shows first is scaled by the prefix of an empty plot.
            plot.getAxis(side).enableAutoSIPrefix(False)
            plot.setLabel(side, title)
        plot.getAxis("left").setWidth(48)
        plot.showGrid(x=False, y=True, alpha=0.2)
        plot.setCursor(Qt.CursorShape.PointingHandCursor)
        plot.setAccessibleName("Probability over slices")

    def _on_click(self, event: object) -> None:
        place = self.plot.plotItem.vb.mapSceneToView(event.scenePos())  # type: ignore[attr-defined]
        index = self.index_at(place.x())
        if index is not None:
            self.slice_chosen.emit(index)

    def _show_theme(self) -> None:
        text, strong = _colour("text"), _colour("current")
        self.plot.setBackground(_colour("background"))
        for side in ("left", "bottom"):
            self.plot.getAxis(side).setPen(pyqtgraph.mkPen(text))
            self.plot.getAxis(side).setTextPen(pyqtgraph.mkPen(text))
        self.curve.setPen(pyqtgraph.mkPen(strong, width=2))
        self.line.setPen(pyqtgraph.mkPen(text, width=1, style=Qt.PenStyle.DashLine))


def _colour(role: str) -> QColor:
    theme = get_theme(get_settings().appearance.theme)
    return QColor(*getattr(theme, role).as_rgb_tuple()[:3])
