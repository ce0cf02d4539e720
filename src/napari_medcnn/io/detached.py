"""Text headers of NRRD and MetaImage files: which other files they would have a reader open.

Both formats may name a data file anywhere on the disk, and SimpleITK reads whatever is named. Only
files in the header's own folder are accepted.
"""

from __future__ import annotations

import re
from pathlib import Path

from napari_medcnn.core.errors import ReadError
from napari_medcnn.io.limits import MAX_HEADER_BYTES

_EMBEDDED = "LOCAL"


def nrrd_header(path: Path) -> dict[str, str]:
    """The fields and key/value pairs of a NRRD header, names in lower case.

    Raises
    ------
    ReadError
        When the file does not begin as a NRRD file.
    """
    lines = _text_lines(path)
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
        if found:
            value = _unescaped(value) if separator == ":=" else value
            fields[name.strip().lower()] = value.strip()
        if name.strip().lower() in ("data file", "datafile") and value.strip() == "LIST":
            break
    return fields


def metaimage_header(path: Path) -> dict[str, str]:
    """The fields of a MetaImage header, names as in the file.

    Raises
    ------
    ReadError
        When the file does not begin as a MetaImage file.
    """
    fields: dict[str, str] = {}
    for line in _text_lines(path):
        name, found, value = line.partition("=")
        if not found:
            break
        fields[name.strip()] = value.strip()
        if name.strip() == "ElementDataFile":
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
    if named.split()[0].upper() == "LIST" or "%" in named:
        raise ReadError(
            "its voxels are spread over several files",
            source=path,
            hint="convert it to a single file with the program that wrote it",
        )
    folder = path.parent.resolve()
    data = (folder / named).resolve()
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


def _text_lines(path: Path) -> list[str]:
    with path.open("rb") as stream:
        return stream.read(MAX_HEADER_BYTES).decode("utf-8", errors="replace").splitlines()
