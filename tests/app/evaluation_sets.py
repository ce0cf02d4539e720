"""Labelled data sets, and models whose answers to them are known, for evaluations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from napari_medcnn.training.manifest import Manifest, TrainCase
from tests.bundle_factory import make_bundle

SHAPE = (10, 18, 16)


def step_model(folder: Path, name: str = "steps", threshold: float = 0.5) -> Path:
    """A model that marks exactly what is brighter than `threshold`."""
    return make_bundle(
        folder / name,
        classes=("bright",),
        thresholds=(threshold,),
        activation="softmax",
        spacing=None,
        modality="",
    )


def cubes(folder: Path, cases: int = 8) -> Manifest:
    """Bright cubes with grey borders: the truth is all of 0.7 and more; parts are given."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number in range(cases):
        image = np.zeros(SHAPE, np.float32)
        image[2:7, 3:10, 3 : 9 + number % 3] = 0.7
        image[3:6, 4:9, 4:8] = 1.0
        image[8, 14:17, 2:5] = 0.6 + 0.01 * number  # bright enough for a threshold of 0.5 alone
        paths = folder / f"image_{number}.nii.gz", folder / f"label_{number}.nii.gz"
        for array, path in zip((image, (image > 0.69).astype(np.uint8)), paths, strict=True):
            volume = sitk.GetImageFromArray(array)
            volume.SetSpacing((1.0, 1.0, 2.0))
            sitk.WriteImage(volume, str(path))
        part = "test" if number % 2 else "train"
        found.append(
            TrainCase(f"case_{number}", (paths[0],), f"patient_{number}", paths[1], None, part)
        )
    return Manifest(
        "Cubes", "segmentation", ("image",), ("bright",), tuple(found), "", licence="CC0"
    )
