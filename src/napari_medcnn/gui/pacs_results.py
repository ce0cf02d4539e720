"""The series that a PACS found, as a table; who the patient is only shows on demand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QSortFilterProxyModel, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QTableView, QWidget

from napari_medcnn.io.pacs.query import Match

COLUMNS: tuple[tuple[str, int, Callable[[Match], Any]], ...] = (
    ("Patient", 110, lambda match: match.patient_name),
    ("Patient ID", 80, lambda match: match.patient_id),
    ("Date", 76, lambda match: match.study_date),
    ("Type", 40, lambda match: match.modality),
    ("Series", 116, lambda match: match.description or "–"),
    ("Images", 50, lambda match: match.instances),
    ("Study", 120, lambda match: match.study_description),
)
"""Title, width in pixels, and what is shown: a dock of 300 pixels holds all from date to images."""

_PATIENT = (0, 1)
_DATE = 2
_IMAGES = 5
_NO_PARENT = QModelIndex()


class PacsResultsModel(QAbstractTableModel):
    """One row a match."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._matches: tuple[Match, ...] = ()

    @property
    def matches(self) -> tuple[Match, ...]:
        """What is shown."""
        return self._matches

    def show_matches(self, matches: Sequence[Match]) -> None:
        """Show these instead."""
        self.beginResetModel()
        self._matches = tuple(matches)
        self.endResetModel()

    def rowCount(self, parent: QModelIndex = _NO_PARENT) -> int:  # noqa: N802, D102 - Qt's name
        return 0 if parent.isValid() else len(self._matches)

    def columnCount(self, parent: QModelIndex = _NO_PARENT) -> int:  # noqa: N802, D102 - Qt's name
        return 0 if parent.isValid() else len(COLUMNS)

    def data(  # noqa: D102 - Qt's
        self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if not index.isValid():
            return None
        match, column = self._matches[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[column][2](match)
        if role == Qt.ItemDataRole.ToolTipRole and column not in _PATIENT:
            return f"{match.description}\n{match.study_description}".strip()
        if role == Qt.ItemDataRole.TextAlignmentRole and column == _IMAGES:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def headerData(  # noqa: N802, D102 - Qt's name
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section][0]
        return None


class PacsResults(QTableView):
    """The table.

    Attributes
    ----------
    chosen_changed : Signal
        Other rows are selected.
    opened : Signal
        A row was double-clicked.
    """

    chosen_changed = Signal()
    opened = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.results = PacsResultsModel(self)
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self.results)
        self.setModel(self._sorted)
        self.setSortingEnabled(True)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setMinimumHeight(110)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(22)
        header = self.horizontalHeader()
        header.setMinimumSectionSize(36)
        header.setStretchLastSection(True)
        for column, (_, width, _) in enumerate(COLUMNS):
            header.resizeSection(column, width)
        self.setAccessibleName("Series on the server")
        self.show_patients(False)
        self.sortByColumn(_DATE, Qt.SortOrder.DescendingOrder)
        self.selectionModel().selectionChanged.connect(self.chosen_changed)
        self._sorted.modelReset.connect(self.chosen_changed)
        self.doubleClicked.connect(self.opened)

    def show_matches(self, matches: Sequence[Match]) -> None:
        """Show these instead; nothing is selected."""
        self.results.show_matches(matches)

    def show_patients(self, wanted: bool) -> None:
        """Show or hide who the patients are."""
        for column in _PATIENT:
            self.setColumnHidden(column, not wanted)

    @property
    def chosen(self) -> tuple[Match, ...]:
        """The selected matches, from top to bottom."""
        rows = sorted(index.row() for index in self.selectionModel().selectedRows())
        source = [self._sorted.mapToSource(self._sorted.index(row, 0)).row() for row in rows]
        return tuple(self.results.matches[row] for row in source)
