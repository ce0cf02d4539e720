"""Our labels against nnU-Net's own, on models that nnU-Net trained.

The models and nnU-Net's labels are made in another environment by ``recipes/nnunet_reference``;
``MEDCNN_NNUNET_REFERENCE`` names the folder that they are in.
"""

from __future__ import annotations

import importlib.util
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from napari_medcnn.core.events import Done
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference.loaded import load_model
from napari_medcnn.inference.options import Mirroring, RunOptions
from napari_medcnn.inference.segment import segment
from napari_medcnn.io.read import read
from napari_medcnn.models.nnunet import read_nnunet
from napari_medcnn.models.spec import ModelSpec

pytestmark = pytest.mark.slow

VARIABLE = "MEDCNN_NNUNET_REFERENCE"
AGREEMENT = 0.999


@dataclass(frozen=True)
class Run:
    """What nnU-Net was asked for, in our words."""

    dataset: str
    folds: tuple[str, ...]
    mirror: Mirroring


RUNS = {
    "one_fold": Run("Dataset004_Hippocampus", ("0",), "none"),
    "one_fold_mirrored": Run("Dataset004_Hippocampus", ("0",), "model"),
    "two_folds_mirrored": Run("Dataset004_Hippocampus", ("0", "1"), "model"),
    "variant": Run("Dataset005_Variant", ("0",), "none"),
    "variant_mirrored": Run("Dataset005_Variant", ("0",), "model"),
}


@pytest.fixture(scope="module")
def reference() -> Path:
    """The folder that the recipe made."""
    pytest.importorskip("dynamic_network_architectures", reason="needs the extra nnunet")
    named = os.environ.get(VARIABLE)
    if not named:
        pytest.skip(f"no reference: make it by recipes/nnunet_reference and set {VARIABLE}")
    if not (Path(named) / "seconds.json").is_file():
        pytest.skip(f"{VARIABLE} names no folder of recipes/nnunet_reference: {named}")
    return Path(named)


def _cases(folder: Path, spec: ModelSpec) -> Iterator[tuple[str, list[Volume]]]:
    for first in sorted(folder.glob("*_0000.nii.gz")):
        name = first.name.removesuffix("_0000.nii.gz")
        files = [folder / f"{name}_{n:04d}.nii.gz" for n in range(len(spec.channels))]
        yield name, [read(file)[0] for file in files]


@pytest.mark.parametrize("name", RUNS)
def test_our_labels_are_those_of_nnunet(reference: Path, name: str) -> None:
    """The figures go to ``ours.json`` beside nnU-Net's ``seconds.json``."""
    assert importlib.util.find_spec("nnunetv2") is None, "nnU-Net must not be at hand here"
    if not (reference / "labels" / name).is_dir():
        pytest.skip(f"the reference has no labels {name}")
    run = RUNS[name]
    spec = read_nnunet(reference / "results" / run.dataset, folds=run.folds)
    options = RunOptions(device="cpu", backend="torch", threads=1, mirror=run.mirror)
    ours, theirs = [], []
    begin = time.perf_counter()
    with load_model(spec, options) as loaded:
        for case, volumes in _cases(reference / "raw" / run.dataset / "imagesTs", spec):
            *_, done = segment(volumes, spec, options=options, loaded=loaded)
            assert isinstance(done, Done)
            assert isinstance(done.result, Segmentation)
            ours.append(volumes[0].on_source_grid(done.result.array)[0])
            label_file = reference / "labels" / name / f"{case}.nii.gz"
            theirs.append(sitk.GetArrayFromImage(sitk.ReadImage(label_file)))
    figures: dict[str, float] = {"seconds": round(time.perf_counter() - begin, 1)}
    pairs = {
        label.name: [
            (a == label.value, b == label.value) for a, b in zip(ours, theirs, strict=True)
        ]
        for label in spec.labels
    }
    figures |= {label: round(_dice(masks), 6) for label, masks in pairs.items()}
    _keep(reference / "ours.json", name, figures)
    for label, masks in pairs.items():
        assert sum(b.sum() for _, b in masks) > 500, "too little was found to compare"
        assert figures[label] >= AGREEMENT
        shifted = _dice([(np.roll(a, 1, axis=1), b) for a, b in masks])
        assert shifted < AGREEMENT, "a shift by one voxel would not be noticed"


def _keep(file: Path, name: str, figures: dict[str, float]) -> None:
    known = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps({**known, name: figures}, indent=2))


def _dice(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Of all cases together."""
    common = sum(int((a & b).sum()) for a, b in pairs)
    return 2 * common / sum(int(a.sum()) + int(b.sum()) for a, b in pairs)
