"""A job's progress: what is being done, how far it is, how long it takes, and Cancel."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_medcnn.core.events import Event, Progress
from napari_medcnn.gui.bridge import JobRunner


class ProgressRow(QWidget):
    """Shows a runner's job while it runs; hidden otherwise."""

    def __init__(self, runner: JobRunner, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._runner = runner
        self.stage = QLabel()
        self.stage.setMinimumWidth(1)
        self.bar = QProgressBar()
        self.bar.setTextVisible(True)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop; nothing that is open already is lost")
        self.cancel_button.clicked.connect(self._cancel)
        row = QHBoxLayout()
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.stage)
        layout.addLayout(row)
        runner.event.connect(self._on_event)
        runner.finished.connect(self.hide)
        self.hide()

    def begin(self) -> None:
        """Show that the runner's job has begun."""
        self.stage.setText(f"{self._runner.title} …")
        self.bar.setRange(0, 0)
        self.cancel_button.setEnabled(True)
        self.cancel_button.setText("Cancel")
        self.show()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Progress) and not self._runner.is_cancelling:
            self.stage.setText(progress_text(event))
            self.stage.setToolTip(self.stage.text())
            self.bar.setRange(0, max(event.total, 0))
            self.bar.setValue(event.done)

    def _cancel(self) -> None:
        self._runner.cancel()
        self.cancel_button.setEnabled(False)
        self.stage.setText("Cancelling …")
        self.bar.setRange(0, 0)


def progress_text(progress: Progress) -> str:
    """E.g. ``Windows: 12 of 48, about 35 s left``."""
    stage = progress.stage[:1].upper() + progress.stage[1:]
    if progress.total <= 1:
        return f"{stage} …"
    text = f"{stage}: {progress.done} of {progress.total}"
    if progress.eta_s is not None and progress.done < progress.total:
        text += f", about {duration_text(progress.eta_s)} left"
    return text


def duration_text(seconds: float) -> str:
    """A duration as people say it: ``8 s``, ``2 min 10 s``, ``1 h 5 min``."""
    whole = max(round(seconds), 1)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 10 and rest >= 5:
        return f"{minutes} min {rest} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
