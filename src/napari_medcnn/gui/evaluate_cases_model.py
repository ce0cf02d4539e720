"""The measured cases for Qt: one row a case and label, the worst first until they are sorted."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt

from napari_medcnn.gui.evaluate_text import CASE_COLUMNS, CaseRows, Cell
from napari_medcnn.report.figure_text import number

TEXT = ("case", "label", "truth", "said", "note")

_NOTHING = CaseRows((), (), ())


class EvaluatedCasesModel(QAbstractTableModel):
    """A table that sorts itself; empty cells stay at the end."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows = _NOTHING
        self._order: list[int] = []

    def show_rows(self, rows: CaseRows) -> None:
        """Show other cases, in their own order."""
        self.beginResetModel()
        self._rows, self._order = rows, list(range(len(rows.ids)))
        self.endResetModel()

    def case_of(self, index: QModelIndex) -> str | None:
        """The id of the case of a row."""
        return self._rows.ids[self._order[index.row()]] if index.isValid() else None

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802, D102 - Qt's name
        return 0 if parent is not None and parent.isValid() else len(self._order)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802, D102 - Qt's
        return 0 if parent is not None and parent.isValid() else len(self._rows.columns)

    def headerData(  # noqa: N802, D102 - Qt's name
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return CASE_COLUMNS[self._rows.columns[section]]
        return None

    def data(  # noqa: D102 - Qt's
        self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if not index.isValid():
            return None
        value = self._rows.cells[self._order[index.row()]][index.column()]
        is_text = self._rows.columns[index.column()] in TEXT
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return (value or "") if is_text else number(value)
        if role == Qt.ItemDataRole.TextAlignmentRole and not is_text:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def sort(  # noqa: D102 - Qt's
        self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder
    ) -> None:
        if not -1 <= column < len(self._rows.columns):
            return
        self.layoutAboutToBeChanged.emit()
        rows = range(len(self._rows.ids))
        self._order = list(rows)
        if column >= 0:
            cells: list[Cell] = [row[column] for row in self._rows.cells]
            there = [n for n in rows if cells[n] not in (None, "")]
            there.sort(key=lambda n: _key(cells[n]), reverse=order == Qt.SortOrder.DescendingOrder)
            self._order = [*there, *(n for n in rows if cells[n] in (None, ""))]
        self.layoutChanged.emit()


def _key(cell: Cell) -> Any:
    return cell.casefold() if isinstance(cell, str) else cell
