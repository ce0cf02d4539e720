"""Find the files below a folder, ahead of those who read them."""

from __future__ import annotations

import os
import queue
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

from napari_medcnn.app.studies.index_writer import Stamp

_END = None


class Walk:
    """Walks a folder in a thread of its own: soon it is known how many files there are.

    Hidden files and folders are left out, links to folders are not followed; they may lead in
    circles or out of the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: queue.SimpleQueue[tuple[Path, Stamp] | None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self.count = 0
        self.unreachable: list[Path] = []
        threading.Thread(target=self._run, name="medcnn-walk", daemon=True).start()

    def stop(self) -> None:
        """End early."""
        self._stopped.set()

    def __iter__(self) -> Iterator[tuple[Path, Stamp]]:
        """Paths below the folder, in a stable order, with size and time of change."""
        while (found := self._found.get()) is not _END:
            yield found

    def _run(self) -> None:
        try:
            self._walk(Path())
        finally:
            self._found.put(_END)

    def _walk(self, below: Path) -> None:
        pending = [below]
        while pending and not self._stopped.is_set():
            here = pending.pop()
            try:
                with os.scandir(self._folder / here) as entries:
                    listed = sorted(entries, key=lambda entry: entry.name)
            except OSError:
                self.unreachable.append(here)
                continue
            folders = []
            for entry in listed:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(here / entry.name)
                else:
                    self._note(here / entry.name, entry)
            pending.extend(reversed(folders))

    def _note(self, path: Path, entry: os.DirEntry[str]) -> None:
        try:
            found = entry.stat()
        except OSError:
            return  # it has gone, or is a link to nothing
        # Opening a pipe or a device may wait forever.
        if stat.S_ISREG(found.st_mode):
            self.count += 1
            self._found.put((path, Stamp(found.st_size, found.st_mtime_ns)))
