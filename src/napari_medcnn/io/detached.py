"""Text headers of NRRD and MetaImage files: which other files they would have a reader open.

Both formats may name a data file anywhere on the disk, and SimpleITK reads whatever is named. Only
files in the header's own folder are accepted. What a library might read otherwise than this module
does (control characters, repeated fields, headers without an end) is refused.
"""

from __future__ import annotations

import re
from pathlib import Path

from napari_medcnn.core.errors import ReadError
from napari_medcnn.io.limits import MAX_HEADER_BYTES

_EMBEDDED = "LOCAL"
_METAIMAGE_NAME = re.compile(r"[A-Za-z][\w.\- ]*")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)")


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
