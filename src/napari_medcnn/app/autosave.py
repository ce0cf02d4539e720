"""Save a session by itself every few seconds, and find it again after a crash.

Each running session holds an operating system's lock on a file beside its autosave. The lock goes
with the process however that ends, so a lock that can be taken means a session that died; process
numbers, which are used again, decide nothing.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout
from platformdirs import user_state_path
from psygnal import Signal

from napari_medcnn.app.session import Session
from napari_medcnn.app.session_file import (
    SUFFIX,
    Snapshot,
    load_session,
    read_manifest,
    take_snapshot,
    write_snapshot,
)
from napari_medcnn.app.volume_reference import Relocation
from napari_medcnn.core.errors import MedcnnError, WriteError

LOCK_SUFFIX = ".lock"


def default_folder() -> Path:
    """Where autosaves lie unless the user says otherwise."""
    return user_state_path("napari-medcnn", appauthor=False) / "autosave"


class Autosave:
    """Writes a session's changes beside the running program, at most every `interval_s`.

    A timer calls :meth:`tick`, about once a second. A tick copies the label maps, which takes
    milliseconds; compressing and writing happen in a thread. What a crash can cost is the interval
    plus one tick and one writing.

    Parameters
    ----------
    session : Session
        What to save.
    folder : Path, optional
        :func:`default_folder` by default.
    interval_s : float
        Shortest time between two savings, in seconds.

    Attributes
    ----------
    failed : Signal
        A sentence for the user, emitted by :meth:`tick` on its own thread: the last saving failed.

    Raises
    ------
    WriteError
        When the folder cannot be written.
    """

    failed = Signal(str)

    def __init__(
        self, session: Session, folder: Path | None = None, interval_s: float = 20.0
    ) -> None:
        self._session = session
        self._interval_s = interval_s
        folder = default_folder() if folder is None else Path(folder)
        self.path = folder / f"{os.getpid()}-{session.id}{SUFFIX}"
        self._lock = _lock_of(self.path)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(blocking=False)
        except (OSError, Timeout) as error:
            raise WriteError(
                "sessions cannot be saved by themselves here", source=folder
            ) from error
        self._saved_count = -1 if session.is_dirty else session.change_count
        self._started_at: float | None = None
        self._writer: threading.Thread | None = None
        self._error: MedcnnError | None = None

    def tick(self) -> None:
        """Start saving if something changed, the interval is over and no saving is under way."""
        if self._writer is not None and self._writer.is_alive():
            return
        self._report()
        now = time.monotonic()
        waiting = self._started_at is not None and now - self._started_at < self._interval_s
        if waiting or self._session.change_count == self._saved_count:
            return
        self._started_at = now
        snapshot = take_snapshot(self._session)
        self._saved_count = snapshot.change_count
        self._writer = threading.Thread(
            target=self._write, args=(snapshot,), name="medcnn-autosave", daemon=True
        )
        self._writer.start()

    def wait(self) -> None:
        """Wait until a saving under way is over."""
        if self._writer is not None:
            self._writer.join()
        self._report()

    def close(self) -> None:
        """End cleanly: there is nothing to recover."""
        if self._writer is not None:
            self._writer.join()
        self.path.unlink(missing_ok=True)
        self._lock.release()
        Path(self._lock.lock_file).unlink(missing_ok=True)

    def _write(self, snapshot: Snapshot) -> None:
        try:
            write_snapshot(snapshot, self.path)
        except MedcnnError as error:
            self._error = error

    def _report(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            self._saved_count = -1  # nothing is safe; the next tick after the interval tries again
            self.failed.emit(str(error))


@dataclass(frozen=True)
class Recovery:
    """An autosave that its process left behind.

    Parameters
    ----------
    path : Path
        The session file.
    session_id : str
        Of the session.
    saved_at : str
        When it was last saved, ISO 8601 in UTC.
    names : tuple of str
        Its results, for people.
    """

    path: Path
    session_id: str
    saved_at: str
    names: tuple[str, ...] = field(default=())

    def open(self, relocate: Relocation | None = None) -> Session:
        """The session, marked as unsaved; the autosave stays until :meth:`discard`."""
        session = load_session(self.path, relocate)
        session.mark_saved(-1)
        return session

    def discard(self) -> None:
        """Delete the autosave, once its session is safe elsewhere or not wanted."""
        self.path.unlink(missing_ok=True)
        for unfinished in self.path.parent.glob(f".{self.path.stem}-*{SUFFIX}"):
            unfinished.unlink(missing_ok=True)
        Path(_lock_of(self.path).lock_file).unlink(missing_ok=True)


def recoverable(folder: Path | None = None) -> list[Recovery]:
    """The autosaves in `folder` whose processes ended without closing them, the latest first.

    Damaged ones are left out and left alone.
    """
    folder = default_folder() if folder is None else Path(folder)
    found: list[Recovery] = []
    for path in sorted(folder.glob(f"[!.]*{SUFFIX}")):
        if _is_running(path):
            continue
        try:
            manifest = read_manifest(path)
        except MedcnnError:
            continue
        names = tuple(result.name for result in manifest.results)
        found.append(Recovery(path, manifest.session_id, manifest.saved_at, names))
    return sorted(found, key=lambda recovery: recovery.saved_at, reverse=True)


def _lock_of(path: Path) -> FileLock:
    return FileLock(path.with_suffix(LOCK_SUFFIX))


def _is_running(path: Path) -> bool:
    lock = _lock_of(path)
    try:
        with lock.acquire(blocking=False):
            return False
    except Timeout:
        return True
