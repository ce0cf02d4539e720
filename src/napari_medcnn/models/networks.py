"""A model's network, built from the table of known classes and filled with its weights."""

from __future__ import annotations

import copy
import json
import threading
from typing import TYPE_CHECKING, Any

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.spec import ModelSpec
from napari_medcnn.models.vocabulary import NETWORKS
from napari_medcnn.models.weights import load_state, sha256

if TYPE_CHECKING:
    import torch

_SHOWN = 3
_lock = threading.Lock()
_last: tuple[tuple[str, str], torch.nn.Module] | None = None
"""The network loaded last, in main memory: a second run with the same model starts at once.

One network only, and never on a GPU, whose memory is free again when a run ends."""


def load_network(spec: ModelSpec, device: str = "cpu") -> torch.nn.Module:
    """The network of a model on `device`, in evaluation mode.

    The CPU's network is kept until another model is loaded; treat it as read-only.

    Raises
    ------
    ModelError
        When the class or its arguments are not known, or the weights do not fit exactly.
    """
    global _last
    key = (sha256(spec.weights), json.dumps(spec.network, sort_keys=True, default=str))
    with _lock:
        if _last is None or _last[0] != key:
            _last = None
            _last = (key, _loaded(spec))
        network = _last[1]
    return network if device == "cpu" else copy.deepcopy(network).to(device)


def build_network(spec: ModelSpec) -> torch.nn.Module:
    """The network of a model without its weights.

    Raises
    ------
    ModelError
        When the class is not in the table or does not take the arguments.
    """
    from monai.networks import nets

    arguments = {k: v for k, v in spec.network.items() if not k.startswith("_")}
    name = spec.network["_target_"]
    if name not in NETWORKS:
        raise ModelError(f"the network {name} is not in the table", source=spec.path)
    try:
        network: torch.nn.Module = getattr(nets, name)(**arguments)
    except (TypeError, ValueError, KeyError, AssertionError, NotImplementedError) as error:
        raise ModelError(
            f"the network {name} cannot be built as described: {error}", source=spec.path
        ) from error
    return network


def _loaded(spec: ModelSpec) -> torch.nn.Module:
    network = build_network(spec)
    state = load_state(spec.weights)
    problems = mismatches(network.state_dict(), state)
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise ModelError(
            f"the weights do not fit the network {spec.network['_target_']}: "
            f"{'; '.join(problems[:_SHOWN])}{more}",
            source=spec.weights,
        )
    network.load_state_dict(state, strict=True)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
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
