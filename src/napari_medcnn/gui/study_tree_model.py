"""The tree of patients, studies and series for Qt, fetched from the index as it is looked at.

There is a node for each row that was fetched, and none for files. While the index grows,
:meth:`StudyTreeModel.refresh` asks only below what has changed since.
"""

from __future__ import annotations

import itertools
import sqlite3
import uuid
from collections.abc import Sequence
from typing import Any, TypeAlias

from qtpy.QtCore import QAbstractItemModel, QMimeData, QModelIndex, QObject, Qt, Signal
from qtpy.QtGui import QImage

from napari_medcnn.app.studies.index_reader import (
    IndexReader,
    PatientRow,
    SeriesDetails,
    SeriesRow,
    StudyFilter,
    StudyRow,
)
from napari_medcnn.app.studies.patient_key import Identity
from napari_medcnn.gui.study_text import (
    patient_text,
    series_content,
    series_title,
    series_tooltip,
    spacing_text,
    study_text,
)

PAGE = 200
"""Rows that are fetched at a time; the view asks for more when it is scrolled to their end."""

SERIES_MIME = "application/x-napari-medcnn-series"
"""What dragged series are: the tree's token, then ids. Of paths, napari would open each file."""

ROW_ROLE = Qt.ItemDataRole.UserRole + 1
DETAILS_ROLE = Qt.ItemDataRole.UserRole + 2
PICTURE_ROLE = Qt.ItemDataRole.UserRole + 3

Row: TypeAlias = PatientRow | StudyRow | SeriesRow
_NO_INDEX = QModelIndex()


class _Node:
    """A row that was fetched, and those below it as far as they were."""

    _numbers = itertools.count(1)

    def __init__(self, parent: _Node | None, row: Row | None) -> None:
        self.number = next(self._numbers)
        self.parent, self.row = parent, row
        self.children: list[_Node] = []
        self.limit = 0
        self.complete = isinstance(row, SeriesRow)
        self.details: SeriesDetails | None = None
        self.picture: QImage | None = None

    @property
    def id(self) -> int:
        return -1 if self.row is None else self.row.id

    @property
    def place(self) -> int:
        return 0 if self.parent is None else self.parent.children.index(self)


_NOTHING = _Node(None, None)
_NOTHING.complete = True


