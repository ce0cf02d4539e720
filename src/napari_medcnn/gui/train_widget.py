"""The dock *Train*: data, model, options, run and result of a training, one after the other."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from napari.viewer import Viewer
from qtpy.QtCore import Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QFileDialog, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import (
    Event,
    Failed,
    Fallback,
    Message,
    Metric,
    Preview,
    Progress,
)
from napari_medcnn.core.volume import Severity
from napari_medcnn.gui.bridge import JobFactory, JobRunner, JobRunning
from napari_medcnn.gui.collapsible import Section
from napari_medcnn.gui.model_choice import ModelChoice
from napari_medcnn.gui.notices import sentence
from napari_medcnn.gui.preferences import PLUGIN, model_job
from napari_medcnn.gui.progress_row import duration_text
from napari_medcnn.gui.run_account import fallback_text
from napari_medcnn.gui.study_text import folder_text
from napari_medcnn.gui.train_closing import TrainClosing
from napari_medcnn.gui.train_curves import WORDS
from napari_medcnn.gui.train_data_panel import TrainDataPanel
from napari_medcnn.gui.train_foot import TrainFoot
from napari_medcnn.gui.train_jobs import (
    Learnt,
    SeenCase,
    make_model,
    predict_case,
    resume_and_judge,
    train_and_judge,
)
from napari_medcnn.gui.train_layers import TrainLayers
from napari_medcnn.gui.train_model_panel import TrainModelPanel
from napari_medcnn.gui.train_result_panel import TrainResultPanel
from napari_medcnn.gui.train_run_panel import TrainRunPanel
from napari_medcnn.gui.viewer_state import state_of
from napari_medcnn.training.job import TrainJob
from napari_medcnn.training.run_folder import RunFolder

RUNS = "medcnn_runs"
"""Where runs go, in the user's home, unless another folder is chosen."""


