"""Read many cases in a few threads: results in order, a bounded number ahead, soon cancelled."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from napari_medcnn.core.events import JobControl

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

WORKERS = 2
"""Decompression and decoding leave Python's lock; more threads gain little on ordinary disks."""


def in_order(
    work: Callable[[_Item], _Result], items: Sequence[_Item], control: JobControl
) -> Iterator[_Result]:
    """The result of each item, in their order, computed in :data:`WORKERS` threads.

    At most two items a thread are ahead of the one that is handed out, so that memory stays
    bounded and a cancelled job ends within one item.

    Raises
    ------
    Cancelled
        When the job was cancelled.
    """
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="medcnn-read") as threads:
        ahead: deque[Future[_Result]] = deque()
        try:
            for item in items:
                if len(ahead) >= 2 * WORKERS:
                    control.checkpoint()
                    yield ahead.popleft().result()
                ahead.append(threads.submit(work, item))
            while ahead:
                control.checkpoint()
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()
