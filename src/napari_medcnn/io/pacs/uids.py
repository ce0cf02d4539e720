"""Unique identifiers as servers send them: checked before they name a file or a request."""

from __future__ import annotations

import re

from napari_medcnn.io.pacs.errors import PacsError

MAX_UID_LENGTH = 64
"""DICOM PS3.5, section 9.1."""

# Leading zeros in a component are against the standard and yet common; dots alone are not let in.
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")


def checked_uid(text: object, what: str = "identifier") -> str:
    """The UID, if it is one: digits and single dots, at most 64 characters.

    A UID becomes part of a path and of a request's address, so nothing else may pass.

    Raises
    ------
    PacsError
        When it is none; the message doesn't repeat the text, which may be anything.
    """
    uid = str(text).rstrip("\0 ")
    if len(uid) > MAX_UID_LENGTH or not _UID.fullmatch(uid):
        raise PacsError(f"the {what} is no valid UID", hint="digits and dots, 64 at most")
    return uid
