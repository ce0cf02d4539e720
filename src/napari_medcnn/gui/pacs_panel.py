"""Find series on a PACS, retrieve them, and send results back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from platformdirs import user_data_path
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QMenu,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import Event, Failed, Job, JobControl, Message
from napari_medcnn.core.volume import Severity
from napari_medcnn.gui.bridge import JobRunner, JobRunning
from napari_medcnn.gui.notices import NoticeBoard, WrappedLabel, sentence
from napari_medcnn.gui.pacs_jobs import Act, Typed, connected
from napari_medcnn.gui.pacs_profile_row import PacsProfileRow
from napari_medcnn.gui.pacs_query_form import PacsQueryForm
from napari_medcnn.gui.pacs_results import PacsResults
from napari_medcnn.gui.pacs_secret_row import PacsSecretRow
from napari_medcnn.gui.progress_row import ProgressRow
from napari_medcnn.io.pacs.batch import RetrievedAll, retrieve_all
from napari_medcnn.io.pacs.connection import PacsConnection, Verified
from napari_medcnn.io.pacs.credentials import Credential
from napari_medcnn.io.pacs.download import Retrieved
from napari_medcnn.io.pacs.profiles import Profile, WebProfile
from napari_medcnn.io.pacs.query import Found, SeriesKey
from napari_medcnn.io.pacs.upload import Sent

MISSING = (
    "PACS connections need two more libraries. Install them with "
    '"pip install napari-medcnn[pacs]", then start napari again.'
)
NO_PROFILE = "No connection yet: press New to enter your server's address."

Then = Callable[[Any], None]


class PacsPanel(QWidget):
    """Works with one connection at a time, off the GUI thread.

    Parameters
    ----------
    on_retrieved : callable
        Called with the folder to open: the series' own, or the one that holds several.
    """

    def __init__(self, on_retrieved: Callable[[Path], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._on_retrieved = on_retrieved
        self._typed: dict[str, Typed] = {}
        self._again: Callable[[], None] | None = None
        self._then: Then = self._show_found
        self._subject = ""
        self._fetched: list[Retrieved] = []
        self.folder = user_data_path("napari-medcnn", appauthor=False) / "pacs"
        self.runner = JobRunner(self)
        self.board = NoticeBoard(self)
        self.progress = ProgressRow(self.runner)
        self.profiles = PacsProfileRow()
        self.secret = PacsSecretRow()
        self.query = PacsQueryForm()
        self.results = PacsResults()
        self.hint = WrappedLabel()
        self._lay_out()
        self._connect()
        self.profiles.refresh()
        if not all(find_spec(name) for name in ("pynetdicom", "dicomweb_client")):
            self.board.post(Severity.WARNING, MISSING, closable=False)
            self._work.setEnabled(False)

    @property
    def profile(self) -> Profile | None:
        """The connection that is chosen."""
        return self.profiles.profile

    def search(self) -> None:
        """Look for what the fields say."""
        try:
            query = self.query.query()
        except MedcnnError as error:
            self._show_problem(sentence(str(error)))
            return
        act = partial(_find, query)
        self._start("Searching", act, self._show_found, self.search)

    def retrieve(self) -> None:
        """Fetch the chosen series into :attr:`folder`."""
        keys = [match.key for match in self.results.chosen]
        if not keys:
            return
        self._fetched = []
        act = partial(_retrieve, keys, self.folder, self._fetched)
        self._start("Retrieving", act, self._show_retrieved, self.retrieve)

    def send(self, paths: Sequence[Path]) -> None:
        """Send DICOM files, folders opened."""
        act = partial(_send, tuple(paths))
        self._start("Sending", act, self._show_sent, partial(self.send, paths))

    def test(self) -> None:
        """Ask the server whether it is there."""
        self._start("Testing", _verify, self._show_verified, self.test)

    # ------------------------------------------------------------------------------------------

    def _start(self, title: str, act: Act, then: Then, again: Callable[[], None]) -> None:
        profile = self.profile
        if profile is None:
            self.board.post(Severity.WARNING, NO_PROFILE)
            return
        job = connected(profile, self._typed.get(profile.name), act)
        try:
            self.runner.start(f"{title}: {profile.name}", job)
        except JobRunning as refused:
            self.board.post(Severity.WARNING, sentence(str(refused)))
            return
        self._then, self._again, self._subject = then, again, title
        self.board.clear()
        self.secret.close_row()
        self.progress.begin()
        self._refresh()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Message) and event.level == "warning":
            self.board.post(Severity.WARNING, sentence(event.text))

    def _on_done(self, result: object) -> None:
        profile = self.profile
        if profile is not None and profile.name in self._typed:
            # The keyring has it by now where that was wanted.
            kept = self._typed[profile.name]
            self._typed[profile.name] = Typed(kept.credential, keep=False)
        self._then(result)

    def _on_failed(self, failed: Failed) -> None:
        profile = self.profile
        if isinstance(profile, WebProfile) and failed.kind in ("NoCredential", "LoginRefused"):
            self._typed.pop(profile.name, None)
            if failed.kind == "LoginRefused":
                self.board.post_failure("Login", failed)
            if profile.login != "none":
                self.secret.ask(profile)
            return
        self.board.post_failure(self._subject, failed)
        self._open_fetched()  # series that came before a cancel are complete

    def _use_secret(self, text: str, keep: bool) -> None:
        profile = self.profile
        if isinstance(profile, WebProfile) and self._again is not None:
            self._typed[profile.name] = Typed(Credential(profile.user, text), keep)
            self._again()

    # What the jobs bring ----------------------------------------------------------------------

    def _show_found(self, found: Found) -> None:
        self.results.show_matches(found.matches)
        count = len(found.matches)
        text = "Nothing found." if not count else f"{count} series found."
        if found.has_more:
            text = f"The first {count} series; narrow the search to see others."
        self.hint.show_text(text)

    def _show_retrieved(self, result: RetrievedAll) -> None:
        images = sum(one.instances for one in result.series)
        if result.series:
            text = f"{len(result.series)} series with {images} images retrieved."
            self.board.post(Severity.INFO, text)
        self._open_fetched()

    def _open_fetched(self) -> None:
        fetched, self._fetched = self._fetched, []
        if fetched:
            several = len(fetched) > 1
            self._on_retrieved(fetched[0].folder.parent if several else fetched[0].folder)

    def _show_sent(self, sent: Sent) -> None:
        name = "" if self.profile is None else f" to {self.profile.name}"
        self.board.post(Severity.INFO, f"{sent.instances} objects sent{name}.")

    def _show_verified(self, verified: Verified) -> None:
        self.board.post(Severity.INFO, sentence(verified.text))

    def _show_profile(self) -> None:
        self._typed.clear()
        self.results.show_matches(())
        self.secret.close_row()
        self.hint.show_text("" if self.profile else NO_PROFILE)
        self._refresh()

    def _on_editing(self, shown: bool) -> None:
        self.board.clear()
        self.secret.close_row()
        self._work.setVisible(not shown)

    def _show_problem(self, text: str) -> None:
        self.board.post(Severity.BLOCKING, text)

    # Layout -----------------------------------------------------------------------------------

    def _refresh(self) -> None:
        running, profile = self.runner.is_running, self.profile
        count = len(self.results.chosen)
        ready = profile is not None and not running
        self.profiles.set_busy(running)
        self.search_button.setEnabled(ready)
        self.send_button.setEnabled(ready)
        self.retrieve_button.setEnabled(ready and count > 0)
        self.retrieve_button.setText(f"Retrieve {count} series" if count > 1 else "Retrieve")

    def _connect(self) -> None:
        self.runner.event.connect(self._on_event)
        self.runner.done.connect(self._on_done)
        self.runner.failed.connect(self._on_failed)
        self.runner.finished.connect(self._refresh)
        self.profiles.changed.connect(self._show_profile)
        self.profiles.editing.connect(self._on_editing)
        self.profiles.test_asked.connect(self.test)
        self.profiles.failed.connect(self._show_problem)
        self.secret.given.connect(self._use_secret)
        self.query.submitted.connect(self.search)
        self.search_button.clicked.connect(self.search)
        self.patients.toggled.connect(self.results.show_patients)
        self.results.chosen_changed.connect(self._refresh)
        self.results.opened.connect(self.retrieve)
        self.retrieve_button.clicked.connect(self.retrieve)
        self.folder_button.clicked.connect(self._ask_for_folder)

    def _lay_out(self) -> None:
        self._work = QWidget()
        self.search_button = _button("Search", "Look for series on the server")
        self.patients = QCheckBox("Show patients")
        self.patients.setToolTip("Show patients' names and numbers in the table")
        searching = QWidget()
        _row(searching, self.search_button, self.patients)
        self.retrieve_button = _button("Retrieve", "Fetch the selected series and open them")
        self.folder_button = _button("To …", f"Series go to {self.folder}")
        self.send_button = _button("Send", "Send results to the server")
        sending = QMenu(self.send_button)
        sending.addAction("Files …", self._ask_for_files)
        sending.addAction("Folder …", self._ask_for_sending_folder)
        self.send_button.setMenu(sending)
        acting = QWidget()
        _row(acting, self.retrieve_button, self.folder_button, self.send_button)
        work = QVBoxLayout(self._work)
        work.setContentsMargins(0, 0, 0, 0)
        work.setSpacing(6)
        for widget in (self.query, searching, self.hint):
            work.addWidget(widget)
        work.addWidget(self.results, 1)
        work.addWidget(acting)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(6)
        for widget in (self.profiles, self.progress, self.board, self.secret):
            layout.addWidget(widget)
        layout.addWidget(self._work, 1)
        layout.addStretch(0)

    # What the user is asked -------------------------------------------------------------------

    def _ask_for_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(
            self, "Folder for retrieved series", str(self.folder)
        )
        if chosen:
            self.folder = Path(chosen)
            self.folder_button.setToolTip(f"Series go to {self.folder}")

    def _ask_for_files(self) -> None:
        chosen, _ = QFileDialog.getOpenFileNames(self, "DICOM files to send")
        if chosen:
            self.send([Path(path) for path in chosen])

    def _ask_for_sending_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Folder of DICOM files to send")
        if chosen:
            self.send([Path(chosen)])


def _verify(connection: PacsConnection, control: JobControl) -> Job:
    return connection.verify(control)


def _find(query: Any, connection: PacsConnection, control: JobControl) -> Job:
    return connection.find(query, control)


def _retrieve(
    keys: Sequence[SeriesKey],
    folder: Path,
    fetched: list[Retrieved],
    connection: PacsConnection,
    control: JobControl,
) -> Job:
    return retrieve_all(connection, keys, folder, control, fetched.append)


def _send(paths: Sequence[Path], connection: PacsConnection, control: JobControl) -> Job:
    return connection.send(paths, control)


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button


def _row(owner: QWidget, first: QWidget, *others: QWidget) -> None:
    row = QHBoxLayout(owner)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(4)
    row.addWidget(first, 1)
    for other in others:
        row.addWidget(other)
