"""What the child processes of the study browser share: events out, the parent's end noticed."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import threading
from collections.abc import Iterator
from typing import Any

from napari_medcnn.core.events import Event, to_json

MEMORY_LIMIT_BYTES = 4 * 1024**3
"""Address space a child may take: a header that claims more must not starve the machine."""

NICENESS = 5
"""Whoever looks at images comes first."""

_GRACE_S = 5.0


def set_up() -> None:
    """Be a considerate process: lower priority, limited memory."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    if sys.platform.startswith("linux"):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_AS)
        limit = MEMORY_LIMIT_BYTES if most == resource.RLIM_INFINITY else most
        resource.setrlimit(resource.RLIMIT_AS, (min(limit, MEMORY_LIMIT_BYTES), most))


def tell(event: Event | dict[str, Any]) -> None:
    """Send an event to the parent, one line of JSON each."""
    line = event if isinstance(event, dict) else to_json(event)
    with contextlib.suppress(BrokenPipeError):  # the parent has gone; stdin's end says so too
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


class Parent:
    """The process that started this one, at the other end of stdin.

    When it closes stdin, to cancel or because it ended, `gone` is set; a child that is stuck then
    ends by itself after a few seconds.
    """

    def __init__(self) -> None:
        self.gone = threading.Event()
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, name="medcnn-parent", daemon=True).start()

    def requests(self) -> Iterator[dict[str, Any]]:
        """What the parent asks, one line of JSON each, until it is gone."""
        while (line := self._lines.get()) is not None:
            yield json.loads(line)

    def _listen(self) -> None:
        for line in sys.stdin.buffer:
            self._lines.put(line)
        self.gone.set()
        self._lines.put(None)
        leave = threading.Timer(_GRACE_S, os._exit, (1,))
        leave.daemon = True
        leave.start()
