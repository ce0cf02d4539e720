"""The dock *Batch*: a model over many cases, with what became of each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari.viewer import Viewer
from qtpy.QtCore import QModelIndex
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_medcnn.app.batch import CASES, run_batch
from napari_medcnn.app.batch_outcome import BatchResult
from napari_medcnn.app.case import Case
from napari_medcnn.core.events import (
    CaseUpdate,
    Event,
    Failed,
    Fallback,
    Message,
    Progress,
)
from napari_medcnn.core.volume import Severity
from napari_medcnn.gui.batch_cases import CaseGathering
from napari_medcnn.gui.batch_form import BatchForm
from napari_medcnn.gui.batch_opening import CaseOpening
from napari_medcnn.gui.batch_table_model import BatchTableModel
from napari_medcnn.gui.bridge import JobRunner
from napari_medcnn.gui.notices import sentence
from napari_medcnn.gui.preferences import PLUGIN, model_job, preferences
from napari_medcnn.gui.progress_row import duration_text, progress_text
from napari_medcnn.gui.study_text import counted
from napari_medcnn.gui.viewer_state import state_of
from napari_medcnn.models.spec import ModelSpec


class BatchWidget(QWidget):
    """Runs a model on many cases; see the module's docstring."""

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.state = state_of(napari_viewer)
        self.out_dir: Path | None = None
        self.runner = JobRunner(self)
        self.cases = BatchTableModel(self)
        self.form = BatchForm(self, self.cases, preferences())
        self.gathering = CaseGathering(
            self, self.cases, self.form.board, self._spec, self._results_folder
        )
        self.opening = CaseOpening(self.state, self.form.board, self)
        self._running = ""
        self.setAcceptDrops(True)
        self._connect()
        self.form.model.refresh()
        self._refresh()

    # What the user does -----------------------------------------------------------------------

    def add_cases(self, cases: Sequence[Case]) -> None:
        """Add cases, as the study browser does with the series that are selected there."""
        if self.runner.is_running:
            self.form.board.post(Severity.WARNING, "Cases can be added when the batch has ended.")
        else:
            self.gathering.add_cases(cases)

    def choose_folder(self, folder: Path) -> None:
        """Let results go into a folder; what is done there is skipped."""
        self.out_dir = folder
        self.form.show_folder(folder)
        self._forget_states()

    def start(self) -> None:
        """Run the chosen model on all cases, in a worker."""
        self._start()

    def start_failed(self) -> None:
        """Run the cases again that failed."""
        self._start([case.id for case in self.cases.failed])

    # ------------------------------------------------------------------------------------------

    def _start(self, only: Sequence[str] | None = None) -> None:
        spec, out_dir, cases = self._spec(), self.out_dir, self.cases.cases
        if spec is None or out_dir is None or not cases or self.runner.is_running:
            return
        options, again = self.form.options(), self.form.again.isChecked()

        job = model_job(run_batch, cases, spec, out_dir, options=options, again=again, only=only)
        self._running = f"{spec.title} on {counted(len(cases), 'case')}"
        self.form.board.clear_closable()
        self.form.log.clear()
        self.form.total.setRange(0, len(cases))
        self.form.total.setValue(0)
        self.form.total.setFormat("%v of %m")
        self.form.stage.setText("Reading the first case …")
        self.cases.wait_again()
        self.runner.start(self._running, job)
        self._refresh()

    def _spec(self) -> ModelSpec | None:
        return self.form.model.spec

    def _results_folder(self) -> Path | None:
        return self.out_dir

    def _connect(self) -> None:
        form, gathering = self.form, self.gathering
        form.add_files.triggered.connect(gathering.ask_for_files)
        form.add_folder.triggered.connect(gathering.ask_for_folder)
        form.add_table.triggered.connect(gathering.ask_for_table)
        form.browse.triggered.connect(self._open_browser)
        form.remove_button.clicked.connect(self._remove)
        form.folder_button.clicked.connect(self._ask_for_folder)
        form.model.changed.connect(self._on_model)
        form.model.problem.connect(self._warn)
        form.start.clicked.connect(self.start)
        form.pause.clicked.connect(self._pause)
        form.stop.clicked.connect(self._stop)
        form.table.opened.connect(self._open)
        form.table.deleted.connect(self._remove)
        self.cases.rowsInserted.connect(self._refresh)
        self.cases.modelReset.connect(self._refresh)
        self.runner.event.connect(self._on_event)
        self.runner.done.connect(self._on_done)
        self.runner.failed.connect(self._on_failed)
        self.runner.finished.connect(self._on_finished)

    def _refresh(self) -> None:
        ready = self._spec() is not None and self.out_dir is not None
        self.form.show_state(
            is_running=self.runner.is_running,
            is_paused=self.runner.is_paused,
            can_start=ready and bool(self.cases.cases),
            cases=len(self.cases.cases),
        )

    def _on_model(self) -> None:
        self.form.run_options.show_model(self._spec())
        self._forget_states()

    def _forget_states(self) -> None:
        if not self.runner.is_running:
            self.cases.forget_states()
        self._refresh()

    def _remove(self) -> None:
        if not self.runner.is_running:
            rows = self.form.table.selected_rows
            self.cases.remove(rows or range(len(self.cases.cases)))

    def _ask_for_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "The folder for the results")
        if chosen:
            self.choose_folder(Path(chosen))

    def _open_browser(self) -> None:
        self.state.viewer.window.add_plugin_dock_widget(PLUGIN, "Study browser")

    def _open(self, index: QModelIndex) -> None:
        row, spec = self.cases.row_of(index), self._spec()
        if row is None or spec is None or self.out_dir is None:
            return
        if row.has_result:
            self.opening.open(row.case, spec, self.out_dir / row.case.id)
        elif row.update.text:
            self.form.board.post(Severity.BLOCKING, sentence(f"{row.case.id}: {row.update.text}"))
        else:
            self.form.board.post(Severity.INFO, f"{row.case.id} has no result yet.")

    def _pause(self) -> None:
        if self.runner.is_paused:
            self.runner.resume()
        else:
            self.runner.pause()
            self.form.stage.setText("Paused")
        self._refresh()

    def _stop(self) -> None:
        self.runner.cancel()
        self.form.stage.setText("Stopping …")
        self.form.stop.setEnabled(False)

    # The batch tells --------------------------------------------------------------------------

    def _on_event(self, event: Event) -> None:
        match event:
            case CaseUpdate():
                self.cases.show(event)
            case Progress(stage, done, total, eta_s) if stage == CASES:
                left = "" if eta_s is None or done == total else f", {duration_text(eta_s)} left"
                self.form.total.setRange(0, total)
                self.form.total.setValue(done)
                self.form.total.setFormat(f"%v of %m{left}")
            case Progress() if not self.runner.is_cancelling and not self.runner.is_paused:
                self.form.stage.setText(progress_text(event))
            case Message(text, level):
                self.form.log.add(sentence(f"warning: {text}" if level == "warning" else text))
            case Fallback(wanted, used, reason):
                self.form.log.add(sentence(f"{used} instead of {wanted}: {reason}"))

    def _on_done(self, result: BatchResult) -> None:
        failures = len(result.failures)
        done = len(result.cases) - failures
        text = f"{counted(done, 'case')} done, {counted(result.lesions, 'lesion')}. "
        text += f"The summary is in {result.out_dir.name}/summary.csv."
        self.form.board.post(Severity.INFO, text)
        if failures:
            first = result.failures[0]
            told = f"{counted(failures, 'case')} failed: {first.case}: {first.text}"
            more = "" if failures == 1 else " The others say why where the mouse rests on them."
            self.form.board.post(
                Severity.BLOCKING,
                sentence(told) + more,
                [("Run the failed again", self.start_failed)],
            )

    def _on_failed(self, failed: Failed) -> None:
        if failed.cancelled:
            text = "Stopped. Finished cases stay; Start goes on with the others."
            self.form.board.post(Severity.INFO, text)
        else:
            self.form.board.post_failure("The batch failed", failed, [("Try again", self.start)])

    def _on_finished(self) -> None:
        self.cases.stop_running()
        self.form.stop.setEnabled(True)
        self._refresh()

    def _warn(self, text: str) -> None:
        self.form.board.post(Severity.WARNING, sentence(text))

    # Drag and drop ----------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802, D102 - Qt's name
        if event.mimeData().hasUrls() and not self.runner.is_running:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802, D102 - Qt's name
        paths = [Path(u.toLocalFile()) for u in event.mimeData().urls() if u.isLocalFile()]
        event.acceptProposedAction()
        tables = [path for path in paths if path.suffix.lower() in (".csv", ".tsv")]
        self.gathering.add_files([path for path in paths if path not in tables])
        for table in tables:
            self.gathering.add_table(table)
