"""Train two small nnU-Net v2 models and let nnU-Net segment cases with them: the reference.

Runs in nnU-Net's own environment (see README.md), never in this project's. Everything goes into one
folder, in which ``tests/inference/test_nnunet_agreement.py`` looks for it::

    python recipes/nnunet_reference/make.py --data FOLDER_WITH_HIPPOCAMPUS --out FOLDER

``Dataset004_Hippocampus`` is the plain case: isotropic, one channel, labels. What it leaves out,
``Dataset005_Variant`` has: thick slices in another axis than the first (so that nnU-Net transposes
axes and interpolates slices by themselves), two channels, an empty border to crop, regions in place
of labels.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

HERE = Path(__file__).resolve().parent
BATCH = 2
SLIMMER = 4
"""A share of nnU-Net's feature maps is enough here, and ten times as fast on a CPU."""
LEARNING_CASES = 30
TEST_CASES = 6


@dataclass(frozen=True)
class Dataset:
    """A data set of nnU-Net's and how its networks are trained."""

    number: int
    name: str
    description: dict[str, object]
    epochs: tuple[int, ...]
    steps: int

    @property
    def folder(self) -> str:
        """Its name in nnU-Net's folders."""
        return f"Dataset{self.number:03d}_{self.name}"


DATASETS = (
    Dataset(
        4,
        "Hippocampus",
        {
            "channel_names": {"0": "MRI"},
            "labels": {"background": 0, "Anterior": 1, "Posterior": 2},
        },
        epochs=(5, 2),
        steps=40,
    ),
    Dataset(
        5,
        "Variant",
        {
            "channel_names": {"0": "T1", "1": "CT"},
            "labels": {"background": 0, "hippocampus": [1, 2], "posterior": 2},
            "regions_class_order": [1, 2],
        },
        epochs=(4,),
        steps=40,
    ),
)

RUNS = {
    "one_fold": ("4", ("-f", "0", "--disable_tta")),
    "one_fold_mirrored": ("4", ("-f", "0")),
    "two_folds_mirrored": ("4", ("-f", "0", "1")),
    "variant": ("5", ("-f", "0", "--disable_tta")),
    "variant_mirrored": ("5", ("-f", "0")),
}
"""What nnUNetv2_predict is asked for, by the name of the folder of its labels."""


def main() -> None:
    """Make whatever of the reference is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="images/ and labels/")
    parser.add_argument("--out", type=Path, required=True, help="where the reference goes")
    chosen = parser.parse_args()
    out = chosen.out.resolve()
    environment(out)
    for dataset in DATASETS:
        write_cases(dataset, chosen.data, out)
        plan(dataset, out)
        train(dataset, out)
    predict(out)


def environment(out: Path) -> None:
    """nnU-Net's folders, one process and one thread."""
    for kind in ("raw", "preprocessed", "results"):
        os.environ[f"nnUNet_{kind}"] = str(out / kind)
        (out / kind).mkdir(parents=True, exist_ok=True)
    os.environ |= {
        "nnUNet_def_n_proc": "1",
        "nnUNet_compile": "f",
        "OMP_NUM_THREADS": "1",
    }


def write_cases(dataset: Dataset, data: Path, out: Path) -> None:
    """The raw data set: cases to learn from, and cases to segment."""
    raw = out / "raw" / dataset.folder
    if (raw / "dataset.json").is_file():
        return
    for folder in ("imagesTr", "labelsTr", "imagesTs"):
        (raw / folder).mkdir(parents=True, exist_ok=True)
    images = sorted((data / "images").glob("*.nii.gz"))
    labelled = [image for image in images if (data / "labels" / image.name).is_file()]
    make = varied if dataset.name == "Variant" else plain
    for place, image in enumerate(labelled[: LEARNING_CASES + TEST_CASES]):
        test = place >= LEARNING_CASES
        channels, labels = make(image, data / "labels" / image.name, place, test)
        name = image.name.removesuffix(".nii.gz")
        for number, channel in enumerate(channels):
            folder = raw / ("imagesTs" if test else "imagesTr")
            sitk.WriteImage(channel, folder / f"{name}_{number:04d}.nii.gz")
        if not test:
            sitk.WriteImage(labels, raw / "labelsTr" / f"{name}.nii.gz")
    description = {**dataset.description, "numTraining": LEARNING_CASES, "file_ending": ".nii.gz"}
    (raw / "dataset.json").write_text(json.dumps(description, indent=2))


