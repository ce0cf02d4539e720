"""Models that are whole programs: TorchScript and ``torch.export`` files, after trust only."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.spec import ModelSpec
from napari_medcnn.models.trust import require
from napari_medcnn.models.weights import sha256

if TYPE_CHECKING:
    import torch


def load_program(spec: ModelSpec, file: Path) -> torch.nn.Module:
    """The program in `file` on the CPU, in the form that the engine runs.

    Raises
    ------
    ConsentNeeded
        When the user does not trust exactly this file; nothing of it was run.
    ModelError
        When it is damaged.
    """
    from napari_medcnn.models.adapters import Program

    require(sha256(file), spec.kind, file)
    program = _torchscript(file) if spec.kind == "torchscript" else _exported(file)
    given_as_probabilities = spec.network.get("output") == "probabilities"
    return Program(
        program,
        channels_last=spec.network.get("layout") == "channels_last",
        probabilities=spec.activation if given_as_probabilities else "",
    )


def _torchscript(file: Path) -> torch.nn.Module:
    import torch

    try:
        load: Any = torch.jit.load  # has no types
        module: torch.nn.Module = load(str(file), map_location="cpu")
    except (RuntimeError, ValueError, OSError) as error:
        raise _damaged("TorchScript", file, error) from error
    return module.eval()


def _exported(file: Path) -> torch.nn.Module:
    import torch

    try:
        module: torch.nn.Module = torch.export.load(str(file)).module()
    except (RuntimeError, ValueError, OSError, KeyError, AssertionError, zipfile.BadZipFile) as e:
        raise _damaged("torch.export", file, e) from e
    return module


def _damaged(what: str, file: Path, error: Exception) -> ModelError:
    lines = str(error).strip().splitlines()
    reason = lines[0] if lines else type(error).__name__
    return ModelError(
        f"cannot be read as a {what} file: {reason}",
        source=file,
        hint="it may be incomplete, or saved by another version of PyTorch",
    )
