"""How long a batch still takes: by the cases that it computed, and by how far it is with one."""

from __future__ import annotations

import time

from napari_medcnn.app.batch_outcome import CaseOutcome
from napari_medcnn.core.events import Progress

TELL_EVERY_S = 0.5
REMEMBERED = 8
"""The mean is of the last so many cases: sizes change, and so does what else the machine does."""


class BatchClock:
    """Counts cases that are settled, and the time of those that were computed."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._settled = 0
        self._begun = 0.0
        self._computing = False
        self._told = 0.0
        self._seconds: list[float] = []
        self._first_guess_s: float | None = None

    @property
    def is_due(self) -> bool:
        """Whether the batch's progress should be told again."""
        return time.perf_counter() - self._told > TELL_EVERY_S

    def begin_case(self) -> None:
        """A case goes to the model; the last one's time ends."""
        now = time.perf_counter()
        if self._computing:
            self._remember(now - self._begun)
        self._begun, self._computing = now, True

    def end_case(self, outcome: CaseOutcome) -> None:
        """A case is done, was done before, or failed."""
        self._settled += 1
        if outcome.state == "failed":
            self._computing = False  # how soon it failed says nothing of the others

    def note(self, progress: Progress) -> None:
        """Guess from the first case how long one takes, while none is done."""
        if progress.eta_s is not None and not self._seconds:
            self._first_guess_s = time.perf_counter() - self._begun + progress.eta_s

    def progress(self, stage: str) -> Progress:
        """How far the batch is, and how long it still takes."""
        self._told = time.perf_counter()
        return Progress(stage, self._settled, self._count, self._eta_s())

    def _eta_s(self) -> float | None:
        mean = sum(self._seconds) / len(self._seconds) if self._seconds else self._first_guess_s
        if mean is None:
            return None
        left = (self._count - self._settled) * mean
        spent = time.perf_counter() - self._begun if self._computing else 0.0
        return max(left - min(spent, mean), 0.0)

    def _remember(self, seconds: float) -> None:
        self._seconds = [*self._seconds[1 - REMEMBERED :], seconds]
