"""The dock *Classify*: tell classes of an image, its slices or lesions apart, and explain why."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from napari.viewer import Viewer
from qtpy.QtWidgets import QPushButton, QScrollArea, QVBoxLayout, QWidget

from napari_medcnn.app.result import Result, scored_anew
from napari_medcnn.core.classification import Classification
from napari_medcnn.core.errors import ConsentNeeded, MedcnnError
from napari_medcnn.core.events import Event, Failed, Fallback, Message
from napari_medcnn.core.explanation import Explanation
from napari_medcnn.core.volume import Severity
from napari_medcnn.gui.bridge import JobFactory, JobRunner, JobRunning
from napari_medcnn.gui.class_panel import ClassPanel
from napari_medcnn.gui.classify_form import ClassifyForm
from napari_medcnn.gui.classify_jobs import (
    Classified,
    ClassifyRequest,
    ExplainRequest,
    classify_image,
    explain_image,
    list_layers,
)
from napari_medcnn.gui.collapsible import Section
from napari_medcnn.gui.explain_panel import ExplainPanel
from napari_medcnn.gui.image_choice import ImageChoice
from napari_medcnn.gui.layer_links import layer_index
from napari_medcnn.gui.lesion_focus import LesionFocus
from napari_medcnn.gui.model_choice import ModelChoice
from napari_medcnn.gui.notices import NoticeBoard, WrappedLabel, sentence
from napari_medcnn.gui.preferences import model_job, preferences
from napari_medcnn.gui.progress_row import ProgressRow
from napari_medcnn.gui.research_notice import ResearchNotice
from napari_medcnn.gui.run_account import fallback_text
from napari_medcnn.gui.viewer_state import state_of
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.models.spec import Task

TASKS: tuple[Task, ...] = ("classification", "segmentation")
"""What the dock classifies with, and what it can explain besides."""

NO_IMAGE = "No image is open. Open one in the Load panel or with File > Open, then come back here."
NO_MODEL = (
    "No model that classifies is at hand. Press Add beside the list, or teach one in the Train "
    "panel."
)
SEGMENTS = "This model marks lesions: run it in the Analyze panel. Here its marks can be explained."
PLUGIN = "napari-medcnn"

Request = ClassifyRequest | ExplainRequest


class ClassifyWidget(QWidget):
    """Classifies and explains; see the module's docstring."""

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.state = state_of(napari_viewer)
        self.runner = JobRunner(self)
        self._running: Request | None = None
        self._closed_image = ""
        self.board = NoticeBoard(self)
        self.image = ImageChoice(self.state)
        self.model = ModelChoice("", tasks=TASKS, purpose="The model that classifies")
        self.form = ClassifyForm(self.state)
        self.advice = WrappedLabel(parent=self)
        self.run = QPushButton("Classify")
        self.classes = ClassPanel(self.state)
        self.explaining = ExplainPanel(self.state)
        self.explain_section = Section("Explain", self.explaining)
        self.progress = ProgressRow(self.runner)
        self.focus = LesionFocus(self.state.viewer)
        self._lay_out()
        self._connect()
        self.model.refresh()
        self._on_model()

    def start(self) -> None:
        """Classify what is chosen, in a worker."""
        try:
            self.form.check(self.image.preview())  # before anything is taken over
            request = self.form.request(self.image.volumes(), self._options())
        except MedcnnError as error:
            self.board.post(Severity.BLOCKING, sentence(str(error)))
            return
        self._begin(request)

    def explain(self) -> None:
        """Explain the chosen model's answer, in a worker."""
        try:
            self.image.check_distinct()
            volumes, axis = self.image.volumes(), self.form.axis.currentIndex()
            request = self.explaining.request(volumes, axis, preferences().device)
        except MedcnnError as error:
            self.board.post(Severity.BLOCKING, sentence(str(error)))
            return
        self._begin(request)

    # ------------------------------------------------------------------------------------------

    def _begin(self, request: Request) -> None:
        name = request.volumes[0].name
        if isinstance(request, ClassifyRequest):
            begun = self._started(f"Classifying {name}", model_job(classify_image, request))
        else:
            begun = self._started(f"Explaining {name}", model_job(explain_image, request))
        if begun:
            self._running = request

    def _started(self, title: str, job: JobFactory) -> bool:
        try:
            self.runner.start(title, job)
        except JobRunning as refused:
            self.board.post(Severity.WARNING, sentence(str(refused)))
            return False
        self._running, self._closed_image = None, ""
        self.board.clear_closable()
        self.progress.begin()
        self._refresh()
        return True

    def _list_layers(self) -> None:
        spec = self.model.spec
        if spec is not None:
            self._started(f"Reading {spec.title}", model_job(list_layers, spec))

    def _lay_out(self) -> None:
        content = QWidget()
        inner = QVBoxLayout(content)
        inner.setContentsMargins(6, 6, 6, 6)
        inner.setSpacing(6)
        for widget in (
            self.board,
            self.image,
            self.model,
            self.form,
            self.advice,
            self.run,
            self.classes,
            self.explain_section,
        ):
            inner.addWidget(widget)
        inner.addStretch(1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setWidget(content)
        self.run.setToolTip("Run the model; you can go on working meanwhile")
        foot = QVBoxLayout()
        foot.setContentsMargins(6, 0, 6, 6)
        foot.setSpacing(6)
        foot.addWidget(self.progress)
        foot.addWidget(ResearchNotice())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(area, 1)
        layout.addLayout(foot)

    def _connect(self) -> None:
        self.image.changed.connect(self._on_image)
        self.model.changed.connect(self._on_model)
        self.model.problem.connect(self._warn)
        self.form.changed.connect(self._refresh)
        self.run.clicked.connect(self.start)
        self.classes.lesion_chosen.connect(self._go_to_lesion)
        self.classes.lesion_chosen.connect(self.explaining.choose_lesion)
        self.classes.written.connect(self._on_written)
        self.classes.failed.connect(self._on_not_written)
        self.explaining.asked.connect(self.explain)
        self.explaining.layers_asked.connect(self._list_layers)
        self.runner.event.connect(self._on_event)
        self.runner.done.connect(self._on_done)
        self.runner.failed.connect(self._on_failed)
        self.runner.finished.connect(self._refresh)
        self.state.volumes_changed.connect(self._on_volumes)

    def _options(self) -> RunOptions:
        return RunOptions(device=preferences().device)

    def _on_model(self) -> None:
        spec = self.model.spec
        self.image.show_channels(() if spec is None else spec.channels)
        self.form.show_model(spec)
        self.explaining.show_model(spec)
        self.explain_section.set_open(spec is not None and spec.task == "segmentation")
        self._on_image()

    def _on_image(self) -> None:
        volumes = self.image.preview()
        volume = volumes[0] if volumes else None
        self.form.show_volume(volume)
        self.explaining.region.show_volume(volume)
        self._refresh()

    def _refresh(self) -> None:
        """What can be done now, and what stands in the way."""
        source = self.form.lesions.source
        self.explaining.show_lesions(source if isinstance(source, Result) else None)
        spec, idle = self.model.spec, not self.runner.is_running
        volumes = self.image.preview()
        classifies = spec is not None and spec.task == "classification"
        problem = NO_MODEL if spec is None else "" if volumes else NO_IMAGE
        if not problem and classifies:
            try:
                self.image.check_distinct()
                self.form.check(volumes)
            except MedcnnError as error:
                problem = sentence(str(error))
        note = SEGMENTS if spec is not None and not classifies else ""
        self.advice.show_text(problem or note)
        for part in (self.form, self.run):
            part.setVisible(classifies)
        for part in (self.image, self.model, self.form):
            part.setEnabled(idle)
        self.run.setEnabled(idle and not problem)
        self.explaining.setEnabled(idle and spec is not None and bool(volumes))

    def _on_volumes(self) -> None:
        """An image that is being worked on may just have been closed."""
        if self._running is None or self.runner.is_cancelling:
            return
        known = self.state.session.volumes
        gone = [v for v in self._running.volumes if v.id not in known]
        if gone:
            self._closed_image = gone[0].name
            self.runner.cancel()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Fallback):
            self._warn(fallback_text(event))
        elif isinstance(event, Message) and event.level == "warning":
            self._warn(event.text)

    def _on_done(self, result: object) -> None:
        request, self._running = self._running, None
        if isinstance(result, tuple):
            self.explaining.show_layers(result)
        elif isinstance(result, Classified) and isinstance(request, ClassifyRequest):
            self._show_classes(result, request)
        elif isinstance(result, Explanation) and isinstance(request, ExplainRequest):
            self._show_explanation(result, request)

    def _show_classes(self, found: Classified, request: ClassifyRequest) -> None:
        classes = found.classification
        volume = self.state.session.volumes.get(classes.volume_id)
        if volume is None:
            return
        preferred = None
        if classes.unit == "lesion":
            preferred = self._keep_scores(found, request)
        self.classes.show_classes(classes, volume, preferred)

    def _keep_scores(self, found: Classified, request: ClassifyRequest) -> str | None:
        """Give the lesions their scores; the class that the table of lesions shows."""
        if found.measured is not None:
            self.state.add_result(found.measured)
        result_id = request.result_id if found.measured is None else found.measured.id
        revision = request.revision if found.measured is None else found.measured.revision
        result = self.state.session.results.get(result_id)
        if result is None:
            self._warn("the lesions were closed while they were classified")
            return None
        if found.measured is not None:
            self.form.lesions.choose(result_id)
        scored = scored_anew(result, found.classification, revision)
        self.state.session.score(result_id, scored)
        count = len(found.classification.items)
        text = f"{count} lesion{'' if count == 1 else 's'} of {result.name} scored."
        self.board.post(Severity.INFO, text, [("Open lesions", self._open_lesions)])
        return scored.class_name

    def _show_explanation(self, explanation: Explanation, request: ExplainRequest) -> None:
        volume = self.state.session.volumes.get(explanation.volume_id)
        if volume is not None:
            self.explaining.show_explanation(explanation, volume)
            self.explain_section.set_open(True)
            result = self.state.session.results.get(request.result_id)
            if result is not None and request.asked.lesion is not None:
                self._lead_to(result, request.asked.lesion.number)

    def _on_failed(self, failed: Failed) -> None:
        request, self._running = self._running, None
        if self._closed_image:
            self.board.post(Severity.INFO, f"{self._closed_image} was closed, so this was stopped.")
        elif failed.cancelled:
            self.board.post(Severity.INFO, "Cancelled; nothing was changed.")
        elif failed.kind == ConsentNeeded.__name__ and request is not None:
            anyway = partial(self._begin, _with_consent(request))
            text = sentence(failed.text)
            self.board.post(Severity.BLOCKING, text, [("I have looked: go on", anyway)])
        else:
            again = [] if request is None else [("Try again", partial(self._begin, request))]
            self.board.post_failure("It failed", failed, again)

    def _go_to_lesion(self, lesion_id: int) -> None:
        """Lead the views to a lesion of the last run, if it is still there."""
        found: Classification | None = self.classes.classification
        for result in self.state.session.results.values():
            if result.scored is not None and result.scored.classification is found:
                self._lead_to(result, lesion_id)

    def _lead_to(self, result: Result, lesion_id: int) -> None:
        layer = self.state.labels_layer(result.id)
        lesion = next((le for le in result.table.lesions if le.id == lesion_id), None)
        if layer is not None and lesion is not None:
            # Without a frame: that is the table's of the dock Lesions.
            index = layer_index(layer, lesion.anchor_index)
            self.focus.go_to(layer.data_to_world(index))

    def _open_lesions(self) -> None:
        self.state.viewer.window.add_plugin_dock_widget(PLUGIN, "Lesions")

    def _on_written(self, path: str) -> None:
        self.board.post(Severity.INFO, f"Written: {path}")

    def _on_not_written(self, text: str) -> None:
        self.board.post(Severity.BLOCKING, sentence(text))

    def _warn(self, text: str) -> None:
        self.board.post(Severity.WARNING, sentence(text))


def _with_consent(request: Request) -> Request:
    """The same after the user's yes to what was found."""
    if isinstance(request, ClassifyRequest):
        return replace(request, options=replace(request.options, accept_findings=True))
    options = replace(request.asked.options, accept_findings=True)
    return replace(request, asked=replace(request.asked, options=options))
