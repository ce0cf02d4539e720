"""All that a run needs to go on, in one file that is whole or is the one before.

The file holds tensors, numbers, strings and containers of them only, so that it loads with
``weights_only=True``.
"""

from __future__ import annotations

import errno
import random
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_medcnn.core.atomic import replacing
from napari_medcnn.core.errors import MedcnnError, ReadError, WriteError

if TYPE_CHECKING:
    import torch

FORMAT = 1
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class CheckpointNotWritten(WriteError):
    """A checkpoint could not be written; the one before is untouched."""


@dataclass(frozen=True)
class Standing:
    """How far a run is.

    Parameters
    ----------
    epoch : int
        Epochs that are done, their validation included.
    step : int
        Optimiser steps done of the epoch after those.
    epochs_planned : int, optional
        How many there will be; None before a budget of minutes has become a number of epochs.
    best, best_epoch : float, int, optional
        The chosen metric's best value so far, and after how many epochs it was.
    fruitless : int
        Validations since the best one.
    loss_sum : float
        Of the training losses of this epoch's steps so far.
    seconds : float
        For which the run has worked, over all its starts, pauses left out.
    """

    epoch: int = 0
    step: int = 0
    epochs_planned: int | None = None
    best: float | None = None
    best_epoch: int | None = None
    fruitless: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Checkpoint:
    """The parts of a run's state; the dictionaries are torch's ``state_dict``.

    `average`, `scaler` are None where a run has none.
    """

    standing: Standing
    model: dict[str, Any]
    average: dict[str, Any] | None
    optimiser: dict[str, Any]
    schedule: dict[str, Any]
    scaler: dict[str, Any] | None
    generators: dict[str, Any]

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """What is validated and exported: the average's weights where there is one."""
        return self.model if self.average is None else averaged(self.model, self.average)


def averaged(model: Mapping[str, Any], average: Mapping[str, Any]) -> dict[str, Any]:
    """The model's state with the average's values, which torch names ``module.`` and so on."""
    return {name: average.get(f"module.{name}", value) for name, value in model.items()}


def write_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically, and only when what was written can be read whole.

    Raises
    ------
    CheckpointNotWritten
        When the disk is full, or the file came out damaged.
    """
    import torch

    content = {
        "format": FORMAT,
        **{field.name: getattr(checkpoint, field.name) for field in fields(checkpoint)},
        "standing": asdict(checkpoint.standing),
    }
    target = Path(path)
    try:
        with replacing(target) as temporary:
            with temporary.open("wb") as stream:
                torch.save(content, stream)
            _verify(temporary)
    except (OSError, RuntimeError, WriteError) as error:
        raise _not_written(target, error) from error


def read_checkpoint(path: str | Path, device: str = "cpu") -> Checkpoint:
    """A checkpoint, its tensors on `device`.

    Raises
    ------
    ReadError
        When it is missing, damaged, or of another format.
    """
    import pickle

    import torch

    source = Path(path)
    try:
        content = torch.load(source, map_location=device, weights_only=True)
        if content.pop("format") != FORMAT:
            raise ReadError("this checkpoint is of another version of the program", source=source)
        return Checkpoint(**{**content, "standing": Standing(**content["standing"])})
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError) as error:
        raise ReadError(f"this is no checkpoint of a training: {error}", source=source) from error


def generator_states() -> dict[str, Any]:
    """The states of torch's, numpy's and Python's global random generators."""
    import torch

    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        "torch": torch.get_rng_state(),
        "cuda": cuda,
        "numpy": (kind, torch.from_numpy(np.asarray(keys)).clone(), position, has_gauss, cached),
        "python": random.getstate(),
    }


def restore_generators(states: Mapping[str, Any]) -> None:
    """Set the global random generators to what :func:`generator_states` told."""
    import torch

    torch.set_rng_state(states["torch"].cpu())
    if torch.cuda.is_available() and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, keys.cpu().numpy(), *rest))  # noqa: NPY002
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))


def _verify(path: Path) -> None:
    """Read the file again and hold every part to its checksum."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except zipfile.BadZipFile as error:
        raise WriteError(f"came out damaged: {error}", source=path) from error
    if damaged is not None:
        raise WriteError(f"came out damaged at {damaged}", source=path)


def _not_written(target: Path, error: BaseException) -> MedcnnError:
    kept = "the one before is untouched" if target.exists() else "there was none before"
    if _is_full(error):
        return CheckpointNotWritten(
            f"the disk is full, so the checkpoint was not written; {kept}",
            source=target,
            hint="free some space, then resume the run from its folder",
        )
    return CheckpointNotWritten(
        f"the checkpoint was not written; {kept}: {error}",
        source=target,
        hint="see that the folder can be written to, then resume the run",
    )


def _is_full(error: BaseException | None) -> bool:
    """Whether the error, or one behind it, is the system's word for a full disk."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__ or error.__context__
    return False
