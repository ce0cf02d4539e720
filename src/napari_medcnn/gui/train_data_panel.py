"""The data of a training: where they come from, their cases, what is wrong, how they are split."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QModelIndex, Qt, Signal
from qtpy.QtGui import QAction
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QMenu,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import Failed, Job, JobControl
from napari_medcnn.core.volume import Severity
from napari_medcnn.gui.bridge import JobFactory, JobRunner
from napari_medcnn.gui.collapsible import Section, lay_out_anew
from napari_medcnn.gui.notices import NoticeBoard, WrappedLabel, sentence
from napari_medcnn.gui.preferences import model_job
from napari_medcnn.gui.progress_row import ProgressRow
from napari_medcnn.gui.study_text import counted
from napari_medcnn.gui.train_add_case import TrainAddCase
from napari_medcnn.gui.train_cases_model import PATIENT, TrainCasesModel
from napari_medcnn.gui.train_jobs import (
    DataSet,
    SeenCase,
    check_data,
    group_data,
    open_case,
    read_data,
)
from napari_medcnn.gui.train_layers import TrainLayers
from napari_medcnn.gui.train_split_form import TrainSplitForm
from napari_medcnn.gui.viewer_state import ViewerState
from napari_medcnn.training.manifest import FORMAT, Manifest, Split

if TYPE_CHECKING:
    from napari_medcnn.training.check import Problem

NO_DATA = (
    "Choose what to learn from: a data set's file (our own, a Decathlon dataset.json, a CSV "
    "table) or a folder (images and labels, or a folder for each class). Or add cases from the "
    "viewer, one by one."
)


class TrainDataPanel(QWidget):
    """Data, check and split.

    Attributes
    ----------
    changed : Signal
        The data or the split are others, or there are none.
    """

    changed = Signal()

    def __init__(
        self,
        state: ViewerState,
        board: NoticeBoard,
        layers: TrainLayers,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._state, self._board, self._layers = state, board, layers
        self._then: Callable[..., None] = self._take_data
        self._what = ""
        self.data: DataSet | None = None
        self.split: Split | None = None
        self.source: Path | None = None
        self.leak = ""
        self.runner = JobRunner(self)
        self.progress = ProgressRow(self.runner)
        self.choose = QPushButton("Choose data")
        self.check = QPushButton("Check")
        self.hint = WrappedLabel(NO_DATA, self)
        self.summary = WrappedLabel(parent=self)
        self.cases = TrainCasesModel(self)
        self.table = _table(self.cases)
        self.adding = TrainAddCase(state, board)
        self.splitting = TrainSplitForm()
        self.notes = WrappedLabel(parent=self)
        self._lay_out()
        self._connect()
        self._refresh()

    def open(self, source: Path) -> None:
        """Read a data set."""
        if self._start(
            f"Reading {source.name}", _splittable(model_job(read_data, source)), self._take_data
        ):
            self.source, self._what = source, "The data set cannot be used"

    def run_check(self) -> None:
        """Look at every case, and show every problem."""
        if self.data is None:
            return
        job = model_job(check_data, self.data.manifest, self.split)
        if self._start("Checking the data", job, self._take_problems):
            self._what = "The check failed"

    def open_case(self, case_id: str) -> None:
        """Show a case in the viewer."""
        if self.data is None:
            return
        job = partial(open_case, self.data.manifest, case_id)
        if self._start(f"Opening {case_id}", job, self._take_case):
            self._what = f"{case_id} cannot be opened"

    def set_busy(self, busy: bool) -> None:
        """Freeze the data while they are learnt; cases can still be looked at."""
        for widget in (self.choose, self.check, self.adding, self.splitting):
            widget.setEnabled(not busy)
        self.cases.is_editable = not busy
        if not busy:
            self._refresh()

    # ------------------------------------------------------------------------------------------

    def _start(self, title: str, job: Callable[..., object], then: Callable[..., None]) -> bool:
        if self.runner.is_running:
            self._board.post(Severity.WARNING, f"{self.runner.title} is still running.")
            return False
        self._then = then
        self.runner.start(title, job)  # type: ignore[arg-type]
        self.progress.begin()
        return True

    def _take_data(self, data: DataSet) -> None:
        self.data = data
        self.cases.show_data(data.manifest)
        ours = self.source is not None and _is_ours(self.source)
        self.adding.show_manifest(data.manifest, self.source if ours else None)
        self._draw_split()

    def _take_problems(self, found: tuple[Problem, ...]) -> None:
        self.cases.show_problems(found)
        self.cases.show_split(self.split)
        errors = [problem for problem in found if problem.severity == "error"]
        whole = [problem for problem in found if not problem.case]
        for problem in whole[:3]:
            severity = Severity.BLOCKING if problem.severity == "error" else Severity.WARNING
            self._board.post(severity, sentence(problem.text))
        if not found:
            self._board.post(Severity.INFO, "The check found nothing wrong.")
        elif len(found) > len(whole) or len(whole) > 3:
            cases = len({problem.case for problem in found if problem.case})
            text = (
                f"{counted(len(errors), 'error')} and "
                f"{counted(len(found) - len(errors), 'warning')} in "
                f"{counted(cases, 'case')}: the table has them, the worst first. "
                "Double-click a case to see it."
            )
            self._board.post(Severity.BLOCKING if errors else Severity.WARNING, text)

    def _take_case(self, case: SeenCase) -> None:
        self._layers.show_case(case)

    def _on_failed(self, failed: Failed) -> None:
        if not failed.cancelled:
            self._board.post_failure(self._what, failed)
        if self._then == self._take_data and self.data is None:
            self.source = None

    def _draw_split(self) -> None:
        self.split, self.leak = None, ""
        if self.data is not None:
            try:
                self.split = self.splitting.split(self.data)
            except MedcnnError as error:
                self.leak = str(error)
        self.cases.show_split(self.split)
        self._refresh()
        self.changed.emit()

    def _on_patient(self, case_id: str, patient: str) -> None:
        if self.data is None:
            return
        manifest = self.data.manifest
        cases = tuple(
            replace(case, patient=patient or None) if case.id == case_id else case
            for case in manifest.cases
        )
        job = model_job(group_data, replace(manifest, cases=cases))
        if self._start("Grouping cases", job, self._take_data):
            self._what = "The patient was not changed"

    def _on_double_click(self, index: QModelIndex) -> None:
        case = self.cases.case_of(index)
        if case is not None and (index.column() != PATIENT or not self.cases.is_editable):
            self.open_case(case.id)

    def _refresh(self) -> None:
        manifest = None if self.data is None else self.data.manifest
        self.hint.show_text(NO_DATA if manifest is None else "")
        self.summary.show_text("" if manifest is None else _summary(manifest, self.split))
        for widget in (self.table, self.check, self._split_section):
            widget.setVisible(manifest is not None)
        self.check.setEnabled(manifest is not None)
        problem = f"Problem: {sentence(self.leak)}" if self.leak else ""
        notes = () if self.split is None else self.split.notes
        self.notes.show_text("\n".join([problem] if problem else notes))
        lay_out_anew(self)

    def _lay_out(self) -> None:
        menu = QMenu(self.choose)
        self.choose_file, self.choose_folder = QAction("File …", menu), QAction("Folder …", menu)
        menu.addActions([self.choose_file, self.choose_folder])
        self.choose.setMenu(menu)
        self.choose.setToolTip("A data set's file, or a folder of images and labels")
        self.check.setToolTip("Read every case and list everything that is wrong")
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.choose, 1)
        row.addWidget(self.check)
        self._adding_section = Section("Add this case from the viewer", self.adding)
        self._split_section = Section("Split", self.splitting)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row)
        for widget in (
            self.hint,
            self.progress,
            self.summary,
            self.table,
            self.notes,
            self._split_section,
            self._adding_section,
        ):
            layout.addWidget(widget)

    def _connect(self) -> None:
        self.choose_file.triggered.connect(self._ask_for_file)
        self.choose_folder.triggered.connect(self._ask_for_folder)
        self.check.clicked.connect(self.run_check)
        self.splitting.changed.connect(self._draw_split)
        self.cases.patient_changed.connect(self._on_patient)
        self.table.doubleClicked.connect(self._on_double_click)
        self.adding.added.connect(self.open)
        self.runner.done.connect(self._on_done)
        self.runner.failed.connect(self._on_failed)

    def _on_done(self, result: object) -> None:
        self._then(result)

    def _ask_for_file(self) -> None:
        kinds = "Data sets (*.json *.csv *.tsv)"
        chosen, _ = QFileDialog.getOpenFileName(self, "A data set's file", "", kinds)
        if chosen:
            self.open(Path(chosen))

    def _ask_for_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "The folder of a data set")
        if chosen:
            self.open(Path(chosen))


def _splittable(make_job: JobFactory) -> JobFactory:
    """The same job, with what a split needs loaded in its worker instead of the GUI's thread."""

    def make_loaded(control: JobControl) -> Job:
        importlib.import_module("napari_medcnn.training.splits")
        return make_job(control)

    return make_loaded


