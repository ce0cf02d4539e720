"""The lesion table for Qt: a model of one table's lesions, and a filter over it."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from qtpy.QtGui import QFont

from napari_medcnn.core.lesion import Lesion, LesionTable, Review, Verdict
from napari_medcnn.gui.lesion_columns import COLUMNS, SCORE_KEY, Column

SORT_ROLE = Qt.ItemDataRole.UserRole
LESION_ROLE = Qt.ItemDataRole.UserRole + 1
_NO_PARENT = QModelIndex()


class LesionTableModel(QAbstractTableModel):
    """Rows are the lesions of one table, in its order.

    Attributes
    ----------
    note_written : Signal
        The id of a lesion and the note that the reader typed into its cell.
    """

    note_written = Signal(int, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lesions: tuple[Lesion, ...] = ()
        self._columns = COLUMNS

    @property
    def lesions(self) -> tuple[Lesion, ...]:
        """What is shown."""
        return self._lesions

    def show_table(self, table: LesionTable | None) -> None:
        """Show the lesions of a table.

        Where only reviews changed, the rows stay and so does what is selected.
        """
        lesions = () if table is None else table.lesions
        if [le.id for le in lesions] == [le.id for le in self._lesions] and lesions:
            self._lesions = lesions
            self._tell_all_changed()
            return
        self.beginResetModel()
        self._lesions = lesions
        self.endResetModel()

    def show_scores(self, column: Column | None) -> None:
        """Show a column of scores after all others, in place of the one before; None for none."""
        last = len(COLUMNS)
        there = len(self._columns) > last
        if column is None:
            if there:
                self.beginRemoveColumns(_NO_PARENT, last, last)
                self._columns = COLUMNS
                self.endRemoveColumns()
            return
        if there:
            self._columns = (*COLUMNS, column)
            self._tell_all_changed()
            self.headerDataChanged.emit(Qt.Orientation.Horizontal, last, last)
            return
        self.beginInsertColumns(_NO_PARENT, last, last)
        self._columns = (*COLUMNS, column)
        self.endInsertColumns()

    @property
    def shows_scores(self) -> bool:
        """Whether there is a column of scores."""
        return self._columns[-1].key == SCORE_KEY

    def column_index(self, key: str) -> int:
        """The position of a column."""
        return [column.key for column in self._columns].index(key)

    def rowCount(self, parent: QModelIndex = _NO_PARENT) -> int:  # noqa: N802, D102 - Qt's name
        return 0 if parent.isValid() else len(self._lesions)

    def columnCount(self, parent: QModelIndex = _NO_PARENT) -> int:  # noqa: N802, D102 - Qt's name
        return 0 if parent.isValid() else len(self._columns)

    def data(  # noqa: D102 - Qt's
        self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if not index.isValid():
            return None
        lesion, column = self._lesions[index.row()], self._columns[index.column()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return column.text(lesion)
        if role == SORT_ROLE:
            return column.sort(lesion)
        if role == Qt.ItemDataRole.ToolTipRole:
            return column.tip(lesion)
        if role == LESION_ROLE:
            return lesion
        if role == Qt.ItemDataRole.TextAlignmentRole:
            horizontal = (
                Qt.AlignmentFlag.AlignRight if column.numeric else Qt.AlignmentFlag.AlignLeft
            )
            return horizontal | Qt.AlignmentFlag.AlignVCenter
        return self._font(lesion, role)

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:  # noqa: D102 - Qt's
        flags = super().flags(index)
        if index.isValid() and self._columns[index.column()].key == "note":
            flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def setData(  # noqa: N802, D102 - Qt's name
        self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole
    ) -> bool:
        if role != Qt.ItemDataRole.EditRole or not index.isValid():
            return False
        self.note_written.emit(self._lesions[index.row()].id, str(value).strip())
        return True

    def headerData(  # noqa: N802, D102 - Qt's name
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self._columns[section].title
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._columns[section].explanation
        return None

    def _tell_all_changed(self) -> None:
        if self._lesions:
            last = self.index(len(self._lesions) - 1, len(self._columns) - 1)
            self.dataChanged.emit(self.index(0, 0), last)

    def _font(self, lesion: Lesion, role: int) -> Any:
        """Rejected lesions are struck out, so that the verdict shows without colour."""
        if role != Qt.ItemDataRole.FontRole or lesion.review.verdict is not Verdict.REJECTED:
            return None
        font = QFont()
        font.setStrikeOut(True)
        return font


class LesionFilter(QSortFilterProxyModel):
    """Sorts by what the columns mean, and shows the lesions that match."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.setSortRole(SORT_ROLE)
        self._words: tuple[str, ...] = ()
        self._verdict: Verdict | None = None
        self._least_probability = 0.0
        self._hidden_ids: frozenset[int] = frozenset()

    def hide_ids(self, lesion_ids: frozenset[int]) -> None:
        """Hide these lesions, whatever else is shown."""
        self.beginResetModel()
        self._hidden_ids = lesion_ids
        self.endResetModel()

    def show_matching(
        self, text: str, verdict: Verdict | None, least_probability: float = 0.0
    ) -> None:
        """Show lesions with every word of `text` in number, label, origin or note.

        Those of a lower mean probability are hidden; one without a probability is shown.
        """
        self.beginResetModel()
        self._words = tuple(text.casefold().split())
        self._verdict = verdict
        self._least_probability = least_probability
        self.endResetModel()

    def filterAcceptsRow(self, row: int, parent: QModelIndex) -> bool:  # noqa: N802, D102 - Qt's name
        model = self.sourceModel()
        assert isinstance(model, LesionTableModel)
        lesion = model.lesions[row]
        if lesion.id in self._hidden_ids:
            return False
        if self._verdict is not None and lesion.review.verdict is not self._verdict:
            return False
        probability = lesion.mean_probability.value
        if probability is not None and probability < self._least_probability:
            return False
        return all(_has_word(lesion, word) for word in self._words)


def _has_word(lesion: Lesion, word: str) -> bool:
    if word.lstrip("#").isdigit():
        return str(lesion.id) == word.lstrip("#") or word in lesion.review.note
    text = f"{lesion.label_name} {lesion.origin.value} {lesion.review.note}"
    text += " cut border edge" if lesion.touches_border else ""
    return word in text.casefold()


def reviewed(lesion: Lesion, *, verdict: Verdict | None = None, note: str | None = None) -> Review:
    """The lesion's review with another verdict or note."""
    old = lesion.review
    return Review(old.verdict if verdict is None else verdict, old.note if note is None else note)
