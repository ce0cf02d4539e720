"""A series on its way: images collect in a hidden folder that takes its place when complete."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import time
import uuid
import warnings
from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from napari_medcnn.core.errors import WriteError
from napari_medcnn.io.dicom.guarded import DEFLATED, dicom_failures
from napari_medcnn.io.pacs.errors import PacsError
from napari_medcnn.io.pacs.query import SeriesKey
from napari_medcnn.io.pacs.uids import checked_uid

MAX_INSTANCES = 50_000
"""Most images in a series: beyond that a server is faulty or hostile."""

MAX_INSTANCE_BYTES = 4 * 1024**3
"""Largest image: DICOM's own lengths end there."""

MAX_SERIES_BYTES = 64 * 1024**3
"""Largest series that is fetched."""

_INCOMING = ".medcnn-incoming-"
_ABANDONED_S = 7 * 24 * 3600.0
"""A folder in which nothing has come for so long belongs to no retrieval that goes on."""

_META_BYTES = 2048


@dataclass(frozen=True)
class Retrieved:
    """A series that was fetched completely.

    Parameters
    ----------
    folder : Path
        Holds one file an image, named by its SOP instance UID.
    instances, n_bytes : int
        How many files, and their size together.
    """

    folder: Path
    instances: int
    n_bytes: int


class Download:
    """Collects a series' images; a context manager that leaves nothing unless `complete`.

    Parameters
    ----------
    parent : Path
        The series' folder appears here, named by the series' UID.
    key : SeriesKey
        The series that is wanted; images of another one are refused.
    wanted : container of str, optional
        SOP instance UIDs that the server said it has; others are refused.
    """

    def __init__(self, parent: Path, key: SeriesKey, wanted: Container[str] | None = None) -> None:
        self._parent = Path(parent)
        self._key = key
        self._wanted = wanted
        self._names: set[str] = set()
        self._folder: Path | None = None
        self.n_bytes = 0

    def __enter__(self) -> Download:
        try:
            self._parent.mkdir(parents=True, exist_ok=True)
            # Path.mkdir and not mkdtemp: the series is for whoever the user's umask admits.
            _remove_abandoned(self._parent)
            folder = self._parent / f"{_INCOMING}{uuid.uuid4().hex}"
            folder.mkdir()
            self._folder = folder
        except OSError as error:
            raise _write_error(self._parent, error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def count(self) -> int:
        """How many different images have come."""
        return len(self._names)

    def add(self, content: bytes) -> None:
        """Write one image as DICOM file.

        Parameters
        ----------
        content : bytes
            The whole file with preamble and meta information.

        Raises
        ------
        PacsError
            When it is no image of this series, or a limit is passed.
        WriteError
            When it cannot be written.
        """
        if self._folder is None:
            raise RuntimeError("a download is used as a context manager")
        if len(content) > min(MAX_INSTANCE_BYTES, MAX_SERIES_BYTES - self.n_bytes):
            raise PacsError("the server sends more than a series can have")
        uid = self._uid_of(content)
        if uid in self._names:
            return
        if self.count >= MAX_INSTANCES:
            raise PacsError(f"the series has more than {MAX_INSTANCES} images")
        try:
            (self._folder / f"{uid}.dcm").write_bytes(content)
        except OSError as error:
            raise _write_error(self._folder, error) from error
        self._names.add(uid)
        self.n_bytes += len(content)

    def complete(self, expected: int | None) -> Retrieved:
        """Put the folder in its place, in one step.

        Parameters
        ----------
        expected : int, optional
            How many images the server said there are.

        Raises
        ------
        PacsError
            When fewer or more came, or none.
        WriteError
            When the folder cannot take its place.
        """
        if self._folder is None:
            raise RuntimeError("a download is used as a context manager")
        if not self.count or (expected is not None and self.count != expected):
            of = "" if expected is None else f" of {expected}"
            raise PacsError(
                f"{self.count}{of} images came, so the series is incomplete",
                hint="nothing was kept; try again",
            )
        target = self._parent / self._key.series_uid
        try:
            _flush(self._folder)
            _put_in_place(self._folder, target)
        except OSError as error:
            raise _write_error(target, error) from error
        return Retrieved(target, self.count, self.n_bytes)

    def _uid_of(self, content: bytes) -> str:
        """The image's UID, after its header was held against what is wanted."""
        import pydicom

        # pydicom would inflate all of it for the header; its syntax stands among the first bytes.
        if DEFLATED.encode() in content[:_META_BYTES]:
            raise PacsError("the server sends deflated objects, which we never ask for")
        try:
            # pydicom warns of irregular values; only identifiers are looked at here.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                header = pydicom.dcmread(
                    io.BytesIO(content),
                    stop_before_pixels=True,
                    specific_tags=["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"],
                )
                uid = header.get("SOPInstanceUID", "")
                key = (header.get("StudyInstanceUID"), header.get("SeriesInstanceUID"))
        except dicom_failures() as error:
            raise PacsError("the server sent an object that cannot be read") from error
        if key != (self._key.study_uid, self._key.series_uid):
            raise PacsError("the server sent an object of another series")
        uid = checked_uid(uid, "image's identifier")
        if self._wanted is not None and uid not in self._wanted:
            raise PacsError("the server sent an object that is not in its own list")
        return uid


def _remove_abandoned(parent: Path) -> None:
    """Remove what earlier retrievals left when the power went: nobody would ever see it."""
    for folder in parent.glob(f"{_INCOMING}*"):
        with suppress(FileNotFoundError):  # it may just be taking its place
            if time.time() - folder.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(folder, ignore_errors=True)


def _flush(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb+") as stream:
            os.fsync(stream.fileno())


def _put_in_place(folder: Path, target: Path) -> None:
    """Rename, and take an earlier retrieval of the same series out of the way first."""
    if not target.exists() and not target.is_symlink():
        folder.rename(target)
        return
    if not _is_earlier_retrieval(target):
        raise WriteError(
            "a folder of this name is here already and holds other files",
            source=target,
            hint="choose another folder",
        )
    old = Path(tempfile.mkdtemp(dir=target.parent, prefix=_INCOMING))
    try:
        target.rename(old / target.name)
        try:
            folder.rename(target)
        except OSError:
            (old / target.name).rename(target)
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _is_earlier_retrieval(target: Path) -> bool:
    if target.is_symlink() or not target.is_dir():
        return False
    return all(
        path.suffix == ".dcm" and path.is_file() and not path.is_symlink()
        for path in target.iterdir()
    )


def _write_error(path: Path, error: OSError) -> WriteError:
    return WriteError(
        f"cannot be written: {error.strerror or error}",
        source=path,
        hint="choose a folder with write permission and free space",
    )
