"""How a file stores its pixels: what decoding needs to know before it opens the file again."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from napari_medcnn.io.dicom.tag_values import integer

if TYPE_CHECKING:
    from napari_medcnn.io.dicom.tag_values import Values

UNCOMPRESSED_LITTLE_ENDIAN = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
_IMPLICIT = "1.2.840.10008.1.2"
_PIXEL_DATA = b"\xe0\x7f\x10\x00"
UNDEFINED_LENGTH = 0xFFFFFFFF


@dataclass(frozen=True)
class Encoding:
    """Transfer syntax and layout of the stored values.

    `start` and `length` are the place of the pixel data's value in the file, in bytes; `start` is
    0 where it is not known. A compressed value has :data:`UNDEFINED_LENGTH`.
    """

    transfer_syntax: str = ""
    bits_allocated: int = 0
    bits_stored: int = 0
    high_bit: int = 0
    signed: bool = False
    start: int = 0
    length: int = 0

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Of the stored values."""
        return np.dtype(f"<{'i' if self.signed else 'u'}{max(1, self.bits_allocated // 8)}")

    @property
    def in_range(self) -> tuple[int, int]:
        """Lowest and highest value that the stored bits can hold."""
        if self.signed:
            return -(1 << (self.bits_stored - 1)), (1 << (self.bits_stored - 1)) - 1
        return 0, (1 << self.bits_stored) - 1


def encoding_of(dataset: Values, stream: BinaryIO) -> Encoding:
    """The encoding of a data set that was read up to its pixel data.

    `stream` stands where reading stopped, at the pixel data element if there is one.
    """
    syntax = str(getattr(dataset, "file_meta", {}).get("TransferSyntaxUID", ""))
    start, length = _value_place(stream, implicit=syntax == _IMPLICIT) if syntax else (0, 0)
    return Encoding(
        transfer_syntax=syntax,
        bits_allocated=integer(dataset.get("BitsAllocated")) or 0,
        bits_stored=integer(dataset.get("BitsStored")) or 0,
        high_bit=integer(dataset.get("HighBit")) or 0,
        signed=bool(integer(dataset.get("PixelRepresentation"))),
        start=start,
        length=length,
    )


def _value_place(stream: BinaryIO, *, implicit: bool) -> tuple[int, int]:
    """Offset and length of the pixel data's value, (0, 0) when it is not here."""
    element = stream.tell()
    start = stream.read(12)
    if len(start) < 12 or start[:4] != _PIXEL_DATA:
        return 0, 0
    if implicit:
        return element + 8, int(struct.unpack("<L", start[4:8])[0])
    if start[4:6] not in (b"OW", b"OB"):
        return 0, 0
    return element + 12, int(struct.unpack("<L", start[8:])[0])
