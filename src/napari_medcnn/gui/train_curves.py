"""Curves of a run while it runs: losses above, what validations measure below."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

import pyqtgraph
from napari.settings import get_settings
from napari.utils.theme import get_theme
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QVBoxLayout, QWidget

DRAW_INTERVAL_S = 1.0
"""Often enough to look at; the processor is the training's."""

LOSSES = ("train_loss", "validation_loss")
NO_CURVES = ("rate", "patches_per_second", "gpu_memory_gb", "epoch", "step", "seconds")
WORDS = {
    "train_loss": "training",
    "validation_loss": "validation",
    "dice": "mean Dice",
    "auc": "AUC",
}
_DASHES = (Qt.PenStyle.DashLine, Qt.PenStyle.DotLine, Qt.PenStyle.DashDotLine)
_PLOT_HEIGHT_PX = 130
_AXIS_TITLE_PX = 22


class TrainCurves(QWidget):
    """Two small plots over steps in the colours of napari's theme; lines differ by style, too."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.points: dict[str, list[tuple[float, float]]] = {}
        self._items: dict[str, pyqtgraph.PlotDataItem] = {}
        self._drawn_at = 0.0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.draw)
        self.loss = self._plot("Loss", 4)
        self.metric = self._plot("Validation", -4)
        self.metric.setXLink(self.loss)
        self.metric.setLabel("bottom", "step")
        self.metric.setFixedHeight(_PLOT_HEIGHT_PX + _AXIS_TITLE_PX)
        self.metric.setYRange(0, 1, padding=0.02)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.loss)
        layout.addWidget(self.metric)
        self._show_theme()
        get_settings().appearance.events.theme.connect(self._show_theme)

    def clear(self) -> None:
        """Forget all points."""
        self.points.clear()
        for plot in (self.loss, self.metric):
            plot.clear()
            plot.plotItem.legend.clear()
        self._items.clear()

    def add(self, name: str, step: int, value: float) -> None:
        """Add a point; drawn soon."""
        if name in NO_CURVES:
            return
        points = self.points.setdefault(name, [])
        while points and points[-1][0] >= step:  # a killed run goes on from before them
            points.pop()
        points.append((step, value))
        if not self._timer.isActive():
            wait = self._drawn_at + DRAW_INTERVAL_S - time.monotonic()
            self._timer.start(max(0, round(1000 * wait)))

    def show_rows(self, rows: Iterable[Mapping[str, float]]) -> None:
        """Show the rows of a run's table instead of what is shown."""
        self.clear()
        for row in rows:
            for name, value in row.items():
                if name not in NO_CURVES and value == value:
                    self.points.setdefault(name, []).append((row["step"], value))
        self.draw()

    def draw(self) -> None:
        """Draw all points."""
        self._drawn_at = time.monotonic()
        for name, points in self.points.items():
            if name not in self._items:
                self._items[name] = self._line(name)
            steps, values = zip(*points, strict=True)
            self._items[name].setData(steps, values)

    # ------------------------------------------------------------------------------------------

    def _plot(self, title: str, legend_y: int) -> pyqtgraph.PlotWidget:
        plot = pyqtgraph.PlotWidget()
        plot.setFixedHeight(_PLOT_HEIGHT_PX)
        plot.setMinimumWidth(1)
        plot.setMenuEnabled(False)
        plot.hideButtons()
        plot.setMouseEnabled(x=False, y=False)
        plot.setLabel("left", title)
        plot.getAxis("left").setWidth(48)
        for side in ("left", "bottom"):
            plot.getAxis(side).enableAutoSIPrefix(False)
        plot.showGrid(x=False, y=True, alpha=0.2)
        plot.addLegend(offset=(-4, legend_y), labelTextSize="8pt")
        plot.setAccessibleName(f"Curve: {title}")
        return plot

    def _line(self, name: str) -> pyqtgraph.PlotDataItem:
        plot = self.loss if name in LOSSES else self.metric
        item = plot.plot(name=WORDS.get(name, name.removeprefix("dice ").replace("_", " ")))
        self._items[name] = item
        self._style(name, item)
        return item

    def _style(self, name: str, item: pyqtgraph.PlotDataItem) -> None:
        text, strong = _colour("text"), _colour("current")
        others = [n for n in self._items if n not in LOSSES and n not in _HEADS]
        if name in others:
            style = _DASHES[others.index(name) % len(_DASHES)]
            item.setPen(pyqtgraph.mkPen(text, width=1, style=style))
        elif name == "train_loss":
            item.setPen(pyqtgraph.mkPen(text, width=1.5))
        else:
            item.setPen(pyqtgraph.mkPen(strong, width=2.5))
            item.setSymbol("o")
            item.setSymbolSize(5)
            item.setSymbolBrush(pyqtgraph.mkBrush(strong))
            item.setSymbolPen(pyqtgraph.mkPen(strong))

    def _show_theme(self) -> None:
        text = _colour("text")
        for plot in (self.loss, self.metric):
            plot.setBackground(_colour("background"))
            plot.plotItem.legend.setLabelTextColor(text)
            for side in ("left", "bottom"):
                plot.getAxis(side).setPen(pyqtgraph.mkPen(text))
                plot.getAxis(side).setTextPen(pyqtgraph.mkPen(text))
        for name, item in self._items.items():
            self._style(name, item)


_HEADS = ("dice", "balanced_accuracy")
"""The metric that stands for all classes, drawn strongest."""


def _colour(role: str) -> QColor:
    theme = get_theme(get_settings().appearance.theme)
    return QColor(*getattr(theme, role).as_rgb_tuple()[:3])