class StudyTreeModel(QAbstractItemModel):
    """What an index holds, as far as it passes the filter.

    Attributes
    ----------
    unreadable : Signal
        A sentence: the index cannot be read.
    """

    unreadable = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._token = uuid.uuid4().hex
        self._reader: IndexReader | None = None
        self._filter = StudyFilter()
        self._nodes: dict[int, _Node] = {}
        self._root = _Node(None, None)
        self._root.complete = True
        self._revision = -1
        self._identities: dict[int, Identity] | None = None

    # What is shown ----------------------------------------------------------------------------

    def show_index(self, reader: IndexReader | None, chosen: StudyFilter) -> None:
        """Show another index, or the same with another filter."""
        self.beginResetModel()
        self._reader, self._filter = reader, chosen
        self._nodes.clear()
        self._root = _Node(None, None)
        self._root.complete = reader is None
        self._revision = -1
        self.endResetModel()
        self.fetchMore(_NO_INDEX)

    def show_identities(self, identities: dict[int, Identity] | None) -> None:
        """Show who patients are, or with None hide it again."""
        self._identities = identities
        if self._root.children:
            last = self.index(len(self._root.children) - 1, 0)
            self.dataChanged.emit(self.index(0, 0), last)

    def refresh(self) -> None:
        """Take in what the index has learnt since; what is open and selected stays so."""
        reader = self._reader
        if reader is None:
            return
        try:
            revision = reader.revision
            if revision != self._revision:
                self._renew(self._root, _NO_INDEX)
                self._revision = revision
        except sqlite3.Error as error:
            self.unreadable.emit(f"the study index cannot be read: {error}")

    def refresh_details(self, series: int) -> None:
        """Take in details of a series that were made, where it is shown."""
        for patient in self._root.children:
            for study in patient.children:
                for node in study.children:
                    if node.id == series:
                        node.details = None
                        index = self._index_of(node)
                        self.dataChanged.emit(index, index)
                        return

    # Qt's questions ---------------------------------------------------------------------------

    def index(self, row: int, column: int, parent: QModelIndex = _NO_INDEX) -> QModelIndex:
        """Qt's: the index of a child."""
        node = self._node(parent)
        if column == 0 and 0 <= row < len(node.children):
            return self.createIndex(row, 0, node.children[row].number)
        return QModelIndex()

    def parent(self, index: QModelIndex = _NO_INDEX) -> Any:
        """Qt's: the index of the parent; without an index, the model's own parent object."""
        if index is _NO_INDEX:
            return QObject.parent(self)
        node = self._node(index)
        if node.parent is None or node.parent is self._root:
            return QModelIndex()
        return self._index_of(node.parent)

    def rowCount(self, parent: QModelIndex = _NO_INDEX) -> int:  # noqa: N802 - Qt's name
        """Qt's: how many rows were fetched."""
        return len(self._node(parent).children)

    def columnCount(self, parent: QModelIndex = _NO_INDEX) -> int:  # noqa: N802 - Qt's name
        """Qt's: one column; a dock is narrow."""
        return 1

    def hasChildren(self, parent: QModelIndex = _NO_INDEX) -> bool:  # noqa: N802 - Qt's name
        """Qt's: patients and studies have some, fetched or not."""
        node = self._node(parent)
        return bool(node.children) or not node.complete

    def canFetchMore(self, parent: QModelIndex) -> bool:  # noqa: N802 - Qt's name
        """Qt's: whether the index holds more than was fetched."""
        return not self._node(parent).complete

    def fetchMore(self, parent: QModelIndex) -> None:  # noqa: N802 - Qt's name
        """Qt's: fetch the next page."""
        node = self._node(parent)
        if not node.complete:
            try:
                self._fetch(node, parent, node.limit + PAGE)
            except sqlite3.Error as error:
                node.complete = True
                self.unreadable.emit(f"the study index cannot be read: {error}")

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Qt's: series can be dragged."""
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if isinstance(self._node(index).row, SeriesRow):
            flags |= Qt.ItemFlag.ItemIsDragEnabled | Qt.ItemFlag.ItemNeverHasChildren
        return flags

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt's: texts and pictures of a row."""
        node = self._node(index)
        if role == ROW_ROLE:
            return node.row
        if role == DETAILS_ROLE:
            return self._details(node)
        if role == PICTURE_ROLE:
            return self._picture(node)
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(node)
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleDescriptionRole):
            return self._tooltip(node)
        return None

    def mimeTypes(self) -> list[str]:  # noqa: N802 - Qt's name
        """Qt's: what is dragged."""
        return [SERIES_MIME]

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:  # noqa: N802 - Qt's name
        """Qt's: the ids of dragged series."""
        rows = [self._node(index).row for index in indexes]
        ids = [row.id for row in rows if isinstance(row, SeriesRow)]
        data = QMimeData()
        data.setData(SERIES_MIME, " ".join([self._token, *map(str, ids)]).encode())
        return data

    def dragged_series(self, data: QMimeData) -> list[int]:
        """The ids of series that were dragged from this very tree; ids mean nothing to another."""
        token, *ids = bytes(data.data(SERIES_MIME)).decode().split() or [""]
        return [int(one) for one in ids] if token == self._token else []

    # ------------------------------------------------------------------------------------------

    def _node(self, index: QModelIndex) -> _Node:
        # By number: an index that outlives its row must not lead to freed memory.
        return self._nodes.get(index.internalId(), _NOTHING) if index.isValid() else self._root

    def _index_of(self, node: _Node) -> QModelIndex:
        return QModelIndex() if node is self._root else self.createIndex(node.place, 0, node.number)

    def _text(self, node: _Node) -> str:
        row = node.row
        if isinstance(row, PatientRow):
            known = self._identities
            return patient_text(row, None if known is None else known.get(row.id))
        if isinstance(row, StudyRow):
            return study_text(row)
        if row is None:
            return ""
        return "\n".join((series_title(row), series_content(row), spacing_text(row)))

    def _tooltip(self, node: _Node) -> str | None:
        if not isinstance(node.row, SeriesRow):
            return self._text(node)
        details = self._details(node)
        return series_tooltip(node.row, () if details is None else details.findings)

    def _details(self, node: _Node) -> SeriesDetails | None:
        row = node.row
        if node.details is None and isinstance(row, SeriesRow) and self._reader is not None:
            node.details = self._reader.details(row.id)
            node.picture = None
        return node.details

    def _picture(self, node: _Node) -> QImage | None:
        details = self._details(node)
        if node.picture is None and details is not None and details.picture is not None:
            node.picture = QImage.fromData(details.picture, "PNG")
        return node.picture

    # Fetching ---------------------------------------------------------------------------------

    def _rows(self, node: _Node, limit: int) -> Sequence[Row]:
        reader, row = self._reader, node.row
        if reader is None:
            return ()
        if row is None:
            return reader.patients(self._filter, limit)
        if isinstance(row, PatientRow):
            return reader.studies(row.id, self._filter, limit)
        return reader.series(row.id, self._filter, limit)

    def _fetch(self, node: _Node, index: QModelIndex, limit: int) -> None:
        rows = self._rows(node, limit)
        node.limit, node.complete = limit, len(rows) < limit
        self._merge(node, index, rows)

    def _renew(self, node: _Node, index: QModelIndex) -> None:
        """Fetch again what was fetched, and so on below the rows that have changed."""
        if not node.limit:
            return  # nobody has looked below it yet
        before = {child.id: child.row.revision for child in node.children if child.row}
        self._fetch(node, index, max(node.limit, PAGE))
        for child in node.children:
            if child.row is not None and before.get(child.id, -1) < child.row.revision:
                self._renew(child, self._index_of(child))

    def _merge(self, node: _Node, index: QModelIndex, rows: Sequence[Row]) -> None:
        """Make the children those of `rows`, in their order."""
        wanted = {row.id for row in rows}
        for place in reversed(range(len(node.children))):
            if node.children[place].id not in wanted:
                self._remove(node, index, place)
        place = 0
        while place < len(rows):
            there = {child.id: at for at, child in enumerate(node.children) if at >= place}
            at = there.get(rows[place].id)
            if at == place:
                self._update(node.children[place], rows[place])
                place += 1
            elif at is not None:  # it is sorted in elsewhere now, and comes back there
                self._remove(node, index, at)
            else:
                new = list(itertools.takewhile(lambda row: row.id not in there, rows[place:]))  # noqa: B023
                self._insert(node, index, place, new)
                place += len(new)

    def _insert(self, node: _Node, index: QModelIndex, place: int, rows: Sequence[Row]) -> None:
        self.beginInsertRows(index, place, place + len(rows) - 1)
        children = [_Node(node, row) for row in rows]
        self._nodes.update((child.number, child) for child in children)
        node.children[place:place] = children
        self.endInsertRows()

    def _remove(self, node: _Node, index: QModelIndex, place: int) -> None:
        self.beginRemoveRows(index, place, place)
        self._drop(node.children.pop(place))
        self.endRemoveRows()

    def _drop(self, node: _Node) -> None:
        del self._nodes[node.number]
        for child in node.children:
            self._drop(child)

    def _update(self, node: _Node, row: Row) -> None:
        if node.row != row:
            node.row = row
            index = self._index_of(node)
            self.dataChanged.emit(index, index)
