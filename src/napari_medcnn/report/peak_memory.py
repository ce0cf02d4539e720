"""How much memory this process held at most, of one run where the system can tell that."""

from __future__ import annotations

import sys
from pathlib import Path

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_CLEAR_PEAK = "5"  # proc(5): resets the peak resident set size to the current one


def restart_peak() -> bool:
    """Count the peak from now on; False where the system only knows that of the whole process."""
    try:
        _CLEAR.write_text(_CLEAR_PEAK)
    except OSError:
        return False
    return True


def peak_memory_gb() -> float | None:
    """Largest resident memory since :func:`restart_peak`, else of the whole process so far.

    In 10^9 bytes; None where the system does not tell.
    """
    found = _linux_peak_bytes() or _process_peak_bytes()
    return None if found is None else round(found / 1e9, 3)


def _linux_peak_bytes() -> int | None:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    sizes = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(sizes[0]) * 1024 if sizes else None


def _process_peak_bytes() -> int | None:
    try:
        import resource
    except ImportError:  # Windows has no such module
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Bytes on macOS, kibibytes on Linux and the BSDs (getrusage(2)).
    return peak * (1 if sys.platform == "darwin" else 1024)
