"""The layers of a network that can be looked into, and which of them to look into first."""

from __future__ import annotations

import copy
import weakref
from collections import Counter
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from napari_medcnn.core.errors import InputMismatch

if TYPE_CHECKING:
    import torch

    from napari_medcnn.models.spec import ModelSpec, Task

_CONVOLUTIONS = ("Conv1d", "Conv2d", "Conv3d", "ConvTranspose2d", "ConvTranspose3d")


@dataclass(frozen=True)
class Layer:
    """A layer whose output is a picture of features.

    Parameters
    ----------
    name : str
        As ``named_modules`` of torch has it.
    channels : int
        Number of features.
    shape : tuple of int
        Size of its output, ``(z, y, x)`` or, of a network of pictures, ``(y, x)`` in the order of
        the network's grid.
    stride : tuple of float
        How many voxels of the input one of the output stands for, along the same axes.
    is_default : bool
        Whether it is the one to look into first.
    """

    name: str
    channels: int
    shape: tuple[int, ...]
    stride: tuple[float, ...]
    is_default: bool = False


@dataclass(eq=False)
class _Seen:
    """What was noticed of one module's output while the network ran."""

    name: str
    shape: tuple[int, ...]
    output: weakref.ref[Any]
    has_convolution: bool
    is_convolution: bool
    looks_around: bool
    """A convolution whose kernel is larger than a voxel."""


def explainable_layers(
    network: torch.nn.Module, example: torch.Tensor, task: Task = "segmentation"
) -> tuple[Layer, ...]:
    """The layers to choose from, in the order in which the network runs them.

    These are the modules with a convolution whose output has an extent in space, and the
    normalisations and activations that follow the last of them without changing its size. Modules
    that run more than once are left out, because what a hook sees of them is ambiguous; of nested
    modules with one output the outermost stands for all. A whole program (TorchScript) has none.

    The default depends on the task. A classifier's is the last features with an extent: what its
    decision is computed from. A segmentation network's is the coarsest, its bottleneck: the last
    layers before the head see little beyond a voxel, and their maps draw the network's own mask
    again (Vinogradova et al. 2020, arXiv:2002.11434).

    Parameters
    ----------
    network : torch.nn.Module
        Left as it is.
    example : torch.Tensor
        What goes in: ``(1, channel, x, y[, z])``. It goes through the network once.
    task : {"classification", "segmentation"}
        Decides which layer is the default.

    Returns
    -------
    tuple of Layer
        Empty for programs that hide their layers.
    """
    seen = _outputs(network, example)
    if not any(one.is_convolution for one in seen):
        return ()
    default = _default(seen, task)
    listed = [one for one in seen if one.has_convolution or one is default]
    return tuple(_layer(one, tuple(example.shape[2:]), one is default) for one in listed)


def chosen_layer(layers: tuple[Layer, ...], name: str | None) -> Layer:
    """The layer called `name`, or the default one.

    Raises
    ------
    InputMismatch
        When there is no such layer, or none at all.
    """
    if not layers:
        raise InputMismatch(
            "this network shows no layers to look into",
            hint="occlusion and integrated gradients need none",
        )
    found = [
        layer for layer in layers if (layer.is_default if name is None else layer.name == name)
    ]
    if not found:
        names = ", ".join(layer.name for layer in layers)
        raise InputMismatch(f"there is no layer {name!r}", hint=f"layers of this network: {names}")
    return found[0]


def opened(
    spec: ModelSpec, device: str, network: torch.nn.Module | None = None
) -> tuple[torch.nn.Module, int | None]:
    """A model's network to look into, on a device, and the axis of ``x, y, z`` unknown to it.

    Of an ensemble it is the first one; `network` stands in place of the stored one. The axis is
    None for a network of volumes.

    Raises
    ------
    ModelError
        When the model cannot be loaded.
    """
    from napari_medcnn.models.networks import load_network

    # Loaded on the CPU first: a copy on a device would hold its memory twice.
    found = open_copy(network or load_network(spec, "cpu")).to(device)
    if spec.slice_axis is not None:
        return getattr(found, "network", found), 2 - spec.slice_axis
    return found, 2 if _of_pictures(found) else None


