"""nnU-Net's networks, built from its plans by the package that defines them (extra ``nnunet``)."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.nnunet_checkpoint import load_weights
from napari_medcnn.models.spec import ModelSpec

if TYPE_CHECKING:
    import torch

NETWORKS: frozenset[str] = frozenset({"PlainConvUNet", "ResidualEncoderUNet"})
"""Networks of ``dynamic_network_architectures.architectures.unet`` that plans may name."""

_ARGUMENTS = frozenset(
    {
        "n_stages",
        "features_per_stage",
        "conv_op",
        "kernel_sizes",
        "strides",
        "n_conv_per_stage",
        "n_blocks_per_stage",
        "n_conv_per_stage_decoder",
        "conv_bias",
        "norm_op",
        "norm_op_kwargs",
        "dropout_op",
        "dropout_op_kwargs",
        "nonlin",
        "nonlin_kwargs",
        "nonlin_first",
        "bottleneck_channels",
        "stem_channels",
    }
)
_CLASSES = frozenset({"conv_op", "norm_op", "dropout_op", "nonlin"})
_LAYERS = frozenset(
    {
        "Conv3d",
        "InstanceNorm3d",
        "BatchNorm3d",
        "Dropout3d",
        "LeakyReLU",
        "ReLU",
        "ELU",
        "GELU",
        "PReLU",
        "SiLU",
    }
)
"""Layers of ``torch.nn`` that plans may name; they hold plain arguments only."""

_TRAINERS_WITH_BATCH_NORM = ("nnUNetTrainerBN",)


def network_of(
    configuration: Mapping[str, Any], inputs: int, outputs: int, trainer: str
) -> dict[str, Any]:
    """The network's class and arguments of one configuration of the plans, as plain values.

    Parameters
    ----------
    configuration : mapping
        Of the plans, with ``architecture`` or, before nnU-Net 2.4, its sizes alone.
    inputs, outputs : int
        Channels.
    trainer : str
        nnU-Net's trainer: one of them takes another normalisation than the plans say.

    Raises
    ------
    ModelError
        When the plans name a network, layer or argument outside of the tables.
    """
    stated = configuration.get("architecture") or _before_2_4(configuration)
    name = str(stated["network_class_name"]).rpartition(".")[2]
    if name not in NETWORKS:
        raise ModelError(
            f"the plans ask for the network {name}, which is not in the table",
            hint=f"known networks of nnU-Net: {', '.join(sorted(NETWORKS))}",
        )
    arguments = dict(stated["arch_kwargs"])
    unknown = sorted(arguments.keys() - _ARGUMENTS - {"deep_supervision"})
    if unknown:
        raise ModelError(f"the plans give {name} the unknown arguments {', '.join(unknown)}")
    arguments.pop("deep_supervision", None)
    if trainer in _TRAINERS_WITH_BATCH_NORM:
        arguments |= {"norm_op": "BatchNorm3d", "norm_op_kwargs": {"eps": 1e-5, "affine": True}}
    for key in _CLASSES & arguments.keys():
        if arguments[key] is not None:
            arguments[key] = _layer(str(arguments[key]))
    return {"_target_": name, "in_channels": inputs, "out_channels": outputs, **arguments}


def _layer(dotted: str) -> str:
    module, _, name = dotted.rpartition(".")
    if name not in _LAYERS or (module and module.split(".")[0] != "torch"):
        raise ModelError(f"the plans ask for the layer {dotted}, which is not in the table")
    return name


def _before_2_4(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The architecture that plans without one mean."""
    c = configuration
    try:
        stages = len(c["n_conv_per_stage_encoder"])
        base, largest = int(c["UNet_base_num_features"]), int(c["unet_max_num_features"])
        name = str(c["UNet_class_name"])
        depth = "n_conv_per_stage" if name == "PlainConvUNet" else "n_blocks_per_stage"
        arguments = {
            "n_stages": stages,
            "features_per_stage": [min(base * 2**stage, largest) for stage in range(stages)],
            "conv_op": "Conv3d",
            "kernel_sizes": deepcopy(c["conv_kernel_sizes"]),
            "strides": deepcopy(c["pool_op_kernel_sizes"]),
            depth: list(c["n_conv_per_stage_encoder"]),
            "n_conv_per_stage_decoder": list(c["n_conv_per_stage_decoder"]),
            "conv_bias": True,
            "norm_op": "InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "nonlin": "LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        }
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"the plans describe no network: {error}") from error
    return {"network_class_name": name, "arch_kwargs": arguments}


def load_network(spec: ModelSpec, file: Path) -> torch.nn.Module:
    """The network of one fold with its weights, in evaluation mode, without deep supervision.

    Raises
    ------
    ModelError
        When the extra is not installed, or the weights do not fit the plans' network exactly.
    """
    from napari_medcnn.models.networks import mismatches

    network = build_network(spec)
    state = load_weights(file)
    problems = mismatches(network.state_dict(), state)
    if problems:
        raise ModelError(
            f"the weights do not fit the network of the plans: {'; '.join(problems[:3])}",
            source=file,
            hint="was it trained by a trainer that changes the network?",
        )
    network.load_state_dict(state, strict=True)
    return network.eval()


def build_network(spec: ModelSpec) -> torch.nn.Module:
    """The network of a model of the kind ``nnunet``, without its weights.

    Raises
    ------
    ModelError
        When the extra is not installed, or the class does not take the arguments.
    """
    from torch import nn

    try:
        from dynamic_network_architectures.architectures import unet
    except ImportError as error:
        raise ModelError(
            "a model of nnU-Net needs the package dynamic-network-architectures",
            source=spec.path,
            hint="pip install napari-medcnn[nnunet]",
        ) from error
    if spec.network["_target_"] not in NETWORKS:
        raise ModelError(f"the network {spec.network['_target_']} is not in the table")
    arguments = {k: v for k, v in spec.network.items() if k in _ARGUMENTS}
    for key in _CLASSES & arguments.keys():
        if arguments[key] is not None:
            arguments[key] = getattr(nn, _layer(arguments[key]))
    try:
        network: nn.Module = getattr(unet, spec.network["_target_"])(
            input_channels=spec.network["in_channels"],
            num_classes=spec.network["out_channels"],
            deep_supervision=False,
            **arguments,
        )
    except (AssertionError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"the network cannot be built as the plans say: {error}", source=spec.path
        ) from error
    return network
