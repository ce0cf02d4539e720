"""Closing a window or a dock while it trains: ask, stop the run properly, and only then close."""

from __future__ import annotations

import time

from qtpy.QtCore import QEvent, QEventLoop, QObject, Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QMessageBox, QPushButton, QWidget

from napari_medcnn.core.job_process import PATIENCE_S
from napari_medcnn.gui.bridge import JobRunner

CLOSE_BUTTON = "QTitleBarCloseButton"
"""napari's name of the button that takes a dock away."""

QUESTION = (
    "A model is being trained. Closing stops the run; what it has learnt stays in its folder, and "
    "“Resume a run” goes on from there."
)


class TrainClosing(QObject):
    """Watches the window and the dock of a widget whose runner trains."""

    def __init__(self, widget: QWidget, window: QWidget, runner: JobRunner) -> None:
        super().__init__(widget)
        self._widget, self._runner = widget, runner
        window.installEventFilter(self)

    def watch_dock(self) -> None:
        """Watch the close button that the dock has by now; napari makes new ones as it moves."""
        dock: QWidget | None = self._widget
        while dock is not None and not isinstance(dock, QDockWidget):
            dock = dock.parentWidget()
        if dock is None:
            return
        dock.topLevelChanged.connect(self._watch_later, Qt.ConnectionType.UniqueConnection)
        dock.dockLocationChanged.connect(self._watch_later, Qt.ConnectionType.UniqueConnection)
        for button in dock.findChildren(QPushButton, CLOSE_BUTTON):
            button.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's
        """Keep back what would close while the run has not stopped."""
        if not self._runner.is_running:
            return False
        if isinstance(watched, QMainWindow):
            if event.type() != QEvent.Type.Close:
                return False
            # A program that closes its viewer cannot answer; the run stops properly all the same.
            if event.spontaneous() and not self.ask():
                event.ignore()
                return True
            self.stop_and_wait()
            return False
        if event.type() == QEvent.Type.MouseButtonRelease:
            if not self.ask():
                return True
            self.stop_and_wait()
        return False

    def ask(self) -> bool:
        """Whether the user wants to stop the run."""
        box = QMessageBox(self._widget)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("Stop the training?")
        box.setText(QUESTION)
        stop = box.addButton("Stop and close", QMessageBox.ButtonRole.AcceptRole)
        keep = box.addButton("Go on training", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(keep)
        box.exec_()
        return box.clickedButton() is stop

    def stop_and_wait(self) -> None:
        """Stop the run, and let it write its last state."""
        if not self._runner.is_running:
            return
        self._runner.cancel()
        loop = QEventLoop()
        self._runner.finished.connect(loop.quit)
        ticking = QTimer()
        ticking.timeout.connect(loop.quit)
        deadline = time.monotonic() + PATIENCE_S + 5
        ticking.start(200)
        while self._runner.is_running and time.monotonic() < deadline:
            loop.exec_()

    def _watch_later(self, *_: object) -> None:
        QTimer.singleShot(0, self.watch_dock)
