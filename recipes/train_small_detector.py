"""Train a small detector of bright balls in noise, by MONAI's own detection training, in minutes.

Nothing that this makes ships. It shows that a network trained by MONAI gives boxes in the right
place when this package runs it: ``python recipes/train_small_detector.py FOLDER`` writes a bundle.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.apps.detection.networks.retinanet_detector import RetinaNetDetector
from monai.apps.detection.utils.anchor_utils import AnchorGeneratorWithAnchorShape
from monai.apps.detection.utils.ATSS_matcher import ATSSMatcher
from monai.data.box_utils import box_iou

from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.networks import build_network

SIZE = 32
"""Voxels along each axis of a training volume, of 1 mm."""

RADII_MM = (3.5, 6.0)
ANCHOR = [[10, 10, 10]]
STEPS, BATCH = 150, 2
NOISE, BRIGHTNESS = 0.15, 0.8

_MONAI = "monai.apps.detection.networks.retinanet_network.resnet_fpn_feature_extractor"


def write_bundle(folder: Path) -> None:
    """The bundle without its weights: a narrow ResNet, one level and the one pooled from it."""
    config = {
        "bundle_root": ".",
        "backbone": "$monai.networks.nets.resnet10(spatial_dims=3,n_input_channels=1,"
        "conv1_t_stride=[2,2,2],conv1_t_size=[5,5,5],widen_factor=0.25)",
        "feature_extractor": f"${_MONAI}(@backbone,3,False,[1],None)",
        "network_def": {
            "_target_": "RetinaNet",
            "spatial_dims": 3,
            "num_classes": 1,
            "num_anchors": 1,
            "feature_extractor": "@feature_extractor",
            "size_divisible": [8, 8, 8],
        },
        "anchor_generator": {
            "_target_": "AnchorGeneratorWithAnchorShape",
            "feature_map_scales": [1, 2],
            "base_anchor_shapes": ANCHOR,
        },
        "detector": {
            "_target_": "RetinaNetDetector",
            "network": "@network_def",
            "anchor_generator": "@anchor_generator",
        },
        "detector_ops": [
            "$@detector.set_target_keys('box', 'label')",
            "$@detector.set_box_selector_parameters(score_thresh=0.5,nms_thresh=0.1)",
            "$@detector.set_sliding_window_inferer(roi_size=[48,48,48],overlap=0.25)",
        ],
        "preprocessing": [
            {"_target_": "LoadImaged", "keys": "image"},
            {"_target_": "EnsureChannelFirstd", "keys": "image"},
            {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
            {"_target_": "Spacingd", "keys": "image", "pixdim": [1.0, 1.0, 1.0]},
        ],
        # Boxes are drawn from face to face below, and no step says otherwise.
        "postprocessing": [{"_target_": "DeleteItemsd", "keys": ["image"]}],
    }
    card = {
        "version": "0.0.1",
        "name": "Bright balls",
        "medcnn": {"labels": [[1, "ball", [1.0, 0.5, 0.0]]]},
    }
    (folder / "configs").mkdir(parents=True, exist_ok=True)
    (folder / "configs" / "inference.json").write_text(json.dumps(config, indent=2))
    (folder / "configs" / "metadata.json").write_text(json.dumps(card, indent=2))


def ball(
    shape: tuple[int, int, int], centre: npt.ArrayLike, radius: npt.ArrayLike
) -> npt.NDArray[np.float32]:
    """1 in an ellipsoid around `centre` (indices) with these radii in voxels, 0 elsewhere."""
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    distance = np.linalg.norm((grid - np.asarray(centre)) / np.asarray(radius), axis=-1)
    return (distance <= 1).astype(np.float32)


def sample(rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """A volume ``(1, x, y, z)`` with one ball, and its box from face to face."""
    radius = rng.uniform(*RADII_MM)
    centre = rng.uniform(radius + 1, SIZE - radius - 2, 3)
    inside = ball((SIZE,) * 3, centre, radius)
    image = rng.normal(0, NOISE, inside.shape).astype(np.float32) + BRIGHTNESS * inside
    voxels = np.argwhere(inside)
    box = np.concatenate([voxels.min(axis=0), voxels.max(axis=0) + 1])
    target = {
        "box": torch.tensor(box[None], dtype=torch.float32),
        "label": torch.zeros(1, dtype=torch.long),
    }
    return torch.from_numpy(image)[None], target


class Trainer(RetinaNetDetector):
    """MONAI's detector, matched by its ATSS matcher alone: its own choice asks for torchvision."""

    def compute_anchor_matched_idxs(
        self,
        anchors: list[torch.Tensor],
        targets: list[dict[str, torch.Tensor]],
        num_anchor_locs_per_level: Any,
    ) -> list[torch.Tensor]:
        """For each anchor the target that it stands for, or a negative number."""
        matched = []
        for found, target in zip(anchors, targets, strict=True):
            _, index = self.proposal_matcher(
                target[self.target_box_key],
                found,
                num_anchor_locs_per_level,
                self.num_anchors_per_loc,
            )
            matched.append(index)
        return matched


def train(folder: Path, steps: int = STEPS, seed: int = 0, device: str = "cpu") -> float:
    """Train the bundle's network and write its weights; returns the mean of the last losses."""
    write_bundle(folder)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = build_network(read_bundle(folder, need_weights=False)).to(device)
    detector = Trainer(network, AnchorGeneratorWithAnchorShape((1, 2), ANCHOR))
    detector.set_target_keys(box_key="box", label_key="label")
    detector.proposal_matcher = ATSSMatcher(4, box_iou, center_in_gt=False)
    detector.set_hard_negative_sampler(
        batch_size_per_image=32, positive_fraction=0.3, min_neg=8, pool_size=10
    )
    detector.train()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    losses = []
    for _ in range(steps):
        pairs = [sample(rng) for _ in range(BATCH)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a batch whose ball no anchor comes near
            images = [image.to(device) for image, _ in pairs]
            targets = [{k: v.to(device) for k, v in target.items()} for _, target in pairs]
            loss = sum(detector(images, targets).values())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
    (folder / "models").mkdir(exist_ok=True)
    torch.save(network.cpu().state_dict(), folder / "models" / "model.pt")
    return float(np.mean(losses[-20:]))


def main() -> None:
    """Train into the folder that was named."""
    began = time.perf_counter()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    loss = train(Path(sys.argv[1]), device=device)
    print(f"loss {loss:.3f} after {STEPS} steps and {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
