"""What a connection to a server can do, whichever protocol it speaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from napari_medcnn.core.events import Job, JobControl
from napari_medcnn.io.pacs.credentials import Credential
from napari_medcnn.io.pacs.errors import needs_pacs_extra
from napari_medcnn.io.pacs.profiles import Profile, WebProfile
from napari_medcnn.io.pacs.query import Query, SeriesKey


@dataclass(frozen=True)
class Verified:
    """The server answered; `text` says in a sentence what it is."""

    text: str


class PacsConnection(Protocol):
    """Four jobs; each opens its own connection, yields events and ends with its result.

    All of them raise :class:`~napari_medcnn.io.pacs.errors.PacsError` when the server cannot be
    reached, refuses, or breaks the protocol, and ``Cancelled`` when cancelled.
    """

    def verify(self, control: JobControl | None = None) -> Job:
        """Ask the server whether it is there and lets us in: ends with :class:`Verified`."""
        ...

    def find(self, query: Query, control: JobControl | None = None) -> Job:
        """Look for studies or series: ends with :class:`~.query.Found`."""
        ...

    def retrieve(self, key: SeriesKey, folder: Path, control: JobControl | None = None) -> Job:
        """Fetch a series into a folder of its own in `folder`: ends with ``Retrieved``."""
        ...

    def send(self, paths: Sequence[Path], control: JobControl | None = None) -> Job:
        """Send DICOM files, folders opened: ends with :class:`~.upload.Sent`."""
        ...


def open_connection(profile: Profile, credential: Credential | None = None) -> PacsConnection:
    """The connection of a profile; nothing is sent yet.

    Parameters
    ----------
    profile : Profile
        Where to.
    credential : Credential, optional
        What :func:`~.credentials.find_credential` found.

    Raises
    ------
    PacsError
        When a library of the extra ``pacs`` is not installed.
    """
    with needs_pacs_extra():
        if isinstance(profile, WebProfile):
            from napari_medcnn.io.pacs.dicomweb import WebConnection

            return WebConnection(profile, credential)
        from napari_medcnn.io.pacs.dimse import DimseConnection

        return DimseConnection(profile)
