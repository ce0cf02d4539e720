"""A network's weights on disk: their hash, and reading them without running what a file says."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_medcnn.core.errors import ModelError

if TYPE_CHECKING:
    import torch

_WRAPPERS = ("model", "state_dict", "network", "network_weights")
"""Keys under which training programs keep the network's own state."""


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file in hexadecimal, read in pieces; remembered until the file changes.

    Of a folder it is that of a list of its files: a line ``sha256  relative/path`` each, sorted.

    Raises
    ------
    ModelError
        When the file cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(f.relative_to(path).as_posix() for f in path.rglob("*") if f.is_file())
        lines = "".join(f"{sha256(path / name)}  {name}\n" for name in files)
        return hashlib.sha256(lines.encode()).hexdigest()
    try:
        state = path.stat()
        return _sha256(path, state.st_mtime_ns, state.st_size)
    except OSError as error:
        raise ModelError(f"no weights: {error.strerror or error}", source=path) from error


def combined_sha256(paths: Sequence[Path]) -> str:
    """The SHA-256 of one file, or of the hashes of several in their order."""
    hashes = [sha256(path) for path in paths]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


@functools.lru_cache(maxsize=64)
def _sha256(path: Path, mtime_ns: int, size: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def load_state(path: str | Path) -> dict[str, torch.Tensor]:
    """A network's parameters on the CPU, from ``.safetensors`` or a plain PyTorch file.

    PyTorch files are read with ``weights_only=True``: a file that asks to run code is refused.

    Raises
    ------
    ModelError
        When the file is missing, damaged, asks to run code, or holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError("no weights: there is no such file", source=path)
    content = _safetensors(path) if path.suffix == ".safetensors" else _torch(path)
    return _state_in(content, path)


def load_entry(path: Path, key: str) -> Any:
    """One entry of a PyTorch file of tensors, arrays and numbers, read without running any of it.

    Raises
    ------
    ModelError
        When the file is missing, damaged or asks to run code, or has no such entry.
    """
    import numpy as np
    from torch.serialization import safe_globals

    # What an array of numbers is pickled with, under its names in NumPy 1 and 2; an array of
    # objects stays within the same limits.
    make: Any = np.empty(0).__reduce__()[0]
    makers = [(make, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")]
    kinds = [type(np.dtype(name)) for name in ("bool", "int32", "int64", "float32", "float64")]
    with safe_globals([*makers, np.ndarray, np.dtype, *kinds]):
        content = _torch(path)
    if not isinstance(content, Mapping) or key not in content:
        raise ModelError(f"holds no entry {key}", source=path)
    return content[key]


def _safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path, device="cpu")
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def _torch(path: Path) -> Any:
    import pickle

    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            "the weights are not plain tensors: loading them would run code from the file, refused",
            source=path,
            hint="ask for the model as .safetensors or as a plain state_dict",
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ModelError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ModelError(
        f"the weights cannot be read: {reason}", source=path, hint="the file may be incomplete"
    )


def _state_in(content: Any, path: Path) -> dict[str, torch.Tensor]:
    import torch

    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    if not isinstance(content, Mapping) or not content:
        raise ModelError("holds no network's parameters", source=path)
    if not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise ModelError("holds other things than a network's parameters", source=path)
    # A network trained on several GPUs keeps its parameters one level down.
    if all(str(name).startswith("module.") for name in content):
        return {str(name).removeprefix("module."): value for name, value in content.items()}
    return {str(name): value for name, value in content.items()}
