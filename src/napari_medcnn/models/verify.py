"""Load a model's network, hold it against its card, and tell what its files are."""

from __future__ import annotations

from dataclasses import dataclass

from napari_medcnn.core.events import Done, Job, JobControl, Progress
from napari_medcnn.models.spec import ModelSpec

CHECKING = "checking the model"


@dataclass(frozen=True)
class Verified:
    """A model that does what its card says.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    hashes : dict
        The SHA-256 of each of its files of weights, by path.
    """

    spec: ModelSpec
    hashes: dict[str, str]


def verify(spec: ModelSpec, control: JobControl | None = None) -> Job:
    """Run a model's network on one window; a generator of events, ``Done(Verified)`` at last.

    Raises
    ------
    ModelError
        When the weights do not fit, or the network gives something else than its card says.
    """
    from napari_medcnn.models.importing.by_card import check_runs
    from napari_medcnn.models.weights import sha256

    control = control or JobControl()
    yield Progress(CHECKING, 0, 1)
    check_runs(spec)
    control.checkpoint()
    hashes = {str(file): sha256(file) for file in spec.weight_files}
    yield Progress(CHECKING, 1, 1)
    yield Done(Verified(spec, hashes))
