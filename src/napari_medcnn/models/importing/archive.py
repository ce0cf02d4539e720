"""Unpack a zip file that nobody vouches for: plain files only, below one folder, and bounded."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Generator
from pathlib import Path, PurePosixPath

from napari_medcnn.core.errors import ModelError
from napari_medcnn.core.events import Event, JobControl, Progress
from napari_medcnn.models.importing.limits import (
    MAX_FILES,
    MAX_RATIO,
    MAX_UNPACKED_BYTES,
    SMALL_BYTES,
)

STAGE = "unpacking"
"""The stage's name in :class:`~napari_medcnn.core.events.Progress`."""

_CHUNK = 1 << 20
_UNIX = 3


def names(file: Path) -> list[str]:
    """The names of a zip file's entries; none where it is no zip file."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return []


def unpack(file: Path, folder: Path, control: JobControl) -> Generator[Event, None, None]:
    """Unpack a zip file into an empty folder; nothing is written when one entry is refused.

    Raises
    ------
    ModelError
        When an entry leads out of the folder or is none of file and folder, the archive is too
        large or damaged, or needs a password.
    Cancelled
        When the job was cancelled.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            _check(entries, file)
            for number, entry in enumerate(entries):
                yield Progress(STAGE, number, len(entries))
                _write(archive, entry, folder, control, file)
            yield Progress(STAGE, len(entries), len(entries))
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise ModelError(f"the archive cannot be unpacked: {error}", source=file) from error


def _check(entries: list[zipfile.ZipInfo], file: Path) -> None:
    if len(entries) > MAX_FILES:
        raise ModelError(f"the archive holds {len(entries)} files, refused", source=file)
    if sum(entry.file_size for entry in entries) > MAX_UNPACKED_BYTES:
        raise ModelError(
            f"the archive unpacks to more than {MAX_UNPACKED_BYTES / 1e9:.3g} GB, refused",
            source=file,
        )
    seen: set[str] = set()
    for entry in entries:
        problem = _problem(entry)
        if problem is None and _key(entry) in seen:
            problem = "names the same file as another one"
        if problem:
            raise ModelError(f"the archive's entry {entry.filename!r} {problem}", source=file)
        seen.add(_key(entry))


def _key(entry: zipfile.ZipInfo) -> str:
    return str(PurePosixPath(entry.filename)).casefold()


def _problem(entry: zipfile.ZipInfo) -> str | None:
    """Why an entry is refused."""
    name = entry.filename
    path = PurePosixPath(name)
    if path.is_absolute() or "\\" in name or (len(name) > 1 and name[1] == ":"):
        return "has an absolute path"
    if ".." in path.parts:
        return "leads out of the folder"
    if any(ord(character) < 32 for character in name):
        return "has a name that no file has"
    mode = entry.external_attr >> 16
    if entry.create_system == _UNIX and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if entry.flag_bits & 1:
        return "needs a password"
    if entry.file_size > max(SMALL_BYTES, MAX_RATIO * entry.compress_size):
        return f"grows more than {MAX_RATIO} times when unpacked"
    return None


def _write(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path, control: JobControl, file: Path
) -> None:
    target = folder.joinpath(*PurePosixPath(entry.filename).parts)
    if entry.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    left = entry.file_size
    with archive.open(entry) as source, target.open("xb") as stream:
        while chunk := source.read(_CHUNK):
            control.checkpoint()
            left -= len(chunk)
            if left < 0:  # more comes than its header says
                raise ModelError(f"the archive's entry {entry.filename!r} lies", source=file)
            stream.write(chunk)
