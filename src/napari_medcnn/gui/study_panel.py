"""Browse a folder of studies: index it in the background, find a series, open it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from qtpy.QtCore import QModelIndex, QTimer
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_medcnn.app.batch_folder import case_of_series
from napari_medcnn.app.studies.index_file import default_folder, forget, index_path
from napari_medcnn.app.studies.index_reader import IndexReader, StudyFilter
from napari_medcnn.app.studies.indexing import IndexReport, index_folder
from napari_medcnn.app.studies.patient_key import Identity, id_key, secret_in
from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import Event, Failed, Message, Progress
from napari_medcnn.core.volume import Severity
from napari_medcnn.gui.bridge import JobRunner
from napari_medcnn.gui.notices import sentence
from napari_medcnn.gui.preferences import PLUGIN
from napari_medcnn.gui.study_drop import CanvasDrop
from napari_medcnn.gui.study_form import StudyForm
from napari_medcnn.gui.study_lookup import StudyLookup
from napari_medcnn.gui.study_opening import SeriesOpening
from napari_medcnn.gui.study_rate import Rate
from napari_medcnn.gui.study_text import counted, summary_text
from napari_medcnn.gui.study_tree_model import StudyTreeModel
from napari_medcnn.gui.view_access import canvas_of
from napari_medcnn.gui.viewer_state import ViewerState

FILTER_MS = 200
FEW_SERIES = 40
"""So many series are shown unfolded at once."""


class StudyPanel(QWidget):
    """The tab *Folder* of the study browser; see the module's docstring."""

    def __init__(self, state: ViewerState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.state = state
        self.folder: Path | None = None
        self.indexing = JobRunner(self)
        self.lookup = StudyLookup(self)
        self.model = StudyTreeModel(self)
        opening = JobRunner(self)
        self.form = StudyForm(self, self.model, self.indexing, opening)
        self.opening = SeriesOpening(state, self.form, opening)
        self.rate = Rate()
        self._reader: IndexReader | None = None
        self._identities: dict[int, Identity] = {}
        self._next_folder: Path | None = None
        self._filter = StudyFilter()
        self._folded_by_hand = False
        self._filtering = QTimer(self)
        self._filtering.setSingleShot(True)
        self._filtering.setInterval(FILTER_MS)
        self.drop = CanvasDrop(canvas_of(state.viewer), self.model)
        self.setAcceptDrops(True)
        self._connect()
        self._show_state()

    # What the user does -----------------------------------------------------------------------

    def open_folder(self, folder: Path) -> None:
        """Show what is known of a folder at once, and bring that up to date in the background."""
        if self.indexing.is_running:
            self._next_folder = folder
            self.indexing.cancel()
            return
        self.folder = folder
        self._identities = {}
        self._folded_by_hand = False
        self.form.show_folder(folder)
        self.lookup.show_folder(folder)
        self._close_index()
        self._open_index()
        self.update_index()

    def update_index(self) -> None:
        """Look for new, changed and removed files."""
        if self.folder is None or self.indexing.is_running:
            return
        self.rate = Rate()
        self.indexing.start(f"Indexing {self.folder.name}", partial(index_folder, self.folder))
        self.form.indexing_row.begin()
        # A busy bar is animated, and each of its steps would paint napari's whole window again.
        self.form.indexing_row.bar.setRange(0, 1)
        self._show_state()

    def forget_folder(self) -> None:
        """Delete the index and the thumbnails of this folder; the images stay."""
        if self.folder is None or self.indexing.is_running:
            return
        folder, self.folder = self.folder, None
        self.lookup.show_folder(None)
        self._close_index()
        try:
            forget(index_path(folder))
        except OSError as error:
            self.form.board.post(Severity.WARNING, f"The index cannot be deleted: {error}")
        self.form.show_folder(None)
        self._show_state()

    def open_series(self, series: Sequence[int]) -> None:
        """Load series as layers, as the Load dock does."""
        if self._reader is not None and self.folder is not None and series:
            files = [self.folder / path for one in series for path in self._reader.files(one)]
            self.opening.open(files, len(series))
            self._show_state()

    def add_to_batch(self) -> None:
        """Make each selected series a case of the dock *Batch*."""
        if self._reader is None or self.folder is None:
            return
        cases = [
            case_of_series(
                [self.folder / path for path in self._reader.files(row.id)],
                row.description or row.body_part or row.modality,
                row.uid,
            )
            for row in self.form.tree.selected_series
        ]
        _, batch = self.state.viewer.window.add_plugin_dock_widget(PLUGIN, "Batch")
        batch.add_cases(cases)

    def show_names(self, shown: bool) -> None:
        """Show who patients are, or hide it; names are read from the files and kept nowhere."""
        self._identities = {}
        self.model.show_identities({} if shown else None)
        self._apply_filter()
        if shown:
            self._want_identities()

    # ------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        form = self.form
        form.folder_button.clicked.connect(self._ask_for_folder)
        form.update_action.triggered.connect(self.update_index)
        form.forget_action.triggered.connect(self.forget_folder)
        form.recent_chosen.connect(self.open_folder)
        form.names.toggled.connect(self.show_names)
        form.filter.textChanged.connect(self._filtering.start)
        form.open_button.clicked.connect(self._open_selected)
        form.batch_button.clicked.connect(self.add_to_batch)
        form.tree.series_opened.connect(self.open_series)
        form.tree.selected.connect(self._show_state)
        form.tree.collapsed.connect(self._on_folded)
        form.tree.settled.connect(self._want_details)
        self.drop.dropped.connect(self.open_series)
        self._filtering.timeout.connect(self._apply_filter)
        self.indexing.event.connect(self._on_indexing_event)
        self.indexing.done.connect(self._on_indexed)
        self.indexing.failed.connect(self._on_indexing_failed)
        self.indexing.finished.connect(self._on_indexing_finished)
        self.opening.runner.finished.connect(self._show_state)
        self.lookup.details_made.connect(self._on_details_made)
        self.lookup.identities_read.connect(self._on_identities)
        self.lookup.failed.connect(self._on_lookup_failed)
        self.model.unreadable.connect(self._on_unreadable)

    def _ask_for_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Choose a folder of studies")
        if chosen:
            self.open_folder(Path(chosen))

    def _open_selected(self) -> None:
        self.open_series([row.id for row in self.form.tree.selected_series])

    # The index --------------------------------------------------------------------------------

    def _open_index(self) -> None:
        if self.folder is not None:
            self._reader = IndexReader.open(index_path(self.folder))
        self._apply_filter()

    def _close_index(self) -> None:
        self.model.show_index(None, StudyFilter())
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _refresh(self) -> None:
        if self._reader is None:
            self._open_index()
        self.model.refresh()
        self._unfold_few()
        self._show_state()
        if self.form.names.isChecked():
            self._want_identities()

    def _apply_filter(self) -> None:
        self._filter = self._chosen()
        self.model.show_index(self._reader, self._filter)
        self._unfold_few()
        self._show_state()

    def _unfold_few(self) -> None:
        """Unfold the tree while it is short, until the user folds something."""
        if self._reader is None or self._folded_by_hand:
            return
        if self._reader.count_matching(self._filter, FEW_SERIES + 1) <= FEW_SERIES:
            self._unfold(QModelIndex())

    def _on_folded(self) -> None:
        self._folded_by_hand = True

    def _unfold(self, index: QModelIndex) -> None:
        if self.model.canFetchMore(index):
            self.model.fetchMore(index)
        if index.isValid():
            self.form.tree.setExpanded(index, True)
        for row in range(self.model.rowCount(index)):
            child = self.model.index(row, 0, index)
            if self.model.hasChildren(child):
                self._unfold(child)

    def _chosen(self) -> StudyFilter:
        words = tuple(self.form.filter.text().split())
        if not words or self._reader is None:
            return StudyFilter()
        try:
            secret = secret_in(default_folder())
        except MedcnnError as error:
            self.form.board.post(Severity.WARNING, sentence(str(error)))
            return StudyFilter(tuple(word.casefold() for word in words))
        named = [
            frozenset(
                patient
                for patient, identity in self._identities.items()
                if word.casefold() in identity.label.casefold()
            )
            for word in words
        ]
        keys = tuple(id_key(word, secret) for word in words)
        return StudyFilter(tuple(word.casefold() for word in words), keys, tuple(named))

    def _on_indexing_event(self, event: Event) -> None:
        if isinstance(event, Progress):
            # In one go with the progress: a window is painted once for all that changes in it.
            self.rate.note(event.done)
            self._refresh()
        elif isinstance(event, Message):
            self.form.board.post(Severity.WARNING, sentence(event.text))

    def _on_indexed(self, report: IndexReport) -> None:
        reader = self._reader or IndexReader.open(index_path(self.folder or Path()))
        problems = [] if reader is None else reader.problems(1)
        if problems and reader is not None:
            path, reason = problems[0]
            count = reader.summary().problems
            which = path.name if count == 1 else f"{path.name}, for one"
            text = f"{counted(count, 'file')} could not be read, so left out: {which} {reason}."
            self.form.board.post(Severity.WARNING, text)

    def _on_indexing_failed(self, failed: Failed) -> None:
        if self._next_folder is None:
            self.form.board.post_failure(
                "Indexing", failed, [("Go on", self.update_index)] if failed.cancelled else []
            )

    def _on_indexing_finished(self) -> None:
        if self._next_folder is not None:
            folder, self._next_folder = self._next_folder, None
            self.open_folder(folder)
            return
        self._refresh()
        self._want_details()

    # Details and names ------------------------------------------------------------------------

    def _want_details(self) -> None:
        visible = self.form.tree.visible_series
        self.lookup.want_details(visible, outdated_too=not self.indexing.is_running)

    def _on_details_made(self, series: list[int]) -> None:
        for one in series:
            self.model.refresh_details(one)

    def _want_identities(self) -> None:
        if self._reader is not None:
            unknown = [p for p in self._reader.all_patients() if p not in self._identities]
            if unknown:
                self.lookup.want_identities(unknown)

    def _on_identities(self, identities: dict[int, Identity]) -> None:
        if self.form.names.isChecked():
            self._identities.update(identities)
            self.model.show_identities(self._identities)
            if self.form.filter.text():
                self._apply_filter()

    def _on_lookup_failed(self, failed: Failed) -> None:
        self.form.board.post_failure("Thumbnails", failed)

    def _on_unreadable(self, text: str) -> None:
        self.form.board.post(Severity.WARNING, sentence(text))

    # What is shown ----------------------------------------------------------------------------

    def _show_state(self) -> None:
        reader = self._reader
        try:
            summary = None if reader is None else reader.summary()
        except sqlite3.Error:
            summary = None  # shown again with the next refresh
        running = self.indexing.is_running
        files_per_s = self.rate.per_s if running else 0.0
        self.form.show_state(
            has_folder=self.folder is not None,
            has_index=reader is not None,
            is_empty=self.model.rowCount() == 0,
            is_indexing=running,
            can_open=bool(self.form.tree.selected_series) and not self.opening.runner.is_running,
            summary="" if summary is None else summary_text(summary, files_per_s),
        )

    # Drag and drop ----------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802, D102 - Qt's name
        if _dropped_folder(event) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802, D102 - Qt's name
        folder = _dropped_folder(event)
        if folder is not None:
            event.acceptProposedAction()
            self.open_folder(folder)


def _dropped_folder(event: QDropEvent) -> Path | None:
    paths = [Path(u.toLocalFile()) for u in event.mimeData().urls() if u.isLocalFile()]
    return next((path for path in paths if path.is_dir()), None)
