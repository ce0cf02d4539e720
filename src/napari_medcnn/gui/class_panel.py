"""What a model took an image for: classes, a curve over slices, and files of both."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QMenu,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_medcnn.app.write_result import write_result
from napari_medcnn.core.classification import Classification
from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.volume import Volume
from napari_medcnn.gui.class_table import ClassTable
from napari_medcnn.gui.notices import WrappedLabel
from napari_medcnn.gui.slice_steps import go_to_slice, slice_shown
from napari_medcnn.gui.strip_plot import StripPlot
from napari_medcnn.gui.viewer_state import ViewerState

TABLES = {".csv": "Table (CSV)", ".json": "Table (JSON)"}
PICTURES = {".png": "Curve (PNG)", ".svg": "Curve (SVG)"}


class ClassPanel(QWidget):
    """Shows one classification; hidden without one.

    Attributes
    ----------
    lesion_chosen : Signal
        The id of a lesion whose row became current.
    written, failed : Signal
        The path of a file that was written; a sentence why one was not.
    """

    lesion_chosen = Signal(int)
    written = Signal(str)
    failed = Signal(str)

    def __init__(self, state: ViewerState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self.classification: Classification | None = None
        self._volume: Volume | None = None
        self.heading = WrappedLabel(parent=self)
        self.caution = WrappedLabel(parent=self)
        self.choice = QComboBox()
        self.plot = StripPlot()
        self.table = ClassTable()
        self.save = QPushButton("Save …")
        self._menu = QMenu(self.save)
        self._lay_out()
        self.choice.currentIndexChanged.connect(self._on_class)
        self.plot.slice_chosen.connect(self._go_to_slice)
        self.table.item_chosen.connect(self._on_item)
        state.viewer.dims.events.point.connect(self._mark)
        state.viewer.dims.events.order.connect(self._mark)
        state.viewer.dims.events.ndisplay.connect(self._mark)
        state.session.volume_removed.connect(self._on_volume_removed)
        self.hide()

    def show_classes(
        self, found: Classification, volume: Volume, preferred: str | None = None
    ) -> None:
        """Show what came out of an image; `preferred` is the class that is looked at first."""
        self.classification, self._volume = found, volume
        with QSignalBlocker(self.choice):
            self.choice.clear()
            self.choice.addItems(list(found.classes))
            self.choice.setCurrentIndex(max(self.choice.findText(preferred or ""), 0))
        self.heading.show_text(heading_of(found, volume))
        self.caution.show_text(caution_of(found))
        self._form.setRowVisible(self.choice, found.unit != "volume")
        self.plot.setVisible(found.unit == "slice")
        self._list_files(found)
        self._on_class()
        self.show()

    def write(self, path: Path) -> None:
        """Write the classes or their curve, as the suffix says."""
        if self.classification is None:
            return
        try:
            if path.suffix.lower() in PICTURES:
                self.plot.write(path)
            else:
                write_result(self.classification, path, self._volume)
        except MedcnnError as error:
            self.failed.emit(str(error))
        else:
            self.written.emit(str(path))

    # ------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self.choice.setToolTip("Which class the curve and the middle column show")
        self.choice.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.choice.setMinimumContentsLength(10)
        self.save.setToolTip("Write all classes with their probabilities, or the curve, to a file")
        self.save.setMenu(self._menu)
        font = self.heading.font()
        font.setBold(True)
        self.heading.setFont(font)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.heading)
        layout.addWidget(self.caution)
        self._form = QFormLayout()
        self._form.addRow("Class", self.choice)
        layout.addLayout(self._form)
        for widget in (self.plot, self.table, self.save):
            layout.addWidget(widget)

    def _list_files(self, found: Classification) -> None:
        self._menu.clear()
        for suffix, title in {**TABLES, **(PICTURES if found.unit == "slice" else {})}.items():
            self._menu.addAction(title, partial(self._ask, suffix, title))

    def _ask(self, suffix: str, title: str) -> None:
        chosen, _ = QFileDialog.getSaveFileName(
            self, "Save classes", f"classes{suffix}", f"{title} (*{suffix})"
        )
        if chosen:
            self.write(Path(chosen if chosen.lower().endswith(suffix) else chosen + suffix))

    def _on_class(self) -> None:
        found, name = self.classification, self.choice.currentText()
        if found is None or not name:
            return
        self.table.show_classes(found, name)
        if found.unit == "slice":
            self.plot.show_curve(found.numbers, found.of_class(name), name)
            self._mark()

    def _on_item(self, place: int) -> None:
        found = self.classification
        if found is None or found.unit == "volume":
            return
        number = found.items[place].number
        if found.unit == "slice":
            self._go_to_slice(number)
        else:
            self.lesion_chosen.emit(number)

    def _go_to_slice(self, index: int) -> None:
        found = self.classification
        if found is None or found.axis is None:
            return
        layer = self._state.image_layer(found.volume_id)
        if layer is not None:
            go_to_slice(self._state.viewer, layer, found.axis, index)

    def _mark(self) -> None:
        """The slice that the viewer shows, in the curve and in the table."""
        found = self.classification
        if found is None or found.unit != "slice" or found.axis is None:
            return
        layer = self._state.image_layer(found.volume_id)
        shown = slice_shown(self._state.viewer, layer, found.axis)
        self.plot.mark(shown)
        if shown is not None:
            self.table.select_item(shown)

    def _on_volume_removed(self, volume_id: str) -> None:
        if self.classification is not None and self.classification.volume_id == volume_id:
            self.classification = self._volume = None
            self.hide()


def heading_of(found: Classification, volume: Volume) -> str:
    """What was classified, and the answer where it is one."""
    if found.unit == "volume":
        (first,) = found.top()[0]
        return f"{volume.name}: {first.name}, {first.probability:.3f}"
    count = len(found.items)
    along = (
        f" along {'zyx'[found.axis]}" if found.unit == "slice" and found.axis is not None else ""
    )
    return f"{volume.name}: {count} {found.unit}{'' if count == 1 else 's'}{along}"


def caution_of(found: Classification) -> str:
    """How to read the probabilities: calibrated or not, and whether they add up to 1."""
    text = (
        "Probabilities were calibrated on cases; the model's card says on which."
        if found.calibrated
        else "Probabilities are not calibrated: 0.9 does not mean right in nine of ten cases."
    )
    if found.multi_label:
        text += " Several classes may hold at once: each probability stands for itself."
    return text
