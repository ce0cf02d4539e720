"""The dock *Load*: open images and sessions, and see what was noticed about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from napari.viewer import Viewer
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import (
    QFileDialog,
    QGridLayout,
    QMenu,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_medcnn.app.samples import SAMPLES, sample_path
from napari_medcnn.app.session import Session
from napari_medcnn.app.session_file import SUFFIX, load_session, take_snapshot, write_snapshot
from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import Event, Failed, Message
from napari_medcnn.core.volume import Severity, Volume
from napari_medcnn.gui.bridge import JobFactory, JobRunner, JobRunning, job_of
from napari_medcnn.gui.found_list import FoundList
from napari_medcnn.gui.notices import Notice, NoticeBoard, sentence
from napari_medcnn.gui.open_images import OpenImages
from napari_medcnn.gui.progress_row import ProgressRow
from napari_medcnn.gui.reading import Opened, is_session, read_paths
from napari_medcnn.gui.recovery_offer import RecoveryOffer
from napari_medcnn.gui.viewer_state import state_of


class LoadWidget(QWidget):
    """Opens files, folders, samples and sessions; see the module's docstring."""

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.state = state_of(napari_viewer)
        self.runner = JobRunner(self)
        self.board = NoticeBoard(self)
        self.progress = ProgressRow(self.runner)
        self.found = FoundList(self)
        self.images = OpenImages()
        self.recovery = RecoveryOffer(self.state, self.board)
        self._subject = ""
        self._failure: Notice | None = None
        self._then: Callable[[Any], None] = self._take_opened
        self.setAcceptDrops(True)
        self._lay_out()
        self.runner.event.connect(self._on_event)
        self.runner.done.connect(self._on_done)
        self.runner.failed.connect(self._on_failed)
        self.found.chosen.connect(self._add)
        self.images.search_asked.connect(self._ask_for_missing)
        self.state.volumes_changed.connect(self._refresh)
        self.state.results_changed.connect(self._refresh)
        if self.state.saving.start_problem:
            self.board.post(Severity.WARNING, self.state.saving.start_problem)
        self._refresh()

    def open_paths(self, paths: Sequence[Path]) -> None:
        """Read files and folders in a worker; a session file is added to what is open."""
        paths = [Path(path) for path in paths]
        sessions = [path for path in paths if is_session(path)]
        if sessions:
            self.open_session(sessions[0])
            return
        known = tuple(self.state.session.volumes.values())
        name = paths[0].name if len(paths) == 1 else f"{len(paths)} files"
        selected = self.state.volume_of(self.state.viewer.layers.selection.active)
        job = partial(read_paths, paths, known, selected=selected)
        self._start(f"Reading {name}", job, self._take_opened)

    def open_session(self, path: Path) -> None:
        """Open a session file in a worker, beside what is open."""
        self._start(f"Opening {path.name}", job_of(load_session, path), self._take_session)

    def save_session(self, path: Path) -> None:
        """Write the session to a file in a worker."""
        snapshot = take_snapshot(self.state.session)
        then = partial(self._note_saved, path, snapshot.change_count)
        self._start(f"Saving {path.name}", job_of(write_snapshot, snapshot, path), then)

    # ------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(6)
        layout.addLayout(self._buttons())
        layout.addWidget(self.progress)
        layout.addWidget(self.board)
        layout.addWidget(self.found, 1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        content = QWidget()
        inner = QVBoxLayout(content)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addWidget(self.images)
        inner.addStretch(1)
        area.setWidget(content)
        layout.addWidget(area, 2)

    def _buttons(self) -> QGridLayout:
        files = _button("Open files …", "Images: NIfTI, NRRD, MetaImage, DICOM, PNG, JPEG")
        files.clicked.connect(self._ask_for_files)
        folder = _button("Open folder …", "A folder of DICOM series or other images")
        folder.clicked.connect(self._ask_for_folder)
        samples = _menu_button("Samples", "Images that come with the package")
        for sample in SAMPLES:
            samples.menu().addAction(sample.title, partial(self._open_sample, sample.key))
        session = _menu_button("Session", "Images, labels, lesions and reviews in one file")
        session.menu().addAction("Open session …", self._ask_for_session)
        session.menu().addAction("Save session …", self._ask_and_save)
        self.buttons = (files, folder, samples, session)
        grid = QGridLayout()
        grid.setSpacing(4)
        for number, button in enumerate(self.buttons):
            grid.addWidget(button, number // 2, number % 2)
        return grid

    def _start(self, title: str, make_job: JobFactory, then: Callable[[Any], None]) -> None:
        try:
            self.runner.start(title, make_job)
        except JobRunning as refused:
            self.board.post(Severity.WARNING, sentence(str(refused)))
            return
        self._subject, self._then = title, then
        self._dismiss_failure()
        self.progress.begin()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Message):
            severity = Severity.WARNING if event.level == "warning" else Severity.INFO
            self.board.post(severity, sentence(event.text))

    def _on_done(self, result: object) -> None:
        self._then(result)

    def _on_failed(self, failed: Failed) -> None:
        self._failure = self.board.post_failure(self._subject, failed)

    def _dismiss_failure(self) -> None:
        """What went wrong the last time says nothing about what is opened now."""
        failure, self._failure = self._failure, None
        if failure is not None and failure in self.board.notices:
            failure.dismiss()

    def _take_opened(self, opened: Opened) -> None:
        if len(opened.volumes) > 1:
            self.found.offer(opened.volumes)
        else:
            self._add(opened.volumes)
        for result in opened.results:
            self._add([v for v in opened.volumes if v.id == result.volume_id])
            if result.volume_id in self.state.session.volumes:
                self.state.add_result(result)

    def _add(self, volumes: Sequence[Volume]) -> None:
        self.state.add_volumes(volumes)

    def _take_session(self, session: Session) -> None:
        was_empty = not self.state.session.volumes and not self.state.session.results
        known = self.state.merge(session)
        if was_empty:
            self.state.session.mark_saved()
        for finding in session.problems:
            self.board.post_finding(finding)
        if known:
            names = ", ".join(known)
            self.board.post(Severity.INFO, f"Open already, and left as it is: {names}.")
        self._refresh()

    def _note_saved(self, path: Path, change_count: int, _: object) -> None:
        self.state.session.mark_saved(change_count)
        self.board.post(Severity.INFO, f"Session saved: {path}")

    def _supply(self, missing_id: str, opened: Opened) -> None:
        """Take the first image read that is on the missing one's grid."""
        problem: MedcnnError | None = None
        for volume in opened.volumes:
            try:
                self.state.session.supply_volume(missing_id, volume)
            except MedcnnError as error:
                problem = error
            else:
                return
        if problem is not None:
            self.board.post(Severity.BLOCKING, sentence(str(problem)))

    def _refresh(self) -> None:
        self.images.show_session(self.state.session)

    # What the user is asked -------------------------------------------------------------------

    def _ask_for_files(self) -> None:
        chosen, _ = QFileDialog.getOpenFileNames(self, "Open images")
        if chosen:
            self.open_paths([Path(path) for path in chosen])

    def _ask_for_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Open a folder of images")
        if chosen:
            self.open_paths([Path(chosen)])

    def _open_sample(self, key: str) -> None:
        try:
            self.open_paths([sample_path(key)])
        except MedcnnError as error:
            self.board.post(Severity.BLOCKING, sentence(str(error)))

    def _ask_for_session(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Open session", "", f"Session (*{SUFFIX})")
        if chosen:
            self.open_session(Path(chosen))

    def _ask_and_save(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(
            self, "Save session", f"session{SUFFIX}", f"Session (*{SUFFIX})"
        )
        if chosen:
            self.save_session(Path(chosen if chosen.endswith(SUFFIX) else chosen + SUFFIX))

    def _ask_for_missing(self, missing_id: str) -> None:
        name = self.state.session.missing_volumes[missing_id].name
        chosen, _ = QFileDialog.getOpenFileName(self, f"Where is {name}?")
        if chosen:
            self._start_search(missing_id, Path(chosen))

    def _start_search(self, missing_id: str, path: Path) -> None:
        job = partial(read_paths, [path], ())
        self._start(f"Reading {path.name}", job, partial(self._supply, missing_id))

    # Drag and drop ----------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802, D102 - Qt's name
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802, D102 - Qt's name
        paths = [Path(u.toLocalFile()) for u in event.mimeData().urls() if u.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            self.open_paths(paths)


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button


def _menu_button(text: str, tip: str) -> QPushButton:
    button = _button(text, tip)
    button.setMenu(QMenu(button))
    return button
