"""What size a compressed frame says of itself: decoders allocate by that, not by DICOM's header."""

from __future__ import annotations

import struct

from napari_medcnn.core.errors import ReadError

_JPEG2000 = b"\xff\x4f\xff\x51"
_JP2_BOX = b"\x00\x00\x00\x0cjP  "
_JPEG = b"\xff\xd8"
# Start of frame of every kind of JPEG (T.81 Table B.1) and of JPEG-LS (T.87).
_STARTS_OF_FRAME = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
_SCANNED = 1 << 16


def check_codestream(frame: bytes, rows: int, columns: int) -> None:
    """Refuse a compressed frame that would be decoded to another size than the header says.

    Parameters
    ----------
    frame : bytes
        JPEG, JPEG-LS, JPEG 2000 or HTJ2K; other codecs (RLE) take their size from the header.
    rows, columns : int
        As the header says.

    Raises
    ------
    ReadError
        When the two differ. It names no file.
    """
    size = codestream_size(frame)
    if size is not None and size != (rows, columns):
        raise ReadError(
            f"its compressed pixels say {size[0]} x {size[1]}, its header {rows} x {columns}"
        )


def codestream_size(frame: bytes) -> tuple[int, int] | None:
    """Rows and columns by the codestream's own header; None where it tells none."""
    if frame.startswith(_JP2_BOX):
        place = frame.find(_JPEG2000, 0, _SCANNED)
        frame = frame[place:] if place >= 0 else b""
    if frame.startswith(_JPEG2000):
        return _jpeg2000_size(frame)
    return _jpeg_size(frame) if frame.startswith(_JPEG) else None


def _jpeg2000_size(frame: bytes) -> tuple[int, int] | None:
    """By the SIZ marker segment (T.800 A.5.1): grid size less image offset."""
    if len(frame) < 24:
        return None
    columns, rows, left, top = struct.unpack_from(">4L", frame, 8)
    return rows - top, columns - left


def _jpeg_size(frame: bytes) -> tuple[int, int] | None:
    place = 2
    while place + 9 <= len(frame):
        if frame[place] != 0xFF:
            place += 1
            continue
        marker = frame[place + 1]
        if marker in _STARTS_OF_FRAME:
            rows, columns = struct.unpack_from(">HH", frame, place + 5)
            return rows, columns
        if marker in (0x01, 0xFF) or 0xD0 <= marker <= 0xD8:
            place += 1 if marker == 0xFF else 2
            continue
        place += 2 + int.from_bytes(frame[place + 2 : place + 4], "big")
    return None
