"""The dock *Follow-up*: register a study to its baseline, look at it, and see what changed."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from napari.viewer import Viewer
from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog, QPushButton, QScrollArea, QVBoxLayout, QWidget

from napari_medcnn.app.followup_run import CHANGE, write_followup
from napari_medcnn.core.change import LesionChange
from napari_medcnn.core.errors import ConsentNeeded, MedcnnError
from napari_medcnn.core.events import Event, Failed, Fallback, Message
from napari_medcnn.core.volume import Severity
from napari_medcnn.gui.bridge import JobFactory, JobRunner, JobRunning, job_of
from napari_medcnn.gui.collapsible import Section, lay_out_anew
from napari_medcnn.gui.followup_check_panel import FollowUpCheckPanel
from napari_medcnn.gui.followup_form import FollowUpForm
from napari_medcnn.gui.followup_jobs import (
    Compared,
    CompareRequest,
    Pair,
    Registered,
    compare_pair,
    register_pair,
)
from napari_medcnn.gui.followup_layers import FollowUpLayers
from napari_medcnn.gui.followup_panes import show_side_by_side
from napari_medcnn.gui.followup_results_panel import FollowUpResultsPanel, place_of
from napari_medcnn.gui.lesion_focus import LesionFocus
from napari_medcnn.gui.notices import NoticeBoard, WrappedLabel, sentence
from napari_medcnn.gui.progress_row import ProgressRow
from napari_medcnn.gui.research_notice import ResearchNotice
from napari_medcnn.gui.run_account import fallback_text
from napari_medcnn.gui.study_text import folder_text
from napari_medcnn.gui.viewer_state import state_of

REGISTER_AGAIN = "Other images or options are chosen: register them before you compare."
NO_LESIONS = "To compare, both images need lesions: from the Analyze panel, or on a Labels layer."
UNACCEPTED = "Look at the registration and say that it may be used before you compare."
OUTSIDE = "This lesion lies outside of the baseline's image: there is nothing to show beside it."

Request = Pair | CompareRequest


class FollowUpWidget(QWidget):
    """Registers, shows and compares; see the module's docstring."""

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.state = state_of(napari_viewer)
        self.runner, self.saving = JobRunner(self), JobRunner(self)
        self._running: Request | None = None
        self.registered: Registered | None = None
        self._closed_image = ""
        self._report: Path | None = None
        self.layers = FollowUpLayers(self.state)
        self.focus = LesionFocus(self.state.viewer)
        self.board = NoticeBoard(self)
        self.form = FollowUpForm(self.state)
        self.advice = WrappedLabel(parent=self)
        self.register = QPushButton("Register")
        self.check = FollowUpCheckPanel(self.layers)
        self.compare = QPushButton("Compare lesions")
        self.results = FollowUpResultsPanel()
        self.progress = ProgressRow(self.runner)
        self._sections = (
            Section("Studies", self.form, is_open=True),
            Section("Registration", self.check, is_open=True),
            Section("Lesions", self.results, is_open=True),
        )
        self._lay_out()
        self._connect()
        self._refresh()

    # What the user does -----------------------------------------------------------------------

    def start_registering(self) -> None:
        """Register what is chosen, in a worker."""
        try:
            self._begin(self.form.pair())
        except MedcnnError as error:
            self._refuse(str(error))

    def start_comparing(self) -> None:
        """Compare the lesions that are chosen, by the registration that is shown."""
        if self.registered is None:
            return
        try:
            before, after = self.form.studies()
        except MedcnnError as error:
            self._refuse(str(error))
            return
        given = self.results.links.history.given
        registration, rule = self.registered.registration, self.form.rule()
        self._begin(CompareRequest(before, after, registration, rule, given))

    def save(self, folder: Path, *, replace: bool = False) -> None:
        """Write the comparison into a folder; one that is there already only if `replace`."""
        compared = self.results.compared
        if compared is None or self.saving.is_running:
            return
        if (folder / CHANGE).exists() and not replace:
            text = f"There is a follow-up in {folder_text(folder)} already."
            action = ("Replace it", partial(self.save, folder, replace=True))
            self.board.post(Severity.WARNING, text, [action])
            return
        job = job_of(write_followup, compared.found, folder)
        self.saving.start(f"Writing into {folder.name}", job)
        self.results.save.setEnabled(False)

    def show_lesion(self, change: LesionChange) -> None:
        """Lead both panes and the viewer to a lesion."""
        compared, registered = self.results.compared, self.registered
        if compared is None or registered is None:
            return
        place = place_of(compared.found, change)
        layer = self.state.image_layer(registered.pair.before.id)
        if place is None:
            self.board.post(Severity.INFO, OUTSIDE)
        elif layer is not None:
            self.focus.go_to(layer.data_to_world(place))

    def show_panes(self) -> None:
        """Both images side by side, in a dock of their own."""
        show_side_by_side(self.state.viewer, self.layers).refresh()

    # ------------------------------------------------------------------------------------------

    def _begin(self, request: Request) -> None:
        job: JobFactory
        if isinstance(request, Pair):
            title = f"Registering {request.after.name} to {request.before.name}"
            job = partial(register_pair, request)
        else:
            title = f"Comparing {request.after.name} with {request.before.name}"
            job = partial(compare_pair, request)
        try:
            self.runner.start(title, job)
        except JobRunning as refused:
            self._refuse(str(refused))
            return
        self._running, self._closed_image = request, ""
        self.board.clear_closable()
        self.progress.begin()
        self._refresh()

    def _relink(self) -> None:
        """Compare the same studies by the links that the user drew."""
        compared = self.results.compared
        if compared is not None:
            self._begin(compared.with_links(self.results.links.history.given))

    def _refresh(self) -> None:
        """What can be done now, and what stands in the way."""
        idle, registered = not self.runner.is_running, self.registered
        problem = self.form.problem()
        hint = "" if problem or registered is None else self._comparing_problem(registered)
        self.advice.show_text(problem)
        self.comparing.show_text(hint)
        self.form.setEnabled(idle)
        self.register.setEnabled(idle and not problem)
        self.compare.setVisible(registered is not None)
        self.compare.setEnabled(idle and registered is not None and not (problem or hint))
        self.results.links.setEnabled(idle)
        self.results.save.setEnabled(idle and not self.saving.is_running)
        self._sections[1].setVisible(registered is not None)
        self._sections[2].setVisible(self.results.compared is not None)
        lay_out_anew(self._content)

    def _comparing_problem(self, registered: Registered) -> str:
        before, after = (pick.preview() for pick in (self.form.before, self.form.after))
        if before is None or after is None:
            return REGISTER_AGAIN
        if not registered.pair.is_of(Pair(before, after, self.form.options())):
            return REGISTER_AGAIN
        if None in (self.form.before.lesions.source, self.form.after.lesions.source):
            return NO_LESIONS
        return "" if self.check.is_accepted else UNACCEPTED

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Message):
            severity = Severity.WARNING if event.level == "warning" else Severity.INFO
            self.board.post(severity, sentence(event.text))
        elif isinstance(event, Fallback):
            self.board.post(Severity.INFO, sentence(fallback_text(event)))

    def _on_done(self, result: object) -> None:
        self._running = None
        if isinstance(result, Registered):
            self._show_registered(result)
        elif isinstance(result, Compared):
            self._show_compared(result)

    def _show_registered(self, registered: Registered) -> None:
        self.results.forget()
        self.registered = registered
        self.layers.show_registered(registered)
        self.check.show_quality(registered.registration.quality)
        self._sections[1].set_open(True)
        self.show_panes()

    def _show_compared(self, compared: Compared) -> None:
        before = self.results.compared
        if before is not None and not before.is_of(compared.found):
            self.results.links.forget()
        for result in compared.measured:
            self.state.add_result(result)
        self.form.choose_results(compared.found)
        self.layers.show_compared(compared)
        self.results.show_compared(compared)
        self._sections[0].set_open(False)
        self._sections[2].set_open(True)

    def _on_failed(self, failed: Failed) -> None:
        request, self._running = self._running, None
        self.results.note_links()
        if self._closed_image:
            self.board.post(Severity.INFO, f"{self._closed_image} was closed, so this was stopped.")
        elif failed.cancelled:
            self.board.post(Severity.INFO, "Cancelled; nothing was changed.")
        elif failed.kind == ConsentNeeded.__name__ and isinstance(request, Pair):
            anyway = partial(self._begin, request.with_consent())
            text = sentence(failed.text)
            self.board.post(Severity.BLOCKING, text, [("I have looked: go on", anyway)])
        else:
            again = [] if request is None else [("Try again", partial(self._begin, request))]
            self.board.post_failure("It failed", failed, again)

    def _on_volumes(self) -> None:
        """An image that is shown or worked on may just have been closed."""
        known = self.state.session.volumes
        running = self._running
        pair = running if isinstance(running, Pair) else None
        if running is not None and pair is None and self.registered is not None:
            pair = self.registered.pair
        gone = [] if pair is None else [v for v in (pair.before, pair.after) if v.id not in known]
        if gone and not self.runner.is_cancelling:
            self._closed_image = gone[0].name
            self.runner.cancel()
        shown = self.registered
        if shown is not None and not {shown.pair.before.id, shown.pair.after.id} <= known.keys():
            self._forget()
        self._refresh()

    def _forget(self) -> None:
        """An image of the pair is gone, and with it what was known of the pair."""
        self.registered = None
        self.layers.clear()
        self.check.forget()
        self.results.forget()

    def _on_saved(self, paths: tuple[Path, ...]) -> None:
        self._report = next(path for path in paths if path.suffix == ".html")
        self.results.open_report.setEnabled(True)
        self.board.post(
            Severity.INFO,
            f"Written to {folder_text(self._report.parent)}.",
            [("Open the report", self._open_report)],
        )

    def _on_not_saved(self, failed: Failed) -> None:
        self.board.post_failure("The follow-up was not written", failed)

    def _open_report(self) -> None:
        if self._report is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._report)))

    def _ask_where_to_save(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "A folder for the follow-up")
        if chosen:
            self.save(Path(chosen))

    def _refuse(self, text: str) -> None:
        self.board.post(Severity.BLOCKING, sentence(text))

    def _connect(self) -> None:
        self.register.clicked.connect(self.start_registering)
        self.compare.clicked.connect(self.start_comparing)
        self.form.changed.connect(self._refresh)
        self.check.accepted.connect(self._refresh)
        self.check.panes_asked.connect(self.show_panes)
        self.results.lesion_chosen.connect(self.show_lesion)
        self.results.links.edited.connect(self._relink)
        self.results.links.refused.connect(self._refuse)
        self.results.save.clicked.connect(self._ask_where_to_save)
        self.results.open_report.clicked.connect(self._open_report)
        self.runner.event.connect(self._on_event)
        self.runner.done.connect(self._on_done)
        self.runner.failed.connect(self._on_failed)
        self.runner.finished.connect(self._refresh)
        self.saving.done.connect(self._on_saved)
        self.saving.failed.connect(self._on_not_saved)
        self.saving.finished.connect(self._refresh)
        self.state.volumes_changed.connect(self._on_volumes)
        self.state.result_touched.connect(self.results.note_change)
        self.state.result_changed.connect(self.results.note_change)

    def _lay_out(self) -> None:
        self.register.setToolTip("Find where the follow-up lies on the baseline")
        self.compare.setToolTip("Link the lesions of both studies and measure what changed")
        self.comparing = WrappedLabel(parent=self)
        self._content = QWidget()
        inner = QVBoxLayout(self._content)
        inner.setContentsMargins(6, 6, 6, 6)
        inner.setSpacing(6)
        for widget in (
            self.board,
            self._sections[0],
            self.advice,
            self.register,
            self._sections[1],
            self.comparing,
            self.compare,
            self._sections[2],
        ):
            inner.addWidget(widget)
        inner.addStretch(1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(self._content)
        foot = QVBoxLayout()
        foot.setContentsMargins(6, 0, 6, 6)
        foot.setSpacing(6)
        foot.addWidget(self.progress)
        foot.addWidget(ResearchNotice())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(area, 1)
        layout.addLayout(foot)
