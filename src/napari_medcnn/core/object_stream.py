"""Python objects through a pipe between a process and its child; arrays travel without a copy.

Pickle's fifth protocol keeps the bytes of arrays apart (PEP 574), so that hundreds of megabytes
pass without Python's lock being held. Only a process and the child that it started itself talk so:
what comes from elsewhere is never unpickled.
"""

from __future__ import annotations

import contextlib
import pickle
import struct
import threading
from typing import IO, Any

import numpy as np

_COUNT = struct.Struct("<Q")


class ObjectStream:
    """One end of a pair of pipes.

    Parameters
    ----------
    incoming, outgoing : binary file
        Unbuffered; the other end's outgoing and incoming.
    """

    def __init__(self, incoming: IO[bytes], outgoing: IO[bytes]) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._lock = threading.Lock()

    def send(self, value: Any) -> None:
        """Send an object; several threads may.

        Raises
        ------
        OSError
            When nobody reads at the other end.
        """
        apart: list[pickle.PickleBuffer] = []
        whole = pickle.dumps(value, protocol=5, buffer_callback=apart.append)
        parts = [memoryview(whole), *(buffer.raw() for buffer in apart)]
        sizes = [len(parts), *(part.nbytes for part in parts)]
        with self._lock:
            self._write(memoryview(struct.pack(f"<{len(sizes)}Q", *sizes)))
            for part in parts:
                self._write(part)

    def receive(self) -> Any:
        """The next object.

        Raises
        ------
        EOFError
            When the other end was closed.
        """
        (count,) = _COUNT.unpack(self._read(_COUNT.size))
        sizes = struct.unpack(f"<{count}Q", self._read(count * _COUNT.size))
        whole, *apart = (self._read(size) for size in sizes)
        return pickle.loads(whole, buffers=apart)

    def hang_up(self) -> None:
        """Send nothing any more; the other end reads to the end and then knows."""
        with contextlib.suppress(OSError):  # the other end had gone before everything was written
            self._outgoing.close()

    def stop_listening(self) -> None:
        """Close the direction that is read; for the thread that reads."""
        self._incoming.close()

    def _write(self, part: memoryview) -> None:
        written = 0
        while written < part.nbytes:
            written += self._outgoing.write(part[written:])

    def _read(self, size: int) -> memoryview:
        # Not a bytearray: zeroing it first would hold Python's lock for as long.
        whole = np.empty(size, np.uint8).data
        filled = 0
        while filled < size:
            received = self._incoming.readinto(whole[filled:])  # type: ignore[attr-defined]
            if not received:
                raise EOFError
            filled += received
        return whole
