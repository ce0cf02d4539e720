"""How much of an HTTP answer is read, and what in it would inflate: ended before it is held."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message

import requests

from napari_medcnn.core.events import JobControl
from napari_medcnn.io.dicom.guarded import DEFLATED
from napari_medcnn.io.pacs.errors import PacsError

TOO_LONG = "the server's answer is far too long"


@dataclass(frozen=True)
class AnswerLimits:
    """Most bytes of an answer that are read.

    Parameters
    ----------
    whole : int
        Of an answer in many parts, each of which is let go of before the next one.
    piece : int
        Of one such part, and of an answer in one piece: they are held in memory.
    """

    whole: int
    piece: int


def watch(response: requests.Response, limits: AnswerLimits, control: JobControl) -> None:
    """Have whoever reads an answer obey a cancel, the limits, and refuse deflated objects.

    Raises
    ------
    PacsError
        While the answer is read, at what is over a limit.
    """
    boundary = _boundary(response)
    read = response.iter_content

    def watched(chunk_size: int | None = 1, decode_unicode: bool = False) -> Iterator[bytes]:
        counted = _Counted(limits, boundary)
        for chunk in read(chunk_size, decode_unicode):
            control.checkpoint()
            try:
                counted.add(chunk)
            except PacsError:
                response.close()
                raise
            yield chunk

    response.iter_content = watched  # type: ignore[method-assign]


class _Counted:
    """What has come of an answer: in all, and since the last boundary of its parts."""

    def __init__(self, limits: AnswerLimits, boundary: bytes) -> None:
        self._limits, self._boundary = limits, boundary
        self._whole = self._piece = 0
        self._tail = b""

    def add(self, chunk: bytes) -> None:
        self._whole += len(chunk)
        self._piece += len(chunk)
        # What is looked for may lie across the border of two chunks.
        seen = self._tail + chunk
        if self._boundary:
            at = seen.rfind(self._boundary)
            if at >= 0:
                self._piece = len(seen) - at
            if DEFLATED.encode() in seen:
                # Whoever parses it would inflate it, to a thousand times its size.
                raise PacsError("the server sends deflated objects, which we never ask for")
        if self._whole > self._limits.whole or self._piece > self._limits.piece:
            raise PacsError(TOO_LONG)
        overlap = max(len(self._boundary), len(DEFLATED)) - 1
        self._tail = seen[-overlap:]


def _boundary(response: requests.Response) -> bytes:
    """The line that divides the parts of an answer; empty where it comes in one piece."""
    header = Message()
    header["Content-Type"] = response.headers.get("Content-Type", "")
    value = header.get_boundary()
    return b"" if not value else b"--" + value.encode("latin-1", "replace")
