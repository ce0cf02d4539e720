"""nnU-Net's checkpoints: what they tell of the training, and their weights, run by nobody.

A checkpoint is a pickle of tensors, plain values and a few NumPy scalars. Its facts are read
without PyTorch (a list of models must open fast) by an unpickler that knows only stand-ins; the
weights by PyTorch with ``weights_only=True`` and the same short list of NumPy's classes.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_medcnn.core.errors import ModelError

if TYPE_CHECKING:
    import torch

MAX_PICKLE_BYTES = 50_000_000
"""Of a checkpoint's pickle without its tensors; the largest plans make some 1 MB."""


@dataclass(frozen=True)
class CheckpointFacts:
    """What a checkpoint tells of how its network was trained.

    Parameters
    ----------
    trainer : str
        The class of nnU-Net's trainer.
    configuration : str
        Of the plans, e.g. ``"3d_fullres"``.
    mirror_axes : tuple of int
        Axes of the network's window ``(0, 1, 2)`` that training mirrored.
    epoch : int
        How many epochs it was trained.
    """

    trainer: str
    configuration: str
    mirror_axes: tuple[int, ...]
    epoch: int


class _Inert:
    """Stands for whatever the pickle makes; takes everything and does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


_INERT = frozenset(
    {
        ("_codecs", "encode"),
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        *(
            (f"numpy.{core}.multiarray", name)
            for core in ("core", "_core")
            for name in ("scalar", "_reconstruct")
        ),
        ("torch", "device"),
        ("torch", "Size"),
        ("torch._utils", "_rebuild_parameter"),
        ("torch._utils", "_rebuild_tensor_v2"),
        *(
            ("torch", f"{kind}Storage")
            for kind in ("Float", "Half", "BFloat16", "Double", "Long", "Int", "Short", "Byte")
        ),
        ("torch", "BoolStorage"),
    }
)


class _FactsUnpickler(pickle.Unpickler):
    """Plain values as they are, tensors and numbers of NumPy as stand-ins, all else refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) in _INERT:
            return _Inert
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        return _Inert()


def read_facts(path: Path) -> CheckpointFacts:
    """What a checkpoint tells of itself, without loading its weights and without PyTorch.

    Raises
    ------
    ModelError
        When the file is missing, no checkpoint of nnU-Net v2, or asks to run code.
    """
    content = _content(path)
    try:
        axes = content.get("inference_allowed_mirroring_axes")
        return CheckpointFacts(
            trainer=str(content["trainer_name"]),
            configuration=str(content["init_args"]["configuration"]),
            mirror_axes=tuple(int(axis) for axis in axes or ()),
            epoch=int(content.get("current_epoch") or 0),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"is no checkpoint of nnU-Net v2: {error}", source=path) from error


def _content(path: Path) -> Mapping[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(n for n in archive.namelist() if n.endswith("/data.pkl"))
            if archive.getinfo(name).file_size > MAX_PICKLE_BYTES:
                raise ModelError("is larger than any checkpoint of nnU-Net", source=path)
            pickled = archive.read(name)
        content = _FactsUnpickler(io.BytesIO(pickled)).load()
    except pickle.UnpicklingError as error:
        raise _refusal(path, str(error)) from error
    except (OSError, zipfile.BadZipFile, StopIteration) as error:
        raise ModelError(
            "is no checkpoint that PyTorch 1.6 or newer wrote",
            source=path,
            hint="the file may be incomplete",
        ) from error
    except (AttributeError, EOFError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"cannot be read as a checkpoint: {error}", source=path) from error
    if not isinstance(content, Mapping):
        raise ModelError("is no checkpoint of nnU-Net v2", source=path)
    return content


def load_weights(path: Path) -> dict[str, torch.Tensor]:
    """The network's parameters of a checkpoint, on the CPU.

    Raises
    ------
    ModelError
        When the file is missing, damaged, asks to run code or holds no network's parameters.
    """
    import torch
    from torch.serialization import safe_globals

    try:
        with safe_globals(_numpy_scalars()):
            content = torch.load(path, map_location="cpu", weights_only=True)
        state = content["network_weights"]
    except pickle.UnpicklingError as error:
        raise _refusal(path, str(error).splitlines()[0]) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"the weights cannot be read: {error}", source=path) from error
    if not isinstance(state, Mapping) or not all(
        isinstance(value, torch.Tensor) for value in state.values()
    ):
        raise ModelError("holds other things than a network's parameters", source=path)
    prefixes = ("module.", "_orig_mod.")  # of several GPUs, of a compiled network
    return {_without(str(name), prefixes): value for name, value in state.items()}


def _numpy_scalars() -> list[Any]:
    """What the numbers in nnU-Net's record of the training are pickled with, in NumPy 1 and 2."""
    make: Any = np.float32(0).__reduce__()[0]
    names = [(make, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    kinds = [type(np.dtype(kind)) for kind in ("bool", "int32", "int64", "float32", "float64")]
    return [*names, np.dtype, *kinds]


def _without(name: str, prefixes: tuple[str, ...]) -> str:
    for prefix in prefixes:
        name = name.removeprefix(prefix)
    return name


def _refusal(path: Path, reason: str) -> ModelError:
    return ModelError(
        f"the checkpoint would run code when it is opened, refused: {reason}",
        source=path,
        hint="only checkpoints as nnU-Net v2 writes them are read",
    )
