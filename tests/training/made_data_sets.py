"""Small data sets on disk: noise with a box, and the box as its label."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.io.write import write_segmentation, write_volume
from napari_medcnn.training.manifest import Manifest, TrainCase

GRID = Geometry.from_spacing((6, 12, 10), (3.0, 1.0, 1.0), (-20.0, 15.0, 40.0))


def noise(seed: int, geometry: Geometry = GRID) -> Volume:
    array = np.random.default_rng(seed).normal(100, 20, geometry.shape).astype(np.float32)
    return Volume(array, geometry, name=f"noise {seed}", modality="MR")


def write_image(path: Path, seed: int = 0, volume: Volume | None = None) -> Path:
    return write_volume(volume or noise(seed), path)


def write_label(path: Path, *values: int, geometry: Geometry = GRID) -> Path:
    """A label map in which each of `values` has a plane of its own."""
    array = np.zeros(geometry.shape, np.uint8)
    for plane, value in enumerate(values):
        array[plane, 3:7, 2:8] = value
    labels = tuple(Label(value, f"label {value}") for value in values) or (Label(1, "label 1"),)
    volume = Volume(np.zeros(geometry.shape, np.int16), geometry)
    return write_segmentation(Segmentation(array, geometry, labels, volume.id), volume, path)


def made_manifest(folder: Path, count: int = 4) -> Manifest:
    """Cases ``case_0``, ... with two classes, each of another patient."""
    cases = tuple(
        TrainCase(
            f"case_{number}",
            (write_image(folder / "images" / f"case_{number}.nii.gz", number),),
            patient=f"P{number}",
            label=write_label(folder / "labels" / f"case_{number}.nii.gz", 1, 2),
        )
        for number in range(count)
    )
    return Manifest("made", "segmentation", ("MR",), ("left", "right"), cases, modality="MR")
