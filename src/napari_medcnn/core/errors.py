"""What can go wrong, told so that a user can act on it.

Every error of the package derives from :class:`MedcnnError` and carries what happened, to which
file or case, and what the user can do.
"""

from __future__ import annotations

from pathlib import Path


class MedcnnError(Exception):
    """An error with its subject and a way out.

    Parameters
    ----------
    what : str
        What happened, one sentence without a final full stop.
    source : str or Path, optional
        The file, folder, case or layer concerned.
    hint : str, optional
        What the user can do about it.
    """

    def __init__(
        self, what: str, *, source: str | Path | None = None, hint: str | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.source = None if source is None else str(source)
        self.hint = hint

    def __str__(self) -> str:
        subject = f"{self.source}: " if self.source else ""
        advice = f" ({self.hint})" if self.hint else ""
        return f"{subject}{self.what}{advice}"


class ReadError(MedcnnError):
    """A file or folder cannot be read as what it should be."""


class WriteError(MedcnnError):
    """A result cannot be written; what was there before is untouched."""


class GeometryError(MedcnnError):
    """A grid is impossible, or two grids do not fit each other."""


class ModelError(MedcnnError):
    """A model folder is incomplete, unsafe or contradicts itself."""


class InputMismatch(MedcnnError):
    """An image does not fit what a model expects."""


class ConsentNeeded(InputMismatch):
    """What was noticed forbids going on until the user has looked and said yes."""


class OutOfMemory(MedcnnError):
    """The memory of a device or of this computer did not suffice for a step."""


class Cancelled(MedcnnError):
    """The user cancelled a job."""

    def __init__(self, what: str = "cancelled") -> None:
        super().__init__(what)
