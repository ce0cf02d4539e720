"""The foot of the dock *Train*, always in sight: messages, how far the run is, and its buttons."""

from __future__ import annotations

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_medcnn.core.events import Progress
from napari_medcnn.gui.notices import NoticeBoard
from napari_medcnn.gui.progress_row import duration_text, progress_text
from napari_medcnn.gui.research_notice import ResearchNotice
from napari_medcnn.gui.run_log import RunLog
from napari_medcnn.training.learning import STAGE

SHOWN_EVERY_MS = 1000
"""Whatever changes beside napari's canvas has the window drawn anew, which takes 20 to 30 ms where
that is done in software: once a second nobody feels it."""


class TrainFoot(QWidget):
    """Buttons without what they do, and what each state of a run shows."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.board = NoticeBoard(self)
        self.log = RunLog(self)
        self.stage = QLabel()
        self.bar = QProgressBar()
        self.start = QPushButton("Train")
        self.resume = QPushButton("Resume a run …")
        self.pause = QPushButton("Pause")
        self.stop = QPushButton("Stop")
        self.start.setToolTip("Teach the model; you can go on working meanwhile")
        self.resume.setToolTip("Go on with a run that was stopped, killed or failed: its folder")
        self.pause.setToolTip("Wait after the current step, with everything written")
        self.stop.setToolTip("End after the current step; the best and the last state are kept")
        self.stage.setMinimumWidth(1)
        self._latest: tuple[Progress, int] | None = None
        self._has_learnt = False
        self._pacing = QTimer(self)
        self._pacing.setSingleShot(True)
        self._pacing.setInterval(SHOWN_EVERY_MS)
        self._pacing.timeout.connect(self._show_latest)
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        for button in (self.start, self.resume, self.pause, self.stop):
            buttons.addWidget(button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 0, 6, 6)
        layout.setSpacing(6)
        for widget in (self.board, self.log, self.stage, self.bar):
            layout.addWidget(widget)
        layout.addLayout(buttons)
        layout.addWidget(ResearchNotice())

    def show_state(
        self, *, is_running: bool, is_paused: bool, is_stopping: bool, can_start: bool
    ) -> None:
        """Show what a state allows."""
        self.start.setVisible(not is_running)
        self.start.setEnabled(can_start)
        self.resume.setVisible(not is_running)
        for widget in (self.pause, self.stop, self.stage, self.bar):
            widget.setVisible(is_running)
        self.pause.setText("Go on" if is_paused else "Pause")
        self.pause.setEnabled(not is_stopping)
        self.stop.setEnabled(not is_stopping)

    def begin(self, text: str) -> None:
        """A run begins."""
        self.board.clear_closable()
        self.log.clear()
        self._has_learnt = False
        self._pacing.stop()
        # A bar that moves by itself would have the window drawn anew many times a second.
        self.bar.setRange(0, 1)
        self.bar.setValue(0)
        self.show_stage(text)

    def show_stage(self, text: str) -> None:
        """Say what is being done; progress that still waits to be shown is older than that."""
        self._latest = None
        self._say(text)

    def show_progress(self, progress: Progress, steps_per_epoch: int) -> None:
        """Show how far the run is, now or soon; that of a validation leaves the bar of the run."""
        self._latest = progress, steps_per_epoch
        if not self._pacing.isActive():
            self._show_latest()

    def _show_latest(self) -> None:
        if self._latest is None:
            return
        progress, steps_per_epoch = self._latest
        self._latest = None
        self._pacing.start()
        learns = progress.stage == STAGE
        self._has_learnt |= learns
        if learns or not self._has_learnt:
            self.bar.setRange(0, max(progress.total, 1))
            self.bar.setValue(progress.done)
        self._say(_epoch_text(progress, steps_per_epoch) if learns else progress_text(progress))

    def _say(self, text: str) -> None:
        self.stage.setText(text)
        self.stage.setToolTip(text)


def _epoch_text(progress: Progress, steps_per_epoch: int) -> str:
    """How far the training itself is, in epochs."""
    epoch = min(progress.done, progress.total - 1) // steps_per_epoch + 1
    text = f"Epoch {epoch} of {max(1, -(-progress.total // steps_per_epoch))}"
    if progress.eta_s is not None and progress.done < progress.total:
        text += f", about {duration_text(progress.eta_s)} left"
    return text
