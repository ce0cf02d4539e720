"""Make small trained nnU-Net v2 folders for tests, with random weights and every kind of plan."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np

CONFIGURATION: dict[str, Any] = {
    "preprocessor_name": "DefaultPreprocessor",
    "patch_size": [12, 16, 16],
    "spacing": [2.0, 1.0, 1.0],
    "normalization_schemes": ["ZScoreNormalization"],
    "use_mask_for_norm": [False],
    "resampling_fn_data": "resample_data_or_seg_to_shape",
    "resampling_fn_data_kwargs": {
        "is_seg": False,
        "order": 3,
        "order_z": 0,
        "force_separate_z": None,
    },
    "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
    "resampling_fn_probabilities_kwargs": {
        "is_seg": False,
        "order": 1,
        "order_z": 0,
        "force_separate_z": None,
    },
    "architecture": {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": 2,
            "features_per_stage": [4, 8],
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3, 3, 3], [3, 3, 3]],
            "strides": [[1, 1, 1], [2, 2, 2]],
            "n_conv_per_stage": [1, 1],
            "n_conv_per_stage_decoder": [1],
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    },
}

LABELS: dict[str, Any] = {"background": 0, "front": 1, "back": 2}


def make_nnunet(
    folder: Path,
    *,
    configuration: dict[str, Any] | None = None,
    name: str = "3d_fullres",
    labels: dict[str, Any] | None = None,
    regions_class_order: Sequence[int] | None = None,
    channels: Sequence[str] = ("MRI",),
    transpose_forward: Sequence[int] = (0, 1, 2),
    folds: Sequence[str] = ("0",),
    mirror_axes: Sequence[int] | None = (0, 1, 2),
    trainer: str = "nnUNetTrainer",
    reader: str = "SimpleITKIO",
    checkpoint: dict[str, Any] | None = None,
) -> Path:
    """Write the folder of a trained model and return it.

    Parameters
    ----------
    configuration
        Merged into `CONFIGURATION`.
    checkpoint
        Merged into each checkpoint.
    """
    merged = {**deepcopy(CONFIGURATION), **(configuration or {})}
    labels = LABELS if labels is None else labels
    plans = {
        "dataset_name": "Dataset999_Tiny",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": reader,
        "transpose_forward": list(transpose_forward),
        "transpose_backward": [int(n) for n in np.argsort(transpose_forward)],
        "configurations": {name: merged},
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            str(n): {
                "mean": 100.0,
                "std": 40.0,
                "percentile_00_5": -20.0,
                "percentile_99_5": 250.0,
            }
            for n in range(len(channels))
        },
    }
    dataset: dict[str, Any] = {
        "channel_names": {str(n): channel for n, channel in enumerate(channels)},
        "labels": labels,
        "numTraining": 2,
        "file_ending": ".nii.gz",
    }
    if regions_class_order is not None:
        dataset["regions_class_order"] = list(regions_class_order)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    outputs = len([k for k, v in labels.items() if k != "ignore" and v != 0])
    outputs += 0 if regions_class_order is not None else 1
    for seed, fold in enumerate(folds):
        content = {
            "network_weights": _weights(merged, len(channels), outputs, seed),
            "optimizer_state": {"state": {}, "param_groups": [{"lr": 0.01}]},
            "grad_scaler_state": None,
            "logging": {"mean_fg_dice": [np.float32(0.5)], "val_losses": [np.float64(-0.5)]},
            "_best_ema": np.float32(0.5),
            "current_epoch": 3,
            "init_args": {"plans": plans, "configuration": name, "fold": 0},
            "trainer_name": trainer,
            "inference_allowed_mirroring_axes": None if mirror_axes is None else tuple(mirror_axes),
            **(checkpoint or {}),
        }
        write_checkpoint(folder / f"fold_{fold}" / "checkpoint_final.pth", content)
    return folder


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """A checkpoint as PyTorch writes it."""
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)


def _weights(configuration: dict[str, Any], inputs: int, outputs: int, seed: int) -> Any:
    import torch
    from dynamic_network_architectures.architectures import unet
    from torch import nn

    stated = configuration["architecture"]
    arguments = dict(stated["arch_kwargs"])
    for key in ("conv_op", "norm_op", "nonlin"):
        arguments[key] = getattr(nn, arguments[key].rpartition(".")[2])
    torch.manual_seed(seed)
    network = getattr(unet, stated["network_class_name"].rpartition(".")[2])(
        input_channels=inputs, num_classes=outputs, deep_supervision=True, **arguments
    )
    return OrderedDict(network.state_dict())
