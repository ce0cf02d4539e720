"""The boxes that a detector drew, as a table: go to one, accept or reject it, save all."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_medcnn.core.detection import Detection
from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.lesion import Verdict
from napari_medcnn.gui.detection_state import Shown, detections_of
from napari_medcnn.gui.lesion_focus import LesionFocus
from napari_medcnn.gui.notices import WrappedLabel
from napari_medcnn.gui.viewer_state import ViewerState

COLUMNS = ("Box", "Score", "x × y × z, mm", "Centre, LPS mm", "Review")
_MARKS = {Verdict.UNREVIEWED: "", Verdict.ACCEPTED: "✓", Verdict.REJECTED: "✗"}
_TABLES = "Table (*.csv);;With corners (*.json)"


class DetectionPanel(QWidget):
    """Lists the boxes of one run; hidden while there are none.

    Attributes
    ----------
    told, failed : Signal
        A sentence for the user: what was written, or why it was not.
    """

    told = Signal(str)
    failed = Signal(str)

    def __init__(self, state: ViewerState, focus: LesionFocus) -> None:
        super().__init__()
        self._detections = detections_of(state)
        self._focus = focus
        self.choice = QComboBox()
        self.summary = WrappedLabel(parent=self)
        self.table = QTableWidget(0, len(COLUMNS))
        self.accept = QPushButton("✓ Accept")
        self.reject = QPushButton("✗ Reject")
        self.save = QPushButton("Save boxes…")
        self._set_up()
        self.choice.currentIndexChanged.connect(self._show_boxes)
        self.table.itemSelectionChanged.connect(self._go_to_selected)
        self.accept.clicked.connect(partial(self.review_selected, Verdict.ACCEPTED))
        self.reject.clicked.connect(partial(self.review_selected, Verdict.REJECTED))
        self.save.clicked.connect(self._ask_and_save)
        self._detections.changed.connect(self._refresh)
        self._refresh()

    @property
    def shown(self) -> Shown | None:
        """Whose boxes are listed."""
        return self._detections.shown.get(self.choice.currentData() or "")

    @property
    def selected(self) -> list[Detection]:
        """The boxes of the selected rows."""
        shown = self.shown
        rows = sorted({index.row() for index in self.table.selectedIndexes()})
        return [] if shown is None else [shown.detections.boxes[row] for row in rows]

    def review_selected(self, verdict: Verdict) -> None:
        """Give the selected boxes a verdict; their notes stay."""
        key = self.choice.currentData()
        for box in self.selected:
            self._detections.review(key, box.id, replace(box.review, verdict=verdict))

    def write(self, path: Path) -> None:
        """Write the boxes as CSV, or with their corners as JSON, going by the name.

        Raises
        ------
        WriteError
            When the file cannot be written.
        """
        from napari_medcnn.report.boxes import write_boxes_csv, write_boxes_json

        shown = self.shown
        if shown is None:
            return
        if path.suffix.lower() == ".json":
            write_boxes_json(shown.detections, path, shown.volume)
        else:
            write_boxes_csv(shown.detections, path)

    # ------------------------------------------------------------------------------------------

    def _set_up(self) -> None:
        self.choice.setToolTip("Which run of a detector the boxes are of")
        self.choice.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.choice.setMinimumContentsLength(12)
        table = self.table
        table.setHorizontalHeaderLabels(list(COLUMNS))
        table.verticalHeader().setVisible(False)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        header = table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        table.setToolTip("Select a box to go to it")
        self.save.setToolTip("Write the boxes, with your verdicts, as CSV or JSON")
        buttons = QHBoxLayout()
        for button in (self.accept, self.reject, self.save):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.choice)
        layout.addWidget(self.summary)
        layout.addWidget(table, 1)
        layout.addLayout(buttons)

    def _refresh(self) -> None:
        before = self.choice.currentData()
        known = {self.choice.itemData(i) for i in range(self.choice.count())}
        new = [key for key in self._detections.shown if key not in known]
        with QSignalBlocker(self.choice):
            self.choice.clear()
            for key, shown in self._detections.shown.items():
                self.choice.addItem(shown.name, key)
            wanted = new[-1] if new else before
            self.choice.setCurrentIndex(max(self.choice.findData(wanted), 0))
        self._show_boxes()
        self.setVisible(bool(self._detections.shown))

    def _show_boxes(self) -> None:
        shown = self.shown
        boxes = () if shown is None else shown.detections.boxes
        rows = {index.row() for index in self.table.selectedIndexes()}
        with QSignalBlocker(self.table):
            self.table.setRowCount(len(boxes))
            for row, box in enumerate(boxes):
                for column, text in enumerate(_cells(box)):
                    item = QTableWidgetItem(text)
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight)
                    self.table.setItem(row, column, item)
                    item.setSelected(row in rows)
        count = len(boxes)
        text = f"{count} box{'' if count == 1 else 'es'}; the score is the detector's own figure."
        self.summary.show_text(text if count else "The detector drew no box.")
        for control in (self.table, self.accept, self.reject, self.save):
            control.setEnabled(bool(boxes))

    def _go_to_selected(self) -> None:
        shown, selected = self.shown, self.selected
        layer = self._detections.layer_of(self.choice.currentData() or "")
        if shown is not None and layer is not None and len(selected) == 1:
            index = selected[0].anchor_on(shown.volume.geometry)
            self._focus.go_to(layer.data_to_world(index))

    def _ask_and_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save boxes", "boxes.csv", _TABLES)
        if not path:
            return
        try:
            self.write(Path(path))
        except MedcnnError as error:
            self.failed.emit(str(error))
        else:
            self.told.emit(f"Written: {path}")


def _cells(box: Detection) -> tuple[str, ...]:
    z, y, x = box.size_mm
    return (
        str(box.id),
        f"{box.score:.3f}",
        f"{x:.1f} × {y:.1f} × {z:.1f}",
        " ".join(f"{mm:.1f}" for mm in box.centre_lps_mm),
        _MARKS[box.review.verdict],
    )
