"""The classes of an image, its slices or its lesions as a table, the likeliest first."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_medcnn.core.classification import Classification, Guess

LISTED = 3
"""Classes that are named beside a slice or a lesion; of a whole image all are listed."""

TITLES = {"slice": "Slice", "lesion": "Lesion"}
LEAST_HEIGHT_PX, ROW_PADDING_PX = 110, 8


class ClassTable(QTableWidget):
    """Of a whole image a row each class; else a row each slice or lesion.

    Attributes
    ----------
    item_chosen : Signal
        The place among the classification's items of the row that became current.
    """

    item_chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + ROW_PADDING_PX)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setMinimumHeight(LEAST_HEIGHT_PX)
        self.setAccessibleName("Classes with probabilities")
        self.itemSelectionChanged.connect(self._on_selected)

    def show_classes(self, found: Classification, name: str) -> None:
        """List a classification; of slices and lesions the column in the middle is class `name`."""
        self.blockSignals(True)
        self.setSortingEnabled(False)
        self.clear()
        if found.unit == "volume":
            self._list_whole(found)
        else:
            self._list_items(found, name)
        self.resizeColumnsToContents()
        last = QHeaderView.ResizeMode.Stretch
        self.horizontalHeader().setSectionResizeMode(self.columnCount() - 1, last)
        self.blockSignals(False)

    def select_item(self, place: int) -> None:
        """Select the row of an item by its place among all, without telling anyone."""
        self.blockSignals(True)
        for row in range(self.rowCount()):
            if self.item(row, 0).data(Qt.ItemDataRole.UserRole) == place:
                self.selectRow(row)
                self.scrollToItem(self.item(row, 0))
        self.blockSignals(False)

    def _list_whole(self, found: Classification) -> None:
        guesses = found.top(len(found.classes))[0]
        self.setColumnCount(2)
        self.setHorizontalHeaderLabels(["Class", "Probability"])
        self.setRowCount(len(guesses))
        for row, guess in enumerate(guesses):
            self.setItem(row, 0, _cell(guess.name, 0))
            self.setItem(row, 1, _number(guess.probability, _three, 0))

    def _list_items(self, found: Classification, name: str) -> None:
        self.setColumnCount(3)
        self.setHorizontalHeaderLabels([TITLES[found.unit], f"p({name})", "Likeliest classes"])
        self.setRowCount(len(found.items))
        rows = zip(found.items, found.of_class(name), found.top(LISTED), strict=True)
        for row, (item, probability, guesses) in enumerate(rows):
            self.setItem(row, 0, _number(item.number, str, row))
            self.setItem(row, 1, _number(float(probability), _three, row))
            words = _cell(_words(guesses), row)
            words.setToolTip(words.text())
            self.setItem(row, 2, words)
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)

    def _on_selected(self) -> None:
        rows = self.selectionModel().selectedRows()
        if rows:
            self.item_chosen.emit(self.item(rows[0].row(), 0).data(Qt.ItemDataRole.UserRole))


class _Number(QTableWidgetItem):
    """Sorts by its value, whatever it looks like."""

    def __init__(self, text: str, value: float) -> None:
        super().__init__(text)
        self.value = value

    def __lt__(self, other: QTableWidgetItem) -> bool:
        return isinstance(other, _Number) and self.value < other.value


def _number(value: float, in_words: Callable[[float], str], place: int) -> QTableWidgetItem:
    item = _Number(in_words(value), value)
    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    item.setData(Qt.ItemDataRole.UserRole, place)
    return item


def _cell(text: str, place: int) -> QTableWidgetItem:
    item = QTableWidgetItem(text)
    item.setData(Qt.ItemDataRole.UserRole, place)
    return item


def _three(value: float) -> str:
    return f"{value:.3f}"


def _words(guesses: tuple[Guess, ...]) -> str:
    return ", ".join(f"{guess.name} {guess.probability:.3f}" for guess in guesses)
