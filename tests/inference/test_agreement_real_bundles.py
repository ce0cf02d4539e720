"""Bundles of the model zoo on real scans: our label map is that of MONAI's own steps.

The reference is a program of its own that builds network, steps and inferer with MONAI's
configuration parser. The zoo's weights are not at hand; it makes seeded ones, or they are trained
here for a short while on a real scan.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest
import torch

from napari_medcnn.core.events import JobControl, run_to_end
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.inference.preprocess import prepare
from napari_medcnn.inference.segment import segment
from napari_medcnn.io.read import read
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.networks import build_network
from napari_medcnn.models.spec import ModelSpec
from tests.inference.conftest import in_file_order
from tests.inference.streaming import ended

VOXELS, DICE, TRAINED_DICE = 0.995, 0.995, 0.999
"""Shares of voxels that are alike, and mean Dice of the classes, from which two maps agree."""

Labels = npt.NDArray[Any]
Config = dict[str, Any]


@pytest.fixture
def peer(shared_data: Path) -> Path:
    """The program that runs a bundle by MONAI's own steps."""
    program = shared_data.parent / "checks" / "peer_bundle.py"
    if not program.is_file():
        pytest.skip(f"the reference program is not here: {program}")
    return program


def crop(source: Path, target: Path, size: tuple[int, int, int]) -> Path:
    """The middle of a real scan, on its own grid."""
    image = nib.load(source)
    starts = [(n - s) // 2 for n, s in zip(image.shape, size, strict=True)]
    part = image.slicer[tuple(slice(a, a + s) for a, s in zip(starts, size, strict=True))]
    nib.save(part, target)
    return target


def copied(source: Path, target: Path, change: Callable[[Config], None] | None = None) -> Path:
    """A bundle's copy, with smaller windows where the test says so."""
    shutil.copytree(source, target)
    if change:
        file = target / "configs" / "inference.json"
        content = json.loads(file.read_text())
        change(content)
        file.write_text(json.dumps(content))
    return target


def by_monai(peer: Path, bundle: Path, images: list[Path], out: Path) -> Labels:
    """The label map ``(z, y, x)`` in the file's order; makes weights where there are none."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "-W", "ignore", str(peer), str(bundle), str(out), "--threads", "1"]
        + [str(image) for image in images],
        check=True,
        capture_output=True,
        env=environment,
        timeout=600,
    )
    return np.asarray(nib.load(out).dataobj).transpose(2, 1, 0)


def by_us(volumes: list[Volume], spec: ModelSpec) -> Labels:
    options = RunOptions(device="cpu", threads=1, backend="torch", accept_findings=True)
    return in_file_order(
        run_to_end(segment(volumes, spec, options=options), Segmentation), volumes[0]
    )


def mean_dice(ours: Labels, theirs: Labels) -> float:
    """Of all classes that one of them has, background left out."""
    values = sorted((set(np.unique(ours)) | set(np.unique(theirs))) - {0})
    return float(
        np.mean(
            [
                2 * ((ours == v) & (theirs == v)).sum() / ((ours == v).sum() + (theirs == v).sum())
                for v in values
            ]
        )
    )


def agrees(ours: Labels, theirs: Labels, dice: float = DICE) -> bool:
    return bool((ours == theirs).mean() >= VOXELS and mean_dice(ours, theirs) >= dice)


def check(volumes: list[Volume], spec: ModelSpec, theirs: Labels, dice: float = DICE) -> None:
    """Ours agrees, and would not if the image were shifted by a voxel or flipped."""
    assert len(np.unique(theirs)) > 1, "one class only: this would compare nothing"
    ours = by_us(volumes, spec)
    share, overlap = (ours == theirs).mean(), mean_dice(ours, theirs)
    print(f"{spec.id}: {share:.5%} of voxels alike, mean Dice {overlap:.6f}")  # noqa: T201
    assert agrees(ours, theirs, dice), (share, overlap)
    for name, moved in (
        ("shifted", [replace(v, array=np.roll(v.array, 1, axis=2)) for v in volumes]),
        ("flipped", [replace(v, array=np.ascontiguousarray(v.array[:, :, ::-1])) for v in volumes]),
    ):
        assert not agrees(by_us(moved, spec), theirs, dice), f"{name} was not noticed"


def loaded(images: list[Path]) -> list[Volume]:
    return [read(image)[0] for image in images]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("name", "size"),
    [("spleen_ct_segmentation", (80, 72, 30)), ("wholeBody_ct_segmentation", (56, 30, 30))],
)
def test_a_ct_bundle_gives_monais_labels(
    shared_data: Path, peer: Path, tmp_path: Path, name: str, size: tuple[int, int, int]
) -> None:
    image = crop(shared_data / "ct" / "example_ct_sm.nii.gz", tmp_path / "ct.nii.gz", size)
    bundle = copied(shared_data / "bundles" / name, tmp_path / name)
    theirs = by_monai(peer, bundle, [image], tmp_path / "theirs.nii.gz")
    check(loaded([image]), read_bundle(bundle), theirs)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_brats_bundle_gives_monais_labels(
    shared_data: Path, peer: Path, tmp_path: Path
) -> None:
    patient = shared_data / "brats2013" / "pat0001"
    # Two of the four channels are at hand: T1c and FLAIR stand in for T1 and T2 too.
    images = [
        crop(patient / f"{name}.nii.gz", tmp_path / f"{n}.nii.gz", (104, 104, 72))
        for n, name in enumerate(("t1c", "t1c", "flair", "flair"))
    ]
    bundle = copied(
        shared_data / "bundles" / "brats_mri_segmentation",
        tmp_path / "brats_mri_segmentation",
        lambda config: config["inferer"].update(roi_size=[80, 80, 64]),
    )
    theirs = by_monai(peer, bundle, images, tmp_path / "theirs.nii.gz")
    check(loaded(images), read_bundle(bundle), theirs)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_network_of_slices_gives_monais_labels(
    shared_data: Path, peer: Path, tmp_path: Path
) -> None:
    def change(config: Config) -> None:
        config["network_def"].update(spatial_dims=2, channels=[8, 16, 32], strides=[2, 2])
        config["inferer"] = {"_target_": "SliceInferer", "roi_size": [64, 48], "spatial_dim": 2}

    image = crop(shared_data / "ct" / "example_ct_sm.nii.gz", tmp_path / "ct.nii.gz", (80, 72, 20))
    bundle = copied(shared_data / "bundles" / "spleen_ct_segmentation", tmp_path / "slices", change)
    theirs = by_monai(peer, bundle, [image], tmp_path / "theirs.nii.gz")
    check(loaded([image]), read_bundle(bundle), theirs)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_network_that_was_trained_gives_monais_labels(
    shared_data: Path, peer: Path, tmp_path: Path
) -> None:
    folder = shared_data / "ct"
    size = (80, 72, 30)
    image = crop(folder / "example_ct_sm.nii.gz", tmp_path / "ct.nii.gz", size)
    truth = crop(folder / "example_seg.nii.gz", tmp_path / "truth.nii.gz", size)
    bundle = copied(shared_data / "bundles" / "spleen_ct_segmentation", tmp_path / "trained")
    spec = read_bundle(bundle, need_weights=False)
    (volume,) = loaded([image])
    wanted = volume.source.axes.apply(liver(truth))
    train(spec, volume, replace(volume, array=np.ascontiguousarray(wanted)), steps=120)
    theirs = by_monai(peer, bundle, [image], tmp_path / "theirs.nii.gz")
    learnt = mean_dice(theirs, liver(truth))
    assert learnt > 0.7, f"nothing was learnt, Dice {learnt:.2f}: this would compare noise"
    check(loaded([image]), spec, theirs, TRAINED_DICE)


def liver(truth: Path) -> Labels:
    """The largest organ of the scan's labels, ``(z, y, x)``."""
    labels = np.asarray(nib.load(truth).dataobj).transpose(2, 1, 0)
    return (labels == 5).astype(np.uint8)


def train(spec: ModelSpec, volume: Volume, truth: Volume, steps: int) -> None:
    """A short training on parts of one scan, prepared as the model's own; writes the weights."""
    torch.manual_seed(0)
    torch.set_num_threads(2)
    draw = np.random.default_rng(0)
    network = build_network(spec).train()
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    values, wanted = on_network_grid(volume, spec), on_network_grid(truth, onto_grid_alone(spec))
    part = (64, 64, 32)
    for _ in range(steps):
        ends = zip(values.shape[1:], part, strict=True)
        corner = [int(draw.integers(0, max(n - size, 0) + 1)) for n, size in ends]
        place = tuple(slice(c, c + size) for c, size in zip(corner, part, strict=True))
        window = values[(slice(None), *place)][None].contiguous()
        target = wanted[(slice(None), *place)].long()
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(network(window), target).backward()
        optimiser.step()
    spec.weights.parent.mkdir(exist_ok=True)
    torch.save(network.state_dict(), spec.weights)


def on_network_grid(volume: Volume, spec: ModelSpec) -> torch.Tensor:
    return ended(prepare([volume], spec, JobControl()))[0].tensor


def onto_grid_alone(spec: ModelSpec) -> ModelSpec:
    """The model's steps for a label map: no intensities, and no interpolation."""
    grid = [step for step in spec.preprocessing if step.target in ("Orientationd", "Spacingd")]
    nearest = [
        replace(step, arguments={**step.arguments, "mode": "nearest"})
        if step.target == "Spacingd"
        else step
        for step in grid
    ]
    return replace(spec, preprocessing=tuple(nearest))
