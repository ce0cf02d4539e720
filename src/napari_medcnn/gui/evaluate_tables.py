"""The tables of the dock *Evaluate*: figures as they stand, and cases to sort and to open."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QModelIndex, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_medcnn.gui.evaluate_cases_model import EvaluatedCasesModel
from napari_medcnn.gui.evaluate_text import CaseRows, Row

_MOST_ROWS = 9
_WIDEST_PX = 150
_FITTING = 3
"""So many columns fit into a dock, if the first one gives way."""


class FigureTable(QTableWidget):
    """Rows of words and figures, to be read and copied from."""

    def __init__(self, name: str, headings: Sequence[str], parent: QWidget | None = None) -> None:
        super().__init__(0, len(headings), parent)
        self.setHorizontalHeaderLabels(list(headings))
        self.setAccessibleName(name)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        _plain(self)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        if len(headings) <= _FITTING:
            self.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)

    def show_rows(self, rows: Sequence[Row]) -> None:
        """Show other rows; the table is as high as they are, within reason."""
        self.setRowCount(len(rows))
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for number, row in enumerate(rows):
            for column, text in enumerate(row):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                if column:
                    item.setTextAlignment(right)
                self.setItem(number, column, item)
        _fit(self, len(rows))


class CaseView(QTableView):
    """The cases; a click, or Enter, opens one.

    Attributes
    ----------
    opened : Signal
        The id of a case that the user wants to see.
    """

    opened = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.cases = EvaluatedCasesModel(self)
        self.setModel(self.cases)
        self.setAccessibleName("Cases, the worst first")
        self.setToolTip("Click: the case in the viewer, with what is right and wrong")
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        _plain(self)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.horizontalHeader().setSortIndicatorShown(True)
        self.clicked.connect(self._on_chosen)
        self.activated.connect(self._on_chosen)

    def show_rows(self, rows: CaseRows) -> None:
        """Show other cases, the worst first."""
        self.setSortingEnabled(False)
        self.cases.show_rows(rows)
        self.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.setSortingEnabled(True)
        self.resizeColumnsToContents()
        for column in range(len(rows.columns)):
            self.setColumnWidth(column, min(self.columnWidth(column), _WIDEST_PX))
        _fit(self, len(rows.ids))

    def _on_chosen(self, index: QModelIndex) -> None:
        case = self.cases.case_of(index)
        if case is not None:
            self.opened.emit(case)


def _plain(table: QTableView) -> None:
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setShowGrid(False)
    table.setWordWrap(False)
    table.verticalHeader().hide()
    table.verticalHeader().setDefaultSectionSize(table.fontMetrics().height() + 6)
    table.horizontalHeader().setHighlightSections(False)


def _fit(table: QTableView, rows: int) -> None:
    row = table.verticalHeader().defaultSectionSize()
    head = table.horizontalHeader().sizeHint().height()
    bar = table.horizontalScrollBar().sizeHint().height()
    table.setFixedHeight(head + row * min(max(rows, 1), _MOST_ROWS) + bar + 2)