def open_copy(network: torch.nn.Module) -> torch.nn.Module:
    """A copy whose layers can be watched: nothing is computed in place, no weight has a gradient.

    Hooks of MONAI's stay where they are put, and loaded networks are shared between runs.
    """
    copied = copy.deepcopy(network).eval()
    for module in copied.modules():
        if getattr(module, "inplace", False) is True:
            module.inplace = False  # type: ignore[assignment]
    for parameter in copied.parameters():
        parameter.requires_grad_(False)
    return copied


def _of_pictures(network: torch.nn.Module) -> bool:
    """Whether a network's first convolution knows two axes."""
    kinds = (type(module).__name__ for module in network.modules())
    return next((kind for kind in kinds if kind in ("Conv2d", "Conv3d")), "") == "Conv2d"


def _outputs(network: torch.nn.Module, example: torch.Tensor) -> list[_Seen]:
    """The outputs with an extent, as they came; without the answer of the whole network."""
    import torch

    parts = [(name, part) for name, part in network.named_modules() if name]
    if any(isinstance(part, torch.jit.ScriptModule) for _, part in parts):
        return []
    seen: list[_Seen] = []
    calls: Counter[str] = Counter()

    def notice(name: str, module: torch.nn.Module, output: Any) -> None:
        calls[name] += 1
        if not _has_extent(output, example):
            return
        inside = any(type(part).__name__ in _CONVOLUTIONS for part in module.modules())
        itself = type(module).__name__ in _CONVOLUTIONS
        wide = itself and max(getattr(module, "kernel_size", (1,))) > 1
        if seen and seen[-1].output() is output:  # a container gives what its last part gave
            part = seen.pop()
            itself, wide = itself or part.is_convolution, wide or part.looks_around
        shape = tuple(output.shape[1:])
        seen.append(_Seen(name, shape, weakref.ref(output), inside, itself, wide))

    hooks = [
        part.register_forward_hook(
            lambda module, _given, output, name=name: notice(name, module, output)
        )
        for name, part in parts
    ]
    try:
        with torch.no_grad():
            answer = network(example)
    finally:
        for hook in hooks:
            hook.remove()
    while isinstance(answer, list | tuple):
        answer = answer[0]
    return [one for one in seen if calls[one.name] == 1 and one.output() is not answer]


def _has_extent(output: Any, example: torch.Tensor) -> bool:
    import torch

    return (
        isinstance(output, torch.Tensor)
        and output.ndim == example.ndim
        and output.shape[0] == example.shape[0]
        and max(output.shape[2:]) > 1
    )


def _default(seen: list[_Seen], task: Task) -> _Seen:
    """The decisive convolution, with what follows it before the next one at the same size.

    That is its normalisation, activation and block. A convolution of single voxels mixes features
    for the way up, and is no bottleneck of its own.
    """
    convolutions = [one for one in seen if one.is_convolution]
    if task == "classification":
        decisive = convolutions[-1]
    else:
        wide = [one for one in convolutions if one.looks_around] or convolutions
        smallest = min(prod(one.shape[1:]) for one in wide)
        decisive = [one for one in wide if prod(one.shape[1:]) == smallest][-1]
    chosen = decisive
    for one in seen[seen.index(decisive) + 1 :]:
        if one.is_convolution or one.shape[1:] != decisive.shape[1:]:
            break
        chosen = one
    return chosen


def _layer(one: _Seen, size: tuple[int, ...], is_default: bool) -> Layer:
    shape = tuple(reversed(one.shape[1:]))
    stride = tuple(n / m for n, m in zip(reversed(size), shape, strict=True))
    return Layer(one.name, one.shape[0], shape, stride, is_default)
