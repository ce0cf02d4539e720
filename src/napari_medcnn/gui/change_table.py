"""The table of what became of lesions: sorted by what a reader wants to know first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, QSortFilterProxyModel, Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from napari_medcnn.core.change import LesionChange
from napari_medcnn.gui.change_rows import COLUMNS, ChangeRow

SORT_ROLE = Qt.ItemDataRole.UserRole
CHANGE_ROLE = Qt.ItemDataRole.UserRole + 1
HEIGHT_PX = 190
ROW_PADDING_PX = 8
_WORDS = 2
"""So many columns hold words; the others hold figures."""
_NO_PARENT = QModelIndex()


class ChangeTableModel(QAbstractTableModel):
    """Rows are the lesions of one comparison."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[ChangeRow, ...] = ()

    def show_rows(self, rows: Sequence[ChangeRow]) -> None:
        """Show another comparison."""
        self.beginResetModel()
        self._rows = tuple(rows)
        self.endResetModel()

    def rowCount(self, parent: QModelIndex = _NO_PARENT) -> int:  # noqa: N802, D102 - Qt's name
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex = _NO_PARENT) -> int:  # noqa: N802, D102 - Qt's name
        return 0 if parent.isValid() else len(COLUMNS)

    def data(  # noqa: D102 - Qt's
        self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if not index.isValid():
            return None
        row, column = self._rows[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return row.cells[column].text
        if role == SORT_ROLE:
            return row.cells[column].sort
        if role == CHANGE_ROLE:
            return row.change
        if role == Qt.ItemDataRole.ToolTipRole:
            return row.tip
        if role == Qt.ItemDataRole.DecorationRole and column == 0:
            return QColor(row.colour)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignLeft if column < _WORDS else Qt.AlignmentFlag.AlignRight
            return side | Qt.AlignmentFlag.AlignVCenter
        return None

    def headerData(  # noqa: N802, D102 - Qt's name
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section][0]
        return COLUMNS[section][1] if role == Qt.ItemDataRole.ToolTipRole else None


class ChangeTable(QTableView):
    """Shows one comparison; several rows can be selected, to be linked.

    Attributes
    ----------
    lesion_chosen : Signal
        A :class:`LesionChange` became the current one by click or key.
    selection_changed : Signal
        Other rows are selected.
    """

    lesion_chosen = Signal(object)
    selection_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows = ChangeTableModel(self)
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSortRole(SORT_ROLE)
        self._sorted.setSourceModel(self.rows)
        self.setModel(self._sorted)
        self._set_up()
        self.selectionModel().currentRowChanged.connect(self._on_current)
        self.selectionModel().selectionChanged.connect(self._on_selection)
        self.clicked.connect(self._on_clicked)

    @property
    def selected(self) -> tuple[LesionChange, ...]:
        """The selected lesions, from top to bottom."""
        rows = sorted(index.row() for index in self.selectionModel().selectedRows())
        return tuple(self._sorted.index(row, 0).data(CHANGE_ROLE) for row in rows)

    @property
    def shown(self) -> tuple[LesionChange, ...]:
        """All lesions, from top to bottom."""
        count = self._sorted.rowCount()
        return tuple(self._sorted.index(row, 0).data(CHANGE_ROLE) for row in range(count))

    def show_rows(self, rows: Sequence[ChangeRow]) -> None:
        """Show another comparison, its first row at the top."""
        self.rows.show_rows(rows)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.resizeColumnsToContents()
        self.selection_changed.emit()

    def _set_up(self) -> None:
        self.setAccessibleName("Lesions and what became of them, the worst first")
        self.setToolTip("Click: the lesion in all views. Ctrl+click: several, to link or part them")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setSortingEnabled(True)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + ROW_PADDING_PX)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.horizontalHeader().setHighlightSections(False)
        self.setMinimumHeight(HEIGHT_PX)

    def _on_current(self, current: QModelIndex, _previous: QModelIndex) -> None:
        if current.isValid():
            self.lesion_chosen.emit(current.data(CHANGE_ROLE))

    def _on_clicked(self, index: QModelIndex) -> None:
        """A click on the row that is current already leads there again."""
        self.lesion_chosen.emit(index.data(CHANGE_ROLE))

    def _on_selection(self) -> None:
        self.selection_changed.emit()
