"""The dock *Analyze*: choose an image and a model, see the plan, run it, follow it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from napari.viewer import Viewer
from qtpy.QtWidgets import QPushButton, QScrollArea, QVBoxLayout, QWidget

from napari_medcnn.core.errors import ConsentNeeded, InputMismatch, MedcnnError
from napari_medcnn.core.events import Event, Failed, Fallback, Message
from napari_medcnn.core.volume import Severity
from napari_medcnn.gui.analysis_job import Analysed, Analysis, Detected, analyse
from napari_medcnn.gui.bridge import JobRunner, JobRunning
from napari_medcnn.gui.collapsible import Section
from napari_medcnn.gui.detection_state import detections_of
from napari_medcnn.gui.display_row import DisplayRow
from napari_medcnn.gui.image_choice import ImageChoice
from napari_medcnn.gui.lesion_totals import total
from napari_medcnn.gui.map_layers import MapLayers
from napari_medcnn.gui.model_choice import ModelChoice
from napari_medcnn.gui.notices import NoticeBoard, sentence
from napari_medcnn.gui.plan_view import PlanView
from napari_medcnn.gui.preferences import model_job, preferences
from napari_medcnn.gui.progress_row import ProgressRow
from napari_medcnn.gui.recovery_offer import RecoveryOffer
from napari_medcnn.gui.region_choice import RegionChoice
from napari_medcnn.gui.research_notice import ResearchNotice
from napari_medcnn.gui.run_account import account, fallback_text
from napari_medcnn.gui.run_log import RunLog
from napari_medcnn.gui.run_options import RunOptionsForm
from napari_medcnn.gui.viewer_state import state_of
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.inference.plan import InferencePlan

NO_IMAGE = "No image is open. Open one in the Load panel or with File > Open, then come back here."
NO_MODEL = (
    "No model is at hand. Press Add beside the list: the folder of a MONAI Bundle, a zip, a file "
    "or an address."
)
PLUGIN = "napari-medcnn"


class AnalyzeWidget(QWidget):
    """Runs a model on an image; see the module's docstring."""

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.state = state_of(napari_viewer)
        settings = preferences()
        self.runner = JobRunner(self)
        self._running: Analysis | None = None
        self._planned: InferencePlan | None = None
        self._closed_image = ""
        self.board = NoticeBoard(self)
        self.image = ImageChoice(self.state)
        self.display = DisplayRow(self.state)
        self.model = ModelChoice(settings.model)
        self.region = RegionChoice(self.state)
        self.plan = PlanView()
        self.options = RunOptionsForm(settings)
        self.options_section = Section("Options", self.options)
        self.maps = MapLayers(self.state, self)
        self.run = QPushButton("Find lesions")
        self.progress = ProgressRow(self.runner)
        self.log = RunLog(self)
        self.recovery = RecoveryOffer(self.state, self.board)
        self._lay_out()
        self._connect()
        self.model.refresh()

    def start(self) -> None:
        """Run the chosen model on the chosen image, in a worker."""
        spec = self.model.spec
        if spec is None or not self.plan.can_run:
            return
        try:
            analysis = Analysis(
                self.image.volumes(),
                spec,
                self._run_options(),
                self.options.min_volume_mm3,
            )
        except MedcnnError as error:
            self.board.post(Severity.BLOCKING, sentence(str(error)))
            return
        self._begin(analysis)

    # ------------------------------------------------------------------------------------------

    def _begin(self, analysis: Analysis) -> None:
        try:
            title = f"Finding lesions in {analysis.volumes[0].name}"
            self.runner.start(title, model_job(analyse, analysis))
        except JobRunning as refused:
            self.board.post(Severity.WARNING, sentence(str(refused)))
            return
        self._running, self._planned, self._closed_image = analysis, self.plan.plan, ""
        self.board.clear_closable()
        self.log.clear()
        self.progress.begin()
        self._refresh()

    def _lay_out(self) -> None:
        content = QWidget()
        inner = QVBoxLayout(content)
        inner.setContentsMargins(6, 6, 6, 6)
        inner.setSpacing(6)
        for widget in (
            self.board,
            self.image,
            self.display,
            self.model,
            self.region,
            self.plan,
            self.options_section,
        ):
            inner.addWidget(widget)
        inner.addStretch(1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setWidget(content)
        self.run.setToolTip("Run the model on the image; you can go on working meanwhile")
        foot = QVBoxLayout()
        foot.setContentsMargins(6, 0, 6, 6)
        foot.setSpacing(6)
        for widget in (self.log, self.progress, self.run, ResearchNotice()):
            foot.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(area, 1)
        layout.addLayout(foot)

    def _connect(self) -> None:
        self.image.changed.connect(self._replan)
        self.model.changed.connect(self._on_model)
        self.model.problem.connect(self._warn)
        self.region.changed.connect(self._replan)
        self.options.changed.connect(self._replan)
        self.plan.changed.connect(self._refresh)
        self.run.clicked.connect(self.start)
        self.runner.event.connect(self._on_event)
        self.runner.done.connect(self._on_done)
        self.runner.failed.connect(self._on_failed)
        self.runner.finished.connect(self._refresh)
        self.state.volumes_changed.connect(self._on_volumes)

    def _run_options(self) -> RunOptions:
        """What is chosen, with the region.

        Raises
        ------
        InputMismatch
            When the region is not drawn yet, or not on the image.
        """
        return replace(
            self.options.options,
            region=self.region.region(),
            accept_findings=self.plan.accepted,
        )

    def _on_model(self) -> None:
        spec = self.model.spec
        self.options.show_model(spec)
        self.image.show_channels(() if spec is None else spec.channels)
        self._replan()

    def _replan(self) -> None:
        spec = self.model.spec
        layers = self.image.layers
        self.display.show_layer(layers[0] if layers else None)
        if not layers or spec is None:
            self.region.show_volume(None)
            self.plan.show_advice(NO_MODEL if layers else NO_IMAGE)
            return
        volumes = self.image.preview()
        self.region.show_volume(volumes[0])
        try:
            self.image.check_distinct()
            options = self._run_options()
        except InputMismatch as error:
            self.plan.show_problem(str(error))
        else:
            self.plan.show_plan(spec, volumes, options, self.region.describe(options.region))

    def _refresh(self) -> None:
        idle = not self.runner.is_running
        for widget in (self.image, self.model, self.region, self.options):
            widget.setEnabled(idle)
        self.run.setVisible(idle)
        self.run.setEnabled(self.plan.can_run)

    def _on_volumes(self) -> None:
        """An image that is being analysed may just have been closed."""
        analysis = self._running
        if analysis is None or self.runner.is_cancelling:
            return
        gone = [v for v in analysis.volumes if v.id not in self.state.session.volumes]
        if gone:
            self._closed_image = gone[0].name
            self.runner.cancel()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Message):
            self.log.add(sentence(event.text))
        elif isinstance(event, Fallback):
            self.log.add(fallback_text(event))
        if isinstance(event, Fallback):
            self._warn(fallback_text(event))
        elif isinstance(event, Message) and event.level == "warning":
            self._warn(event.text)

    def _on_done(self, analysed: Analysed | Detected) -> None:
        self._running = None
        if isinstance(analysed, Detected):
            self._show_boxes(analysed)
            return
        result = analysed.result
        if result.volume_id not in self.state.session.volumes:
            return
        self.state.add_result(result)
        maps = self.maps.show(result, self.options.map_names)
        found = total(result.table.lesions)
        text = f"{found.text[:1].upper()}{found.text[1:]} in {result.name}."
        if maps:
            text += f" Layers, hidden at first: {', '.join(maps)}."
        took = account(analysed.seconds, analysed.peak_memory_gb, self._planned)
        self.log.add(took)
        text += f" {took}"
        self._replan()  # what was measured on the way makes the next plan better
        self.board.post(Severity.INFO, text, [("Open lesions", self._open_lesions)])

    def _show_boxes(self, detected: Detected) -> None:
        volume = self.state.session.volumes.get(detected.detections.volume_id)
        if volume is None:
            return
        detections_of(self.state).add(detected.detections, volume)
        count = len(detected.detections.boxes)
        took = account(detected.seconds, detected.peak_memory_gb, self._planned)
        self.log.add(took)
        text = f"{count} box{'' if count == 1 else 'es'} in {volume.name}. {took}"
        self.board.post(Severity.INFO, text, [("Open lesions", self._open_lesions)])

    def _on_failed(self, failed: Failed) -> None:
        analysis, self._running = self._running, None
        if self._closed_image:
            self.board.post(
                Severity.INFO, f"{self._closed_image} was closed, so its analysis was stopped."
            )
        elif failed.cancelled:
            self.board.post(Severity.INFO, "Cancelled; nothing was changed.")
        elif failed.kind == ConsentNeeded.__name__ and analysis is not None:
            options = replace(analysis.options, accept_findings=True)
            anyway = partial(self._begin, replace(analysis, options=options))
            text = sentence(failed.text)
            self.board.post(Severity.BLOCKING, text, [("I have looked: go on", anyway)])
        else:
            self.board.post_failure("The analysis failed", failed, [("Try again", self.start)])

    def _open_lesions(self) -> None:
        self.state.viewer.window.add_plugin_dock_widget(PLUGIN, "Lesions")

    def _warn(self, text: str) -> None:
        self.board.post(Severity.WARNING, sentence(text))
