"""Files to send: which of them are DICOM objects, and what a server must accept to take them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_medcnn.core.errors import ReadError
from napari_medcnn.io.dicom.guarded import dicom_failures
from napari_medcnn.io.dicom.scan import looks_like_dicom
from napari_medcnn.io.folder import walk
from napari_medcnn.io.pacs.errors import PacsError
from napari_medcnn.io.pacs.uids import checked_uid

MAX_FILES = 50_000
"""Most files in one sending."""

MAX_FILE_BYTES = 2 * 1024**3
"""Largest file that is sent: both libraries hold it in memory."""


@dataclass(frozen=True)
class Outgoing:
    """A DICOM file that can be sent."""

    path: Path
    sop_class: str
    sop_uid: str
    transfer_syntax: str


@dataclass(frozen=True)
class Sent:
    """How many objects the server took: all that were to be sent."""

    instances: int


def sent(total: int, refusals: Sequence[str], connection: str) -> Sent:
    """What a sending ends in.

    Parameters
    ----------
    total : int
        How many objects were to be sent.
    refusals : sequence of str
        The server's reason for each that it did not take.
    connection : str
        The connection's name.

    Raises
    ------
    PacsError
        When it did not take all of them.
    """
    if refusals:
        raise PacsError(
            f"the server did not take {len(refusals)} of {total} objects: {refusals[0]}",
            source=f"connection {connection}",
        )
    return Sent(total)


def outgoing_files(paths: Iterable[Path]) -> tuple[Outgoing, ...]:
    """The DICOM files among `paths`, folders opened; a named file must be one.

    Raises
    ------
    ReadError
        When a named file is no DICOM object, or there is none at all.
    """
    found: list[Outgoing] = []
    for path in paths:
        if path.is_dir():
            found.extend(_outgoing(file) for file in _files_in(path) if looks_like_dicom(file))
        else:
            found.append(_outgoing(path))
        if len(found) > MAX_FILES:
            raise ReadError(f"more than {MAX_FILES} files", source=path, hint="send fewer at once")
    if not found:
        raise ReadError("there is no DICOM file to send")
    return tuple(found)


def _files_in(folder: Path) -> Iterator[Path]:
    for path, escapes in walk(folder):
        if not escapes and path.name.upper() != "DICOMDIR":
            yield path


def _outgoing(path: Path) -> Outgoing:
    from pydicom.filereader import read_file_meta_info

    if not path.is_file():
        raise ReadError("there is no such file", source=path)
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ReadError("too large to be sent", source=path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            meta = read_file_meta_info(path)
            parts = [
                str(meta.get(keyword, ""))
                for keyword in (
                    "MediaStorageSOPClassUID",
                    "MediaStorageSOPInstanceUID",
                    "TransferSyntaxUID",
                )
            ]
    except dicom_failures() as error:
        raise ReadError("no DICOM file that can be sent", source=path) from error
    if not all(parts):
        raise ReadError("its DICOM header lacks what a server needs", source=path)
    return Outgoing(path, *(checked_uid(part) for part in parts))
