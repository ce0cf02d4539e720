"""How many files a second are indexed, over the last few seconds."""

from __future__ import annotations

import time
from collections import deque

WINDOW_S = 5.0
"""Long enough to be read, short enough to follow a change from disk to network."""


class Rate:
    """Counts that were seen, with their times."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, done: int) -> None:
        """So many files are done now."""
        now = time.monotonic()
        self._seen.append((now, done))
        while now - self._seen[0][0] > WINDOW_S:
            self._seen.popleft()

    @property
    def per_s(self) -> float:
        """Files a second; 0 as long as that is unknown."""
        if len(self._seen) < 2:
            return 0.0
        (began, first), (ended, last) = self._seen[0], self._seen[-1]
        return (last - first) / (ended - began) if ended > began else 0.0
