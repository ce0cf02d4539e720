"""Open series that were chosen in the study tree, on the road that the Load dock takes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from qtpy.QtCore import QObject

from napari_medcnn.core.events import Event, Failed, Message
from napari_medcnn.core.volume import Severity
from napari_medcnn.gui.bridge import JobRunner
from napari_medcnn.gui.notices import sentence
from napari_medcnn.gui.reading import Opened, read_paths
from napari_medcnn.gui.study_form import StudyForm
from napari_medcnn.gui.study_text import counted
from napari_medcnn.gui.viewer_state import ViewerState


class SeriesOpening(QObject):
    """Reads files in a worker and shows what they hold as layers."""

    def __init__(self, state: ViewerState, form: StudyForm, runner: JobRunner) -> None:
        super().__init__(runner)
        self.runner = runner
        self._state, self._form = state, form
        self._count, self._title = 0, ""
        form.found.chosen.connect(state.add_volumes)
        self.runner.event.connect(self._on_event)
        self.runner.done.connect(self._on_done)
        self.runner.failed.connect(self._on_failed)

    def open(self, files: Sequence[Path], count: int) -> None:
        """Open the files of `count` series."""
        if self.runner.is_running:
            self._form.board.post(Severity.WARNING, f"{self._title} is still running.")
            return
        if not files:
            self._form.board.post(Severity.WARNING, "The files of this series have gone.")
            return
        self._count, self._title = count, f"Opening {counted(count, 'series')}"
        known = tuple(self._state.session.volumes.values())
        self.runner.start(self._title, partial(read_paths, files, known))
        self._form.opening_row.begin()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Message):
            severity = Severity.WARNING if event.level == "warning" else Severity.INFO
            self._form.board.post(severity, sentence(event.text))

    def _on_done(self, opened: Opened) -> None:
        # One series may hold several images, as a scan with its scouts does.
        if len(opened.volumes) > self._count:
            self._form.found.offer(opened.volumes)
        else:
            self._state.add_volumes(opened.volumes)
        for result in opened.results:
            if result.volume_id in self._state.session.volumes:
                self._state.add_result(result)

    def _on_failed(self, failed: Failed) -> None:
        self._form.board.post_failure(self._title, failed)
