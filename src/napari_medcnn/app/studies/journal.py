"""What a child process reads right now: the last word of one that crashed."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

_SIZE = 8192
_LENGTH_BYTES = 4


class Journal:
    """A few kilobytes of memory shared through a file.

    Writing is a copy in memory, cheap enough for every file; what was written outlives the process
    that wrote it, however that ended.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists() or path.stat().st_size != _SIZE:
            path.write_bytes(bytes(_SIZE))
        with path.open("r+b") as stream:
            self._memory = mmap.mmap(stream.fileno(), _SIZE)

    def write(self, path: Path | None) -> None:
        """Note which file is read from now on; None for none."""
        name = b"" if path is None else os.fsencode(path)[: _SIZE - _LENGTH_BYTES]
        self._memory[:_LENGTH_BYTES] = bytes(_LENGTH_BYTES)
        self._memory[_LENGTH_BYTES : _LENGTH_BYTES + len(name)] = name
        self._memory[:_LENGTH_BYTES] = len(name).to_bytes(_LENGTH_BYTES, "little")

    def read(self) -> Path | None:
        """The file that was read last, None if the reading of it was over."""
        length = int.from_bytes(self._memory[:_LENGTH_BYTES], "little")
        name = self._memory[_LENGTH_BYTES : _LENGTH_BYTES + length]
        return Path(os.fsdecode(name)) if name else None

    def close(self) -> None:
        """Let go of the file."""
        self._memory.close()
