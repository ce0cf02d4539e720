"""The foot of the dock *Evaluate*, always in sight: messages, how far the run is, its button."""

from __future__ import annotations

from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_medcnn.gui.bridge import JobRunner
from napari_medcnn.gui.notices import NoticeBoard
from napari_medcnn.gui.progress_row import ProgressRow
from napari_medcnn.gui.research_notice import ResearchNotice
from napari_medcnn.gui.run_log import RunLog


class EvaluateFoot(QWidget):
    """Widgets without what they do."""

    def __init__(self, runner: JobRunner, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.board = NoticeBoard(self)
        self.log = RunLog(self)
        self.progress = ProgressRow(runner)
        self.progress.cancel_button.setToolTip(
            "Stop; figures are of all cases or of none, so that nothing is kept of this run"
        )
        self.start = QPushButton("Evaluate")
        self.start.setToolTip("Run the model on every case and compare with the truth")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 0, 6, 6)
        layout.setSpacing(6)
        for widget in (self.board, self.log, self.progress, self.start, ResearchNotice()):
            layout.addWidget(widget)
