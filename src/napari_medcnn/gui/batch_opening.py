"""Open a finished case of a batch in the viewer, its images and its lesions."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QObject

from napari_medcnn.app.case import Case
from napari_medcnn.app.case_reopen import ReopenedCase, reopen_case
from napari_medcnn.core.events import Failed
from napari_medcnn.core.volume import Severity
from napari_medcnn.gui.bridge import JobRunner, job_of
from napari_medcnn.gui.notices import NoticeBoard
from napari_medcnn.gui.viewer_state import ViewerState
from napari_medcnn.models.spec import ModelSpec


class CaseOpening(QObject):
    """Reads one finished case at a time in a worker and shows it as layers."""

    def __init__(self, state: ViewerState, board: NoticeBoard, parent: QObject) -> None:
        super().__init__(parent)
        self.runner = JobRunner(self)
        self._state, self._board = state, board
        self._opened: dict[Path, str] = {}
        self._folder = Path()
        self.runner.done.connect(self._on_done)
        self.runner.failed.connect(self._on_failed)

    def open(self, case: Case, spec: ModelSpec, folder: Path) -> None:
        """Open a case, or select it where it is open already."""
        result = self._state.session.results.get(self._opened.get(folder, ""))
        if result is not None:
            layer = self._state.image_layer(result.volume_id)
            if layer is not None:
                self._state.viewer.layers.selection.active = layer
                return
        if self.runner.is_running:
            self._board.post(Severity.WARNING, f"{self.runner.title} is still running.")
            return
        self._folder = folder
        self.runner.start(f"Opening {case.id}", job_of(reopen_case, case, spec, folder))

    def _on_done(self, opened: ReopenedCase) -> None:
        self._state.add_volumes(opened.volumes)
        self._state.add_result(opened.result)
        self._opened[self._folder] = opened.result.id

    def _on_failed(self, failed: Failed) -> None:
        self._board.post_failure("Opening the case", failed)
