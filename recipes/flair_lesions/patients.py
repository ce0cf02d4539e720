"""The real patients: read, brought to what the network knows, kept in the network's axis order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from napari_medcnn.imaging.bias_field import correct_bias_field
from napari_medcnn.imaging.intensity import normalise_by_brain_median
from recipes.flair_lesions.template import BoolArray, FloatArray

PATIENTS = ("patient19", "patient26")
"""Patients of `ms_flair` (CC BY); a model's figures on one count when it never saw that one."""


@dataclass(frozen=True)
class Scan:
    """A scan file with the mask that experts drew."""

    name: str
    image: Path
    truth: Path


def ms_flair(data: Path, patient: str) -> Scan:
    """One patient of the folder `ms_flair` under `data`."""
    folder = data / "ms_flair" / patient
    return Scan(patient, folder / "flair.nii.gz", folder / "lesions.nii.gz")


def read_ras(path: Path) -> tuple[FloatArray, tuple[float, float, float]]:
    """Voxels (x, y, z) of a NIfTI file in closest RAS order, and their spacing in mm."""
    image = nib.as_closest_canonical(nib.load(path))
    dx, dy, dz = (float(step) for step in image.header.get_zooms()[:3])
    return np.asarray(image.dataobj, dtype=np.float32), (dx, dy, dz)


def even_out(
    image: FloatArray, brain: BoolArray, spacing: tuple[float, float, float]
) -> FloatArray:
    """Bias field removed, scaled to the brain's median, nothing outside the brain; (x, y, z)."""
    dx, dy, dz = spacing
    corrected = correct_bias_field(image.T, (dz, dy, dx), brain.T)
    return normalise_by_brain_median(corrected * brain.T, brain.T).T
