"""Group files by patient without keeping who the patient is.

The index must know which files belong together, also files that appear years later, but a cache
file is no place for names. So it keeps keyed hashes (BLAKE2b, :rfc:`7693`) of what identifies a
patient. Their key is random, made once a machine. Who reads both cache and key can try numbers
until one fits; who has the index alone can not, and two machines' indexes cannot be joined.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from napari_medcnn.core.errors import WriteError

KEY_NAME = "patients.key"
_SIZE = 32


@dataclass(frozen=True)
class Identity:
    """Who a patient is; kept in memory only, and only while the user wants names shown."""

    patient_id: str = ""
    issuer: str = ""
    name: str = ""
    birth_date: str = ""

    @property
    def label(self) -> str:
        """For people: the name with DICOM's carets as commas and blanks, and the ID."""
        family, _, rest = self.name.split("=", maxsplit=1)[0].partition("^")
        given = " ".join(rest.replace("^", " ").split())
        name = ", ".join(part for part in (family.strip(), given) if part)
        identifier = f"ID {self.patient_id}" if self.patient_id else ""
        return " · ".join(part for part in (name, identifier) if part) or "No name in the files"


def patient_key(identity: Identity, study_uid: str, secret: bytes) -> str:
    """The same text for files of the same patient, and nothing that tells which.

    Patients are told apart by ID and its issuer; without an ID by name and birth date; without
    either each study stands for its own patient, as nothing says that two are the same person's.
    """
    if identity.patient_id:
        parts = ("id", identity.patient_id, identity.issuer)
    elif identity.name:  # a birth date alone is shared by many
        parts = ("name", identity.name, identity.birth_date)
    else:
        parts = ("study", study_uid, "")
    return _hashed(parts, secret)


def id_key(patient_id: str, secret: bytes) -> str:
    """By this a patient is found whose exact ID was typed; empty for an empty ID."""
    return _hashed(("search", patient_id.strip(), ""), secret) if patient_id.strip() else ""


def secret_in(folder: Path) -> bytes:
    """The machine's key, made when it is first needed; readable by its owner only.

    Raises
    ------
    WriteError
        When it can be neither read nor made.
    """
    path = folder / KEY_NAME
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Written completely under another name first: who sees the file sees all of it.
        draft = folder / f".{KEY_NAME}-{os.getpid()}-{secrets.token_hex(4)}"
        if not path.exists():
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as stream:
                stream.write(secrets.token_bytes(_SIZE))
            try:
                os.link(draft, path)  # of two processes, the first one's key stays
            except FileExistsError:
                pass
            except OSError:  # a file system without hard links
                draft.replace(path)
            finally:
                draft.unlink(missing_ok=True)
        secret = path.read_bytes()
    except OSError as error:
        raise WriteError("the study index's key cannot be kept", source=path) from error
    if len(secret) != _SIZE:
        raise WriteError(
            "the study index's key is damaged", source=path, hint="delete the folder it lies in"
        )
    return secret


def _hashed(parts: tuple[str, ...], secret: bytes) -> str:
    text = "\0".join(" ".join(part.split()) for part in parts).encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, key=secret, digest_size=16).hexdigest()
