"""Jobs end as told, and their events can leave the process."""

from __future__ import annotations

import json
import threading

import pytest

from napari_medcnn.core.errors import Cancelled
from napari_medcnn.core.events import (
    Done,
    Fallback,
    Job,
    JobControl,
    Message,
    Progress,
    run_to_end,
    to_json,
)


def counting(control: JobControl, steps: int = 3) -> Job:
    for step in range(steps):
        control.checkpoint()
        yield Progress("count", step + 1, steps)
    yield Done(steps)


def test_running_to_the_end_returns_the_result_and_shows_every_event() -> None:
    seen = []
    assert run_to_end(counting(JobControl()), int, seen.append) == 3
    assert [event.done for event in seen[:3]] == [1, 2, 3]


def test_cancelling_raises_at_the_next_checkpoint() -> None:
    control = JobControl()
    job = counting(control)
    next(job)
    control.cancel()
    with pytest.raises(Cancelled):
        next(job)


def test_a_paused_job_waits_until_resumed() -> None:
    control = JobControl()
    control.pause()
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(run_to_end(counting(control), int)))
    thread.start()
    thread.join(0.2)
    assert thread.is_alive() and not results
    control.resume()
    thread.join(5)
    assert results == [3]


def test_cancelling_wakes_a_paused_job() -> None:
    control = JobControl()
    control.pause()
    control.cancel()
    with pytest.raises(Cancelled):
        control.checkpoint()


def test_a_job_without_a_result_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="without a result"):
        run_to_end((Message(text) for text in ("one",)), int)


@pytest.mark.parametrize(
    "event",
    [Progress("windows", 1, 8, 3.5), Message("hello", "warning"), Fallback("GPU", "CPU", "memory")],
)
def test_events_are_json(event: Progress | Message | Fallback) -> None:
    assert json.loads(json.dumps(to_json(event)))["event"] == type(event).__name__.lower()