def _table(model: TrainCasesModel) -> QTableView:
    table = QTableView()
    table.setModel(model)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setEditTriggers(
        QAbstractItemView.EditTrigger.DoubleClicked | QAbstractItemView.EditTrigger.EditKeyPressed
    )
    table.setShowGrid(False)
    table.setWordWrap(False)
    table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
    table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    table.setFixedHeight(150)
    table.setAccessibleName("Cases to learn from")
    table.verticalHeader().hide()
    table.verticalHeader().setDefaultSectionSize(table.fontMetrics().height() + 8)
    header = table.horizontalHeader()
    header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
    header.setStretchLastSection(True)
    header.setHighlightSections(False)
    for column, width in enumerate((88, 62, 56)):
        table.setColumnWidth(column, width)
    return table


def _is_ours(source: Path) -> bool:
    """Whether cases can be added to this file."""
    try:
        return source.is_file() and FORMAT in source.read_text(encoding="utf-8")[:500]
    except (OSError, UnicodeDecodeError):
        return False


def _summary(manifest: Manifest, split: Split | None) -> str:
    text = f"{manifest.name}: {counted(len(manifest.cases), 'case')}, {manifest.task} of "
    text += ", ".join(manifest.classes[:6]) + (" …" if len(manifest.classes) > 6 else "") + "."
    if split is not None:
        text += (
            f" {len(split.train)} learn, {len(split.validation)} choose the best state, "
            f"{len(split.test)} judge."
        )
    return text
