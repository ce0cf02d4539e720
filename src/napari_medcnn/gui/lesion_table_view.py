"""The table of lesions with its filter: choose with mouse or arrows, A accepts, R rejects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from qtpy.QtCore import QItemSelection, QItemSelectionModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_medcnn.core.lesion import Lesion, LesionTable, Verdict
from napari_medcnn.gui.lesion_columns import SCORE_KEY, Column
from napari_medcnn.gui.lesion_table_model import LESION_ROLE, LesionFilter, LesionTableModel
from napari_medcnn.gui.notices import WrappedLabel

KEYS = {
    Qt.Key.Key_A: Verdict.ACCEPTED,
    Qt.Key.Key_R: Verdict.REJECTED,
    Qt.Key.Key_U: Verdict.UNREVIEWED,
}
_FILTERS: tuple[tuple[str, Verdict | None], ...] = (
    ("All", None),
    ("To review", Verdict.UNREVIEWED),
    ("Accepted", Verdict.ACCEPTED),
    ("Rejected", Verdict.REJECTED),
)
ROW_PADDING_PX = 8
WIDEST_COLUMN_PX = 160
NARROW_COLUMNS_PX = {"verdict": 22, "id": 34}
_MEASURED_ROWS = 200


class LesionTableView(QWidget):
    """Shows one table of lesions.

    Attributes
    ----------
    lesion_chosen : Signal
        A :class:`Lesion` became the current one by click or key.
    verdict_given : Signal
        The ids of the selected lesions and the verdict that a key gave them.
    delete_asked : Signal
        The Delete key was pressed in the table.
    note_written : Signal
        The id of a lesion and its new note.
    selection_changed : Signal
        Other lesions are selected.
    """

    lesion_chosen = Signal(object)
    verdict_given = Signal(list, object)
    delete_asked = Signal()
    note_written = Signal(int, str)
    selection_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._quiet = False
        self.model = LesionTableModel(self)
        self.filter = LesionFilter(self)
        self.filter.setSourceModel(self.model)
        self.table = _Table()
        self.table.setModel(self.filter)
        self.words = QLineEdit()
        self.verdict = QComboBox()
        self.least_probability = QDoubleSpinBox()
        self.hidden = WrappedLabel(parent=self)
        self._set_up_table()
        self._lay_out()
        self.model.note_written.connect(self.note_written)
        self.table.key_verdict.connect(self._give_verdict)
        self.table.delete_pressed.connect(self.delete_asked)
        selection = self.table.selectionModel()
        selection.currentRowChanged.connect(self._on_current_row)
        selection.selectionChanged.connect(self._on_selection)
        self.table.clicked.connect(self._on_clicked)

    def show_table(self, table: LesionTable | None) -> None:
        """Show a table's lesions; those that were selected stay so where they still are."""
        selected = [lesion.id for lesion in self.selected]
        first = not self.model.lesions
        with self._quietly():
            self.model.show_table(table)
            self.select(selected)
        if first and self.model.lesions:
            self._fit_columns()
        self._tell_hidden()
        self.selection_changed.emit()

    @property
    def selected(self) -> tuple[Lesion, ...]:
        """The selected lesions, from top to bottom."""
        rows = sorted(index.row() for index in self.table.selectionModel().selectedRows())
        return tuple(self.filter.index(row, 0).data(LESION_ROLE) for row in rows)

    def select(self, lesion_ids: Sequence[int]) -> None:
        """Select lesions by their ids; the first becomes the current one."""
        wanted = set(lesion_ids)
        chosen = QItemSelection()
        current = QModelIndex()
        for row in range(self.filter.rowCount()):
            index = self.filter.index(row, 0)
            if index.data(LESION_ROLE).id in wanted:
                chosen.select(index, index)
                current = current if current.isValid() else index
        model = self.table.selectionModel()
        flags = (
            QItemSelectionModel.SelectionFlag.ClearAndSelect
            | QItemSelectionModel.SelectionFlag.Rows
        )
        model.setCurrentIndex(current, QItemSelectionModel.SelectionFlag.NoUpdate)
        model.select(chosen, flags)
        if current.isValid():
            self.table.scrollTo(current)

    def show_only(self, text: str, verdict: Verdict | None, least_probability: float = 0.0) -> None:
        """Filter by words, verdict and mean probability; what is hidden still counts."""
        selected = [lesion.id for lesion in self.selected]
        with self._quietly():
            self.filter.show_matching(text, verdict, least_probability)
            self.select(selected)
        self._tell_hidden()
        self.selection_changed.emit()

    def show_scores(self, column: Column | None, hidden: frozenset[int] = frozenset()) -> None:
        """Show what a classifier says in a column of its own; hide the lesions of some ids."""
        selected = [lesion.id for lesion in self.selected]
        new = column is not None and not self.model.shows_scores
        with self._quietly():
            self.model.show_scores(column)
            self.filter.hide_ids(hidden)
            self.select(selected)
        if new:
            self._bring_scores_forward()
        self._tell_hidden()
        self.selection_changed.emit()

    def _bring_scores_forward(self) -> None:
        """Beside the volume: in a narrow dock, what is on the right is out of sight."""
        header = self.table.horizontalHeader()
        score = self.model.column_index(SCORE_KEY)
        self.table.resizeColumnToContents(score)
        volume = header.visualIndex(self.model.column_index("volume"))
        header.moveSection(header.visualIndex(score), volume + 1)

    def _set_up_table(self) -> None:
        table = self.table
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        table.setSortingEnabled(True)
        table.sortByColumn(self.model.column_index("volume"), Qt.SortOrder.DescendingOrder)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(table.fontMetrics().height() + ROW_PADDING_PX)
        table.setShowGrid(False)
        table.setWordWrap(False)
        table.setTabKeyNavigation(False)
        table.setAccessibleName("Lesions")
        table.setToolTip("Click a lesion to go there. A accepts, R rejects, U takes it back")
        table.setMinimumHeight(120)
        header = table.horizontalHeader()
        header.setSectionsMovable(True)
        header.setResizeContentsPrecision(_MEASURED_ROWS)
        header.setStretchLastSection(True)
        header.setMinimumSectionSize(min(NARROW_COLUMNS_PX.values()))
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)

    def _lay_out(self) -> None:
        self.words.setPlaceholderText("Filter: number, label, note …")
        self.words.setClearButtonEnabled(True)
        self.words.setToolTip("Show lesions with all these words; 'cut' finds those at the edge")
        self.words.textChanged.connect(self._apply_filter)
        for text, _ in _FILTERS:
            self.verdict.addItem(text)
        self.verdict.setToolTip("Show lesions with this verdict")
        self.verdict.currentIndexChanged.connect(self._apply_filter)
        spin = self.least_probability
        spin.setRange(0.0, 1.0)
        spin.setSingleStep(0.05)
        spin.setPrefix("p ≥ ")
        spin.setSpecialValueText("any p")
        spin.setToolTip(
            "Hide lesions whose mean probability is lower. Nothing is deleted: they still count in "
            "the totals and in exports"
        )
        spin.valueChanged.connect(self._apply_filter)
        row = QHBoxLayout()
        row.addWidget(self.words, 1)
        row.addWidget(self.least_probability)
        row.addWidget(self.verdict)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.hidden)
        layout.addWidget(self.table, 1)

    def _fit_columns(self) -> None:
        """As wide as the content; the label comes first among them where there are several."""
        self.table.resizeColumnsToContents()
        header = self.table.horizontalHeader()
        for section in range(header.count()):
            if header.sectionSize(section) > WIDEST_COLUMN_PX:
                header.resizeSection(section, WIDEST_COLUMN_PX)
        for key, width in NARROW_COLUMNS_PX.items():
            header.resizeSection(self.model.column_index(key), width)
        label = self.model.column_index("label")
        several = len({lesion.label for lesion in self.model.lesions}) > 1
        place = self.model.column_index("volume") if several else label
        header.moveSection(header.visualIndex(label), place)

    def _apply_filter(self) -> None:
        verdict = _FILTERS[self.verdict.currentIndex()][1]
        self.show_only(self.words.text(), verdict, self.least_probability.value())

    def _tell_hidden(self) -> None:
        count = len(self.model.lesions) - self.filter.rowCount()
        text = f"{count} hidden by the filter; they count in the totals and in exports."
        self.hidden.show_text(text if count else "")

    def _on_current_row(self, current: QModelIndex, _previous: QModelIndex) -> None:
        if current.isValid() and not self._quiet:
            self.lesion_chosen.emit(current.data(LESION_ROLE))

    def _on_clicked(self, index: QModelIndex) -> None:
        """A click on the row that is current already leads there again."""
        self.lesion_chosen.emit(index.data(LESION_ROLE))

    def _on_selection(self) -> None:
        if not self._quiet:
            self.selection_changed.emit()

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Rows come and go without leading the views anywhere."""
        self._quiet = True
        try:
            yield
        finally:
            self._quiet = False

    def _give_verdict(self, verdict: Verdict) -> None:
        ids = [lesion.id for lesion in self.selected]
        if ids:
            self.verdict_given.emit(ids, verdict)


class _Table(QTableView):
    key_verdict = Signal(object)
    delete_pressed = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        plain = not event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        key = Qt.Key(event.key())
        if plain and key in KEYS:
            self.key_verdict.emit(KEYS[key])
        elif plain and key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.delete_pressed.emit()
        else:
            super().keyPressEvent(event)
