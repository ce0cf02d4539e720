"""The dock *Evaluate*: how good a model is on labelled cases, figure by figure, case by case."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from napari.viewer import Viewer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from napari_medcnn.core.events import Event, Failed, Fallback, Message
from napari_medcnn.core.volume import Severity
from napari_medcnn.gui.bridge import JobFactory, JobRunner
from napari_medcnn.gui.collapsible import Section
from napari_medcnn.gui.evaluate_data_panel import EvaluateDataPanel
from napari_medcnn.gui.evaluate_foot import EvaluateFoot
from napari_medcnn.gui.evaluate_jobs import (
    Evaluated,
    JudgedCase,
    Request,
    evaluate,
    open_judged,
    report,
    save,
)
from napari_medcnn.gui.evaluate_layers import EvaluateLayers
from napari_medcnn.gui.evaluate_model_panel import EvaluateModelPanel
from napari_medcnn.gui.evaluate_results_panel import EvaluateResultsPanel
from napari_medcnn.gui.evaluate_text import caption, is_classification
from napari_medcnn.gui.notices import sentence
from napari_medcnn.gui.preferences import model_job, preferences
from napari_medcnn.gui.run_account import fallback_text
from napari_medcnn.gui.study_text import counted, folder_text
from napari_medcnn.gui.viewer_state import state_of


class EvaluateWidget(QWidget):
    """Measures a model; see the module's docstring."""

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.state = state_of(napari_viewer)
        self.layers = EvaluateLayers(self.state)
        self.runner = JobRunner(self)
        self.opening = JobRunner(self)
        self.saving = JobRunner(self)
        self.foot = EvaluateFoot(self.runner)
        self.data = EvaluateDataPanel(self.foot.board)
        self.models = EvaluateModelPanel(preferences())
        self.results = EvaluateResultsPanel(self.opening)
        self.sections = (
            Section("1  Data", self.data, is_open=True),
            Section("2  Model", self.models, is_open=True),
            Section("3  Result", self.results, is_open=True),
        )
        self._running: Request | None = None
        self._shown: Request | None = None
        self._wanted = ""
        self._lay_out()
        self._connect()
        self._refresh()

    # What the user does -----------------------------------------------------------------------

    def start(self) -> None:
        """Measure what is chosen."""
        request = self._request()
        if request is None or self.runner.is_running:
            return
        self._running = request
        self.foot.board.clear_closable()
        self.foot.log.clear()
        titles = " and ".join(spec.title for spec in request.specs)
        self.runner.start(f"Measuring {titles}", model_job(evaluate, request))
        self.foot.progress.begin()
        self._refresh()

    def open_case(self, case_id: str) -> None:
        """Show a case with its errors; of cases clicked one after the other, the last one."""
        request = self._shown
        if request is None:
            return
        if self.opening.is_running:
            self._wanted = case_id
            self.opening.cancel()
            return
        job: JobFactory = model_job(open_judged, request, case_id)
        self.opening.start(f"Opening {case_id}", job)
        self.results.progress.begin()

    def report(self, folder: Path, *, replace: bool = False) -> None:
        """Write the report into a folder; one that is there already only if `replace`."""
        evaluated, request = self.results.evaluated, self._shown
        if evaluated is None or request is None or self.saving.is_running:
            return
        if (folder / "report.html").exists() and not replace:
            self._ask_to_replace("a report", folder, self.report)
            return
        job = partial(report, evaluated, request.specs, folder)
        self.saving.start(f"Writing a report into {folder.name}", job)

    def save(self, folder: Path, *, replace: bool = False) -> None:
        """Write the evaluation into a folder; one that is there already only if `replace`."""
        evaluated = self.results.evaluated
        if evaluated is None or self.saving.is_running:
            return
        if (folder / "figures.json").exists() and not replace:
            self._ask_to_replace("an evaluation", folder, self.save)
            return
        self.saving.start(f"Writing into {folder.name}", partial(save, evaluated, folder))

    # ------------------------------------------------------------------------------------------

    def _request(self) -> Request | None:
        data, specs = self.data.data, self.models.specs
        if data is None or self.models.model.spec is None or not self.data.count:
            return None
        return Request(
            specs,
            data.manifest,
            self.data.part,
            data.split,
            self.models.options(),
            self.models.lesion_wise.isChecked(),
            self.models.tolerance.value(),
        )

    def _refresh(self) -> None:
        is_running = self.runner.is_running
        self.data.set_busy(is_running)
        self.models.setEnabled(not is_running)
        self.foot.start.setVisible(not is_running)
        can_start = self.models.model.spec is not None and self.data.count > 0
        self.foot.start.setEnabled(can_start and not self.data.runner.is_running)
        self.sections[2].setVisible(self.results.evaluated is not None)

    def _on_data(self) -> None:
        if self.data.data is not None:
            self.models.show_task(self.data.data.manifest.task)
            if self.models.model.spec is None:
                task = self.data.data.manifest.task
                self._warn(f"The list has no model of {task}: choose a model's folder with “…”.")
        self._refresh()

    def _on_event(self, event: Event) -> None:
        match event:
            case Message(text, level):
                self.foot.log.add(sentence(f"warning: {text}" if level == "warning" else text))
            case Fallback():
                self.foot.log.add(fallback_text(event))

    def _on_done(self, evaluated: Evaluated) -> None:
        self._shown = self._running
        self.sections[2].show()
        self.results.show_result(evaluated)
        for section in self.sections[:2]:
            section.set_open(False)
        failed = evaluated.run.failed
        if failed:
            first = "; ".join(f"{case}: {reason}" for case, reason in failed[:3])
            more = " …" if len(failed) > 3 else ""
            self._warn(f"{counted(len(failed), 'case')} failed, count in nothing and stand first "
                       f"in the table. {sentence(first)}{more}")  # fmt: skip

    def _on_failed(self, failed: Failed) -> None:
        if failed.cancelled:
            text = "Cancelled. Figures are of all cases or of none: nothing of this run is kept."
            self.foot.board.post(Severity.INFO, text)
        else:
            self.foot.board.post_failure("The model was not measured", failed)

    def _on_case(self, case: JudgedCase) -> None:
        evaluated = self.results.evaluated
        if evaluated is not None and not self._wanted:
            told = caption(evaluated.run, case.id) if is_classification(evaluated.run) else ""
            self.layers.show(case, told)

    def _on_case_failed(self, failed: Failed) -> None:
        if not failed.cancelled:
            self.foot.board.post_failure("The case cannot be shown", failed)

    def _on_opening_finished(self) -> None:
        wanted, self._wanted = self._wanted, ""
        if wanted:
            self.open_case(wanted)

    def _on_saved(self, folder: Path) -> None:
        self.foot.board.post(Severity.INFO, f"Written to {folder_text(folder)}.")

    def _on_not_saved(self, failed: Failed) -> None:
        self.foot.board.post_failure("The evaluation was not written", failed)

    def _ask_to_replace(self, what: str, folder: Path, write: Callable[..., None]) -> None:
        self.foot.board.post(
            Severity.WARNING,
            f"There is {what} in {folder_text(folder)} already.",
            [("Replace it", partial(write, folder, replace=True))],
        )

    def _ask_where_to_save(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "A folder for figures and tables")
        if chosen:
            self.save(Path(chosen))

    def _ask_where_to_report(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "A folder for the report")
        if chosen:
            self.report(Path(chosen))

    def _warn(self, text: str) -> None:
        self.foot.board.post(Severity.WARNING, sentence(text))

    def _connect(self) -> None:
        self.data.changed.connect(self._on_data)
        self.data.runner.finished.connect(self._refresh)
        self.models.changed.connect(self._refresh)
        for pick in (self.models.model, self.models.against):
            pick.problem.connect(self._warn)
        self.foot.start.clicked.connect(self.start)
        self.runner.event.connect(self._on_event)
        self.runner.done.connect(self._on_done)
        self.runner.failed.connect(self._on_failed)
        self.runner.finished.connect(self._refresh)
        self.results.opened.connect(self.open_case)
        self.results.save.clicked.connect(self._ask_where_to_save)
        self.results.report.clicked.connect(self._ask_where_to_report)
        self.results.plots.problem.connect(self._warn)
        self.results.plots.exported.connect(self._on_saved)
        self.opening.done.connect(self._on_case)
        self.opening.failed.connect(self._on_case_failed)
        self.opening.finished.connect(self._on_opening_finished)
        self.saving.done.connect(self._on_saved)
        self.saving.failed.connect(self._on_not_saved)

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
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(content)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(area, 1)
        layout.addWidget(self.foot)
