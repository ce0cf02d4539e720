"""Offer a session that a crash left behind, inline, in whichever dock opens first."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from functools import partial

from qtpy.QtCore import QObject

from napari_medcnn.app.autosave import Recovery
from napari_medcnn.app.session import Session
from napari_medcnn.core.events import Failed
from napari_medcnn.core.volume import Severity
from napari_medcnn.gui.bridge import JobRunner, JobRunning, job_of
from napari_medcnn.gui.notices import Notice, NoticeBoard
from napari_medcnn.gui.viewer_state import ViewerState


class RecoveryOffer(QObject):
    """Shows the autosaved sessions on a board, with Restore, Discard and Later."""

    def __init__(self, state: ViewerState, board: NoticeBoard) -> None:
        super().__init__(board)
        self._state, self._board = state, board
        self._shown: dict[str, Notice] = {}
        self._restoring: Recovery | None = None
        self.runner = JobRunner(self)
        self.runner.done.connect(self._on_restored)
        self.runner.failed.connect(self._on_failed)
        state.saving.recoveries_changed.connect(self._refresh)
        self._refresh()

    def _refresh(self) -> None:
        saving = self._state.saving
        on_offer = {str(recovery.path): recovery for recovery in saving.recoveries}
        for path in [path for path in self._shown if path not in on_offer]:
            self._shown.pop(path).dismiss()
        for path, recovery in on_offer.items():
            if path not in self._shown:
                self._shown[path] = self._board.post(
                    Severity.INFO,
                    offer_text(recovery),
                    [
                        ("Restore", partial(self.restore, recovery)),
                        ("Discard", partial(saving.discard, recovery)),
                        ("Later", partial(saving.postpone, recovery)),
                    ],
                    closable=False,
                )

    def restore(self, recovery: Recovery) -> None:
        """Read the autosaved session in a worker and take over what it holds."""
        try:
            self.runner.start("Restoring the autosaved session", job_of(recovery.open))
        except JobRunning:
            return
        self._restoring = recovery

    def _on_restored(self, session: Session) -> None:
        recovery, self._restoring = self._restoring, None
        if recovery is None:
            return
        self._state.merge(session)
        for finding in session.problems:
            self._board.post_finding(finding)
        self._state.saving.note_restored(recovery)

    def _on_failed(self, failed: Failed) -> None:
        self._restoring = None
        self._board.post_failure("The autosaved session could not be opened", failed)


def offer_text(recovery: Recovery) -> str:
    """What the user is asked."""
    when = recovery.saved_at
    with suppress(ValueError):  # shown as it stands then
        when = datetime.fromisoformat(when).astimezone().strftime("%d %b %Y, %H:%M")
    names = ", ".join(recovery.names[:3]) + (" …" if len(recovery.names) > 3 else "")
    of = f" of {names}" if names else ""
    return f"An autosaved session{of} was found ({when}); napari ended without saving it."
