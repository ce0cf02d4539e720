"""Run a piece of Python in a process of its own and take its time and peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass

_FRAME = """
import json, os, resource, sys, time
started = time.perf_counter()
{body}
seconds = time.perf_counter() - started
scale = 1e9 if sys.platform == "darwin" else 1e6
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale
if sys.platform == "linux":  # there, the figure above is at least what started this process held
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    peak = int(status["VmHWM"].split()[0]) * 1024 / 1e9
cpu = sum(os.times()[:2])
told = {{"seconds": seconds, "peak_gb": peak, "cpu_seconds": cpu}}
print("MEASURED " + json.dumps(told))
"""


@dataclass(frozen=True)
class Measured:
    """Wall time, peak resident memory and time of all cores of one process.

    What other programs do on the machine prolongs the first, and hardly the last.
    """

    seconds: float
    peak_gb: float
    cpu_seconds: float = float("nan")

    def __str__(self) -> str:
        return f"{self.seconds:7.2f} s  {self.peak_gb:5.2f} GB  {self.cpu_seconds:7.2f} s of cores"


def measure(body: str, *arguments: str, threads: int | None = None) -> Measured:
    """Run `body` (Python source; ``sys.argv[1:]`` are `arguments`) and measure it."""
    environment = dict(os.environ)
    # As installed: modules are compiled once and not again at every start.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    done = subprocess.run(
        [sys.executable, "-c", _FRAME.format(body=body), *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    line = next(part for part in done.stdout.splitlines() if part.startswith("MEASURED "))
    return Measured(**json.loads(line.removeprefix("MEASURED ")))
