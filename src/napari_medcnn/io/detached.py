"""Text headers of NRRD and MetaImage files: what they ask a reader to open and to allocate.

Both formats may name a data file anywhere on the disk, and SimpleITK reads whatever is named. Only
files in the header's own folder are accepted. The libraries behind SimpleITK parse these headers in
C++, some sizes in 32 bits: what is not plain text in the usual form never reaches them.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from napari_medcnn.core.errors import ReadError
from napari_medcnn.io.limits import MAX_HEADER_BYTES, check_claimed_size

_EMBEDDED = "LOCAL"
_LARGEST_SIDE = 2**31 - 1
_METAIMAGE_NAME = re.compile(r"[A-Za-z][\w.\- ]*")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)")
_NRRD_BYTES = {
    "char": 1, "uchar": 1, "int8": 1, "uint8": 1, "short": 2, "ushort": 2, "int16": 2, "uint16": 2,
    "int": 4, "uint": 4, "int32": 4, "uint32": 4, "float": 4, "longlong": 8, "ulonglong": 8,
    "int64": 8, "uint64": 8, "double": 8,
}  # fmt: skip
_METAIMAGE_BYTES = {
    "CHAR": 1, "UCHAR": 1, "ASCII_CHAR": 1, "SHORT": 2, "USHORT": 2, "INT": 4, "UINT": 4,
    "LONG": 8, "ULONG": 8, "LONG_LONG": 8, "ULONG_LONG": 8, "FLOAT": 4, "DOUBLE": 8,
}  # fmt: skip


def nrrd_header(path: Path) -> dict[str, str]:
    """The fields and key/value pairs of a NRRD header, names in lower case.

    Raises
    ------
    ReadError
        When the file does not begin as a NRRD file, or its header is no plain text.
    """
    lines = _text_lines(path, b"\n\n", b"\r\n\r\n")
    if not lines or not lines[0].startswith("NRRD"):
        raise ReadError("is not a NRRD file", source=path)
    fields: dict[str, str] = {}
    for line in lines[1:]:
        if not line.strip():
            break
        if line.startswith("#"):
            continue
        separator = ":=" if ":=" in line else ":"
        name, found, value = line.partition(separator)
        name = name.strip().lower()
        if found:
            if name in fields and separator == ":":
                raise ReadError(f"its header has two values of {name!r}", source=path)
            value = _unescaped(value) if separator == ":=" else value
            fields[name] = value.strip()
        if name in ("data file", "datafile") and value.strip() == "LIST":
            break
    return fields


def metaimage_header(path: Path) -> dict[str, str]:
    """The fields of a MetaImage header, names as in the file.

    Raises
    ------
    ReadError
        When the file does not begin as a MetaImage file, or its header is no plain text.
    """
    fields: dict[str, str] = {}
    for line in _text_lines(path, b"ElementDataFile"):
        name, found, value = line.partition("=")
        name = name.strip()
        # MetaIO ends a name at a colon as well: such a line would mean another thing to it.
        if not found or _METAIMAGE_NAME.fullmatch(name) is None:
            break
        if name in fields:
            raise ReadError(f"its header has two values of {name!r}", source=path)
        fields[name] = value.strip()
        if name == "ElementDataFile":
            return fields
    raise ReadError("is not a MetaImage file (no ElementDataFile)", source=path)


def check_nrrd_size(path: Path, header: dict[str, str], stored: int, *, compressed: bool) -> None:
    """Hold a NRRD header's sizes against the limits and the bytes that are there.

    Raises
    ------
    ReadError
        When they are too large, or no image's.
    """
    kind = re.sub(r"^(un)?signed ", lambda m: "u" if m[1] else "", header.get("type", ""))
    kind = kind.replace(" int", "").replace("long long", "longlong").replace("_t", "").strip()
    sizes = _sides(path, header.get("sizes", ""))
    check_claimed_size(
        path, int(np.prod(sizes, dtype=object)) * _bytes(path, kind, _NRRD_BYTES), stored,
        compressed=compressed,
    )  # fmt: skip


def check_metaimage_size(
    path: Path, header: dict[str, str], stored: int, *, compressed: bool
) -> None:
    """As :func:`check_nrrd_size` for MetaImage."""
    sizes = _sides(path, header.get("DimSize", ""))
    channels = _sides(path, header.get("ElementNumberOfChannels", "1"))
    kind = re.sub(r"^MET_|_ARRAY$", "", header.get("ElementType", ""))
    claimed = int(np.prod([*sizes, *channels], dtype=object))
    check_claimed_size(
        path, claimed * _bytes(path, kind, _METAIMAGE_BYTES), stored, compressed=compressed
    )


def nrrd_data_file(path: Path, header: dict[str, str]) -> Path:
    """The file that holds the voxels: `path` itself, or one that may be opened beside it.

    Raises
    ------
    ReadError
        When the header names a file elsewhere, several files, or one that does not exist.
    """
    named = header.get("data file", header.get("datafile", ""))
    return _beside(path, named) if named else path


def metaimage_data_file(path: Path, header: dict[str, str]) -> Path:
    """As :func:`nrrd_data_file` for MetaImage."""
    named = header["ElementDataFile"]
    return path if named.upper() == _EMBEDDED else _beside(path, named)


def _sides(path: Path, text: str) -> list[int]:
    try:
        sides = [int(part) for part in text.split()]
    except ValueError:
        sides = []
    if not sides or not all(0 < side <= _LARGEST_SIDE for side in sides):
        raise ReadError(f"its header is broken: sizes of {text[:80]!r}", source=path)
    return sides


def _bytes(path: Path, kind: str, known: dict[str, int]) -> int:
    if kind not in known:
        raise ReadError(f"holds values of type {kind[:40]!r}, which are no image", source=path)
    return known[kind]


def _beside(path: Path, named: str) -> Path:
    words = named.split()
    if not words:
        raise ReadError("names no data file", source=path)
    if words[0].upper() == "LIST" or "%" in named:
        raise ReadError(
            "its voxels are spread over several files",
            source=path,
            hint="convert it to a single file with the program that wrote it",
        )
    folder = path.parent.resolve()
    data = (folder / named).resolve()
    # Resolved: a link beside the header that leads elsewhere is elsewhere.
    if data.parent != folder:
        raise ReadError(
            f"names a data file outside its own folder, {named!r}; it is not opened",
            source=path,
            hint="move header and data into one folder, or convert to a single file",
        )
    if not data.is_file():
        raise ReadError(f"its data file {named!r} is missing", source=path)
    return data


def _unescaped(value: str) -> str:
    r"""A key's value as it was meant: ``\\`` is a backslash, ``\n`` a new line."""
    return re.sub(r"\\(.)", lambda match: {"n": "\n"}.get(match[1], match[1]), value)


def _text_lines(path: Path, *ends: bytes) -> list[str]:
    """The header's lines; it reaches to the first of `ends` or to the end of the file."""
    with path.open("rb") as stream:
        content = stream.read(MAX_HEADER_BYTES)
    found = [place for place in (content.find(end) for end in ends) if place >= 0]
    if found:
        # The line that begins at the end mark belongs to the header.
        line_end = content.find(b"\n", min(found) + 1)
        content = content[: line_end if line_end >= 0 else len(content)]
    elif len(content) == MAX_HEADER_BYTES:
        raise ReadError("its header does not end", source=path)
    text = content.decode("utf-8", errors="replace")
    if _CONTROL.search(text):
        raise ReadError("its header is no plain text", source=path)
    return text.replace("\r\n", "\n").split("\n")
