"""A CT of any size, and a network of any number of classes, for measurements of time and memory.

The CT is a real one brought to the wanted grid, with air around it and noise on it. The network is
the zoo's spleen UNet with more outputs, its weights seeded and its norms set on the CT itself, so
that the label map holds several classes. $MEDCNN_DATA names the folder of real data.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

DATA = Path(os.environ.get("MEDCNN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
REAL_CT = DATA / "ct" / "example_ct.nii.gz"
BUNDLE = DATA / "bundles" / "spleen_ct_segmentation"

NOISE_HU = 12.0
AIR_HU = -1000


def make_ct(path: Path, shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Path:
    """Write a CT of `shape` and `spacing` ``(x, y, z)`` and return its path."""
    real = sitk.ReadImage(str(REAL_CT), sitk.sitkFloat32)
    middle = real.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in real.GetSize()])
    signs = np.sign(np.diag(np.reshape(real.GetDirection(), (3, 3))))
    half = [(n - 1) / 2 * s * sign for n, s, sign in zip(shape, spacing, signs, strict=True)]
    grid = sitk.Image(list(shape), sitk.sitkInt16)
    grid.SetSpacing(spacing)
    grid.SetDirection(real.GetDirection())
    grid.SetOrigin([m - h for m, h in zip(middle, half, strict=True)])
    moved = sitk.Resample(real, grid, sitk.Transform(), sitk.sitkLinear, AIR_HU)
    voxels = sitk.GetArrayFromImage(moved)
    generator = np.random.default_rng(0)
    for plane in voxels:
        plane += generator.normal(0, NOISE_HU, plane.shape).astype(np.float32)
    made = sitk.GetImageFromArray(np.clip(voxels, -1024, 3071).astype(np.int16))
    made.CopyInformation(grid)
    sitk.WriteImage(made, str(path))
    return path


def make_bundle(folder: Path, classes: int, image: Path) -> Path:
    """Copy the spleen bundle with `classes` outputs, make its weights on `image`; its folder."""
    shutil.copytree(BUNDLE, folder)
    config_file = folder / "configs" / "inference.json"
    config = json.loads(config_file.read_text())
    config["network_def"]["out_channels"] = classes
    config_file.write_text(json.dumps(config))
    card_file = folder / "configs" / "metadata.json"
    card = json.loads(card_file.read_text())
    output = card["network_data_format"]["outputs"]["pred"]
    output["num_channels"] = classes
    output["channel_def"] = {str(n): f"organ {n}" if n else "background" for n in range(classes)}
    card_file.write_text(json.dumps(card))
    _make_weights(folder / "models" / "model.pt", config["network_def"], image)
    return folder


def _make_weights(path: Path, described: dict[str, Any], image: Path) -> None:
    """Seeded weights; norms and output set on the image's middle, so that classes compete."""
    import torch
    from monai.networks.nets import UNet

    torch.manual_seed(0)
    network = UNet(**{k: v for k, v in described.items() if not k.startswith("_")})
    ct = sitk.GetArrayFromImage(sitk.ReadImage(str(image)))
    corner = [max(0, (n - 96) // 2) for n in ct.shape]
    window = ct[tuple(slice(c, c + 96) for c in corner)].astype(np.float32)
    window = np.pad(window, [(0, 96 - n) for n in window.shape], mode="edge")
    scaled = torch.from_numpy(np.clip((window + 57) / 221, 0, 1))[None, None]
    with torch.no_grad():
        for _ in range(3):
            network(scaled)
        network.eval()
        middle = network(scaled).transpose(0, 1).flatten(1).median(1).values
        last = [p for p in network.parameters() if p.ndim == 1 and p.numel() == len(middle)][-1]
        last -= middle
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), path)
