"""Make small MONAI Bundles for tests whose segmentation is known exactly.

The network is a real MONAI UNet whose weights are set by hand so that it is a ladder of intensity
thresholds: class c is where the first channel's value (after the bundle's preprocessing) lies
above ``thresholds[c - 1]`` and not above the next. No voxel looks at its neighbours.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

STEEPNESS = 100.0
"""Logits a unit of intensity: a voxel 0.1 above a threshold has a probability above 0.9999."""


def make_bundle(
    folder: Path,
    *,
    classes: Sequence[str] = ("bright",),
    thresholds: Sequence[float] = (0.5,),
    activation: str = "sigmoid",
    spacing: tuple[float, float, float] | None = (1.0, 1.0, 1.0),
    orientation: str | None = "RAS",
    roi: tuple[int, int, int] = (16, 16, 16),
    overlap: float = 0.25,
    blend: str = "gaussian",
    channels: int = 1,
    modality: str = "MR",
    extra_steps: Sequence[dict[str, Any]] = (),
    labels_first: bool = False,
    nearest: bool = False,
    random_weights: bool = False,
    weights: str = "model.pt",
    metadata: dict[str, Any] | None = None,
    medcnn: dict[str, Any] | None = None,
) -> Path:
    """Write a bundle into `folder` and return it.

    Parameters
    ----------
    classes, thresholds
        Names of the foreground classes and the intensity from which each holds, ascending.
    activation
        ``"sigmoid"`` (one output a class) or ``"softmax"`` (background first).
    spacing, roi
        In the network's own order ``(x, y, z)``; no spacing keeps the image's grid.
    extra_steps
        Further preprocessing in MONAI's form, after the resampling.
    random_weights
        Seeded random weights and a deeper network instead of the thresholds.
    weights
        File name; ``.safetensors`` or ``.pt``; empty for none.
    metadata, medcnn
        Merged into ``metadata.json`` and its section ``medcnn``.
    """
    outputs = list(classes) if activation == "sigmoid" else ["background", *classes]
    network = _network(channels, len(outputs), random_weights)
    config = {
        "bundle_root": ".",
        "image_key": "image",
        "network_def": {"_target_": "UNet", **network},
        "network": "$@network_def.to(@device)",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": _preprocessing(orientation, spacing, extra_steps),
        },
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": list(roi),
            "sw_batch_size": 2,
            "overlap": overlap,
            "mode": blend,
        },
        "postprocessing": {
            "_target_": "Compose",
            "transforms": _postprocessing(activation, labels_first, nearest),
        },
        "checkpointloader": {
            "_target_": "CheckpointLoader",
            "load_path": f"$@bundle_root + '/models/{weights or 'model.pt'}'",
            "load_dict": {"model": "@network"},
        },
        "initialize": ["$monai.utils.set_determinism(seed=123)"],
        "run": ["$@evaluator.run()"],
    }
    (folder / "configs").mkdir(parents=True, exist_ok=True)
    (folder / "configs" / "inference.json").write_text(json.dumps(config, indent=2))
    card = _metadata(channels, modality, outputs) | (metadata or {})
    if medcnn is not None:
        card["medcnn"] = medcnn
    (folder / "configs" / "metadata.json").write_text(json.dumps(card, indent=2))
    if weights:
        _write_weights(folder / "models" / weights, network, thresholds, activation, random_weights)
    return folder


def _network(in_channels: int, out_channels: int, random_weights: bool) -> dict[str, Any]:
    return {
        "spatial_dims": 3,
        "in_channels": in_channels,
        "out_channels": out_channels,
        "channels": [4, 8, 8] if random_weights else [1, 1],
        "strides": [2, 2] if random_weights else [1],
        "num_res_units": 0,
        "act": "relu",
        "norm": "batch",
    }


def _preprocessing(
    orientation: str | None,
    spacing: tuple[float, float, float] | None,
    extra_steps: Sequence[dict[str, Any]],
) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = [
        {"_target_": "LoadImaged", "keys": "@image_key"},
        {"_target_": "EnsureChannelFirstd", "keys": "@image_key"},
    ]
    if orientation:
        steps.append({"_target_": "Orientationd", "keys": "@image_key", "axcodes": orientation})
    if spacing:
        steps.append(
            {
                "_target_": "Spacingd",
                "keys": "@image_key",
                "pixdim": list(spacing),
                "mode": "bilinear",
            }
        )
    return [*steps, *extra_steps, {"_target_": "EnsureTyped", "keys": "@image_key"}]


def _postprocessing(activation: str, labels_first: bool, nearest: bool) -> list[dict[str, Any]]:
    labels: dict[str, Any] = {"_target_": "AsDiscreted", "keys": "pred"}
    labels |= {"threshold": 0.5} if activation == "sigmoid" else {"argmax": True}
    back = {
        "_target_": "Invertd",
        "keys": "pred",
        "transform": "@preprocessing",
        "orig_keys": "@image_key",
        "nearest_interp": nearest,
        "to_tensor": True,
    }
    return [
        {"_target_": "Activationsd", "keys": "pred", activation: True},
        *((labels, back) if labels_first else (back, labels)),
        {"_target_": "SaveImaged", "keys": "pred", "output_dir": "./eval"},
    ]


def _metadata(channels: int, modality: str, outputs: Sequence[str]) -> dict[str, Any]:
    return {
        "version": "1.2.3",
        "name": "Bright voxels",
        "task": "Finds what is bright",
        "description": "A ladder of intensity thresholds for tests.",
        "license": "BSD-3-Clause",
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "modality": modality,
                    "num_channels": channels,
                    "channel_def": {str(n): f"image {n}" for n in range(channels)},
                }
            },
            "outputs": {
                "pred": {
                    "type": "image",
                    "format": "segmentation",
                    "num_channels": len(outputs),
                    "channel_def": {str(n): name for n, name in enumerate(outputs)},
                }
            },
        },
    }


def _write_weights(
    path: Path,
    network: dict[str, Any],
    thresholds: Sequence[float],
    activation: str,
    random_weights: bool,
) -> None:
    import torch
    from monai.networks.nets import UNet

    torch.manual_seed(0)
    unet = UNet(**network)
    if not random_weights:
        _make_ladder(unet, list(thresholds), activation)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        from safetensors.torch import save_file

        save_file(unet.state_dict(), path)
    else:
        torch.save(unet.state_dict(), path)


def _make_ladder(unet: Any, thresholds: list[float], activation: str) -> None:
    """Pass the first channel through the skip connection and weigh it against the thresholds.

    By softmax, class c has the logit ``s (c v - t_1 - ... - t_c)``: the largest is that of the last
    threshold below the value v. Values below 0 count as 0.
    """
    import torch

    first, last = unet.model[0].conv, unet.model[2].conv
    centre = (1, 1, 1)
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.zero_()
        for module in unet.modules():
            if isinstance(module, torch.nn.BatchNorm3d):
                module.weight.fill_(1.0)
                module.running_var.fill_(1.0 - 1e-5)  # with the default eps exactly 1
        first.weight[(0, 0, *centre)] = 1.0
        rungs = range(1, len(thresholds) + 1)
        for row, rung in enumerate(rungs, start=0 if activation == "sigmoid" else 1):
            slope = 1 if activation == "sigmoid" else rung
            height = thresholds[row] if activation == "sigmoid" else sum(thresholds[:rung])
            last.weight[(0, row, *centre)] = STEEPNESS * slope
            last.bias[row] = -STEEPNESS * height
