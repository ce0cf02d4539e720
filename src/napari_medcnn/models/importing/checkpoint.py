"""A plain checkpoint and the name of a network: what its tensors' shapes tell of the arguments."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.networks import build_network, mismatches
from napari_medcnn.models.spec import ModelSpec
from napari_medcnn.models.vocabulary import NETWORKS

if TYPE_CHECKING:
    import torch

State = Mapping[str, "torch.Tensor"]
_SHOWN = 3


def network_choice(text: str | Mapping[str, Any]) -> dict[str, Any]:
    """A network's class and arguments from ``UNet``, ``UNet:{"channels": [...]}`` or a dict.

    Raises
    ------
    ModelError
        When the class is not in the table, or the arguments are no JSON object.
    """
    import json

    if isinstance(text, str):
        name, _, rest = text.partition(":")
        try:
            arguments = json.loads(rest) if rest.strip() else {}
        except ValueError as error:
            raise ModelError(f"the network's arguments are no JSON: {error}") from error
    else:
        name, arguments = str(text.get("class", "")), text.get("arguments", {})
    if name not in NETWORKS:
        raise ModelError(
            f"the network {name} is not in the table",
            hint=f"known networks: {', '.join(sorted(NETWORKS))}",
        )
    if not isinstance(arguments, dict) or any(str(k).startswith("_") for k in arguments):
        raise ModelError('the network\'s arguments are a JSON object, e.g. UNet:{"channels": [16]}')
    return {"_target_": name, **arguments}


def inferred(
    choice: Mapping[str, Any], state: State, in_channels: int, out_channels: int
) -> dict[str, Any]:
    """The chosen network with the arguments that the shapes tell, stated ones left as they are."""
    name = str(choice["_target_"])
    known: dict[str, Any] = {"in_channels": in_channels, "out_channels": out_channels}
    if name not in ("SegResNetDS", "SwinUNETR", "UNETR") or "spatial_dims" in choice:
        known["spatial_dims"] = 3
    if name in _READERS:
        known |= _READERS[name](state)
    if name == "DiNTS":
        known["num_classes"] = known.pop("out_channels")
    return {**known, **choice}


def check_fit(spec: ModelSpec, state: State) -> None:
    """Hold a network's own shapes against the checkpoint's.

    Raises
    ------
    ModelError
        When they differ; says which arguments were tried.
    """
    network = build_network(replace(spec, kind="monai"))
    problems = mismatches(network.state_dict(), dict(state))
    if problems:
        arguments = {k: v for k, v in spec.network.items() if not k.startswith("_")}
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise ModelError(
            f"the checkpoint does not fit {spec.network['_target_']} with {arguments}: "
            f"{'; '.join(problems[:_SHOWN])}{more}",
            hint="state the network's arguments, as the training program has them",
        )


def _unet(state: State) -> dict[str, Any]:
    """MONAI's UNet nests its levels: ``model.0``, ``model.1.submodule.0`` and so on."""
    channels, prefix = [], "model"
    while True:
        down = [k for k in state if k.startswith(f"{prefix}.0.") and state[k].ndim == 5]
        if not down:
            break
        channels.append(int(state[down[0]].shape[0]))
        prefix += ".1.submodule"
    bottom = [
        k for k in state if k.startswith(f"{prefix}.") and state[k].ndim == 5 and len(channels)
    ]
    if bottom:
        channels.append(int(state[bottom[0]].shape[0]))
    units = {int(m[1]) for k in state if (m := re.match(r"model\.0\.conv\.unit(\d+)\.", k))}
    normed = any(k.endswith("running_mean") for k in state)
    found: dict[str, Any] = {"num_res_units": len(units), "norm": "batch" if normed else "instance"}
    if len(channels) > 1:
        found |= {"channels": channels, "strides": [2] * (len(channels) - 1)}
    if not any(".adn.A." in k or k.endswith(".A.weight") for k in state):
        found["act"] = "relu"
    return found


def _segresnet(state: State) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "convInit.conv.weight" in state:
        found["init_filters"] = int(state["convInit.conv.weight"].shape[0])
    for argument, layers in (("blocks_down", "down_layers"), ("blocks_up", "up_layers")):
        blocks: dict[int, set[int]] = {}
        for name in state:
            if m := re.match(rf"{layers}\.(\d+)\.(\d+)\.conv1\.", name):
                blocks.setdefault(int(m[1]), set()).add(int(m[2]))
        if blocks:
            found[argument] = [len(blocks[level]) for level in sorted(blocks)]
    return found


def _basic_unet(state: State) -> dict[str, Any]:
    sizes = [
        int(state[name].shape[0])
        for name in (
            "conv_0.conv_0.conv.weight",
            *(f"down_{n}.convs.conv_0.conv.weight" for n in range(1, 5)),
            "upcat_1.convs.conv_0.conv.weight",
        )
        if name in state
    ]
    return {"features": sizes} if len(sizes) == 6 else {}


def _swin(state: State) -> dict[str, Any]:
    first = state.get("swinViT.patch_embed.proj.weight")
    return {} if first is None else {"feature_size": int(first.shape[0])}


_READERS: Mapping[str, Callable[[State], dict[str, Any]]] = {
    "UNet": _unet,
    "SegResNet": _segresnet,
    "BasicUNet": _basic_unet,
    "SwinUNETR": _swin,
}
