"""Blocking work of a library as part of a job: in a thread that tells each of its steps.

Libraries that hold their own loop can be neither asked how far they are nor told to stop. What they
call back can do both.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator
from typing import TypeVar

from napari_medcnn.core.errors import Cancelled
from napari_medcnn.core.events import Event, JobControl, Progress

_Result = TypeVar("_Result")


def followed(
    work: Callable[[Callable[[], None]], _Result], stage: str, total: int, control: JobControl
) -> Generator[Event, None, _Result]:
    """Run `work` in a thread, in step with this generator; returns its result.

    Parameters
    ----------
    work : callable
        Takes a function that it calls before each of its steps. This returns when the job goes on,
        and raises ``Cancelled`` in the thread when it ends here.
    stage : str
        Of the progress.
    total : int
        How many steps there will be.

    Yields
    ------
    Event
        `Progress` before each step.

    Raises
    ------
    Exception
        What `work` raises.
    Cancelled
        When the job was cancelled.
    """
    begun: queue.SimpleQueue[bool] = queue.SimpleQueue()
    goes_on: queue.SimpleQueue[bool] = queue.SimpleQueue()
    outcome: list[_Result] = []
    failure: list[BaseException] = []

    def step() -> None:
        begun.put(True)
        if not goes_on.get():
            raise Cancelled

    def run() -> None:
        try:
            outcome.append(work(step))
        except BaseException as error:  # noqa: BLE001 - it is raised again where the job runs
            failure.append(error)
        finally:
            begun.put(False)

    thread = threading.Thread(target=run, name=stage, daemon=True)
    thread.start()
    done = 0
    try:
        while begun.get():
            yield Progress(stage, min(done, total), total)
            control.checkpoint()
            goes_on.put(True)
            done += 1
    finally:
        goes_on.put(False)
        thread.join()
    if failure:
        raise failure[0]
    yield Progress(stage, total, total)
    return outcome[0]
