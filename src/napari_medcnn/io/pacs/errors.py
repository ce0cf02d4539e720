"""What can go wrong with a server, and how to name a library that is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from napari_medcnn.core.errors import MedcnnError


class PacsError(MedcnnError):
    """A server cannot be reached, refuses, or does not keep to the protocol."""


class LoginRefused(PacsError):
    """The server does not accept the user, password or token."""


class NoSuchProfile(MedcnnError):
    """There is no connection of this name."""


@contextmanager
def needs_pacs_extra() -> Iterator[None]:
    """Turn a missing library of the extra ``pacs`` into a line that says how to install it.

    Raises
    ------
    PacsError
        When an import inside the block fails for want of pynetdicom or dicomweb-client.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in {"pynetdicom", "dicomweb_client", "requests"}:
            raise
        raise PacsError(
            f"connections to a PACS need the library {error.name}, which is not installed",
            hint='pip install "napari-medcnn[pacs]"',
        ) from error
