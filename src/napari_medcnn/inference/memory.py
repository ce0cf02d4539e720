"""Main memory: how much this process holds, how much is left, and the peak while something runs."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

import psutil

LIBRARY_BYTES: Final = {"torch": 200e6, "monai": 195e6, "openvino": 20e6}
"""What importing the libraries of a run adds to a process that has not, measured on Linux."""

_SAMPLED_S = 0.002
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Machine:
    """What a plan must know of the process and the machine that would run it.

    Parameters
    ----------
    resident_bytes : float
        What the process holds, images included, with the libraries that a run would still import.
    free_bytes : float
        What it can get in addition.
    """

    resident_bytes: float
    free_bytes: float


def this_machine() -> Machine:
    """The state of this process and this machine now; looked up without importing anything."""
    missing = sum(
        size
        for name, size in LIBRARY_BYTES.items()
        if name not in sys.modules and importlib.util.find_spec(name) is not None
    )
    return Machine(resident_bytes() + missing, free_bytes())


def resident_bytes() -> float:
    """Main memory that this process holds."""
    return float(psutil.Process().memory_info().rss)


def free_bytes() -> float:
    """Main memory that this process can still get, of the system, its container and its limit."""
    free = float(psutil.virtual_memory().available)
    limits = (_container_bytes(), _limit_bytes())
    return max(0.0, min([free, *(limit for limit in limits if limit is not None)]))


class PeakMemory:
    """Watch this process's memory within a block.

    Attributes
    ----------
    growth : float
        By how many bytes the largest size within the block exceeded that at its start.
    """

    def __init__(self) -> None:
        self.growth = 0.0
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> PeakMemory:
        self._start = resident_bytes()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._done.wait(_SAMPLED_S):
            self._look()

    def _look(self) -> None:
        self.growth = max(self.growth, resident_bytes() - self._start)


def _container_bytes() -> float | None:
    """What is left of a container's memory (cgroup v2); None without a limit.

    Pages of files count as used there, though they make room when asked to.
    """
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = float((_CGROUP / "memory.current").read_text())
        lines = (_CGROUP / "memory.stat").read_text().splitlines()
    except (OSError, ValueError):
        return None
    if limit == "max":
        return None
    cached = sum(float(line.split()[1]) for line in lines if line.split()[0] == "inactive_file")
    return float(limit) - used + cached


def _limit_bytes() -> float | None:
    """What is left of the process's address space; None where it has no limit."""
    try:
        import resource
    except ImportError:  # Windows has no such module
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY:
        return None
    return float(soft - psutil.Process().memory_info().vms)


def give_back_freed_memory() -> None:
    """Ask the C library to return what was freed to the system; only glibc keeps much of it."""
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