def plain(image: Path, label: Path, place: int, test: bool) -> tuple[list[sitk.Image], sitk.Image]:
    """A case as it is; every other test case on a coarser grid, so that it must be resampled."""
    scan, truth = sitk.ReadImage(image, sitk.sitkFloat32), sitk.ReadImage(label, sitk.sitkUInt8)
    truth.CopyInformation(scan)
    if test and place % 2:
        size = [round(n / s) for n, s in zip(scan.GetSize(), (1.3, 0.8, 1.15), strict=True)]
        place_in_space = (scan.GetOrigin(), (1.3, 0.8, 1.15), scan.GetDirection())
        scan = sitk.Resample(scan, size, sitk.Transform(), sitk.sitkLinear, *place_in_space)
    return [scan], truth


def varied(image: Path, label: Path, place: int, test: bool) -> tuple[list[sitk.Image], sitk.Image]:
    """Thick sagittal slices, a margin of zeros, an oblique and mirrored grid, a second channel."""
    scan, truth = sitk.ReadImage(image, sitk.sitkFloat32), sitk.ReadImage(label, sitk.sitkUInt8)
    values, labels = sitk.GetArrayFromImage(scan), sitk.GetArrayFromImage(truth)
    thick = values[:, :, : values.shape[2] // 2 * 2]
    values = (thick[:, :, ::2] + thick[:, :, 1::2]) / 2 + 1  # no zeros within
    labels = labels[:, :, : thick.shape[2] : 2]
    border = ((3, 2), (0, 4), (1 + place % 3, 1))
    values = np.pad(values, border)
    labels = np.pad(labels, border)
    spacing = (4.0 + 0.5 * (place % 3), 1.0 + 0.1 * (place % 4), 1.0)
    angle = np.deg2rad(7.0)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]])
    direction = (*turn.ravel(), 0.0, 0.0, -1.0 if place % 2 else 1.0)
    second = np.where(values > 0, np.sqrt(values) * 10 - 50, 0)
    made = []
    for array in (values, second, labels):
        volume = sitk.GetImageFromArray(array)
        volume.SetSpacing(spacing)
        volume.SetDirection(direction)
        volume.SetOrigin((12.0, -7.5, 30.0))
        made.append(volume)
    return [sitk.Cast(v, sitk.sitkFloat32) for v in made[:2]], sitk.Cast(made[2], sitk.sitkUInt8)


def plan(dataset: Dataset, out: Path) -> None:
    """nnU-Net's own plans, with smaller batches and fewer feature maps."""
    os.environ |= {"nnUNet_n_proc_DA": "1"}
    file = out / "preprocessed" / dataset.folder / "nnUNetPlans.json"
    if (file.parent / "nnUNetPlans_3d_fullres").is_dir():
        return
    number = str(dataset.number)
    call("nnUNetv2_extract_fingerprint", "-d", number, "-np", "1")
    call("nnUNetv2_plan_experiment", "-d", number)
    plans = json.loads(file.read_text())
    configuration = plans["configurations"]["3d_fullres"]
    configuration["batch_size"] = BATCH
    network = configuration["architecture"]["arch_kwargs"]
    network["features_per_stage"] = [n // SLIMMER for n in network["features_per_stage"]]
    file.write_text(json.dumps(plans, indent=2))
    call("nnUNetv2_preprocess", "-d", number, "-c", "3d_fullres", "-np", "1")


def train(dataset: Dataset, out: Path) -> None:
    """One network a fold."""
    os.environ |= {"nnUNet_n_proc_DA": "0"}
    results = out / "results" / dataset.folder / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    for fold, epochs in enumerate(dataset.epochs):
        if not (results / f"fold_{fold}" / "checkpoint_final.pth").is_file():
            numbers = (str(fold), str(epochs), str(dataset.steps))
            folder = out / "preprocessed" / dataset.folder
            call("python", str(HERE / "train.py"), str(folder), *numbers)


def predict(out: Path) -> None:
    """Labels by nnU-Net of every test case, and the seconds that they took."""
    seconds_file = out / "seconds.json"
    seconds = json.loads(seconds_file.read_text()) if seconds_file.is_file() else {}
    folders = {str(dataset.number): dataset.folder for dataset in DATASETS}
    for name, (number, options) in RUNS.items():
        if name in seconds:
            continue
        images = out / "raw" / folders[number] / "imagesTs"
        shutil.rmtree(out / "labels" / name, ignore_errors=True)
        begin = time.perf_counter()
        call(
            *("nnUNetv2_predict", "-i", str(images), "-o", str(out / "labels" / name)),
            *("-d", number, "-c", "3d_fullres", "-device", "cpu"),
            *("-npp", "1", "-nps", "1", "--disable_progress_bar", *options),
        )
        seconds[name] = round(time.perf_counter() - begin, 1)
        seconds_file.write_text(json.dumps(seconds, indent=2))


def call(command: str, *arguments: str) -> None:
    """One of nnU-Net's commands, from the environment of this interpreter."""
    print(command, *arguments, flush=True)
    subprocess.run([str(Path(sys.executable).parent / command), *arguments], check=True)


if __name__ == "__main__":
    main()
