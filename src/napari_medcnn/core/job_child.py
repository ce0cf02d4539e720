"""The child's side of a job in a process of its own; started by :mod:`.job_process` alone."""

from __future__ import annotations

import contextlib
import importlib
import os
import queue
import signal
import sys
import threading
import traceback
from dataclasses import dataclass
from typing import Any, Literal

from napari_medcnn.core.events import Job, JobControl
from napari_medcnn.core.object_stream import ObjectStream

NICENESS = 5
"""Whoever looks at images comes first."""

IDLE_S = 900.0
"""A child that nobody asked for anything for so long ends, and with it the memory it holds."""

GRACE_S = 5.0
"""How long a job may take to end when the parent has gone."""


@dataclass(frozen=True)
class Start:
    """Run the job ``function(*arguments, control=..., **keywords)`` in this environment."""

    module: str
    function: str
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    environment: dict[str, str]


@dataclass(frozen=True)
class Steer:
    """Steer the job that runs."""

    action: Literal["cancel", "pause", "resume"]


@dataclass(frozen=True)
class Raised:
    """The job ended with an error; `details` is its traceback."""

    error: BaseException
    details: str


@dataclass(frozen=True)
class Ended:
    """The job ended; everything it told has been sent."""


def main() -> None:
    """Run one job after the other until the parent goes, or asks for nothing any more."""
    child = _Child(_own_stream())
    while (start := child.next()) is not None:
        child.run(start)


def _own_stream() -> ObjectStream:
    """The pipes of the parent; what libraries print goes to standard error instead."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when a job ends
    incoming, outgoing = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    return ObjectStream(os.fdopen(incoming, "rb", 0), os.fdopen(outgoing, "wb", 0))


class _Child:
    def __init__(self, stream: ObjectStream) -> None:
        self._stream = stream
        self._starts: queue.SimpleQueue[Start | None] = queue.SimpleQueue()
        self._control = JobControl()
        threading.Thread(target=self._listen, name="medcnn-parent", daemon=True).start()

    def next(self) -> Start | None:
        """The next job; None when there will be none."""
        try:
            return self._starts.get(timeout=IDLE_S)
        except queue.Empty:
            return None

    def run(self, start: Start) -> None:
        """Run a job and tell its events, and how it ended."""
        os.environ.clear()
        os.environ.update(start.environment)
        try:
            for event in _job_of(start, self._control):
                self._stream.send(event)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - raised again in the parent
            self._tell_error(error)
        finally:
            with contextlib.suppress(OSError):
                self._stream.send(Ended())

    def _tell_error(self, error: BaseException) -> None:
        details = "".join(traceback.format_exception(error))
        traceback.clear_frames(error.__traceback__)
        error.__traceback__ = error.__cause__ = error.__context__ = None
        try:
            self._stream.send(Raised(error, details))
        except OSError:
            return
        except Exception:  # noqa: BLE001 - an error that cannot be pickled is told in words
            words = f"{type(error).__name__}: {error}"
            self._stream.send(Raised(RuntimeError(words), details))

    def _listen(self) -> None:
        try:
            while True:
                message = self._stream.receive()
                if isinstance(message, Start):
                    self._control = JobControl()
                    self._starts.put(message)
                elif isinstance(message, Steer):
                    getattr(self._control, message.action)()
        except (EOFError, OSError):
            self._starts.put(None)
            self._control.cancel()
            threading.Timer(GRACE_S, os._exit, (1,)).start()


def _job_of(start: Start, control: JobControl) -> Job:
    function = getattr(importlib.import_module(start.module), start.function)
    job: Job = function(*start.arguments, control=control, **start.keywords)
    return job


if __name__ == "__main__":
    # As the module that the parent knows: pickled messages name it, and not __main__.
    from napari_medcnn.core import job_child

    job_child.main()
    sys.exit(0)
