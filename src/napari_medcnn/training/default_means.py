"""What a device can do in a step, and which networks and optimisers fit it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from napari_medcnn.training.job import Optimisation
from napari_medcnn.training.manifest import Task

Kind = Literal["cpu", "gpu"]


@dataclass(frozen=True)
class Means:
    """What is taken for granted of a device.

    Parameters
    ----------
    patch_voxels : int
        Of a patch.
    step_voxels : int
        Of all patches of a step.
    most_batch : int
        Patches of a step, whatever their size.
    most_stages : int
        Resolutions of a segmentation network.
    voxels_per_s : float
        Trained in a second by the default network; only the lengths of epochs hang on it.
    network : str
        The default one.
    """

    patch_voxels: int
    step_voxels: int
    most_batch: int
    most_stages: int
    voxels_per_s: float
    network: str


MEANS: Mapping[tuple[Task, int, Kind], Means] = {
    ("segmentation", 3, "cpu"): Means(64**3, 2 * 64**3, 2, 5, 0.75e6, "unet"),
    ("segmentation", 3, "gpu"): Means(128**3, 2 * 128**3, 12, 6, 15e6, "dynunet"),
    ("segmentation", 2, "cpu"): Means(192**2, 8 * 192**2, 8, 5, 1.2e6, "unet"),
    ("segmentation", 2, "gpu"): Means(512**2, 12 * 512**2, 48, 7, 30e6, "dynunet"),
    ("classification", 3, "cpu"): Means(64**3, 4 * 64**3, 8, 5, 1.2e6, "resnet18"),
    ("classification", 3, "gpu"): Means(128**3, 8 * 128**3, 16, 5, 20e6, "densenet121"),
    ("classification", 2, "cpu"): Means(128**2, 32 * 128**2, 32, 5, 0.35e6, "resnet18"),
    ("classification", 2, "gpu"): Means(256**2, 32 * 256**2, 64, 5, 30e6, "densenet121"),
}
"""Sizes on a GPU are nnU-Net's for 8 GB. On two cores a UNet of 16 to 128 filters was measured to
train 0.75 million voxels a second; the other speeds are estimates, by which nothing but the lengths
of epochs is set."""

CPU_SPEED: Mapping[str, float] = {
    "dynunet": 0.25,
    "attention_unet": 0.25,
    "segresnet": 0.5,
    "swinunetr": 0.05,
    "classic_cnn": 5.7,
    "vgg11": 0.29,
    "vgg13": 0.19,
    "vgg16": 0.16,
    "vgg19": 0.12,
    "resnet34": 0.53,
    "resnet50": 0.45,
    "densenet121": 0.6,
    "densenet169": 0.47,
    "efficientnet_b1": 0.75,
    "efficientnet_b2": 0.64,
    "efficientnet_b3": 0.53,
    "efficientnet_b4": 0.39,
}
"""How fast a network trains on a CPU beside the default one of its task, 1 where it is not listed.
Of those that segment, all with few filters, the DynUNet and the SegResNet were measured and the
others are estimates. Those that classify were measured in processor time on pictures of 128 x 128
(the classic CNN: 64 x 64)."""

SMALL_FILTERS, MOST_SMALL_FILTERS = 16, 256

LONG_RUN_STEPS = 10_000
"""From so many steps on, plain gradient descent with momentum ends better than AdamW."""

CLIP_NORM = 12.0
"""nnU-Net's bound of the gradient."""

_SMALL_NETWORK_RATE = 5e-3
_SMALL_DECAY = 1e-4
_RATES: Mapping[str, float] = {"swinunetr": 4e-4, "vgg": 3e-4}
_RATE = 1e-3


def small_arguments(name: str, stages: int) -> dict[str, Any]:
    """Arguments that make a network narrow enough for a CPU; none where it has no such."""
    filters = [min(SMALL_FILTERS * 2**stage, MOST_SMALL_FILTERS) for stage in range(stages)]
    if name == "unet":
        return {"channels": filters, "num_res_units": 2}
    if name == "attention_unet":
        return {"channels": filters}
    if name == "dynunet":
        return {"filters": filters}
    return {"init_filters": 8} if name == "segresnet" else {}


def optimisation_for(name: str, task: Task, kind: Kind, steps: float) -> tuple[Optimisation, str]:
    """How a network of this name learns in so many steps, and why so."""
    loss: Literal["dice_ce", "cross_entropy"] = (
        "dice_ce" if task == "segmentation" else "cross_entropy"
    )
    warmup = max(1, min(100, round(0.05 * steps)))
    decay = 0.99 if steps < LONG_RUN_STEPS else 0.999
    if task == "segmentation" and kind == "gpu" and name != "swinunetr" and steps > LONG_RUN_STEPS:
        return (
            Optimisation(
                "sgd", 1e-2, 3e-5, 0.99, "polynomial", warmup, loss, None, CLIP_NORM, decay
            ),
            "a long run: SGD with Nesterov momentum 0.99 and a polynomial schedule, as nnU-Net's",
        )
    small = task == "segmentation" and kind == "cpu" and name in ("unet", "attention_unet")
    rate = _SMALL_NETWORK_RATE if small else _RATES.get(name.rstrip("0123456789"), _RATE)
    why = f"about {steps:.0f} steps: AdamW, which gets far in a short run; a rate of {rate:g}"
    why += ", high because the network is small and its gradients are clipped" if small else ""
    return (
        Optimisation(
            "adamw", rate, _SMALL_DECAY, 0.99, "polynomial", warmup, loss, None, CLIP_NORM, decay
        ),
        why,
    )
