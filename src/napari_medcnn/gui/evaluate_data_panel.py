"""The labelled data of an evaluation: where they come from, how they are divided, which part."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QMenu, QPushButton, QVBoxLayout, QWidget

from napari_medcnn.core.events import Failed
from napari_medcnn.core.volume import Severity
from napari_medcnn.gui.bridge import JobRunner
from napari_medcnn.gui.collapsible import lay_out_anew
from napari_medcnn.gui.evaluate_jobs import PARTS, LabelledData, read_labelled
from napari_medcnn.gui.notices import NoticeBoard, WrappedLabel
from napari_medcnn.gui.preferences import model_job
from napari_medcnn.gui.progress_row import ProgressRow
from napari_medcnn.gui.study_text import counted
from napari_medcnn.gui.train_fields import ChoiceField
from napari_medcnn.training.manifest import Part

NO_DATA = (
    "Choose cases with truth: a data set's file or folder, as for Train, or the folder of a "
    "training's run, whose split comes with it."
)
WORDS: dict[Part | None, str] = {None: "All", "test": "Test", "validation": "Validation"}


class EvaluateDataPanel(QWidget):
    """Data, split and part.

    Attributes
    ----------
    changed : Signal
        Other data, another split or part, or none.
    """

    changed = Signal()

    def __init__(self, board: NoticeBoard, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._board = board
        self.data: LabelledData | None = None
        self.source: Path | None = None
        self._asked: Path | None = None
        self.runner = JobRunner(self)
        self.progress = ProgressRow(self.runner)
        self.choose = QPushButton("Choose data")
        self.split = QPushButton("Split …")
        self.hint = WrappedLabel(NO_DATA, self)
        self.summary = WrappedLabel(parent=self)
        self.parts = ChoiceField(())
        self.parts.setAccessibleName("Which cases")
        self._lay_out()
        self._connect()
        self._refresh()

    @property
    def part(self) -> Part | None:
        """The chosen part; None is every labelled case."""
        found: Part | None = self.parts.currentData()
        return found

    @property
    def count(self) -> int:
        """How many labelled cases the part has."""
        return 0 if self.data is None else self.data.counts[self.part]

    def open(self, source: Path, split: Path | None = None) -> None:
        """Read a data set, and a split of it."""
        if self.runner.is_running:
            self._board.post(Severity.WARNING, f"{self.runner.title} is still running.")
            return
        self._asked = source
        self.runner.start(f"Reading {source.name}", model_job(read_labelled, source, split))
        self.progress.begin()

    def set_busy(self, busy: bool) -> None:
        """Freeze the data while they are measured."""
        for widget in (self.choose, self.split, self.parts):
            widget.setEnabled(not busy)

    # ------------------------------------------------------------------------------------------

    def _on_done(self, data: LabelledData) -> None:
        before = self.part
        self.data, self.source = data, self._asked
        with QSignalBlocker(self.parts):
            self.parts.clear()
            for part in PARTS:
                if data.counts[part] or part is None:
                    count = counted(data.counts[part], "case")
                    self.parts.addItem(f"{WORDS[part]}: {count}", part)
            # What was kept aside is what a model is judged by.
            wanted = before if before is not None else "test"
            self.parts.setCurrentIndex(max(self.parts.findData(wanted), 0))
        self._refresh()
        self.changed.emit()

    def _on_failed(self, failed: Failed) -> None:
        if not failed.cancelled:
            self._board.post_failure("The data cannot be used", failed)

    def _refresh(self) -> None:
        data = self.data
        self.hint.show_text(NO_DATA if data is None else "")
        text = ""
        if data is not None:
            classes = data.manifest.classes
            text = f"{data.manifest.name}: {data.manifest.task} of {', '.join(classes[:6])}"
            text += " …" if len(classes) > 6 else "."
        self.summary.show_text(text)
        self.parts.setVisible(data is not None)
        self.split.setEnabled(data is not None)
        lay_out_anew(self)

    def _connect(self) -> None:
        self.choose_file.triggered.connect(self._ask_for_file)
        self.choose_folder.triggered.connect(self._ask_for_folder)
        self.split.clicked.connect(self._ask_for_split)
        self.parts.currentIndexChanged.connect(self.changed)
        self.runner.done.connect(self._on_done)
        self.runner.failed.connect(self._on_failed)

    def _lay_out(self) -> None:
        menu = QMenu(self.choose)
        self.choose_file, self.choose_folder = QAction("File …", menu), QAction("Folder …", menu)
        menu.addActions([self.choose_file, self.choose_folder])
        self.choose.setMenu(menu)
        self.choose.setToolTip("A data set's file, a folder of images and labels, or a run's")
        self.split.setToolTip("A file of medcnn dataset split, which says which cases a part has")
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.choose, 1)
        row.addWidget(self.split)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row)
        for widget in (self.hint, self.progress, self.summary, self.parts):
            layout.addWidget(widget)

    def _ask_for_file(self) -> None:
        kinds = "Data sets (*.json *.csv *.tsv)"
        chosen, _ = QFileDialog.getOpenFileName(self, "A data set's file", "", kinds)
        if chosen:
            self.open(Path(chosen))

    def _ask_for_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "The folder of a data set, or of a run")
        if chosen:
            self.open(Path(chosen))

    def _ask_for_split(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "A split's file", "", "Splits (*.json)")
        if chosen and self.source is not None:
            self.open(self.source, Path(chosen))
