"""A child process that answers in lines of JSON, seen from its parent.

It is started as a plain Python process, not by :mod:`multiprocessing`: that would run the user's
own script again in the child, napari and all.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

_LEAVE_S = 3.0


class ChildEnded(Exception):
    """The process has ended; nothing more will come."""


class ChildProcess:
    """Runs a module of this package as a process of its own.

    Its stdin stays open as long as it is wanted; when it closes, also because this process ended in
    whatever way, the child ends itself.
    """

    def __init__(self, module: str, *arguments: str | Path) -> None:
        # -P: a folder of scans that is the working directory must not lend modules to the child.
        command = [sys.executable, "-P", "-m", module, *(str(argument) for argument in arguments)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, name=f"medcnn-{module}", daemon=True).start()

    def __enter__(self) -> ChildProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def answer(self, timeout_s: float) -> dict[str, Any] | None:
        """The next line, None when none comes in time.

        Raises
        ------
        ChildEnded
            When it has ended and all its lines are read.
        """
        try:
            line = self._lines.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if line is None:
            self._lines.put(None)
            raise ChildEnded
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, request: dict[str, Any]) -> None:
        """Send a line.

        Raises
        ------
        ChildEnded
            When nobody is there to read it.
        """
        stdin = self._process.stdin
        try:
            if stdin is None or stdin.closed:
                raise ChildEnded
            stdin.write(json.dumps(request).encode() + b"\n")
            stdin.flush()
        except OSError as error:
            raise ChildEnded from error

    def dismiss(self) -> None:
        """Ask it to end, without waiting."""
        stdin = self._process.stdin
        if stdin is not None:
            with contextlib.suppress(OSError):
                stdin.close()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def close(self) -> None:
        """End it and wait until it has: by asking, then by force."""
        self.dismiss()
        try:
            self._process.wait(_LEAVE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _listen(self) -> None:
        stdout = self._process.stdout
        if stdout is not None:
            with stdout:
                for line in stdout:
                    self._lines.put(line)
        self._lines.put(None)
        self._process.wait()  # leave no zombie, also when nobody waits for it
