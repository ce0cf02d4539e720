"""Our label maps are those of MONAI's own steps on the same bundle and file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_medcnn.core.events import JobControl, run_to_end
from napari_medcnn.core.geometry import AxisMap, Geometry
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference.preprocess import prepare
from napari_medcnn.inference.segment import segment
from napari_medcnn.io.read import read
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.networks import build_network
from napari_medcnn.models.spec import ModelSpec
from tests.bundle_factory import make_bundle
from tests.inference.conftest import (
    from_file,
    in_file_order,
    monai_labels,
    smooth_image,
    write_nifti,
)
from tests.inference.streaming import ended, ties

SHAPE = (21, 34, 29)


def oblique() -> Geometry:
    a, b = np.deg2rad(12), np.deg2rad(-7)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = (about_x @ about_z @ np.diag([0.9, 1.1, 2.3]))[:, ::-1]
    affine[:3, 3] = (-20.0, 31.0, 7.0)
    return Geometry(SHAPE, affine)


STRAIGHT = Geometry.from_spacing(SHAPE, (2.3, 1.1, 0.9), (-20.0, 31.0, 7.0))
STORED = AxisMap((2, 0, 1), (True, False, True))

CASES: dict[str, dict[str, Any]] = {
    "softmax": {"activation": "softmax", "classes": ("a", "b")},
    "sigmoid": {"activation": "sigmoid"},
    "labels first, nearest": {
        "activation": "softmax",
        "classes": ("a", "b"),
        "labels_first": True,
        "nearest": True,
    },
    "as the file lies": {"orientation": None, "spacing": None, "blend": "constant"},
    "resampled as the file lies": {"orientation": None, "spacing": (1.5, 1.2, 1.7)},
    "window larger than the image": {"roi": (48, 40, 32), "spacing": (2.0, 2.0, 2.0)},
    "normalised, cropped and padded": {
        "extra_steps": (
            {"_target_": "NormalizeIntensityd", "keys": "image", "nonzero": True},
            {"_target_": "CropForegroundd", "keys": "image", "source_key": "image", "margin": 2},
            {"_target_": "DivisiblePadd", "keys": "image", "k": 16},
        )
    },
}


def centred(spec: ModelSpec, volume: Volume) -> ModelSpec:
    """Random weights whose output bias splits the image's logits, so that labels are mixed."""
    network = build_network(spec)
    state = torch.load(spec.weights, weights_only=True)
    network.load_state_dict(state)
    network.eval()
    crop = volume.array[:16, :16, :16].transpose(2, 1, 0)
    with torch.inference_mode():
        logits = network(torch.from_numpy(np.ascontiguousarray(crop))[None, None])[0]
    name = [key for key in state if key.endswith("bias")][-1]
    state[name] -= logits.flatten(1).median(1).values
    torch.save(state, spec.weights)
    return spec


def agreement(volume: Volume, spec: ModelSpec, expected: np.ndarray) -> float:
    """The share of voxels with MONAI's label, those left out that have no nearest voxel."""
    ours = run_to_end(segment(volume, spec), Segmentation)
    same = in_file_order(ours, volume) == expected
    if spec.postprocessing.nearest:
        prepared, _ = ended(prepare([volume], spec, JobControl()))
        same = same[~ties(prepared).transpose(2, 1, 0)]
    return float(same.mean())


@pytest.mark.parametrize(
    ("geometry", "axes"),
    [(STRAIGHT, STORED), (oblique(), AxisMap())],
    ids=["straight, stored otherwise", "oblique"],
)
@pytest.mark.parametrize("case", CASES)
def test_labels_are_monais_and_a_flip_would_be_noticed(
    tmp_path: Path, case: str, axes: AxisMap, geometry: Geometry
) -> None:
    options = {"spacing": (1.3, 1.3, 1.6), "roi": (24, 16, 16)} | CASES[case]
    bundle = make_bundle(
        tmp_path / "random",
        random_weights=True,
        **options,
        thresholds=(),
    )
    stored = from_file(smooth_image(SHAPE), geometry, axes)
    image = write_nifti(stored, tmp_path / "image.nii.gz")
    (volume,) = read(image)
    spec = centred(read_bundle(bundle), volume)
    expected = monai_labels(spec, [image])
    shares = np.bincount(expected.astype(int).ravel()) / expected.size
    assert shares.max() < 0.98, "one class only: this would compare nothing"
    assert agreement(volume, spec, expected) >= 0.999
    flipped = replace(volume, array=np.ascontiguousarray(volume.array[:, :, ::-1]))
    assert agreement(flipped, spec, expected) < 0.999
    shifted = replace(volume, array=np.roll(volume.array, 1, axis=1))
    assert agreement(shifted, spec, expected) < 0.999


def test_overlapping_classes_are_combined_as_the_bundle_says(tmp_path: Path) -> None:
    bundle = make_bundle(
        tmp_path / "random", classes=("core", "whole", "enhancing"), channels=4, random_weights=True
    )
    file = bundle / "configs" / "inference.json"
    content = json.loads(file.read_text())
    content["postprocessing"]["transforms"].insert(
        3,
        {
            "_target_": "Lambdad",
            "keys": "pred",
            "func": "$lambda x: torch.where(x[[2]] > 0, 4, "
            "torch.where(x[[0]] > 0, 1, torch.where(x[[1]] > 0, 2, 0)))",
        },
    )
    file.write_text(json.dumps(content))
    spec = read_bundle(bundle)
    assert [label.value for label in spec.labels] == [1, 2, 4]
    stored = [from_file(smooth_image(SHAPE, seed), STRAIGHT, STORED) for seed in range(4)]
    images = [write_nifti(v, tmp_path / f"{n}.nii.gz") for n, v in enumerate(stored)]
    volumes = [read(image)[0] for image in images]
    state = torch.load(spec.weights, weights_only=True)
    name = [key for key in state if key.endswith("bias")][-1]
    network = build_network(spec)
    network.load_state_dict(state)
    network.eval()
    stack = np.stack([v.array[:16, :16, :16].transpose(2, 1, 0) for v in volumes])
    with torch.inference_mode():
        logits = network(torch.from_numpy(stack)[None])[0]
    state[name] -= logits.flatten(1).median(1).values
    torch.save(state, spec.weights)
    expected = monai_labels(spec, images)
    assert len(np.unique(expected)) >= 3
    ours = run_to_end(segment(volumes, spec), Segmentation)
    assert (in_file_order(ours, volumes[0]) == expected).mean() >= 0.999
    swapped = run_to_end(segment([*volumes[1:], volumes[0]], spec), Segmentation)
    assert (in_file_order(swapped, volumes[0]) == expected).mean() < 0.999
