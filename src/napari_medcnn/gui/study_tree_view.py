"""The study tree on screen: open a series by double click or Return, or drag it onto the canvas."""

from __future__ import annotations

from collections.abc import Iterator

from qtpy.QtCore import QModelIndex, Qt, QTimer, Signal
from qtpy.QtGui import QKeyEvent, QResizeEvent
from qtpy.QtWidgets import QAbstractItemView, QTreeView, QWidget

from napari_medcnn.app.studies.index_reader import SeriesRow
from napari_medcnn.gui.study_row import StudyRowDelegate
from napari_medcnn.gui.study_tree_model import ROW_ROLE, StudyTreeModel

SETTLED_MS = 150
"""After scrolling: nobody looks at rows that fly by."""


class StudyTreeView(QTreeView):
    """Shows a :class:`StudyTreeModel`.

    Attributes
    ----------
    series_opened : Signal
        The ids of series that the user wants to open.
    selected : Signal
        Another row is selected.
    settled : Signal
        Other rows are visible, and have been for a moment.
    """

    series_opened = Signal(list)
    selected = Signal()
    settled = Signal()

    def __init__(self, model: StudyTreeModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(SETTLED_MS)
        self._timer.timeout.connect(self._settle)
        self.setModel(model)
        self.setItemDelegate(StudyRowDelegate(self))
        self.setHeaderHidden(True)
        self.setIndentation(12)
        self.setExpandsOnDoubleClick(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setDragEnabled(True)
        self.setDragDropMode(QAbstractItemView.DragDropMode.DragOnly)
        self.setAccessibleName("Patients, studies and series")
        self.setMinimumHeight(120)
        self.doubleClicked.connect(self._on_double_click)
        self.selectionModel().selectionChanged.connect(self._on_selection)
        self.verticalScrollBar().valueChanged.connect(self._unsettle)
        for signal in (self.expanded, self.collapsed, model.rowsInserted, model.rowsRemoved,
                       model.modelReset):  # fmt: skip
            signal.connect(self._unsettle)

    @property
    def selected_series(self) -> list[SeriesRow]:
        """The selected series, in the order of selection."""
        rows = [index.data(ROW_ROLE) for index in self.selectionModel().selectedRows()]
        return [row for row in rows if isinstance(row, SeriesRow)]

    @property
    def visible_series(self) -> list[SeriesRow]:
        """The series in view, from top to bottom."""
        rows = [index.data(ROW_ROLE) for index in self._visible()]
        return [row for row in rows if isinstance(row, SeriesRow)]

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802, D102 - Qt's name
        chosen = self.selected_series
        if chosen and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.series_opened.emit([row.id for row in chosen])
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802, D102 - Qt's name
        super().resizeEvent(event)
        self._unsettle()

    def _visible(self) -> Iterator[QModelIndex]:
        index, bottom = self.indexAt(self.viewport().rect().topLeft()), self.viewport().height()
        while index.isValid() and self.visualRect(index).top() <= bottom:
            yield index
            index = self.indexBelow(index)

    def _on_double_click(self, index: QModelIndex) -> None:
        row = index.data(ROW_ROLE)
        if isinstance(row, SeriesRow):
            self.series_opened.emit([row.id])

    def _on_selection(self) -> None:
        self.selected.emit()

    def _unsettle(self) -> None:
        self._timer.start()

    def _settle(self) -> None:
        """Fetch on where a list ends in view; Qt itself looks at the tree's last row only."""
        model = self.model()
        for index in list(self._visible()):
            parent = index.parent()
            if index.row() == model.rowCount(parent) - 1 and model.canFetchMore(parent):
                model.fetchMore(parent)
        self.settled.emit()
