"""Let the window's thread have its turn at Python's lock soon, while jobs run beside it."""

from __future__ import annotations

import sys
import threading

TURN_S = 0.0005
"""How long another thread may keep Python's lock once the window's thread wants it.

Python's own 5 ms are waited for at each of the many steps from Qt into Python and back that drawing
one thing takes, and add up to a window that stutters.
"""


class QuickTurns:
    """A context for jobs in threads: turns are short while any of them is inside."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs = 0
        self._before = 0.0

    def __enter__(self) -> None:
        with self._lock:
            if self._jobs == 0:
                self._before = sys.getswitchinterval()
                sys.setswitchinterval(min(TURN_S, self._before))
            self._jobs += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._jobs -= 1
            if self._jobs == 0:
                sys.setswitchinterval(self._before)
