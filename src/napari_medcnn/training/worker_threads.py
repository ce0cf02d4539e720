"""Threads that work beside the training: how many, and each on one core."""

from __future__ import annotations

import os
import threading

_SETTING = threading.Lock()


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def one_torch_thread() -> None:
    """Let torch compute in the calling thread alone when it is called from there.

    Many threads that each start a team of threads are slower than as many single ones, and sums
    over teams of another size differ in their last digits. All other threads keep their number.
    """
    import torch

    with _SETTING:
        usual = torch.get_num_threads()
        torch.set_num_threads(1)
        # Torch notes it for threads to come as well: one that is gone at once puts that right.
        other = threading.Thread(target=torch.set_num_threads, args=(usual,))
        other.start()
        other.join()
