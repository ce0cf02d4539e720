"""Look up what only series that someone looks at need: thumbnails and findings."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from napari_medcnn.app.studies.child_process import ChildEnded, ChildProcess
from napari_medcnn.app.studies.index_file import index_path, open_index
from napari_medcnn.app.studies.index_reader import IndexReader, SeriesDetails
from napari_medcnn.app.studies.index_writer import keep_details
from napari_medcnn.app.studies.patient_key import Identity
from napari_medcnn.core.events import Done, Job, JobControl, Preview, Progress

CHILD = "napari_medcnn.app.studies.details_child"
PATIENCE_S = 60.0
"""For one series; the findings of thousands of files take a while on a slow network."""

_POLL_S = 0.1


class DetailsMaker:
    """Has details made by a process of its own, which stays for the next ones.

    A file that makes the process crash costs its series the picture, nothing else. One job at a
    time; :meth:`close` may be called from any thread.
    """

    def __init__(self, folder: Path, cache: Path | None = None) -> None:
        self._folder, self._index = folder, index_path(folder, cache)
        self._child: ChildProcess | None = None
        self._closed = threading.Event()

    def details(self, series: Iterable[int], control: JobControl) -> Job:
        """Put details of series into the index; a ``Preview`` tells of each, by the series' id."""
        for number in series:
            control.checkpoint()
            if self._answer({"series": number}, control) is None:
                self._keep_none(number)
            yield Preview(str(number), str(self._index), "details")
        yield Done(None)

    def identities(self, patients: Iterable[int], control: JobControl) -> Job:
        """Read who patients are; ends in ``Done`` with a dict of :class:`Identity` by id."""
        wanted, found = list(patients), {}
        for number, patient in enumerate(wanted):
            control.checkpoint()
            answer = self._answer({"patient": patient}, control)
            found[patient] = Identity() if answer is None else Identity(**answer["identity"])
            yield Progress("reading names", number + 1, len(wanted))
        yield Done(found)

    def close(self) -> None:
        """End the process."""
        self._closed.set()
        child = self._child
        if child is not None:
            child.dismiss()

    # ------------------------------------------------------------------------------------------

    def _answer(self, request: dict[str, Any], control: JobControl) -> dict[str, Any] | None:
        """The process's answer, None when it crashed over it or took too long."""
        try:
            child = self._running()
            child.ask(request)
            asked = time.monotonic()
            while time.monotonic() - asked < PATIENCE_S and not self._closed.is_set():
                control.checkpoint()
                answer = child.answer(_POLL_S)
                if answer is not None:
                    return answer
        except ChildEnded:
            pass
        except BaseException:
            self._end()  # its late answer must not be taken for the next one's
            raise
        self._end()
        control.checkpoint()
        return None

    def _running(self) -> ChildProcess:
        if self._closed.is_set():
            raise ChildEnded
        if self._child is None:
            self._child = ChildProcess(CHILD, self._index, self._folder)
        return self._child

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.close()

    def _keep_none(self, number: int) -> None:
        if self._closed.is_set():
            return
        with contextlib.closing(open_index(self._index, self._folder)) as database:
            series = IndexReader(database).one_series(number)
            if series is not None:
                with contextlib.suppress(sqlite3.OperationalError):  # made again the next time
                    keep_details(database, series, SeriesDetails(None))
