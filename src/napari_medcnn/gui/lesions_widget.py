"""The dock *Lesions*: the table, the review, corrections and export of one result."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from napari.viewer import Viewer
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_medcnn.app.result import Result
from napari_medcnn.core.events import Failed
from napari_medcnn.core.lesion import Lesion, Verdict
from napari_medcnn.core.volume import Severity
from napari_medcnn.gui.collapsible import Section
from napari_medcnn.gui.detection_panel import DetectionPanel
from napari_medcnn.gui.layer_measuring import LayerMeasuring
from napari_medcnn.gui.lesion_edit_panel import LesionEditPanel
from napari_medcnn.gui.lesion_export_panel import LesionExportPanel
from napari_medcnn.gui.lesion_focus import LesionFocus
from napari_medcnn.gui.lesion_table_view import LesionTableView
from napari_medcnn.gui.lesion_totals import summary_lines
from napari_medcnn.gui.notices import NoticeBoard, WrappedLabel, sentence
from napari_medcnn.gui.recovery_offer import RecoveryOffer
from napari_medcnn.gui.research_notice import ResearchNotice
from napari_medcnn.gui.score_row import ScoreRow
from napari_medcnn.gui.viewer_state import Removal, state_of

NOTHING_YET = (
    "No lesions yet. Open an image in the Load panel, then run a model on it in the Analyze panel; "
    "what it finds is listed here."
)
NONE_FOUND = (
    "The model marked no lesion of the minimum volume. Add what it missed under 'Correct' below, "
    "or lower the minimum volume and run again."
)


class LesionsWidget(QWidget):
    """Lists the lesions of a result; see the module's docstring."""

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.state = state_of(napari_viewer)
        viewer = self.state.viewer
        self.focus = LesionFocus(viewer)
        self.result_choice = QComboBox()
        self.summary = WrappedLabel(parent=self)
        self.empty = WrappedLabel(NOTHING_YET, self)
        self.board = NoticeBoard(self)
        self.view = LesionTableView()
        self.scores = ScoreRow(self.state)
        self.accept = QPushButton("✓ Accept")
        self.reject = QPushButton("✗ Reject")
        self.note = QLineEdit()
        self.editing = LesionEditPanel(self.state)
        self.correct = Section("Correct", self.editing)
        self.exporting = LesionExportPanel(self.state)
        self.measuring = LayerMeasuring(self.state)
        self.recovery = RecoveryOffer(self.state, self.board)
        self.boxes = DetectionPanel(self.state, self.focus)
        self._details = self._review_box()
        self._lay_out()
        self._connect(viewer)
        self._list_results()
        self._on_active_layer()

    @property
    def result(self) -> Result | None:
        """The result that is shown."""
        return self.state.session.results.get(self.result_choice.currentData() or "")

    def show_result(self, result_id: str) -> None:
        """Show another result."""
        index = self.result_choice.findData(result_id)
        if index >= 0:
            self.result_choice.setCurrentIndex(index)

    def review_selected(self, verdict: Verdict) -> None:
        """Give the selected lesions a verdict; their notes stay."""
        self._review([lesion.id for lesion in self.view.selected], verdict)

    # ------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self.result_choice.setToolTip("Which segmentation the lesions are of")
        self.result_choice.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.result_choice.setMinimumContentsLength(12)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(6)
        layout.addWidget(self.board)
        layout.addWidget(self.measuring)
        layout.addWidget(self.result_choice)
        layout.addWidget(self.empty)
        layout.addWidget(self.summary)
        layout.addWidget(self.scores)
        layout.addWidget(self.view, 1)
        layout.addWidget(self._details)
        layout.addWidget(self.correct)
        layout.addWidget(self.exporting)
        layout.addWidget(self.boxes, 1)
        layout.addWidget(ResearchNotice())
        layout.addStretch()

    def _review_box(self) -> QWidget:
        self.accept.setToolTip("Accept the selected lesions (A in the table)")
        self.reject.setToolTip("Reject the selected lesions (R in the table); U takes it back")
        self.note.setPlaceholderText("Note on the selected lesion")
        self.note.setToolTip("Your note; press Enter to keep it")
        box = QWidget()
        buttons = QHBoxLayout()
        buttons.addWidget(self.accept)
        buttons.addWidget(self.reject)
        layout = QVBoxLayout(box)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(buttons)
        layout.addWidget(self.note)
        return box

    def _connect(self, viewer: Viewer) -> None:
        self.result_choice.currentIndexChanged.connect(self._show_current)
        self.view.lesion_chosen.connect(self._go_to)
        self.view.verdict_given.connect(self._review)
        self.view.delete_asked.connect(self.editing.delete_selected)
        self.view.note_written.connect(self._write_note)
        self.view.selection_changed.connect(self._on_selection)
        self.scores.changed.connect(self._show_scores)
        self.scores.reject_asked.connect(self._reject)
        self.accept.clicked.connect(partial(self.review_selected, Verdict.ACCEPTED))
        self.reject.clicked.connect(partial(self.review_selected, Verdict.REJECTED))
        self.note.editingFinished.connect(self._note_selected)
        self.measuring.refused.connect(self._on_measuring_refused)
        self.measuring.failed.connect(self._on_measuring_failed)
        self.editing.told.connect(self._tell)
        self.exporting.written.connect(self._on_written)
        self.exporting.failed.connect(self._on_write_failed)
        self.boxes.told.connect(self._tell)
        self.boxes.failed.connect(self._warn)
        state = self.state
        state.results_changed.connect(self._list_results)
        state.result_changed.connect(self._on_result_changed)
        state.result_touched.connect(self._on_touched)
        state.removed.connect(self._on_removed)
        state.problem.connect(self._warn)
        viewer.layers.selection.events.active.connect(self._on_active_layer)

    def _list_results(self) -> None:
        before = self.result_choice.currentData()
        results = list(self.state.session.results.values())
        known = {self.result_choice.itemData(i) for i in range(self.result_choice.count())}
        new = [result.id for result in results if result.id not in known]
        with QSignalBlocker(self.result_choice):
            self.result_choice.clear()
            for result in results:
                self.result_choice.addItem(result.name, result.id)
            wanted = new[-1] if new else before
            self.result_choice.setCurrentIndex(max(self.result_choice.findData(wanted), 0))
        self._show_current()

    def _show_current(self) -> None:
        result = self.result
        if result is None or not result.table.lesions:
            self.focus.clear()
        self.view.show_table(None if result is None else result.table)
        self.scores.show_result(result)
        self._show_scores()
        self.editing.show_result(result)
        self.exporting.show_result(result)
        self._summarise(result)
        lesions = () if result is None else result.table.lesions
        for part in (self.result_choice, self.correct, self.exporting):
            part.setVisible(result is not None)
        self.view.setVisible(bool(lesions))
        self._details.setVisible(bool(lesions))
        self.empty.show_text(NOTHING_YET if result is None else "" if lesions else NONE_FOUND)

    def _show_scores(self) -> None:
        self.view.show_scores(self.scores.column, self.scores.hidden_ids)

    def _summarise(self, result: Result | None) -> None:
        if result is None:
            self.summary.show_text("")
            return
        lines = list(summary_lines(result.table.lesions))
        if result.table.dropped_count:
            lines.append(
                f"{result.table.dropped_count} smaller than "
                f"{result.table.min_volume_mm3:g} mm³ left out"
            )
        if result.is_stale:
            lines.append("Measuring the changes …")
        self.summary.show_text("\n".join(lines))

    def _on_result_changed(self, result_id: str) -> None:
        result = self.result
        if result is None or result.id != result_id:
            return
        index = self.result_choice.findData(result_id)
        self.result_choice.setItemText(index, result.name)
        self._show_current()

    def _on_touched(self, result_id: str) -> None:
        if self.result is not None and self.result.id == result_id:
            self._summarise(self.result)

    def _on_active_layer(self) -> None:
        """The labels layer that the user selects is the one whose lesions are shown."""
        active = self.state.viewer.layers.selection.active
        result = self.state.result_of(active)
        if result is not None:
            self.show_result(result.id)

    def _go_to(self, lesion: Lesion) -> None:
        layer = None if self.result is None else self.state.labels_layer(self.result.id)
        if layer is not None:
            self.focus.show(lesion, layer)

    def _on_selection(self) -> None:
        selected = self.view.selected
        self.editing.show_selected(selected)
        for control in (self.accept, self.reject):
            control.setEnabled(bool(selected))
        self.note.setEnabled(len(selected) == 1)
        if not self.note.hasFocus():
            self.note.setText(selected[0].review.note if len(selected) == 1 else "")

    def _review(self, lesion_ids: list[int], verdict: Verdict) -> None:
        result = self.result
        if result is None:
            return
        for lesion_id in lesion_ids:
            old = result.table.by_id(lesion_id).review
            self.state.session.review(result.id, lesion_id, replace(old, verdict=verdict))

    def _reject(self, lesion_ids: list[int]) -> None:
        self._review(lesion_ids, Verdict.REJECTED)

    def _note_selected(self) -> None:
        selected = self.view.selected
        if len(selected) == 1:
            self._write_note(selected[0].id, self.note.text().strip())

    def _write_note(self, lesion_id: int, note: str) -> None:
        result = self.result
        if result is None:
            return
        old = result.table.by_id(lesion_id).review
        if old.note != note:
            self.state.session.review(result.id, lesion_id, replace(old, note=note))

    def _on_removed(self, removal: Removal) -> None:
        if not removal.results:
            return
        noun = "its lesions" if removal.volume is None else "its segmentations and lesions"
        self.board.post(
            Severity.INFO,
            f"The layer '{removal.name}' was removed, and {noun} with it.",
            [("Bring back", _BringBack(self, removal))],
        )

    def _on_written(self, path: str) -> None:
        self.board.post(Severity.INFO, f"Written: {path}")

    def _on_write_failed(self, name: str, failed: Failed) -> None:
        self.board.post_failure(f"{Path(name).name} was not written", failed)

    def _on_measuring_refused(self, text: str) -> None:
        self.board.post(Severity.BLOCKING, sentence(text))

    def _on_measuring_failed(self, failed: Failed) -> None:
        self.board.post_failure("The layer was not measured", failed)

    def _tell(self, text: str) -> None:
        self.board.post(Severity.INFO, text)

    def _warn(self, text: str) -> None:
        self.board.post(Severity.WARNING, text)


class _BringBack:
    """Undoes a removal once, and takes its notice away."""

    def __init__(self, widget: LesionsWidget, removal: Removal) -> None:
        self._widget, self._removal = widget, removal

    def __call__(self) -> None:
        for notice in self._widget.board.notices:
            if f"'{self._removal.name}'" in notice.text:
                notice.dismiss()
        self._widget.state.bring_back(self._removal)
