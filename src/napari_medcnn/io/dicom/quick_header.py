"""The few values of a plain file's header, ten times as fast as a general parser reads them.

Most files of a long series are alike: little endian, every value of interest at the top level.
Their headers are read here; whatever is unlike that (functional groups, private diffusion values,
look-up tables, other character sets, anything odd) is left to pydicom, which also has the last
word on every error.
"""

from __future__ import annotations

import struct
from typing import Any, BinaryIO

_FIRST_BYTES = 1 << 16
_MOST_BYTES = 1 << 22
_PIXEL_DATA = 0x7FE00010
_TRANSFER_SYNTAX = 0x00020010
_IMPLICIT = "1.2.840.10008.1.2"
_NOT_READ_HERE = ("1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99", "")
"""Big endian, deflated, and no transfer syntax at all."""

_LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR",
                       b"UT", b"UV"))  # fmt: skip
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_DEEPEST = 8

_TEXTS = {
    0x00080008: "ImageType", 0x00080016: "SOPClassUID", 0x00080018: "SOPInstanceUID",
    0x00080022: "AcquisitionDate", 0x0008002A: "AcquisitionDateTime",
    0x00080032: "AcquisitionTime", 0x00080033: "ContentTime", 0x00080060: "Modality",
    0x0008103E: "SeriesDescription", 0x0020000E: "SeriesInstanceUID",
    0x00280004: "PhotometricInterpretation", 0x00281054: "RescaleType", 0x00541001: "Units",
    0x30040002: "DoseUnits",
}  # fmt: skip
_NUMBERS = {
    0x00180050: "SliceThickness", 0x00180081: "EchoTime", 0x00180086: "EchoNumbers",
    0x00180088: "SpacingBetweenSlices", 0x00181060: "TriggerTime", 0x00181063: "FrameTime",
    0x00181114: "EstimatedRadiographicMagnificationFactor", 0x00181164: "ImagerPixelSpacing",
    0x00182010: "NominalScannedPixelSpacing", 0x00200011: "SeriesNumber",
    0x00200012: "AcquisitionNumber", 0x00200013: "InstanceNumber",
    0x00200032: "ImagePositionPatient", 0x00200037: "ImageOrientationPatient",
    0x00200100: "TemporalPositionIdentifier", 0x00280008: "NumberOfFrames",
    0x00280030: "PixelSpacing", 0x00281052: "RescaleIntercept", 0x00281053: "RescaleSlope",
    0x3004000E: "DoseGridScaling",
}  # fmt: skip
_SHORTS = {
    0x00280002: "SamplesPerPixel", 0x00280010: "Rows", 0x00280011: "Columns",
    0x00280100: "BitsAllocated", 0x00280101: "BitsStored", 0x00280102: "HighBit",
    0x00280103: "PixelRepresentation",
}  # fmt: skip
_FOR_PYDICOM = frozenset((
    0x00089208, 0x00189087, 0x00189089, 0x00209222, 0x00283000, 0x3004000C, 0x52009229,
    0x52009230, 0x00480007, 0x00651050, 0x00651051, 0x20011003, 0x200510B0, 0x0019100C,
    0x00431039,
))  # fmt: skip
"""Elements whose presence asks for a general parser."""

Place = tuple[int, int, int, bytes]
"""Of an element: tag, start and length of its value, VR (empty where implicit)."""


class QuickHeader:
    """A plain file's values by keyword, as :class:`pydicom.dataset.Dataset` gives them.

    Numbers are floats or lists of them, texts are stripped; what is absent is None.
    """

    def __init__(self, values: dict[str, Any], transfer_syntax: str, pixel_element: int) -> None:
        self._values = values
        self.file_meta = {"TransferSyntaxUID": transfer_syntax}
        self.pixel_element = pixel_element

    def get(self, key: Any, default: Any = None) -> Any:
        """The value of a keyword; private elements are never here."""
        return self._values.get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self._values


class _NotPlainError(Exception):
    """The header must be read by pydicom."""


