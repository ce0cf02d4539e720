"""Index a folder in a process of its own, and go on when a file makes that process crash."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from napari_medcnn.app.studies.child_process import ChildEnded, ChildProcess
from napari_medcnn.app.studies.index_child import JOURNAL_NAME, TOO_SLOW
from napari_medcnn.app.studies.index_file import index_path
from napari_medcnn.app.studies.journal import Journal
from napari_medcnn.core.errors import Cancelled, MedcnnError, ReadError
from napari_medcnn.core.events import Done, Event, Job, JobControl, Message, Progress

CHILD = "napari_medcnn.app.studies.index_child"

MOST_CRASHES = 20
"""More files than this that end their reader's process are no accident."""

PATIENCE_S = 30.0
"""No header takes longer to read, not even from a slow network."""

_POLL_S = 0.1
_CRASHED = "cannot be read (its reader crashed)"


@dataclass(frozen=True)
class IndexReport:
    """How an indexing went: `files` seen, of which `unchanged` ones were not read again."""

    files: int
    read: int
    unchanged: int
    problems: int
    removed: int
    seconds: float


def index_folder(folder: Path, control: JobControl, cache: Path | None = None) -> Job:
    """Bring the index of a folder up to date; ends in ``Done(IndexReport)``.

    It can be cancelled and started again at any time: what was read is kept, files that have not
    changed are not read again, those that have gone are removed.

    Parameters
    ----------
    folder : Path
        With everything below it.
    control : JobControl
        Cancels.
    cache : Path, optional
        The folder of indexes, the user's own by default.

    Raises
    ------
    ReadError
        When the folder cannot be read, or files end the reader again and again.
    WriteError
        When the index cannot be written.
    """
    if not folder.is_dir():
        raise ReadError("is no folder", source=folder, hint="is its disk still connected?")
    index = index_path(folder, cache)
    index.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    started = time.monotonic()
    arguments: tuple[str, ...] = ()
    for _ in range(MOST_CRASHES):
        with (
            contextlib.closing(Journal(index.with_name(JOURNAL_NAME))) as journal,
            ChildProcess(CHILD, index, folder, *arguments) as child,
        ):
            journal.write(None)
            counts = yield from _followed(child, journal, control)
            at, reason = journal.read(), _CRASHED
            if isinstance(counts, str):
                reason, counts = counts, None
        if counts is not None:
            yield Done(IndexReport(**counts, seconds=time.monotonic() - started))
            return
        if at is None:
            raise ReadError("cannot be indexed: the indexing process ended", source=folder)
        yield Message(f"{folder / at}: {reason}; it is left out", "warning")
        arguments = ("--skip", str(at), "--because", reason)
    raise ReadError(
        f"holds more than {MOST_CRASHES} files that end their reader's process",
        source=folder,
        hint="index again to go on behind them, or choose a folder without them",
    )


def _followed(
    child: ChildProcess, journal: Journal, control: JobControl
) -> Generator[Event, None, dict[str, int] | str | None]:
    """A child's events; the counts at its end, a reason where it was ended, None if it crashed."""
    at, since = None, time.monotonic()
    while True:
        if control.is_cancelled:
            child.dismiss()
        try:
            told = child.answer(_POLL_S)
        except ChildEnded:
            control.checkpoint()
            return None
        if journal.read() != at or at is None:
            at, since = journal.read(), time.monotonic()
        elif time.monotonic() - since > PATIENCE_S:
            child.kill()
            return f"cannot be read ({TOO_SLOW})"
        if told is None:
            continue
        kind = told.pop("event")
        if kind == "progress":
            yield Progress(**told)
        elif kind == "done":
            counts: dict[str, int] = told["counts"]
            return counts
        elif kind == "failed":
            if told["cancelled"]:
                raise Cancelled
            raise MedcnnError(told["text"])
