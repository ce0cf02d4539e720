"""The images of a folder: its image files, and folders that hold the slices of a series."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_medcnn.core.errors import ReadError
from napari_medcnn.io.formats import READ_SUFFIXES, READABLE, WRITE_SUFFIXES, format_of

_SUFFIXES = tuple(sorted({*READ_SUFFIXES, *WRITE_SUFFIXES, ".dcm"}, key=len, reverse=True))


@dataclass(frozen=True)
class Entry:
    """An image of a folder; `name` is that of its file or folder without an image's suffix."""

    name: str
    path: Path


def entries_of(folder: Path) -> tuple[Entry, ...]:
    """Every image directly in a folder, by name; other files and hidden ones are passed by.

    Raises
    ------
    ReadError
        When the folder cannot be read, or two images have the same name.
    """
    try:
        inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise ReadError(f"cannot be read: {error.strerror or error}", source=folder) from error
    found: dict[str, Path] = {}
    for path in inside:
        if not is_image(path):
            continue
        name = stem(path)
        if name in found:
            raise ReadError(
                f"has two images of the same name: {found[name].name} and {path.name}",
                source=folder,
                hint="keep one of them",
            )
        found[name] = path
    return tuple(Entry(name, path) for name, path in found.items())


def some_entries(folder: Path) -> tuple[Entry, ...]:
    """As :func:`entries_of`, of a folder that has to have some.

    Raises
    ------
    ReadError
        When it has none.
    """
    found = entries_of(folder)
    if not found:
        raise ReadError("holds no image", source=folder, hint=READABLE)
    return found


def is_image(path: Path) -> bool:
    """Whether a path is an image file, or a folder with the slices of one directly in it."""
    if path.is_file():
        return format_of(path) is not None
    if not path.is_dir():
        return False
    # A folder of pictures is a class or a data set, not an image.
    files = (file for file in sorted(path.iterdir()) if not file.name.startswith("."))
    first = next((file for file in files if file.is_file()), None)
    return first is not None and format_of(first) == "dicom"


def stem(path: Path) -> str:
    """The name of a file or folder without the suffix of an image."""
    name = path.name
    suffix = next((end for end in _SUFFIXES if name.lower().endswith(end)), "")
    return name[: len(name) - len(suffix)] or name
