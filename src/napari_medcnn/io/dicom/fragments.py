"""The one compressed stream of a file with one frame."""

from __future__ import annotations

import struct
from typing import BinaryIO

_ITEM = b"\xfe\xff\x00\xe0"
_END = b"\xfe\xff\xdd\xe0"


def joined_fragments(stream: BinaryIO) -> bytes | None:
    """The fragments of encapsulated pixel data in one (PS3.5 A.4), without the offset table.

    `stream` stands at the value's start. None where it is cut short or is no sequence of
    fragments.
    """
    fragments: list[bytes] = []
    while True:
        head = stream.read(8)
        if len(head) < 8:
            return None
        if head[:4] == _END:
            # The first item is the basic offset table.
            return b"".join(fragments[1:]) if len(fragments) > 1 else None
        (length,) = struct.unpack("<L", head[4:])
        if head[:4] != _ITEM or length == 0xFFFFFFFF:
            return None
        fragment = stream.read(length)
        if len(fragment) < length:
            return None
        fragments.append(fragment)
