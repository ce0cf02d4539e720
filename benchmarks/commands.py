"""Run a command as a user does; take its time, and the memory of it and its child processes."""

from __future__ import annotations

import os
import resource
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from benchmarks.measuring import Measured

INTERVAL_S = 2.0
"""Between two looks at the memory, each of which costs some 20 ms a process; a shorter peak may be
missed."""

LAST_LINES = 30


def run_measured(
    command: Sequence[str],
    log: Path,
    environment: Mapping[str, str] | None = None,
    interval_s: float = INTERVAL_S,
) -> Measured:
    """Run a command to its end, with all it prints in `log`.

    Memory is the largest sum over the command and the processes below it; what they share counts
    once where the system tells that (Linux).

    Raises
    ------
    SystemExit
        When it fails, with the last lines that it printed.
    """
    before, begin = _children_s(), time.perf_counter()
    with log.open("w") as printed:
        child = subprocess.Popen(
            list(command),
            stdout=printed,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
        watch = _Watch(child.pid, interval_s)
        watch.start()
        try:
            code = child.wait()
        except BaseException:
            child.terminate()
            child.wait()
            raise
        finally:
            watch.stop()
    seconds = time.perf_counter() - begin
    if code:
        last = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        raise SystemExit("\n".join((*last, f"ended with {code}: {' '.join(command)}")))
    return Measured(seconds, watch.peak_gb, _children_s() - before)


class _Watch(threading.Thread):
    """Looks at the memory of a process and its children until it is stopped."""

    def __init__(self, pid: int, interval_s: float) -> None:
        super().__init__(daemon=True)
        self._pid, self._interval_s, self._over = pid, interval_s, threading.Event()
        self.peak_gb = 0.0

    def run(self) -> None:
        while not self._over.wait(self._interval_s):
            self.peak_gb = max(self.peak_gb, _memory_gb(self._pid))

    def stop(self) -> None:
        self._over.set()
        self.join()


def _memory_gb(pid: int) -> float:
    total = 0
    try:
        top = psutil.Process(pid)
        for process in (top, *top.children(recursive=True)):
            total += _bytes_of(process)
    except psutil.Error:
        return 0.0  # it has just ended
    return total / 1e9


def _bytes_of(process: psutil.Process) -> int:
    try:
        told = process.memory_full_info()
    except psutil.Error:
        return 0
    return int(getattr(told, "pss", told.uss))


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