class TrainWidget(QWidget):
    """Teaches a model; see the module's docstring."""

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.state = state_of(napari_viewer)
        self.layers = TrainLayers(self.state)
        self.runner = JobRunner(self)
        self.predicting = JobRunner(self)
        self.foot = TrainFoot(self)
        self.data = TrainDataPanel(self.state, self.foot.board, self.layers)
        self.model = TrainModelPanel(self.foot.board, self.layers)
        self.run = TrainRunPanel()
        self.result = TrainResultPanel(self.predicting)
        self.sections = (
            Section("1  Data", self.data, is_open=True),
            Section("2  Model", self.model, is_open=True),
            Section("3  Run", self.run, is_open=True),
            Section("4  Result", self.result, is_open=True),
        )
        self._job: TrainJob | None = None
        self._folder: Path | None = None
        self.closing = TrainClosing(self, napari_viewer.window._qt_window, self.runner)
        self._lay_out()
        self._connect()
        self._refresh()

    # What the user does -----------------------------------------------------------------------

    def start(self) -> None:
        """Train what is chosen, in a new folder."""
        folder = self.run.folder()
        try:
            job = self.model.job()
        except MedcnnError as error:
            self._problem(str(error))
            return
        if job is None or folder is None or (not self.model.is_sound and not self._is_busy):
            return
        resources = self.run.resources
        self._begin(job, folder, model_job(train_and_judge, job, folder, resources))

    def resume(self, folder: Path) -> None:
        """Go on with a run."""
        try:
            job = RunFolder(folder).read_job()
        except MedcnnError as error:
            self._problem(str(error))
            return
        resumed = model_job(resume_and_judge, folder, self.run.resources)
        self._begin(job, folder, resumed, resumed=True)

    def make_model(self, folder: Path) -> None:
        """Make a model of the best state of a run that was stopped."""
        try:
            job = RunFolder(folder).read_job()
        except MedcnnError as error:
            self._problem(str(error))
            return
        made = model_job(make_model, folder, self.run.resources)
        self._begin(job, folder, made, resumed=True)

    def open_result(self, case_id: str) -> None:
        """Open a held-out case with its truth and what the model says."""
        if self._folder is None:
            return
        job = model_job(predict_case, self._folder, case_id, self.run.resources)
        try:
            self.predicting.start(f"Running the model on {case_id}", job)
            self.result.progress.begin()
        except JobRunning as refused:
            self.foot.board.post(Severity.WARNING, sentence(str(refused)))

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802, D102 - Qt's name
        super().showEvent(event)
        self.closing.watch_dock()

    # ------------------------------------------------------------------------------------------

    @property
    def _is_busy(self) -> bool:
        return self.runner.is_running

    def _begin(
        self, job: TrainJob, folder: Path, make_job: JobFactory, *, resumed: bool = False
    ) -> None:
        try:
            self.runner.start(f"Training {job.title}", make_job)
        except JobRunning as refused:
            self.foot.board.post(Severity.WARNING, sentence(str(refused)))
            return
        self._job, self._folder = job, folder
        self.foot.begin(f"{'Going on with' if resumed else 'Preparing'} {job.title} …")
        self.run.begin(folder, resumed=resumed)
        for section in self.sections[:2]:
            section.set_open(False)
        self.sections[2].set_open(True)
        self.sections[3].hide()
        self._refresh()

    def _lay_out(self) -> None:
        content = QWidget()
        inner = QVBoxLayout(content)
        inner.setContentsMargins(6, 6, 6, 6)
        inner.setSpacing(8)
        for section in self.sections:
            font = section.header.font()
            font.setBold(True)
            section.header.setFont(font)
            inner.addWidget(section)
        inner.addStretch(1)
        self.sections[3].hide()
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(content)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(area, 1)
        layout.addWidget(self.foot)

    def _connect(self) -> None:
        self.data.changed.connect(self._on_data)
        self.model.changed.connect(self._refresh)
        self.run.changed.connect(self._on_run_choice)
        self.foot.start.clicked.connect(self.start)
        self.foot.resume.clicked.connect(self._ask_for_run)
        self.foot.pause.clicked.connect(self._pause)
        self.foot.stop.clicked.connect(self._stop)
        self.result.opened.connect(self.open_result)
        self.runner.event.connect(self._on_event)
        self.runner.done.connect(self._on_done)
        self.runner.failed.connect(self._on_failed)
        self.runner.finished.connect(self._on_finished)
        self.predicting.done.connect(self._on_predicted)
        self.predicting.failed.connect(self._on_not_predicted)

    def _refresh(self) -> None:
        busy = self._is_busy
        self.data.set_busy(busy)
        self.model.set_busy(busy)
        self.run.set_busy(busy)
        title = self.model.title.text().strip()
        try:
            job = None if busy else self.model.job()
        except MedcnnError:
            job = None
        if not busy:
            self.run.show_place(Path.home() / RUNS, "" if job is None else job.name)
        self.foot.show_state(
            is_running=busy,
            is_paused=self.runner.is_paused,
            is_stopping=self.runner.is_cancelling,
            can_start=job is not None and self.model.is_sound and bool(title),
        )

    def _on_data(self) -> None:
        data = self.data.data
        self.model.show_data(None if data is None else data.manifest, self.data.split)

    def _on_run_choice(self) -> None:
        self.model.set_device(self.run.device.value)
        self._refresh()

    def _ask_for_run(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "The folder of a run", str(Path.home()))
        if chosen:
            self.resume(Path(chosen))

    def _pause(self) -> None:
        if self.runner.is_paused:
            self.runner.resume()
        else:
            self.runner.pause()
            self.foot.show_stage("Paused; everything is written")
        self._refresh()

    def _stop(self) -> None:
        self.runner.cancel()
        self.foot.show_stage("Stopping …")
        self._refresh()

    # The run tells ----------------------------------------------------------------------------

    def _on_event(self, event: Event) -> None:
        match event:
            case Metric():
                self.run.add(event)
            case Progress() if not self.runner.is_cancelling and not self.runner.is_paused:
                steps = 1 if self._job is None else self._job.sampling.steps_per_epoch
                self.foot.show_progress(event, steps)
            case Preview() if self._job is not None:
                self._show_preview(event, self._job)
            case Message(text, level):
                self.foot.log.add(sentence(f"warning: {text}" if level == "warning" else text))
            case Fallback():
                self.foot.log.add(fallback_text(event))

    def _show_preview(self, event: Preview, job: TrainJob) -> None:
        try:
            self.layers.show_preview(event, job)
        except (OSError, ValueError) as error:  # the next one takes its place
            self.foot.log.add(sentence(f"the example was not shown: {error}"))

    def _on_done(self, result: Learnt) -> None:
        exported = result.exported
        if self._folder is None:
            return
        if exported is None:
            self._tell_stopped(self._folder)
            return
        self.result.show_result(self._folder, exported.held_out)
        self.sections[3].show()
        self.sections[3].set_open(True)
        text = "The model is ready."
        if (trained := result.trained) is not None:
            text = f"Trained for {trained.epochs} epochs in {duration_text(trained.seconds)}."
            if trained.best is not None:
                metric = WORDS.get(trained.metric, trained.metric.replace("_", " "))
                text += f" Best {metric} {trained.best:.3f}."
        actions = []
        if exported.installed is not None:
            text += f" The model is in the list as {exported.installed.name}."
            actions = [("Open Analyze", self._open_analyze)]
        else:
            text += f" The model is in {exported.bundle}."
        self.foot.board.post(Severity.INFO, text, actions)
        self._tell_model_lists()

    def _on_failed(self, failed: Failed) -> None:
        folder = self._folder
        if folder is None:
            return
        if failed.cancelled:
            self._tell_stopped(folder)
            return
        can_resume = RunFolder(folder).is_run
        again = [("Go on", partial(self.resume, folder))] if can_resume else []
        self.foot.board.post_failure("The training failed", failed, again)

    def _on_finished(self) -> None:
        self.run.end()
        self._refresh()

    def _on_predicted(self, case: SeenCase) -> None:
        self.layers.show_case(case)

    def _on_not_predicted(self, failed: Failed) -> None:
        self.foot.board.post_failure("The case cannot be shown", failed)

    def _tell_stopped(self, folder: Path) -> None:
        run = RunFolder(folder)
        try:
            state = run.read_state()
        except MedcnnError as error:
            self._problem(str(error))
            return
        standing = state.standing
        over = state.ended in ("finished", "early")
        text = "The training is over, but no model was made of it." if over else (
            f"Stopped after {standing.epoch} epochs; the run is in {folder_text(folder)}."
        )  # fmt: skip
        if standing.best is not None:
            text += f" Best so far: {standing.best:.3f}."
        actions = [] if over or not run.is_run else [("Go on", partial(self.resume, folder))]
        if run.best.is_file():
            actions.append(("Make a model of it", partial(self.make_model, folder)))
        self.foot.board.post(Severity.INFO, text, actions)

    def _tell_model_lists(self) -> None:
        """The new model is in every list of this window at once."""
        for choice in self.state.viewer.window._qt_window.findChildren(ModelChoice):
            choice.refresh()
        self.model.start_from.refresh()

    def _open_analyze(self) -> None:
        self.state.viewer.window.add_plugin_dock_widget(PLUGIN, "Analyze")

    def _problem(self, text: str) -> None:
        self.foot.board.post(Severity.BLOCKING, sentence(text))
