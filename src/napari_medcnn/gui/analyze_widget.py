"""The dock *Analyze*: choose an image and a model, see the plan, run it, follow it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from napari.viewer import Viewer
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_medcnn.app.result import Result
from napari_medcnn.core.errors import ConsentNeeded, MedcnnError
from napari_medcnn.core.events import Event, Failed, Fallback, Message
from napari_medcnn.core.volume import Severity
from napari_medcnn.gui.analysis_job import Analysis, analyse
from napari_medcnn.gui.bridge import JobRunner, JobRunning
from napari_medcnn.gui.collapsible import Section
from napari_medcnn.gui.display_row import DisplayRow
from napari_medcnn.gui.image_choice import ImageChoice
from napari_medcnn.gui.lesion_totals import total
from napari_medcnn.gui.model_choice import ModelChoice
from napari_medcnn.gui.notices import NoticeBoard, sentence
from napari_medcnn.gui.plan_view import PlanView
from napari_medcnn.gui.preferences import preferences
from napari_medcnn.gui.progress_row import ProgressRow
from napari_medcnn.gui.recovery_offer import RecoveryOffer
from napari_medcnn.gui.research_notice import ResearchNotice
from napari_medcnn.gui.run_log import RunLog
from napari_medcnn.gui.viewer_state import state_of

NO_IMAGE = "No image is open. Open one in the Load panel or with File > Open, then come back here."
NO_MODEL = "No model is at hand. Press … beside the list and choose the folder of a MONAI Bundle."
DEVICES = ("auto", "cpu", "cuda", "mps")
MODELS_ADVICE = -1.0
PLUGIN = "napari-medcnn"


class AnalyzeWidget(QWidget):
    """Runs a model on an image; see the module's docstring."""

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.state = state_of(napari_viewer)
        settings = preferences()
        self.runner = JobRunner(self)
        self._running: Analysis | None = None
        self._closed_image = ""
        self.board = NoticeBoard(self)
        self.image = ImageChoice(self.state)
        self.display = DisplayRow(self.state)
        self.model = ModelChoice(settings.model)
        self.plan = PlanView()
        self.device = QComboBox()
        self.min_volume = QDoubleSpinBox()
        self.run = QPushButton("Find lesions")
        self.progress = ProgressRow(self.runner)
        self.log = RunLog(self)
        self.recovery = RecoveryOffer(self.state, self.board)
        self._options = self._option_form(settings.device, settings.min_volume_mm3)
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
                self.device.currentText(),
                self._min_volume_mm3(),
                self.plan.accepted,
            )
        except MedcnnError as error:
            self.board.post(Severity.BLOCKING, sentence(str(error)))
            return
        self._begin(analysis)

    # ------------------------------------------------------------------------------------------

    def _begin(self, analysis: Analysis) -> None:
        try:
            title = f"Finding lesions in {analysis.volumes[0].name}"
            self.runner.start(title, partial(analyse, analysis))
        except JobRunning as refused:
            self.board.post(Severity.WARNING, sentence(str(refused)))
            return
        self._running, self._closed_image = analysis, ""
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
            self.plan,
            Section("Options", self._options),
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

    def _option_form(self, device: str, min_volume_mm3: float) -> QWidget:
        self.device.addItems(DEVICES)
        self.device.setCurrentText(device)
        self.device.setToolTip("auto: the graphics card where there is one, else the processor")
        spin = self.min_volume
        spin.setRange(MODELS_ADVICE, 100_000)
        spin.setDecimals(1)
        spin.setSuffix(" mm³")
        spin.setSpecialValueText("as the model advises")
        spin.setValue(min_volume_mm3 if min_volume_mm3 >= 0 else MODELS_ADVICE)
        spin.setToolTip("Smaller lesions are left out")
        box = QWidget()
        form = QFormLayout(box)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.addRow("Device", self.device)
        form.addRow("Smallest lesion", spin)
        return box

    def _connect(self) -> None:
        self.image.changed.connect(self._replan)
        self.model.changed.connect(self._on_model)
        self.model.problem.connect(self._warn)
        self.device.currentIndexChanged.connect(self._replan)
        self.plan.changed.connect(self._refresh)
        self.run.clicked.connect(self.start)
        self.runner.event.connect(self._on_event)
        self.runner.done.connect(self._on_done)
        self.runner.failed.connect(self._on_failed)
        self.runner.finished.connect(self._refresh)
        self.state.volumes_changed.connect(self._on_volumes)

    def _min_volume_mm3(self) -> float:
        spec = self.model.spec
        if self.min_volume.value() >= 0 or spec is None:
            return max(self.min_volume.value(), 0.0)
        return spec.min_lesion_volume_mm3

    def _on_model(self) -> None:
        spec = self.model.spec
        self.image.show_channels(() if spec is None else spec.channels)
        self._replan()

    def _replan(self) -> None:
        spec = self.model.spec
        layers = self.image.layers
        self.display.show_layer(layers[0] if layers else None)
        if not layers:
            self.plan.show_advice(NO_IMAGE)
        elif spec is None:
            self.plan.show_advice(NO_MODEL)
        else:
            self.plan.show_plan(spec, self.image.preview(), self.device.currentText())

    def _refresh(self) -> None:
        idle = not self.runner.is_running
        for widget in (self.image, self.model, self._options):
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
        if isinstance(event, Message) and event.level == "warning":
            self._warn(event.text)
        elif isinstance(event, Message):
            self.log.add(sentence(event.text))
        elif isinstance(event, Fallback):
            self._warn(f"{event.used} instead of {event.wanted}: {event.reason}")

    def _on_done(self, result: Result) -> None:
        self._running = None
        if result.volume_id not in self.state.session.volumes:
            return
        self.state.add_result(result)
        found = total(result.table.lesions)
        text = f"{found.text[:1].upper()}{found.text[1:]} in {result.name}."
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
            anyway = partial(self._begin, replace(analysis, accept_findings=True))
            text = sentence(failed.text)
            self.board.post(Severity.BLOCKING, text, [("I have looked: go on", anyway)])
        else:
            self.board.post_failure("The analysis failed", failed, [("Try again", self.start)])

    def _open_lesions(self) -> None:
        self.state.viewer.window.add_plugin_dock_widget(PLUGIN, "Lesions")

    def _warn(self, text: str) -> None:
        self.board.post(Severity.WARNING, sentence(text))
