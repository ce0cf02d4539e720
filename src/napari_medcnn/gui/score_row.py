"""The operating point on a classifier's scores of lesions: mark, hide or reject those below."""

from __future__ import annotations

from dataclasses import replace

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_medcnn.app.result import Result
from napari_medcnn.core.lesion import Lesion, Verdict
from napari_medcnn.core.scored import Scored
from napari_medcnn.gui.lesion_columns import Column, score_column
from napari_medcnn.gui.notices import WrappedLabel
from napari_medcnn.gui.viewer_state import ViewerState


class ScoreRow(QWidget):
    """Chooses the class, the operating point, and what becomes of lesions below it.

    Hidden where the lesions of the result were not classified.

    Attributes
    ----------
    changed : Signal
        Another column of scores is to be shown.
    reject_asked : Signal
        Ids of lesions below the operating point that the user wants rejected.
    """

    changed = Signal()
    reject_asked = Signal(list)

    def __init__(self, state: ViewerState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = state.session
        self._result: Result | None = None
        self.class_name = QComboBox()
        self.threshold = QDoubleSpinBox()
        self.hide_below = QCheckBox("Hide those below")
        self.reject = QPushButton("Reject those below")
        self.count = WrappedLabel(parent=self)
        self._lay_out()
        self.class_name.activated.connect(self._on_edit)
        self.threshold.valueChanged.connect(self._on_edit)
        self.hide_below.toggled.connect(self._on_edit)
        self.reject.clicked.connect(self._ask_to_reject)
        self._session.result_scored.connect(self._on_scores)
        self.hide()

    @property
    def scored(self) -> Scored | None:
        """The scores that are shown."""
        return None if self._result is None else self._result.scored

    @property
    def column(self) -> Column | None:
        """The column for the table of lesions."""
        scored = self.scored
        if scored is None:
            return None
        return score_column(scored.class_name, scored.scores, scored.passed, self._doubt(scored))

    @property
    def hidden_ids(self) -> frozenset[int]:
        """Lesions that the table is not to show."""
        scored = self.scored
        return frozenset(self._below()) if scored is not None and scored.hide_below else frozenset()

    def show_result(self, result: Result | None) -> None:
        """Show the scores of another result."""
        self._result = result
        scored = self.scored
        self.setVisible(scored is not None)
        if scored is None:
            return
        with (
            QSignalBlocker(self.class_name),
            QSignalBlocker(self.threshold),
            QSignalBlocker(self.hide_below),
        ):
            self.class_name.clear()
            self.class_name.addItems(list(scored.classification.classes))
            self.class_name.setCurrentText(scored.class_name)
            self.threshold.setValue(scored.threshold)
            self.hide_below.setChecked(scored.hide_below)
        below = self._below()
        known = sum(lesion.id in scored.scores for lesion in self._lesions())
        lines = [f"{known - len(below)} of {known} lesions at the operating point or above"]
        doubt = self._doubt(scored)
        self.count.show_text(". ".join([*lines, *([doubt] if doubt else [])]) + ".")
        self.reject.setEnabled(bool(self._to_reject()))

    # ------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self.class_name.setToolTip("The class whose probability is the lesion's score")
        self.class_name.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.class_name.setMinimumContentsLength(8)
        self.threshold.setRange(0.0, 1.0)
        self.threshold.setDecimals(3)
        self.threshold.setSingleStep(0.05)
        self.threshold.setPrefix("≥ ")
        self.threshold.setToolTip("The operating point: from which score on a lesion is marked ●")
        self.hide_below.setToolTip("Nothing is deleted: they count in totals and exports")
        self.reject.setToolTip(
            "Give the verdict 'rejected' to lesions below that have none yet; U takes it back"
        )
        top, bottom = QHBoxLayout(), QHBoxLayout()
        top.addWidget(self.class_name, 1)
        top.addWidget(self.threshold)
        bottom.addWidget(self.hide_below, 1)
        bottom.addWidget(self.reject)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(top)
        layout.addLayout(bottom)
        layout.addWidget(self.count)

    def _lesions(self) -> tuple[Lesion, ...]:
        return () if self._result is None else self._result.table.lesions

    def _below(self) -> list[int]:
        scored = self.scored
        if scored is None:
            return []
        scores, passed = scored.scores, scored.passed
        return [le.id for le in self._lesions() if le.id in scores and le.id not in passed]

    def _to_reject(self) -> list[int]:
        """Those below that nobody has decided about."""
        below = set(self._below())
        open_ones = (le for le in self._lesions() if le.review.verdict is Verdict.UNREVIEWED)
        return [lesion.id for lesion in open_ones if lesion.id in below]

    def _doubt(self, scored: Scored) -> str:
        return scored.doubt(scored.revision if self._result is None else self._result.revision)

    def _on_edit(self) -> None:
        scored = self.scored
        if scored is None or self._result is None:
            return
        changed = replace(
            scored,
            class_name=self.class_name.currentText(),
            threshold=self.threshold.value(),
            hide_below=self.hide_below.isChecked(),
        )
        self._session.score(self._result.id, changed)

    def _on_scores(self, result_id: str) -> None:
        if self._result is not None and self._result.id == result_id:
            self.show_result(self._result)
            self.changed.emit()

    def _ask_to_reject(self) -> None:
        self.reject_asked.emit(self._to_reject())
