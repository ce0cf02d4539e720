"""NRRD and MetaImage headers held to their plain form before a library in C++ parses them.

The parsers behind SimpleITK trust what a header says: a MetaImage of 4294967296 dimensions ends the
process, and NRRD sizes are cut to 32 bits. Only headers whose every field that counts has the right
number of values in the right range go on to them.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from napari_medcnn.core.errors import ReadError
from napari_medcnn.io.limits import check_claimed_size

_LARGEST_SIDE = 2**31 - 1
_MOST_DIMENSIONS = 5
_LONGEST_VALUE = 1000
_MOST_SKIPPED_LINES = 1_000_000
_NRRD_ENCODINGS = frozenset({"raw", "txt", "text", "ascii", "hex", "gz", "gzip", "bz2", "bzip2"})
_NRRD_BYTES = {
    "char": 1, "uchar": 1, "int8": 1, "uint8": 1, "short": 2, "ushort": 2, "int16": 2, "uint16": 2,
    "int": 4, "uint": 4, "int32": 4, "uint32": 4, "float": 4, "longlong": 8, "ulonglong": 8,
    "int64": 8, "uint64": 8, "double": 8,
}  # fmt: skip
_METAIMAGE_BYTES = {
    "CHAR": 1, "UCHAR": 1, "ASCII_CHAR": 1, "SHORT": 2, "USHORT": 2, "INT": 4, "UINT": 4,
    "LONG": 8, "ULONG": 8, "LONG_LONG": 8, "ULONG_LONG": 8, "FLOAT": 4, "DOUBLE": 8,
}  # fmt: skip
# How many finite numbers a field has: a count, or so many powers of the number of dimensions.
_ONE, _SIDE, _MATRIX = "one", "side", "matrix"
_METAIMAGE_NUMBERS = {
    "CompressedDataSize": _ONE, "CompressionLevel": _ONE, "HeaderSize": _ONE,
    "HeaderSizePerSlice": _ONE, "ID": _ONE, "ParentID": _ONE, "ElementMin": _ONE,
    "ElementMax": _ONE, "ElementNumberOfChannels": _ONE, "ElementToIntensityFunctionSlope": _ONE,
    "ElementToIntensityFunctionOffset": _ONE, "DimSize": _SIDE, "ElementSpacing": _SIDE,
    "ElementSize": _SIDE, "Offset": _SIDE, "Origin": _SIDE, "Position": _SIDE,
    "CenterOfRotation": _SIDE, "SequenceID": _SIDE, "TransformMatrix": _MATRIX,
    "Orientation": _MATRIX, "Rotation": _MATRIX,
}  # fmt: skip


def check_nrrd(path: Path, header: dict[str, str], stored: int, *, compressed: bool) -> None:
    """Hold a NRRD header against the limits and against the bytes that are there.

    Parameters
    ----------
    path : Path
        For the message.
    header : dict
        By :func:`napari_medcnn.io.detached.nrrd_header`.
    stored : int
        Bytes of the file that holds the voxels.
    compressed : bool
        Whether the voxels take fewer bytes in the file than in memory.

    Raises
    ------
    ReadError
        When it is too large, or broken.
    """
    dimensions = _whole(path, "dimension", header.get("dimension", ""), 1, _MOST_DIMENSIONS)
    sizes = _sides(path, header.get("sizes", ""), dimensions)
    if header.get("encoding", "raw").lower() not in _NRRD_ENCODINGS:
        raise _broken(path, "encoding", header["encoding"])
    for skip, most in (("line skip", _MOST_SKIPPED_LINES), ("byte skip", stored)):
        _whole(path, skip, header.get(skip, header.get(skip.replace(" ", ""), "0")), -1, most)
    kind = re.sub(r"^(un)?signed ", lambda found: "u" if found[1] else "", header.get("type", ""))
    kind = kind.replace(" int", "").replace("long long", "longlong").replace("_t", "").strip()
    claimed = int(np.prod(sizes, dtype=object)) * _bytes(path, kind, _NRRD_BYTES)
    check_claimed_size(path, claimed, stored, compressed=compressed)


def check_metaimage(path: Path, header: dict[str, str], stored: int, *, compressed: bool) -> None:
    """As :func:`check_nrrd` for MetaImage, whose header is a dict in the file's own order."""
    if header.get("ObjectType", "Image") != "Image":
        raise ReadError("is a MetaIO object, but no image", source=path)
    dimensions = _whole(path, "NDims", header.get("NDims", ""), 1, _MOST_DIMENSIONS)
    counts = {_ONE: 1, _SIDE: dimensions, _MATRIX: dimensions**2}
    known_dimensions = False
    for name, value in header.items():
        known_dimensions |= name == "NDims"
        if len(value) > _LONGEST_VALUE:
            raise _broken(path, name, value)
        kind = _METAIMAGE_NUMBERS.get(name)
        if kind is None:
            continue
        # MetaIO reads as many values as the dimensions that it has seen by then.
        if (kind != _ONE and not known_dimensions) or not _are_numbers(value, counts[kind]):
            raise _broken(path, name, value)
    sizes = _sides(path, header.get("DimSize", ""), dimensions)
    channels = _whole(path, "ElementNumberOfChannels", header.get("ElementNumberOfChannels", "1"),
                      1, _LARGEST_SIDE)  # fmt: skip
    for name, least in (("HeaderSize", -1), ("CompressedDataSize", 0)):
        _whole(path, name, header.get(name, "0"), least, stored)
    kind = re.sub(r"^MET_|_ARRAY$", "", header.get("ElementType", ""))
    claimed = int(np.prod([*sizes, channels], dtype=object))
    check_claimed_size(
        path, claimed * _bytes(path, kind, _METAIMAGE_BYTES), stored, compressed=compressed
    )


def _sides(path: Path, text: str, dimensions: int) -> list[int]:
    words = text.split()
    if len(words) != dimensions:
        raise _broken(path, "sizes", text)
    return [_whole(path, "sizes", word, 1, _LARGEST_SIDE) for word in words]


def _whole(path: Path, name: str, text: str, least: int, most: int) -> int:
    if re.fullmatch(r"[+-]?\d{1,15}", text.strip()) is None or not least <= int(text) <= most:
        raise _broken(path, name, text)
    return int(text)


def _are_numbers(text: str, count: int) -> bool:
    try:
        numbers = [float(word) for word in text.split()]
    except ValueError:
        return False
    return len(numbers) == count and all(math.isfinite(number) for number in numbers)


def _bytes(path: Path, kind: str, known: dict[str, int]) -> int:
    if kind not in known:
        raise ReadError(f"holds values of type {kind[:40]!r}, which are no image", source=path)
    return known[kind]


def _broken(path: Path, name: str, value: str) -> ReadError:
    return ReadError(f"its header is broken: {name} is {value[:80]!r}", source=path)
