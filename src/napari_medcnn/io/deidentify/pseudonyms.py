"""Pseudonyms, UIDs and shifts of dates that follow from a secret key, and from nothing else.

Every new value is a keyed hash (HMAC-SHA-256, RFC 2104) of the old one: the same in every file of a
run and in every run with the same key, without a table of old and new values that would itself be
secret patient data.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from napari_medcnn.core.errors import ReadError, WriteError
from napari_medcnn.io.deidentify.dates import Shift

KEY_BYTES = 32
MIN_SHIFT_DAYS, MAX_SHIFT_DAYS = 365, 10 * 365
"""Dates go back by one to ten years: far enough to hide them, and never into the future."""

MAX_SHIFT_MINUTES = 59
"""Times go back by one to so many minutes, see :mod:`napari_medcnn.io.deidentify.dates`."""

_PSEUDONYM_LETTERS = 12
_KEY_FILE_HEADER = "napari-medcnn de-identification key; keep it secret"


class Pseudonyms:
    """New values for old ones.

    Parameters
    ----------
    key : bytes
        The secret.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def uid(self, old: str) -> str:
        """A UID under the root 2.25, made of 122 bits like a random UUID's (PS3.5 B.2)."""
        digest = bytearray(self._digest("uid", old.strip("\0 "))[:16])
        digest[6] = digest[6] & 0x0F | 0x40
        digest[8] = digest[8] & 0x3F | 0x80
        return f"2.25.{int.from_bytes(digest, 'big')}"

    def patient(self, identity: str) -> str:
        """A patient's pseudonym, such as ``P-4QXK7L2MZT5B``."""
        letters = base64.b32encode(self._digest("patient", identity)).decode()
        return f"P-{letters[:_PSEUDONYM_LETTERS]}"

    def folder(self, level: str, uid: str) -> str:
        """A short folder or file name for a study, series or instance."""
        return self._digest(level, uid.strip("\0 ")).hex()[:16]

    def shift(self, identity: str) -> Shift:
        """How far all dates and times of a patient go back."""
        digest = self._digest("dates", identity)
        days, minutes = (int.from_bytes(part, "big") for part in (digest[:8], digest[8:16]))
        return Shift(
            days=MIN_SHIFT_DAYS + days % (MAX_SHIFT_DAYS - MIN_SHIFT_DAYS + 1),
            minutes=1 + minutes % MAX_SHIFT_MINUTES,
        )

    def _digest(self, purpose: str, value: str) -> bytes:
        message = f"{purpose}\0{value}".encode("utf-8", errors="surrogateescape")
        return hmac.new(self._key, message, hashlib.sha256).digest()


def new_pseudonyms(key_file: Path | None) -> Pseudonyms:
    """Pseudonyms by the key in a file, which is made if it does not exist; by chance without one.

    Raises
    ------
    ReadError
        When the file holds no key.
    WriteError
        When a new key cannot be written.
    """
    if key_file is None:
        return Pseudonyms(secrets.token_bytes(KEY_BYTES))
    if not key_file.exists():
        _write_key(key_file, secrets.token_bytes(KEY_BYTES))
    return Pseudonyms(_read_key(key_file))


def _write_key(path: Path, key: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Readable by its owner alone from its first moment, and never over another key.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            stream.write(f"{_KEY_FILE_HEADER}\n{key.hex()}\n")
    except OSError as error:
        raise WriteError(f"the key cannot be written: {error.strerror}", source=path) from error


def _read_key(path: Path) -> bytes:
    try:
        header, line, *_ = path.read_text(encoding="ascii").splitlines()
        key = bytes.fromhex(line)
    except (OSError, ValueError) as error:
        raise _no_key(path) from error
    if header != _KEY_FILE_HEADER or len(key) != KEY_BYTES:
        raise _no_key(path)
    return key


def _no_key(path: Path) -> ReadError:
    return ReadError(
        "is no de-identification key", source=path, hint="name a new file to make a new key"
    )
