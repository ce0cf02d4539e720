"""Reading ahead: results in order, few in memory, the first error told, soon cancelled."""

from __future__ import annotations

import threading
import time

import pytest

from napari_medcnn.core.errors import Cancelled
from napari_medcnn.core.events import JobControl
from napari_medcnn.training.reading_ahead import WORKERS, in_order


def test_results_come_in_order_and_few_are_ahead() -> None:
    started: list[int] = []
    lock = threading.Lock()

    def work(number: int) -> int:
        with lock:
            started.append(number)
        time.sleep(0.002 * (number % 3))
        return number * number

    results = in_order(work, range(40), JobControl())
    for number, result in enumerate(results):
        assert result == number * number
        assert len(started) <= number + 1 + 2 * WORKERS


def test_nothing_is_started_after_a_cancel_or_an_error() -> None:
    started: list[int] = []
    control = JobControl()

    def work(number: int) -> int:
        started.append(number)
        if number == 30:
            raise ValueError("broken")
        return number

    results = in_order(work, range(100), control)
    next(results)
    control.cancel()
    with pytest.raises(Cancelled):
        next(results)
    assert len(started) <= 1 + 2 * WORKERS
    with pytest.raises(ValueError, match="broken"):
        list(in_order(work, range(100), JobControl()))
    assert max(started) <= 30 + 2 * WORKERS
