"""Blocking work in step with its job: progress, pause, cancel, failure, and nobody looking."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from napari_medcnn.core.errors import Cancelled
from napari_medcnn.core.events import JobControl, Progress
from napari_medcnn.inference.in_thread import followed


def counting(steps: list[int], until: int = 3) -> Callable[[Callable[[], None]], str]:
    def work(step: Callable[[], None]) -> str:
        for n in range(until):
            step()
            steps.append(n)
        return "made"

    return work


def test_work_goes_on_only_when_the_job_does() -> None:
    steps: list[int] = []
    job = followed(counting(steps), "counting", 3, JobControl())
    assert next(job) == Progress("counting", 0, 3)
    time.sleep(0.05)
    assert steps == []
    assert next(job) == Progress("counting", 1, 3)
    assert steps == [0]
    rest = []
    with pytest.raises(StopIteration) as end:
        while True:
            rest.append(next(job))
    assert [event.done for event in rest] == [2, 3]
    assert end.value.value == "made"


def test_a_cancelled_and_a_closed_job_end_the_work_before_its_next_step() -> None:
    control, steps = JobControl(), list[int]()
    job = followed(counting(steps), "counting", 3, control)
    next(job)
    control.cancel()
    with pytest.raises(Cancelled):
        next(job)
    closed = followed(counting(steps), "counting", 3, JobControl())
    next(closed)
    closed.close()
    assert steps == []
    assert "counting" not in [thread.name for thread in threading.enumerate()]


def test_what_the_work_raises_is_raised_where_the_job_runs() -> None:
    def work(step: Callable[[], None]) -> None:
        step()
        raise ValueError("broken inside")

    with pytest.raises(ValueError, match="broken inside"):
        list(followed(work, "breaking", 1, JobControl()))
