"""Keep a viewer's session safe: save by itself, offer what a crash left, save and open files."""

from __future__ import annotations

import time
from pathlib import Path

from qtpy.QtCore import QObject, QTimer, Signal

from napari_medcnn.app.autosave import Autosave, Recovery, recoverable
from napari_medcnn.app.session import Session
from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.gui.preferences import preferences

TICK_MS = 1000


class SessionSaving(QObject):
    """Autosaves one session while it has results.

    Attributes
    ----------
    recoveries_changed : Signal
        Another set of autosaved sessions is on offer.
    problem : Signal
        A sentence for the user: autosaving does not work.
    """

    recoveries_changed = Signal()
    problem = Signal(str)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._autosave: Autosave | None = None
        self._restored: list[tuple[float, Recovery]] = []
        self.recoveries = _latest_of_each_session(recoverable())
        try:
            self._autosave = Autosave(session, interval_s=preferences().autosave_interval_s)
            self._autosave.failed.connect(self._on_failed)
        except MedcnnError as error:
            self._start_problem = str(error)
        else:
            self._start_problem = ""
        self._timer = QTimer(self)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self.tick)
        self._timer.start()

    @property
    def start_problem(self) -> str:
        """Why nothing can be saved by itself here; empty where it can."""
        return self._start_problem

    def tick(self) -> None:
        """Save if it is time to; forget an autosave once its session is in ours."""
        if self._autosave is None or not self._session.results:
            return
        self._autosave.tick()
        for when, recovery in list(self._restored):
            if _modified(self._autosave.path) > when:
                recovery.discard()
                self._restored.remove((when, recovery))

    def note_restored(self, recovery: Recovery) -> None:
        """The recovery's session is now a part of ours; its file stays until ours is written."""
        if self._autosave is not None:
            self._autosave.wait()
        self._restored.append((time.time(), recovery))
        self._withdraw(recovery)

    def discard(self, recovery: Recovery) -> None:
        """Delete an autosaved session."""
        recovery.discard()
        self._withdraw(recovery)

    def postpone(self, recovery: Recovery) -> None:
        """Offer it again when napari is started next."""
        self._withdraw(recovery)

    def end(self) -> None:
        """The viewer is closed: what was not saved stays to be recovered.

        Touches nothing of Qt, which is gone by then.
        """
        autosave, self._autosave = self._autosave, None
        if autosave is None:
            return
        if self._session.is_dirty and self._session.results:
            autosave.wait()
            return
        autosave.close()
        for _, recovery in self._restored:
            recovery.discard()

    def _withdraw(self, recovery: Recovery) -> None:
        self.recoveries = tuple(r for r in self.recoveries if r.path != recovery.path)
        self.recoveries_changed.emit()

    def _on_failed(self, text: str) -> None:
        self.problem.emit(text)


def _latest_of_each_session(found: list[Recovery]) -> tuple[Recovery, ...]:
    latest: dict[str, Recovery] = {}
    for recovery in found:
        latest.setdefault(recovery.session_id, recovery)
    return tuple(latest.values())


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
