"""The one stream of events that every long operation yields, and the control it obeys.

A job is a plain generator of the frozen events below. It takes a :class:`JobControl`, calls
:meth:`JobControl.checkpoint` between its small steps, raises its errors like any Python code, and
:class:`~napari_medcnn.core.errors.Cancelled` when cancelled.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, TypeVar

from napari_medcnn.core.errors import Cancelled

Level: TypeAlias = Literal["info", "warning"]
CaseState: TypeAlias = Literal[
    "waiting", "reading", "computing", "writing", "done", "skipped", "failed"
]
"""How far one case of many is; the last three are final."""


@dataclass(frozen=True)
class Progress:
    """`done` of `total` steps of `stage` are finished.

    `eta_s` is the expected time to the end of this stage in seconds, None while unknown.
    """

    stage: str
    done: int
    total: int
    eta_s: float | None = None


@dataclass(frozen=True)
class Message:
    """Something the user should read."""

    text: str
    level: Level = "info"


@dataclass(frozen=True)
class Metric:
    """One value of a curve, e.g. of a training loss."""

    name: str
    value: float
    step: int


@dataclass(frozen=True)
class Fallback:
    """The job goes on in another way than planned: `wanted` was not possible, `used` is."""

    wanted: str
    used: str
    reason: str


@dataclass(frozen=True)
class Preview:
    """An intermediate array of a volume, by the id of the volume and the path of a file.

    `spacing_mm` is that of the array's grid, ``(z, y, x)``; None where the receiver knows it.
    """

    volume_id: str
    path: str
    what: str
    spacing_mm: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class CaseUpdate:
    """One case of a batch is in another state than before.

    Parameters
    ----------
    case : str
        Its id.
    state : CaseState
        How far it is.
    text : str
        Why it failed, was skipped or runs again; ``""`` where there is nothing to say.
    lesions : int, optional
        How many were found; None before it is done.
    volume_ml : float, optional
        Their total; None before it is done, or where it is unknown.
    seconds : float, optional
        How long it took, reading and writing included; None before it is done.
    """

    case: str
    state: CaseState
    text: str = ""
    lesions: int | None = None
    volume_ml: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Done:
    """The last event: the job's result."""

    result: Any


@dataclass(frozen=True)
class Failed:
    """The last event where exceptions may not pass, as in a GUI worker.

    `kind` is the exception's class name; `details` a traceback for a report.
    """

    kind: str
    text: str
    details: str = ""
    cancelled: bool = False


Event: TypeAlias = Progress | Message | Metric | Fallback | Preview | CaseUpdate | Done | Failed
Job: TypeAlias = Generator[Event, None, None]

_Result = TypeVar("_Result")


def to_json(event: Event) -> dict[str, Any]:
    """The event as a JSON-able dict with its kind; a result is named by its type only."""
    kind = type(event).__name__.lower()
    if isinstance(event, Done):
        return {"event": kind, "result": type(event.result).__name__}
    return {"event": kind, **asdict(event)}


class JobControl:
    """Cancel, pause and resume a job from another thread."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._running = threading.Event()
        self._running.set()

    def cancel(self) -> None:
        """Ask the job to end; a paused job wakes up for it."""
        self._cancelled.set()
        self._running.set()

    def pause(self) -> None:
        """Ask the job to wait at its next checkpoint."""
        self._running.clear()

    def resume(self) -> None:
        """Let a paused job go on."""
        self._running.set()

    @property
    def is_cancelled(self) -> bool:
        """Whether someone asked the job to end."""
        return self._cancelled.is_set()

    @property
    def is_paused(self) -> bool:
        """Whether the job waits, or will at its next checkpoint."""
        return not self._running.is_set()

    def checkpoint(self) -> None:
        """Wait while paused.

        Raises
        ------
        Cancelled
            When the job was cancelled.
        """
        self._running.wait()
        if self._cancelled.is_set():
            raise Cancelled


def result_of(job: Job, expected: type[_Result]) -> Generator[Event, None, _Result]:
    """Run a job within another one: its events are passed on, and its result is returned.

    To be used as ``found = yield from result_of(job, Found)``; a result of another class is an
    error of the program.
    """
    for event in job:
        if not isinstance(event, Done):
            yield event
        elif isinstance(event.result, expected):
            return event.result
        else:
            raise TypeError(f"the job ended with {type(event.result)}, not {expected}")
    raise RuntimeError("the job ended without a result")


def run_to_end(
    job: Job, expected: type[_Result], on_event: Callable[[Event], None] | None = None
) -> _Result:
    """Exhaust a job and return the result of its :class:`Done` event.

    Parameters
    ----------
    job : Job
        The generator of events.
    expected : type
        The class of the result, checked.
    on_event : callable, optional
        Called with every event, :class:`Done` included.
    """
    result: _Result | None = None
    for event in job:
        if on_event is not None:
            on_event(event)
        if isinstance(event, Done):
            if not isinstance(event.result, expected):
                raise TypeError(f"the job ended with {type(event.result)}, not {expected}")
            result = event.result
    if result is None:
        raise RuntimeError("the job ended without a result")
    return result
