"""Small models for the pictures of the documentation, taught for a minute by the command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import napari_medcnn as mc
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference.slice_pictures import SlicePictures

WITH, WITHOUT = "with lesion", "without lesion"
LEAST_PIXELS = 12
"""A slice with fewer pixels of lesions teaches nothing: it is neither with nor without them."""

BRAIN_SHARE = 0.05
"""Slices with less brain than that are left out."""


def slices_with_lesions(source: Path, folder: Path) -> Path:
    """Axial slices of labelled FLAIR brains as pictures, a folder a class.

    Parameters
    ----------
    source : Path
        A folder a patient, each with ``flair.nii.gz`` and ``lesions.nii.gz``.
    """
    for name in (WITH, WITHOUT):
        (folder / name).mkdir(parents=True)
    for patient in sorted(path for path in source.iterdir() if path.is_dir()):
        (volume,) = mc.read(patient / "flair.nii.gz")
        (lesions,) = mc.read(patient / "lesions.nii.gz")
        _write_slices(volume, lesions.array > 0, patient.name, folder)
    return folder


def _write_slices(volume: Volume, lesions: np.ndarray, patient: str, folder: Path) -> None:
    slices = SlicePictures([volume], [volume.array], 0)
    white = float(np.percentile(volume.array[volume.array > 0], 99.5))
    for index in range(len(slices)):
        (picture,) = slices.picture(index)
        pixels = int(lesions[index].sum())
        if (picture.array > 0).mean() < BRAIN_SHARE or 0 < pixels < LEAST_PIXELS:
            continue
        grey = np.clip(picture.array[0] / white * 255, 0, 255).astype(np.uint8)
        kind = WITH if pixels else WITHOUT
        Image.fromarray(grey).save(folder / kind / f"{patient}_{index:03d}.png")


def hippocampi(source: Path, folder: Path, first: int, count: int) -> Path:
    """Some cases of the Decathlon's hippocampus, as images and labels."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
        for path in sorted((source / part).iterdir())[first : first + count]:
            (folder / part / path.name).write_bytes(path.read_bytes())
    return folder


def taught(data: Path, run: Path, minutes: float, *options: str) -> Path:
    """Train on a folder by the command, and the bundle that came of it."""
    line = ("train", "--manifest", str(data), "--out", str(run), "--minutes", str(minutes))
    subprocess.run([sys.executable, "-m", "napari_medcnn.cli", *line, *options], check=True)
    return run / "bundle"
