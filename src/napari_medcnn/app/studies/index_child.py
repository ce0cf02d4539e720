"""The process that indexes a folder, apart from napari: no file can take napari down with it.

It runs as ``python -m napari_medcnn.app.studies.index_child INDEX FOLDER``, started by
:mod:`napari_medcnn.app.studies.indexing`.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import threading
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from napari_medcnn.app.studies.child_side import Parent, set_up, tell
from napari_medcnn.app.studies.file_header import NoImage, read_file_header
from napari_medcnn.app.studies.index_file import open_index
from napari_medcnn.app.studies.index_writer import IndexWriter, Stamp
from napari_medcnn.app.studies.journal import Journal
from napari_medcnn.app.studies.patient_key import secret_in
from napari_medcnn.app.studies.walk import Walk
from napari_medcnn.core.errors import MedcnnError, ReadError, WriteError
from napari_medcnn.core.events import Failed, Progress

JOURNAL_NAME = "reading"
LOCK_NAME = "indexing.lock"
FIRST_STEP_S = 0.3
STEP_S = 1.0
"""How often a batch is committed and told: the first files show soon; later, each time has a window
painted again, which beside a GL canvas costs tens of milliseconds."""

STAGE = "indexing"
TOO_SLOW = "took too long"


@dataclass
class Counts:
    """What indexing has done so far; `unchanged` files were not read."""

    files: int = 0
    read: int = 0
    unchanged: int = 0
    problems: int = 0
    removed: int = 0


def main() -> int:
    """Index the folder that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("index", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--skip", type=Path, help="the file at which the last process ended")
    parser.add_argument("--because", default="")
    asked = parser.parse_args()
    set_up()
    cancelled = Parent().gone
    warnings.simplefilter("ignore")  # pydicom warns of every irregular value
    skipped = None if asked.skip is None else (asked.skip, asked.because)
    try:
        index(asked.index, asked.folder, skipped, cancelled)
    except MedcnnError as error:
        tell(Failed(type(error).__name__, str(error)))
    return 0


def index(
    path: Path, folder: Path, skipped: tuple[Path, str] | None, cancelled: threading.Event
) -> None:
    """Bring the index of a folder up to date, telling how it goes.

    Parameters
    ----------
    path : Path
        The index file.
    folder : Path
        What is indexed.
    skipped : tuple of Path and str, optional
        A file that is not read, and why: an earlier process ended at it.
    cancelled : threading.Event
        Ends it after the file at hand; what was read is kept.

    Raises
    ------
    MedcnnError
        When the index cannot be written or is being written by another process.
    """
    lock = FileLock(path.with_name(LOCK_NAME))
    secret = secret_in(path.parent.parent)
    database = open_index(path, folder)
    try:
        with lock.acquire(blocking=False):
            journal = Journal(path.with_name(JOURNAL_NAME))
            indexing = _Indexing(folder, IndexWriter(database), journal, secret, skipped)
            indexing.run(cancelled)
    except Timeout:
        raise ReadError(
            "is being indexed by another napari already",
            source=folder,
            hint="choose the folder again to see what it has found",
        ) from None
    except (sqlite3.Error, OSError) as error:
        raise WriteError("the study index cannot be written", source=path.parent,
                         hint=f"free some space; {error}") from error  # fmt: skip
    finally:
        database.close()


class _Indexing:
    """One pass over a folder."""

    def __init__(
        self,
        folder: Path,
        writer: IndexWriter,
        journal: Journal,
        secret: bytes,
        skipped: tuple[Path, str] | None,
    ) -> None:
        self._folder, self._writer, self._journal = folder, writer, journal
        self._secret, self._skipped = secret, skipped
        self._counts = Counts()
        self._started = time.monotonic()
        self._told = 0.0

    def run(self, cancelled: threading.Event) -> None:
        """Look at every file; at the end remove those that have gone."""
        walk = Walk(self._folder)
        for path, stamp in walk:
            if cancelled.is_set():
                break
            self._take(path, stamp)
            self._keep_up(walk.count)
        walk.stop()
        self._writer.commit()
        if cancelled.is_set():
            tell(Failed("Cancelled", "cancelled", cancelled=True))
            return
        if Path() in walk.unreachable:
            raise ReadError("cannot be opened", source=self._folder, hint="is it still there?")
        self._counts.removed = self._writer.remove_unseen(walk.unreachable)
        self._writer.commit()
        tell(Progress(STAGE, self._counts.files, self._counts.files))
        tell({"event": "done", "counts": asdict(self._counts)})

    def _take(self, path: Path, stamp: Stamp) -> None:
        self._counts.files += 1
        if self._skipped is not None and self._skipped[0] == path:
            self._counts.problems += 1
            # A file that took too long may only have lain on a slow disk.
            late = TOO_SLOW in self._skipped[1]
            self._writer.put_broken(path, stamp, self._skipped[1], retry=late)
            self._writer.commit()  # known even if a later file ends this process, too
        elif self._writer.is_known(path, stamp):
            self._counts.unchanged += 1
        else:
            self._counts.read += 1
            self._journal.write(path)
            self._read(path, stamp)
            self._journal.write(None)

    def _read(self, path: Path, stamp: Stamp) -> None:
        try:
            header = read_file_header(self._folder / path, path, self._secret)
        except NoImage as error:
            self._writer.put_other(path, stamp, error.what)
        except ReadError as error:
            self._counts.problems += 1
            self._writer.put_broken(path, stamp, error.what)
        except Exception as error:  # noqa: BLE001 - whatever a file does, the next one is read
            self._counts.problems += 1
            name = type(error).__name__
            self._writer.put_broken(
                path, stamp, f"cannot be read ({name})", retry=isinstance(error, OSError)
            )
        else:
            self._writer.put(path, stamp, header)

    def _keep_up(self, known: int) -> None:
        """Commit and tell, every while."""
        now = time.monotonic() - self._started
        if now - self._told > (STEP_S if self._told else FIRST_STEP_S):
            self._writer.commit()
            done = self._counts.files
            tell(Progress(STAGE, done, max(known, done), (known - done) * now / done))
            self._told = now


if __name__ == "__main__":
    sys.exit(main())
