"""The plots of an evaluation: one at a time, of one class, with a menu to write each to a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from napari.settings import get_settings
from qtpy.QtCore import Signal
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QMenu, QPushButton, QVBoxLayout, QWidget

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.gui.evaluate_canvas import Canvas, Palette, export_picture, export_table
from napari_medcnn.gui.evaluate_plots import Plot
from napari_medcnn.gui.notices import WrappedLabel
from napari_medcnn.gui.train_fields import ChoiceField

KINDS = ("PNG", "SVG", "CSV")


class PlotView(QWidget):
    """A choice of plots, and the chosen one.

    Attributes
    ----------
    drawn : Signal
        The title of the plot that was drawn anew; its mark is gone.
    exported : Signal
        The path of a file that was written.
    problem : Signal
        Why a file could not be written.
    """

    drawn = Signal(str)
    exported = Signal(object)
    problem = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.plots: tuple[Plot, ...] = ()
        self.choice = ChoiceField(())
        self.choice.setAccessibleName("Which plot")
        self.export_button = QPushButton("Export")
        self.canvas = Canvas()
        self.note = WrappedLabel(parent=self)
        self.exports = {kind: QAction(f"{kind} …", self) for kind in KINDS}
        self._lay_out()
        self.choice.currentIndexChanged.connect(self.draw)
        for kind, action in self.exports.items():
            action.triggered.connect(partial(self._ask, kind))
        get_settings().appearance.events.theme.connect(self.draw)

    @property
    def plot(self) -> Plot | None:
        """The one that is shown."""
        index = self.choice.currentIndex()
        return self.plots[index] if 0 <= index < len(self.plots) else None

    def show_plots(self, plots: Sequence[Plot]) -> None:
        """Show plots in place of others; the same one stays chosen."""
        titles = [plot.title for plot in plots]
        before = self.choice.currentText()
        self.plots = tuple(plots)
        self.choice.blockSignals(True)
        self.choice.clear()
        self.choice.addItems(titles)
        self.choice.setCurrentIndex(titles.index(before) if before in titles else 0)
        self.choice.blockSignals(False)
        self.draw()

    def draw(self, *_: object) -> None:
        """Draw the chosen plot in the colours of the theme."""
        plot = self.plot
        if plot is None:
            return
        self.canvas.draw(plot, Palette.of_theme())
        self.note.show_text(plot.note)
        self.drawn.emit(plot.title)

    def export(self, path: Path) -> None:
        """Write the chosen plot; the name's ending says as what."""
        plot = self.plot
        if plot is None:
            return
        write: Callable[[Plot, Path], None] = export_picture
        if path.suffix.lower() == ".csv":
            write = export_table
        try:
            write(plot, path)
        except MedcnnError as error:
            self.problem.emit(str(error))
        else:
            self.exported.emit(path)

    # ------------------------------------------------------------------------------------------

    def _ask(self, kind: str) -> None:
        if self.plot is None:
            return
        ending = f".{kind.lower()}"
        name = re.sub(r"\W+", "_", self.plot.title.lower())
        chosen, _ = QFileDialog.getSaveFileName(
            self, f"The plot as {kind}", str(Path.home() / f"{name}{ending}"), f"{kind} (*{ending})"
        )
        if chosen:
            path = Path(chosen)
            self.export(path if path.suffix.lower() == ending else Path(f"{chosen}{ending}"))

    def _lay_out(self) -> None:
        menu = QMenu(self.export_button)
        menu.addActions(list(self.exports.values()))
        self.export_button.setMenu(menu)
        self.export_button.setToolTip("Write this plot as a picture, or its numbers as a table")
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.choice, 1)
        row.addWidget(self.export_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addWidget(self.canvas)
        layout.addWidget(self.note)
