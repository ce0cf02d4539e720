"""From a job to Qt: the one place where work leaves the GUI thread.

A job runs in one of napari's generator workers. Such a worker swallows every ``RuntimeError`` (an
out-of-memory error of torch is one) and then never ends for those who listen, so no exception may
reach it: here each becomes a :class:`~napari_medcnn.core.events.Failed` event.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeAlias

from napari.qt.threading import create_worker
from qtpy.QtCore import QObject, Signal
from superqt.utils import GeneratorWorker

from napari_medcnn.core.errors import Cancelled, MedcnnError
from napari_medcnn.core.events import Done, Event, Failed, Job, JobControl, Progress
from napari_medcnn.gui.quick_turns import QuickTurns

JobFactory: TypeAlias = Callable[[JobControl], Job]

PROGRESS_INTERVAL_S = 0.05
"""Progress events that follow each other faster are left out: 20 a second is all an eye follows."""

_log = logging.getLogger(__name__)


class JobRunning(MedcnnError):
    """A second job was started while the first still runs."""


class JobRunner(QObject):
    """Runs one job at a time in a worker and tells about it on the GUI thread.

    Attributes
    ----------
    event : Signal
        Every event that is not the last one; fast progress is thinned.
    done : Signal
        The result of :class:`Done`.
    failed : Signal
        The :class:`Failed` event: an error, or the user's cancelling.
    finished : Signal
        After either of them; a new job may start now.
    """

    event = Signal(object)
    done = Signal(object)
    failed = Signal(object)
    finished = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._control: JobControl | None = None
        self._title = ""
        self._last: Done | Failed | None = None

    @property
    def is_running(self) -> bool:
        """Whether a job has started and not yet ended."""
        return self._control is not None

    @property
    def is_cancelling(self) -> bool:
        """Whether the job was asked to end and has not yet."""
        return self._control is not None and self._control.is_cancelled

    @property
    def is_paused(self) -> bool:
        """Whether the job was asked to wait."""
        return self._control is not None and self._control.is_paused

    @property
    def title(self) -> str:
        """What runs, in words; empty when nothing does."""
        return self._title

    def start(self, title: str, make_job: JobFactory) -> None:
        """Run the job that `make_job` makes with a control.

        Parameters
        ----------
        title : str
            What the job does, e.g. ``"Segmenting FLAIR"``; napari shows it when closed meanwhile.
        make_job : callable
            Takes a :class:`JobControl` and returns the job; it is called in the worker.

        Raises
        ------
        JobRunning
            When another job of this runner has not ended.
        """
        if self._control is not None:
            raise JobRunning(
                f"{self._title} is still running", hint="wait for it or cancel it first"
            )
        control = JobControl()
        worker = create_worker(
            _TitledJob(_guarded, title, make_job, control), _worker_class=_JobWorker
        )
        worker.control = control
        worker.yielded.connect(self._on_event)
        worker.finished.connect(self._on_worker_finished)
        self._control, self._title = control, title
        # The runner dies with its widget; the job must not outlive it.
        self.destroyed.connect(control.cancel)
        worker.start()

    def cancel(self) -> None:
        """Ask the job to end; `failed` tells when it has."""
        if self._control is not None:
            self._control.cancel()

    def pause(self) -> None:
        """Ask the job to wait at its next step."""
        if self._control is not None:
            self._control.pause()

    def resume(self) -> None:
        """Let a paused job go on."""
        if self._control is not None:
            self._control.resume()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Done | Failed):
            self._last = event
        else:
            self.event.emit(event)

    def _on_worker_finished(self) -> None:
        """Tell how the job ended; only now, when the worker has put back the warning filters.

        They are the whole process's: who acts on a result while the worker still puts them back
        gets warnings that were filtered out. Without a last event, napari stopped the worker, which
        it does when its window closes.
        """
        if self._control is None:
            return
        last, self._last = self._last, None
        self.destroyed.disconnect(self._control.cancel)
        self._control, self._title = None, ""
        if isinstance(last, Done):
            self.done.emit(last.result)
        elif last is not None:
            self.failed.emit(last)
        self.finished.emit()


def job_of(function: Callable[..., Any], *args: Any, **kwargs: Any) -> JobFactory:
    """A job of one step from a plain function; its return value is the result."""

    def make_job(control: JobControl) -> Job:
        control.checkpoint()
        result = function(*args, **kwargs)
        control.checkpoint()
        yield Done(result)

    return make_job


class _TitledJob(functools.partial[Iterator[Event]]):
    """A call that napari's list of running tasks shows by its title."""

    title: str

    def __new__(cls, function: Callable[..., Any], title: str, *args: Any) -> _TitledJob:
        call = super().__new__(cls, function, *args)
        call.title = title
        return call

    def __repr__(self) -> str:
        return str(self.title)


class _JobWorker(GeneratorWorker):
    """A worker that cancels its job when napari asks it to quit."""

    control: JobControl

    def run(self) -> None:
        """superqt's, but for the warnings.

        superqt has each worker change the whole process's warning filters and put them back: of two
        workers that overlap, one's change stays, and leads every later warning to a worker that is
        gone.
        """
        with contextlib.suppress(RuntimeError):  # Qt may delete the signals when napari ends
            self.started.emit()
            self._running = True
            # Closed here, and not when Python happens to drop it: `finished` means that what the
            # job held is free.
            with _WARNINGS, _TURNS, contextlib.closing(self._gen):
                result = self.work()
            if not self.abort_requested and not isinstance(result, Exception):
                self.returned.emit(result)
            self._running = False
            self.finished.emit()
            self._finished.emit(self)

    def quit(self) -> None:
        self.control.cancel()
        super().quit()


class _LoggedWarnings:
    """Library warnings go to the log, instead of popping up, while any job runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs = 0
        self._before = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._jobs == 0:
                self._before = warnings.catch_warnings()
                self._before.__enter__()
                warnings.filterwarnings("always")
                warnings.showwarning = _log_warning
            self._jobs += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._jobs -= 1
            if self._jobs == 0:
                self._before.__exit__(None, None, None)


_WARNINGS = _LoggedWarnings()
_TURNS = QuickTurns()


def _log_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    _log.warning("%s: %s", category.__name__, message)


def _guarded(make_job: JobFactory, control: JobControl) -> Generator[Event, None, None]:
    """The job's events, ending in exactly one Done or Failed, whatever happens."""
    try:
        for event in _thinned(make_job(control)):
            if isinstance(event, Done):
                control.checkpoint()  # a result after the user's cancelling is not wanted
            yield event
            if isinstance(event, Done | Failed):
                return
        yield Failed("RuntimeError", "the job ended without a result")
    except Cancelled as cancelled:
        yield Failed("Cancelled", str(cancelled), cancelled=True)
    except MedcnnError as error:
        notes = getattr(error, "__notes__", ())
        yield Failed(type(error).__name__, str(error), "\n".join(notes))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - see the module's docstring
        yield Failed(type(error).__name__, _in_words(error), traceback.format_exc())


def _thinned(events: Iterator[Event]) -> Iterator[Event]:
    """All events but the progress that comes too fast; a stage's first and last step stay."""
    stage, last = "", 0.0
    for event in events:
        if isinstance(event, Progress):
            now = time.monotonic()
            new = event.stage != stage or event.done >= event.total
            if not new and now - last < PROGRESS_INTERVAL_S:
                continue
            stage, last = event.stage, now
        yield event


def _in_words(error: BaseException) -> str:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return (
            "there is not enough memory (close other images, or choose another device or "
            f"a smaller image): {error}"
        )
    text = str(error).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
