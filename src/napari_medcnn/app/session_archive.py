"""The container of a session file: a zip of one manifest and plain ``.npy`` arrays.

A session file may come from anyone. Nothing is extracted to disk, nothing is unpickled, and sizes
are checked before memory is taken.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from napari_medcnn.core.errors import ReadError

MANIFEST = "manifest.json"

MAX_MANIFEST_BYTES = 256 * 2**20
"""Far above any list of lesions: ten thousand of them take some 20 MB."""

MAX_ARRAY_BYTES = 16 * 2**30
"""Above any label map: 1024 x 1024 x 4000 voxels of 4 bytes are just as much."""

ENCRYPTED = 0x1
"""The bit of a zip member's flags (APPNOTE 4.4.4)."""

MAX_RATIO = 1032
"""Deflate cannot compress better than 1032 to 1 (zlib's technical details), so a member that
claims more lies about its size."""

FAST_COMPRESSION = 1
"""zlib's fastest level: label maps compress well at any, and an autosave should be quick."""


class ArchiveWriter:
    """Adds arrays to an open zip file under numbered names."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._count = 0

    def add_array(self, array: npt.NDArray[Any]) -> str:
        """Write an array and return the name to find it by."""
        name = f"arrays/{self._count}.npy"
        self._count += 1
        with self._archive.open(name, "w", force_zip64=True) as stream:
            npy.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)
        return name

    def add_manifest(self, text: str) -> None:
        """Write the manifest; without it the file is no session."""
        self._archive.writestr(MANIFEST, text)


class ArchiveReader:
    """Reads members of a zip file that nobody vouches for.

    Parameters
    ----------
    path : Path
        The session file.
    archive : zipfile.ZipFile
        The same, open.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path = path
        self._archive = archive

    def manifest(self) -> bytes:
        """The manifest's bytes.

        Raises
        ------
        ReadError
            When there is none or it is too large.
        """
        info = self._member(MANIFEST)
        if info.file_size > MAX_MANIFEST_BYTES:
            raise self._error("its manifest is larger than any session's")
        with self._archive.open(info) as stream:
            try:
                return stream.read(MAX_MANIFEST_BYTES)
            except (zipfile.BadZipFile, zlib.error) as error:
                raise self._error(f"{MANIFEST} is damaged") from error

    def array(self, name: str, shape: tuple[int, ...], kinds: str) -> npt.NDArray[Any]:
        """The array `name`, which must have the given shape and one of numpy's type `kinds`.

        Raises
        ------
        ReadError
            When it is missing, of another shape or type, damaged or too large.
        """
        info = self._member(name)
        with self._archive.open(info) as stream:
            try:
                version = npy.read_magic(stream)
                read_header = npy.read_array_header_1_0
                if version != (1, 0):
                    read_header = npy.read_array_header_2_0
                stored, _, dtype = read_header(stream)
            except (ValueError, zipfile.BadZipFile, zlib.error) as error:
                raise self._error(f"{name} is no array") from error
        if stored != shape or dtype.kind not in kinds:
            raise self._error(f"{name} is {dtype} of {stored}, not of {shape}")
        size = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if size > MAX_ARRAY_BYTES or size > info.compress_size * MAX_RATIO + 1024:
            raise self._error(f"{name} claims a size that it cannot have")
        with self._archive.open(info) as stream:
            try:
                return npy.read_array(stream, allow_pickle=False)
            except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
                raise self._error(f"{name} is damaged") from error

    def _member(self, name: str) -> zipfile.ZipInfo:
        try:
            info = self._archive.getinfo(name)
        except KeyError:
            raise self._error(f"it has no {name}") from None
        plain = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        if not plain or info.flag_bits & ENCRYPTED:
            raise self._error(f"{name} is encrypted or compressed in an unknown way")
        return info

    def _error(self, what: str) -> ReadError:
        return ReadError(f"the session cannot be read: {what}", source=self._path)
