"""What a training came to: its figures on held-out cases, and each case, the worst first."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_medcnn.gui.bridge import JobRunner
from napari_medcnn.gui.notices import WrappedLabel
from napari_medcnn.gui.progress_row import ProgressRow
from napari_medcnn.gui.study_text import counted, folder_text
from napari_medcnn.training.run_folder import RunFolder

if TYPE_CHECKING:
    from napari_medcnn.training.held_out import HeldOut

COLUMNS = {
    "case": "Case",
    "label": "Class",
    "dice": "Dice",
    "hd95_mm": "HD95 (mm)",
    "truth": "Truth",
    "said": "Answer",
    "note": "Note",
}
"""Which columns of the table of cases are shown, where it has them, and how they are called."""

FIGURES = ("dice", "hd95_mm")


class TrainResultPanel(QWidget):
    """Figures with their intervals, and a table of cases.

    Attributes
    ----------
    opened : Signal
        Id of a case that the user wants to see with its prediction.
    """

    opened = Signal(str)

    def __init__(self, predicting: JobRunner, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.progress = ProgressRow(predicting)
        self.text = WrappedLabel(parent=self)
        self.table = QTableWidget()
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setShowGrid(False)
        self.table.setWordWrap(False)
        self.table.setFixedHeight(170)
        self.table.setAccessibleName("Held-out cases, the worst first")
        self.table.setToolTip("Double click: the case with its truth and the model's prediction")
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 8)
        self.table.horizontalHeader().setHighlightSections(False)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.cellDoubleClicked.connect(self._on_double_click)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.text)
        layout.addWidget(self.table)
        layout.addWidget(self.progress)

    def show_result(self, run: Path, held_out: HeldOut | None) -> None:
        """Show the figures of a run."""
        figures = [] if held_out is None else list(_figures(held_out))
        none = ["No case was kept aside to judge it."]
        self.text.show_text("\n".join([*(figures or none), f"Run: {folder_text(run)}"]))
        self._fill(_records(RunFolder(run).evaluation / "cases.csv"))

    def _fill(self, records: list[dict[str, str]]) -> None:
        columns = [name for name in COLUMNS if any(r.get(name) for r in records)]
        self.table.setColumnCount(len(columns))
        self.table.setRowCount(len(records))
        self.table.setHorizontalHeaderLabels([COLUMNS[name] for name in columns])
        for row, record in enumerate(records):
            for column, name in enumerate(columns):
                item = QTableWidgetItem(_text(record[name]) if name in FIGURES else record[name])
                item.setData(Qt.ItemDataRole.UserRole, record["case"])
                if name in FIGURES:
                    right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                    item.setTextAlignment(right)
                self.table.setItem(row, column, item)
        self.table.setVisible(bool(records))

    def _on_double_click(self, row: int, _column: int) -> None:
        item = self.table.item(row, 0)
        if item is not None:
            self.opened.emit(item.data(Qt.ItemDataRole.UserRole))


def _records(file: Path) -> list[dict[str, str]]:
    if not file.is_file():
        return []
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _figures(held_out: HeldOut) -> Iterable[str]:
    kept = "kept aside" if held_out.part == "test" else "that chose the best state"
    yield (
        f"On {counted(held_out.cases, 'case')} {kept}, of {counted(held_out.patients, 'patient')}"
        " (95 % interval):"
    )
    for label in held_out.segmentation:
        if "dice" in label.figures:
            yield f"{label.name}: Dice {_interval(label.figures['dice'])}"
    found = held_out.classification
    if found is not None:
        yield f"accuracy {_interval(found.accuracy)}"
        yield f"balanced accuracy {_interval(found.balanced_accuracy)}"
        yield f"macro AUC {_interval(found.macro_auc)}"
    for failure in held_out.failed[:3]:
        yield f"Failed: {failure}"


def _interval(interval: Any) -> str:
    if interval.estimate is None:
        return "none"
    if interval.low is None:
        return f"{interval.estimate:.3f}"
    return f"{interval.estimate:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def _text(value: str) -> str:
    """Figures with three digits, other text as it is."""
    try:
        return f"{float(value):.3f}"
    except ValueError:
        return value
