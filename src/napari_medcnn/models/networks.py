"""A model's network, built from the table of known classes and filled with its weights."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.expressions import StoredValue
from napari_medcnn.models.own_code import build_own
from napari_medcnn.models.programs import load_program
from napari_medcnn.models.spec import ModelSpec
from napari_medcnn.models.vocabulary import (
    CLASSIFIERS,
    NETWORK_PARTS,
    NETWORKS,
    OUR_CLASSIFIERS,
    OUR_NETWORKS,
    arguments,
    class_name,
)
from napari_medcnn.models.weights import load_entry, load_state, sha256

if TYPE_CHECKING:
    import torch

_SHOWN = 3
_lock = threading.Lock()
_last: tuple[tuple[str, str], torch.nn.Module] | None = None
"""The network loaded last, in main memory: a second run with the same model starts at once.

One network only, and never on a GPU, whose memory is free again when a run ends."""


def load_network(spec: ModelSpec, device: str = "cpu", member: int = 0) -> torch.nn.Module:
    """The network of a model on `device`, in evaluation mode: ``(batch, channel, x, y, z)`` in.

    One that classifies gives ``(batch, class)``; pictures have one voxel along z.
    The CPU's network is kept until another one is loaded; treat it as read-only.

    Parameters
    ----------
    spec : ModelSpec
        Of a kind that PyTorch runs: ``monai``, ``nnunet``, ``torchscript`` or ``exported``.
    device : str
        ``"cpu"``, ``"cuda:0"`` or ``"mps"``.
    member : int
        Which of `ModelSpec.weight_files`.

    Raises
    ------
    ModelError
        When the class or its arguments are not known, the weights do not fit exactly, or PyTorch
        does not run models of this kind.
    ConsentNeeded
        When the model is a program that the user does not trust.
    """
    global _last
    file = spec.weight_files[member]
    description = [spec.kind, spec.slice_axis, spec.activation, spec.network]
    key = (sha256(file), json.dumps(description, sort_keys=True, default=str))
    with _lock:
        if _last is None or _last[0] != key:
            _last = None
            _last = (key, _loaded(spec, file))
        network = _last[1]
    return network if device == "cpu" else copy.deepcopy(network).to(device)


def build_network(spec: ModelSpec) -> torch.nn.Module:
    """The network of a model without its weights.

    Raises
    ------
    ModelError
        When the class is not in the table or does not take the arguments.
    """
    name = spec.network.get("_target_")
    if "_own_" in spec.network:
        given = {k: _value(v, spec.path) for k, v in spec.network.items() if not k.startswith("_")}
        own: torch.nn.Module = build_own(spec.path, spec.network, given)
        return own
    if spec.task == "detection":
        from napari_medcnn.models.retinanet_network import build_retinanet

        return build_retinanet(spec)
    if spec.task == "classification":
        return network_of(spec.network, spec.path)
    if name not in NETWORKS:
        raise ModelError(f"the network {name} is not in the table", source=spec.path)
    network: torch.nn.Module = _instance(spec.network, spec.path)
    return network


def network_of(description: Mapping[str, Any], folder: Path | None = None) -> torch.nn.Module:
    """The network of a description, with fresh weights.

    Parameters
    ----------
    description : mapping
        ``_target_``, a class of the tables `NETWORKS` and `CLASSIFIERS` of the vocabulary, and its
        arguments.
    folder : Path, optional
        Of the bundle, for arguments that are read from its files.

    Raises
    ------
    ModelError
        When the class is in no table, does not take the arguments, or would fetch weights.
    """
    name = class_name(description, "network_def")
    if name in CLASSIFIERS:
        description = arguments(description, CLASSIFIERS, "network_def")
        if description.get("pretrained"):
            raise ModelError(f"{name} would fetch weights from elsewhere, refused", source=folder)
    elif name not in NETWORKS:
        raise ModelError(f"the network {name} is not in the table", source=folder)
    network: torch.nn.Module = _instance({**description, "_target_": name}, folder)
    return network


def _instance(description: Mapping[str, Any], folder: Path | None) -> Any:
    """An object of a class of the tables; parts and stored values first."""
    name = description["_target_"]
    given = {k: _value(v, folder) for k, v in description.items() if not k.startswith("_")}
    module = import_module(OUR_NETWORKS if name in OUR_CLASSIFIERS else "monai.networks.nets")
    try:
        return getattr(module, name)(**given)
    except (TypeError, ValueError, KeyError, AssertionError, NotImplementedError) as error:
        raise ModelError(
            f"the network {name} cannot be built as described: {error}", source=folder
        ) from error


def _value(value: Any, folder: Path | None) -> Any:
    if isinstance(value, Mapping) and value.get("_target_") in NETWORK_PARTS:
        return _instance(value, folder)
    if isinstance(value, StoredValue):
        if folder is None:
            raise ModelError(f"the network needs the file {value.path} of a bundle")
        return load_entry(folder / value.path, value.key)
    if isinstance(value, list | tuple):
        return [_value(inner, folder) for inner in value]
    return value


def _loaded(spec: ModelSpec, file: Path) -> torch.nn.Module:
    if spec.kind == "monai":
        network = _filled(build_network(spec), spec, file)
    elif spec.kind == "nnunet":
        from napari_medcnn.models import nnunet_network

        network = nnunet_network.load_network(spec, file)
    elif spec.kind in ("torchscript", "exported"):
        network = load_program(spec, file)
    else:
        raise ModelError(f"PyTorch does not run models of the kind {spec.kind}", source=file)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    if spec.of_pictures:
        from napari_medcnn.models.adapters import OfPictures

        return OfPictures(network).eval()
    if spec.slice_axis is not None:
        from napari_medcnn.models.adapters import SliceBySlice

        return SliceBySlice(network, 4 - spec.slice_axis).eval()
    return network


def _filled(network: torch.nn.Module, spec: ModelSpec, file: Path) -> torch.nn.Module:
    state = load_state(file)
    problems = mismatches(network.state_dict(), state)
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise ModelError(
            f"the weights do not fit the network {spec.network['_target_']}: "
            f"{'; '.join(problems[:_SHOWN])}{more}",
            source=file,
        )
    network.load_state_dict(state, strict=True)
    return network.eval()


def mismatches(expected: dict[str, Any], given: dict[str, Any]) -> list[str]:
    """What keeps the parameters `given` from being those `expected`, shapes first."""
    shapes = [
        f"{name} is {tuple(given[name].shape)}, expected {tuple(value.shape)}"
        for name, value in expected.items()
        if name in given and given[name].shape != value.shape
    ]
    missing = [f"{name} is missing" for name in expected if name not in given]
    unknown = [f"{name} is unknown" for name in given if name not in expected]
    return shapes + missing + unknown
