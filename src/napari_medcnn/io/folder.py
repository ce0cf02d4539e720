"""The files of a folder that the user chose, and none outside of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from napari_medcnn.core.errors import ReadError
from napari_medcnn.io.limits import MAX_FILES


@dataclass(frozen=True)
class FolderFiles:
    """Regular files in a stable order; `escaping` counts links that lead out of the folder."""

    files: tuple[Path, ...]
    escaping: int = 0


def files_in(path: Path) -> FolderFiles:
    """The file itself, or every regular file below a folder but the hidden ones.

    Links to folders are not followed. A link to a file is, as long as the file lies in the folder:
    a folder from elsewhere must not bring in what else is on this computer.

    Raises
    ------
    ReadError
        When there is no file, or more than :data:`~napari_medcnn.io.limits.MAX_FILES`.
    """
    if path.is_file():
        return FolderFiles((path,))
    found = list(islice(walk(path), MAX_FILES + 1))
    if not found:
        raise ReadError("the folder is empty", source=path, hint="choose a folder with images")
    if len(found) > MAX_FILES:
        raise ReadError(
            f"the folder holds more than {MAX_FILES} files", source=path, hint="choose one below"
        )
    kept = tuple(file for file, escapes in found if not escapes)
    if not kept:
        raise ReadError("holds only links that lead out of it", source=path, hint="open the files")
    return FolderFiles(kept, len(found) - len(kept))


def walk(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Every regular file below a folder but the hidden ones, and whether it lies outside."""
    root = os.path.realpath(folder)
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(parent) / name
            # A loop of links, or a link to a device, is no regular file.
            if not name.startswith(".") and file.is_file():
                yield file, file.is_symlink() and not _lies_in(file, root)


def _lies_in(file: Path, root: str) -> bool:
    target = os.path.realpath(file)
    return os.path.commonpath([target, root]) == root if target[:1] == root[:1] else False
