"""Bring cases into the batch: files, a folder, a table, or series from the study browser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_medcnn.app.batch_csv import read_cases
from napari_medcnn.app.batch_folder import FoundCases, find_cases
from napari_medcnn.app.case import Case, cases_of
from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import Failed, Job, JobControl
from napari_medcnn.core.volume import Severity
from napari_medcnn.gui.batch_table_model import BatchTableModel
from napari_medcnn.gui.bridge import JobRunner
from napari_medcnn.gui.notices import NoticeBoard, sentence
from napari_medcnn.gui.study_text import counted
from napari_medcnn.models.spec import ModelSpec

IMAGES = "Images (*.nii *.nii.gz *.nrrd *.nhdr *.mha *.mhd *.dcm);;All files (*)"


class CaseGathering(QObject):
    """Adds cases to a table; a folder is looked through in the background.

    Parameters
    ----------
    owner : QWidget
        For dialogs.
    model : BatchTableModel
        Gets the cases.
    board : NoticeBoard
        Gets what is worth saying.
    spec : callable
        The chosen model, whose channels a table's columns are.
    out_dir : callable
        The folder of the results, which are no cases.
    """

    def __init__(
        self,
        owner: QWidget,
        model: BatchTableModel,
        board: NoticeBoard,
        spec: Callable[[], ModelSpec | None],
        out_dir: Callable[[], Path | None],
    ) -> None:
        super().__init__(owner)
        self.runner = JobRunner(self)
        self._owner, self._model, self._board = owner, model, board
        self._spec, self._out_dir = spec, out_dir
        self.runner.done.connect(self._on_found)
        self.runner.failed.connect(self._on_failed)

    def ask_for_files(self) -> None:
        """Let the user choose image files, one a case."""
        chosen, _ = QFileDialog.getOpenFileNames(self._owner, "Images, one a case", "", IMAGES)
        self.add_files([Path(path) for path in chosen])

    def ask_for_folder(self) -> None:
        """Let the user choose a folder of images."""
        chosen = QFileDialog.getExistingDirectory(self._owner, "A folder of images")
        if chosen:
            self.add_folder(Path(chosen))

    def ask_for_table(self) -> None:
        """Let the user choose a table of cases."""
        chosen, _ = QFileDialog.getOpenFileName(
            self._owner, "A table of cases", "", "Tables (*.csv *.tsv *.txt)"
        )
        if chosen:
            self.add_table(Path(chosen))

    def add_files(self, paths: Sequence[Path]) -> None:
        """Add files, one a case; folders are looked through."""
        self.add_cases(cases_of([path for path in paths if not path.is_dir()]))
        for path in paths:
            if path.is_dir():
                self.add_folder(path)

    def add_folder(self, folder: Path) -> None:
        """Add every image file and DICOM series below a folder."""
        if self.runner.is_running:
            self._board.post(Severity.WARNING, sentence(f"{self.runner.title} is still running"))
            return
        self.runner.start(f"Looking through {folder.name}", partial(self._looking, folder))

    def add_table(self, path: Path) -> None:
        """Add the cases that a CSV file lists."""
        spec = self._spec()
        if spec is None:
            self._board.post(Severity.WARNING, "Choose a model first: a table names its channels.")
            return
        try:
            self.add_cases(read_cases(path, spec))
        except MedcnnError as error:
            self._board.post(Severity.BLOCKING, sentence(str(error)))

    def add_cases(self, cases: Sequence[Case]) -> None:
        """Add cases; those that are there already stay once."""
        added = self._model.add(cases)
        if added < len(cases):
            twice = counted(len(cases) - added, "case")
            verb = "was" if len(cases) - added == 1 else "were"
            self._board.post(Severity.INFO, f"{twice} {verb} in the list already.")

    def _looking(self, folder: Path, control: JobControl) -> Job:
        out_dir = self._out_dir()
        return find_cases(folder, control, without=[] if out_dir is None else [out_dir])

    def _on_found(self, found: FoundCases) -> None:
        for note in found.notes:
            self._board.post(Severity.WARNING, sentence(note))
        self.add_cases(found.cases)

    def _on_failed(self, failed: Failed) -> None:
        self._board.post_failure("Looking for cases", failed)
