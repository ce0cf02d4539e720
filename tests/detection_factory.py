"""Make small detection bundles for tests, in the form that the model zoo gives them.

The network is MONAI's real RetinaNet on a narrow ResNet; its weights are random but fixed, and its
biases such that some hundred boxes lie above the threshold.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Content = dict[str, Any]

MEAN_LOGIT = -1.0
"""Of the classes' scores: random weights spread them around it."""


def make_detector(
    folder: Path,
    *,
    roi: tuple[int, int, int] = (48, 48, 32),
    spacing: tuple[float, float, float] | None = (0.703125, 0.703125, 1.25),
    spacing_disabled: bool = False,
    blend: str = "constant",
    classes: int = 1,
    to_world: bool = True,
    score_threshold: float = 0.3,
    weights: bool = True,
    change: Callable[[Content], None] | None = None,
    medcnn: dict[str, Any] | None = None,
) -> Path:
    """Write a bundle into `folder` and return it.

    Parameters
    ----------
    roi, spacing
        In the network's own order ``(x, y, z)``.
    to_world
        Whether the postprocessing has ``AffineBoxToWorldCoordinated``.
    change
        Changes the configuration before it is written.
    """
    content: Content = {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "whether_raw": not spacing_disabled,
        "whether_resampled": "$(not @whether_raw)",
        "spatial_dims": 3,
        "num_classes": classes,
        "size_divisible": [16, 16, 8],
        "infer_patch_size": list(roi),
        "anchor_generator": {
            "_target_": "monai.apps.detection.utils.anchor_utils.AnchorGeneratorWithAnchorShape",
            "feature_map_scales": [1, 2, 4],
            "base_anchor_shapes": [[6, 8, 4], [8, 6, 5], [10, 10, 6]],
        },
        "backbone": "$monai.networks.nets.resnet.resnet10(spatial_dims=@spatial_dims,"
        "n_input_channels=1,conv1_t_stride=[2,2,1],conv1_t_size=[7,7,7],widen_factor=0.125)",
        "feature_extractor": "$monai.apps.detection.networks.retinanet_network."
        "resnet_fpn_feature_extractor(@backbone,3,False,[1,2],None)",
        "network_def": {
            "_target_": "RetinaNet",
            "spatial_dims": "@spatial_dims",
            "num_classes": "@num_classes",
            "num_anchors": 3,
            "feature_extractor": "@feature_extractor",
            "size_divisible": "@size_divisible",
            "use_list_output": False,
        },
        "network": "$@network_def.to(@device)",
        "detector": {
            "_target_": "RetinaNetDetector",
            "network": "@network",
            "anchor_generator": "@anchor_generator",
            "debug": False,
            "spatial_dims": "@spatial_dims",
            "num_classes": "@num_classes",
            "size_divisible": "@size_divisible",
        },
        "detector_ops": [
            "$@detector.set_target_keys(box_key='box', label_key='label')",
            (
                f"$@detector.set_box_selector_parameters(score_thresh={score_threshold},"
                "topk_candidates_per_level=1000,nms_thresh=0.22,detections_per_img=300)"
            ),
            (
                "$@detector.set_sliding_window_inferer(roi_size=@infer_patch_size,overlap=0.25,"
                f"sw_batch_size=1,mode='{blend}',device='cpu')"
            ),
        ],
        "preprocessing": {"_target_": "Compose", "transforms": _before(spacing)},
        "inferer": {
            "_target_": "scripts.detection_inferer.RetinaNetInferer",
            "detector": "@detector",
            "force_sliding_window": False,
        },
        "postprocessing": {"_target_": "Compose", "transforms": _after(to_world)},
        "handlers": [
            {
                "_target_": "CheckpointLoader",
                "load_path": "$@bundle_root + '/models/model.pt'",
                "load_dict": {"model": "@network"},
            },
            {
                "_target_": "scripts.detection_saver.DetectionSaver",
                "batch_transform": "$lambda x: [xx['image_meta_dict'] for xx in x]",
            },
        ],
        "run": ["$@evaluator.run()"],
    }
    if change is not None:
        change(content)
    (folder / "configs").mkdir(parents=True, exist_ok=True)
    (folder / "configs" / "inference.json").write_text(json.dumps(content, indent=2))
    card = _card(medcnn)
    (folder / "configs" / "metadata.json").write_text(json.dumps(card, indent=2))
    if weights:
        write_weights(folder)
    return folder


def write_weights(folder: Path, seed: int = 0) -> None:
    """Random weights of the bundle's own network, the same for the same seed."""
    import torch

    from napari_medcnn.models.bundle import read_bundle
    from napari_medcnn.models.networks import build_network

    torch.manual_seed(seed)
    network: Any = build_network(read_bundle(folder, need_weights=False))
    with torch.no_grad():
        for head in (network.classification_head, network.regression_head):
            for module in head.modules():
                if isinstance(module, torch.nn.Conv3d):
                    torch.nn.init.kaiming_normal_(module.weight)
        network.classification_head.cls_logits.bias.fill_(MEAN_LOGIT)
        network.regression_head.bbox_reg.weight.mul_(0.3)
    (folder / "models").mkdir(exist_ok=True)
    torch.save(network.state_dict(), folder / "models" / "model.pt")


def _before(spacing: tuple[float, float, float] | None) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = [
        {"_target_": "LoadImaged", "keys": "image", "meta_key_postfix": "meta_dict"},
        {"_target_": "EnsureChannelFirstd", "keys": "image"},
        {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
    ]
    if spacing is not None:
        grid = {"_target_": "Spacingd", "keys": "image", "pixdim": list(spacing)}
        steps.append({**grid, "_disabled_": "@whether_resampled"})
    return [
        *steps,
        {
            "_target_": "ScaleIntensityRanged",
            "keys": "image",
            "a_min": -1024.0,
            "a_max": 300.0,
            "b_min": 0.0,
            "b_max": 1.0,
            "clip": True,
        },
        {"_target_": "EnsureTyped", "keys": "image"},
    ]


def _after(to_world: bool) -> list[dict[str, Any]]:
    clip = {
        "_target_": "ClipBoxToImaged",
        "box_keys": "box",
        "label_keys": "label",
        "box_ref_image_keys": "image",
        "remove_empty": True,
    }
    world = {
        "_target_": "AffineBoxToWorldCoordinated",
        "box_keys": "box",
        "box_ref_image_keys": "image",
        "image_meta_key_postfix": "meta_dict",
        "affine_lps_to_ras": True,
    }
    mode = {"_target_": "ConvertBoxModed", "box_keys": "box", "src_mode": "xyzxyz"}
    return [
        clip,
        *([world] if to_world else []),
        {**mode, "dst_mode": "cccwhd"},
        {"_target_": "DeleteItemsd", "keys": ["image"]},
    ]


def _card(medcnn: dict[str, Any] | None) -> dict[str, Any]:
    image = {"type": "image", "modality": "CT", "num_channels": 1, "channel_def": {"0": "image"}}
    card: dict[str, Any] = {
        "version": "0.0.1",
        "name": "Boxes at random",
        "task": "Draws boxes for tests",
        "network_data_format": {
            "inputs": {"image": image},
            "outputs": {"pred": {"type": "object", "format": "dict", "num_channels": 1}},
        },
    }
    return card if medcnn is None else {**card, "medcnn": medcnn}
