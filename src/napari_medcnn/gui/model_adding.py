"""Jobs of the model panel: add a model, ask before a program runs, remove a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from napari_medcnn.core.errors import ConsentNeeded, MedcnnError
from napari_medcnn.core.events import Done, Job, JobControl

CHECKPOINTS = (".safetensors", ".pt", ".pth", ".ckpt", ".bin")
"""Suffixes of files that may hold parameters only, for which a network must be chosen."""

_YES = "import it with --trust"
"""How the command's user says yes, in hints of the import."""


@dataclass(frozen=True)
class NewModel:
    """What the user wants to add.

    Parameters
    ----------
    source : str
        A file, a folder or an address.
    name, network, card, sha256 : str
        As :func:`~napari_medcnn.models.importing.job.import_model` takes them; ``""`` for none.
    trust : bool
        The user's yes to a program.
    """

    source: str
    name: str = ""
    network: str = ""
    card: str = ""
    sha256: str = ""
    trust: bool = False

    @property
    def is_address(self) -> bool:
        """Whether it is to be downloaded."""
        return urlsplit(self.source).scheme in ("http", "https")

    @property
    def called(self) -> str:
        """Its last part, for people."""
        path = urlsplit(self.source).path if self.is_address else self.source
        return Path(path).name or self.source


@dataclass(frozen=True)
class TrustQuestion:
    """What a model wants that only its user can allow.

    Parameters
    ----------
    about : NewModel
        What was to be added.
    wants : str
        What it would do.
    sha256 : str
        Of exactly the file that the question is about; ``""`` for a folder.
    """

    about: NewModel
    wants: str
    sha256: str


def add_model(new: NewModel, control: JobControl) -> Job:
    """Import a model; ends in ``Done(ModelSpec)``, or with nothing added in a question of trust."""
    from napari_medcnn.models.importing.job import import_model

    try:
        yield from import_model(
            new.source,
            name=new.name or None,
            sha256=new.sha256 or None,
            trust=new.trust,
            network=new.network or None,
            card=new.card or None,
            control=control,
        )
    except MedcnnError as error:
        if not _asks_for_trust(error) or new.trust:
            raise
        yield from _question(new, _wants(error), control)


def _asks_for_trust(error: MedcnnError) -> bool:
    """Whether the user's yes would help; a bundle's own network says so in its hint alone."""
    return isinstance(error, ConsentNeeded) or _YES in (error.hint or "")


def _wants(error: MedcnnError) -> str:
    look_at = (error.hint or "").partition(_YES)[0].rpartition(", then")[0]
    return f"{error.what}; {look_at}" if look_at else error.what


def _question(new: NewModel, wants: str, control: JobControl) -> Job:
    """The question, with the hash of the file so that a yes counts for that one alone."""
    from napari_medcnn.models.importing.download import download
    from napari_medcnn.models.weights import sha256

    path = Path(new.source).expanduser()
    if new.is_address:  # here already, so nothing comes a second time
        path = yield from download(new.source, new.sha256 or None, control)
    yield Done(TrustQuestion(new, wants, "" if path.is_dir() else sha256(path)))