def quick_header(stream: BinaryIO) -> QuickHeader | None:
    """The header of a plain file, or None where pydicom must read it."""
    content = stream.read(_FIRST_BYTES)
    for size in (_FIRST_BYTES, _MOST_BYTES):
        if size > len(content) == _FIRST_BYTES:
            content += stream.read(size - _FIRST_BYTES)
        try:
            return _parsed(content)
        except struct.error:
            continue
        except (_NotPlainError, ValueError, UnicodeDecodeError):
            return None
    return None


def _parsed(content: bytes) -> QuickHeader:
    if content[128:132] != b"DICM":
        raise _NotPlainError
    position, syntax = _meta(content)
    if syntax in _NOT_READ_HERE:
        raise _NotPlainError
    implicit = syntax == _IMPLICIT
    found: dict[str, Any] = {}
    previous = 0
    while True:
        tag, start, length, _ = _element(content, position, implicit)
        if tag == _PIXEL_DATA:
            return QuickHeader(found, syntax, position)
        if tag <= previous or tag in _FOR_PYDICOM:
            # Elements out of order are a broken file's; pydicom says what to make of it.
            raise _NotPlainError
        previous = tag
        if length == _UNDEFINED:
            position = _after_sequence(content, start, implicit, 0)
            continue
        position = start + length
        if position > len(content):
            raise struct.error
        _keep(found, tag, content[start:position])


def _keep(found: dict[str, Any], tag: int, raw: bytes) -> None:
    if tag in _NUMBERS:
        parts = raw.decode("ascii").strip(" \0").split("\\")
        numbers = [float(part) for part in parts] if parts != [""] else []
        found[_NUMBERS[tag]] = numbers[0] if len(numbers) == 1 else numbers or None
    elif tag in _TEXTS:
        texts = [part.strip(" \0") for part in raw.decode("ascii").split("\\")]
        found[_TEXTS[tag]] = texts[0] if len(texts) == 1 else texts
    elif tag in _SHORTS:
        if len(raw) != 2:
            raise _NotPlainError
        found[_SHORTS[tag]] = raw[0] + 256 * raw[1]


def _meta(content: bytes) -> tuple[int, str]:
    """Where the data set begins, and its transfer syntax."""
    position, syntax = 132, ""
    while content[position : position + 2] == b"\2\0":
        tag, start, length, _ = _element(content, position, implicit=False)
        position = start + length
        if tag == _TRANSFER_SYNTAX:
            syntax = content[start:position].decode("ascii").strip(" \0")
    return position, syntax


def _element(content: bytes, position: int, implicit: bool) -> Place:
    group, element = struct.unpack_from("<2H", content, position)
    tag = group << 16 | element
    if implicit or group == 0xFFFE:
        return tag, position + 8, struct.unpack_from("<L", content, position + 4)[0], b""
    vr = content[position + 4 : position + 6]
    if vr in _LONG_VRS:
        return tag, position + 12, struct.unpack_from("<L", content, position + 8)[0], vr
    if not (vr.isalpha() and vr.isupper()):
        raise _NotPlainError
    return tag, position + 8, struct.unpack_from("<H", content, position + 6)[0], vr


def _after_sequence(content: bytes, position: int, implicit: bool, depth: int) -> int:
    """Where a sequence of undefined length ends."""
    if depth > _DEEPEST:
        raise _NotPlainError
    while True:
        tag, start, length, _ = _element(content, position, implicit)
        if tag == _SEQUENCE_END:
            return start
        if tag != _ITEM:
            raise _NotPlainError
        position = start + length
        if length == _UNDEFINED:
            position = _after_item(content, start, implicit, depth)


def _after_item(content: bytes, position: int, implicit: bool, depth: int) -> int:
    while True:
        tag, start, length, vr = _element(content, position, implicit)
        if tag == _ITEM_END:
            return start
        if length != _UNDEFINED:
            position = start + length
        elif vr == b"UN":
            raise _NotPlainError
        else:
            position = _after_sequence(content, start, implicit, depth + 1)
