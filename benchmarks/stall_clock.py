"""How late a timer fires in Qt's event loop: what a window's user feels of work beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

TICK_MS = 5
_SCHEDULER = Path("/proc/thread-self/schedstat")


class StallClock:
    """Qt's own event loop, with a timer whose lateness is the stall."""

    def __init__(self) -> None:
        from qtpy.QtCore import QEventLoop, Qt, QTimer

        self._loop = QEventLoop()
        self._ticks = QTimer()
        self._ticks.setTimerType(Qt.TimerType.PreciseTimer)
        self._ticks.setInterval(TICK_MS)
        self._ticks.timeout.connect(self._tick)
        self._stamps: list[float] = []
        self._queued: list[float] = []
        self._ended: Callable[[], bool] = bool

    def run_for(self, seconds: float) -> None:
        """Let everything settle."""
        self.stamps(after(seconds))

    def stamps(self, ended: Callable[[], bool]) -> list[float]:
        """When the timer fired, until `ended`."""
        self._stamps, self._queued, self._ended = [], [], ended
        self._ticks.start()
        self._loop.exec()
        self._ticks.stop()
        return self._stamps

    @property
    def queued_ms(self) -> np.ndarray:
        """Of each stall so far the time in which the thread only waited for a core.

        That is what other programs on the machine do, and not the work that is measured.
        """
        return np.diff(self._queued)

    def measure(self, ended: Callable[[], bool]) -> np.ndarray:
        """The stalls until `ended`, in ms."""
        return stalls_ms(np.array(self.stamps(ended)))

    def _tick(self) -> None:
        self._stamps.append(time.perf_counter())
        self._queued.append(_queued_ms())
        if self._ended():
            self._loop.quit()


def _queued_ms() -> float:
    """How long the calling thread has waited for a core so far; 0 where Linux does not tell."""
    try:
        return int(_SCHEDULER.read_text().split()[1]) / 1e6
    except OSError:
        return 0.0


def after(seconds: float) -> Callable[[], bool]:
    """What is true once so much time has passed."""
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() > end


def stalls_ms(stamps: np.ndarray) -> np.ndarray:
    """How much later than asked each tick came, from their times."""
    late: np.ndarray = np.maximum(np.diff(stamps) * 1000 - TICK_MS, 0)
    return late


def stages_of(
    stamps: np.ndarray, events: list[tuple[float, str]], before: str = "starting"
) -> np.ndarray:
    """For each stall the stage that was told last before it; `before` until one is."""
    moments = np.array([when for when, _ in events])
    stages = np.array([before, *(stage for _, stage in events)], dtype=object)
    found: np.ndarray = stages[np.searchsorted(moments, stamps[:-1], side="right")]
    return found


def by_stage(stalls: np.ndarray, stages: np.ndarray) -> dict[str, np.ndarray]:
    """The stalls of each stage, in the order in which stages came."""
    return {stage: stalls[stages == stage] for stage in dict.fromkeys(stages)}


def told(stalls: np.ndarray, queued: np.ndarray | None = None) -> str:
    """Stalls in words, and what is left of them without the time in a queue for a core."""
    if not len(stalls):
        return "none"
    p99, p999 = np.percentile(stalls, [99, 99.9])
    text = f"p99 {p99:5.1f} ms, p99.9 {p999:5.1f} ms, longest {stalls.max():5.0f} ms"
    if queued is None:
        return text
    rest = np.maximum(stalls - queued, 0)
    return f"{text} (had a core: {np.percentile(rest, 99):5.1f}, {rest.max():5.0f})"
