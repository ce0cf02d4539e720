"""Run jobs in a process of their own: what crashes there, or eats all memory, ends there.

A child stays for the next job, which then finds libraries imported and networks loaded. It is
started as a plain Python process, not by :mod:`multiprocessing`: that would run the user's own
script again in the child, napari and all.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import IO, Any

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import Done, Event, Job, JobControl
from napari_medcnn.core.job_child import Ended, Raised, Start, Steer
from napari_medcnn.core.object_stream import ObjectStream

ASK_S = 0.1
"""How often a waiting job looks whether it was cancelled or paused."""

PATIENCE_S = 30.0
"""A cancelled job that has not ended by then is ended with its process."""

_LAST_WORDS = 4000
_CHILD = "napari_medcnn.core.job_child"


class JobProcessEnded(MedcnnError):
    """The process that ran a job ended before the job did."""


def in_own_process(
    function: Callable[..., Job], *arguments: Any, **keywords: Any
) -> Callable[[JobControl], Job]:
    """A job like ``function(*arguments, control=control, **keywords)``, in a process of its own.

    Parameters
    ----------
    function : callable
        Found by its name in its module; takes a `control` and returns a job.
    *arguments, **keywords
        Copied to the child; arrays without a detour.

    Returns
    -------
    callable
        Takes a control and returns the job: the same events, errors and result. It raises
        :class:`JobProcessEnded` when the process ends by itself.
    """

    def make_job(control: JobControl) -> Job:
        where = (function.__module__, function.__name__)
        start = Start(*where, arguments, keywords, dict(os.environ))
        child = _POOL.take()
        try:
            yield from child.events(start, control)
        finally:
            _POOL.give_back(child)

    return make_job


def end_all() -> None:
    """End the processes that wait for work."""
    _POOL.close()


class _Process:
    """A child and what it says."""

    def __init__(self) -> None:
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as this
        # -P: a folder of scans that is the working directory must not lend modules to the child.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            bufsize=0,
            start_new_session=os.name == "posix",  # Ctrl-C is the parent's
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the process has no pipes")
        self._stream = ObjectStream(self._process.stdout, self._process.stdin)
        self._messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.is_busy = False
        self._listener = threading.Thread(
            target=self._listen, name="medcnn-job-process", daemon=True
        )
        self._listener.start()

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def events(self, start: Start, control: JobControl) -> Job:
        """The events of a job; ends the process if the job is left before its end."""
        steering = _Steering(control, self._send)
        try:
            control.checkpoint()
            self._send(start)
            self.is_busy = True
            while not isinstance(message := self._next(steering), Ended):
                if isinstance(message, Raised):
                    self._wait_for_end(steering)
                    raise _with_details(message)
                if isinstance(message, Done):  # after which nobody may ask for more
                    self._wait_for_end(steering)
                    yield message
                    return
                yield message
            self.is_busy = False
        finally:
            if self.is_busy:
                self.kill()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Let it end, for which it needs no force: it waits for work."""
        self._stream.hang_up()
        try:
            self._process.wait(3.0)
        except subprocess.TimeoutExpired:
            self.kill()
        self._listener.join()
        self._stderr.close()

    def _wait_for_end(self, steering: _Steering) -> None:
        while not isinstance(self._next(steering), Ended):
            pass
        self.is_busy = False

    def _next(self, steering: _Steering) -> Event | Raised | Ended:
        while True:
            try:
                message = self._messages.get(timeout=ASK_S)
            except queue.Empty:
                if steering.look():
                    continue
                self.kill()
                steering.control.checkpoint()
            if message is None:
                raise self._ended(steering.control)
            found: Event | Raised | Ended = message
            steering.look()
            return found

    def _send(self, message: Any) -> None:
        # When nobody reads any more, the end of the messages says so.
        with contextlib.suppress(OSError):
            self._stream.send(message)

    def _listen(self) -> None:
        try:
            while True:
                self._messages.put(self._stream.receive())
        except (EOFError, OSError):
            self._messages.put(None)
        finally:
            self._stream.stop_listening()

    def _ended(self, control: JobControl) -> BaseException:
        """Why it ended, in words."""
        code = self._process.wait()
        control.checkpoint()
        hint = "nothing that was written is lost; start again, or run a smaller region"
        if code < 0 and -code == getattr(signal, "SIGKILL", None):
            how = "was ended by the system, as it does when memory ends"
        elif code < 0:
            how = f"crashed ({signal.Signals(-code).name})"
        else:
            how = f"ended unexpectedly (exit code {code})"
        error = JobProcessEnded(f"the process that did the work {how}", hint=hint)
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - _LAST_WORDS))
        error.add_note(self._stderr.read().decode(errors="replace"))
        return error


class _Steering:
    """Hands the user's wishes on to the child as they change."""

    def __init__(self, control: JobControl, send: Callable[[Steer], None]) -> None:
        self.control = control
        self._send = send
        self._paused = False
        self._cancelled_at = 0.0

    def look(self) -> bool:
        """Hand on what changed; False when a cancelled job has had all the time it gets."""
        if self.control.is_cancelled:
            if not self._cancelled_at:
                self._cancelled_at = time.monotonic()
                self._send(Steer("cancel"))
            return time.monotonic() - self._cancelled_at < PATIENCE_S
        if self.control.is_paused != self._paused:
            self._paused = not self._paused
            self._send(Steer("pause" if self._paused else "resume"))
        return True


def _with_details(raised: Raised) -> BaseException:
    raised.error.add_note(raised.details)
    return raised.error


class _Pool:
    """Processes that wait for the next job: as many as ran at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Process] = []

    def take(self) -> _Process:
        with self._lock:
            while self._idle:
                child = self._idle.pop()
                if child.is_alive:
                    return child
                child.close()
        return _Process()

    def give_back(self, child: _Process) -> None:
        with self._lock:
            if child.is_alive and not self._idle:
                self._idle.append(child)
                return
        child.close()

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            child.close()


_POOL = _Pool()
atexit.register(end_all)
