"""A small chest CT phantom whose nodules have exactly known volume and diameter."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_medcnn.core.atomic import write_json
from recipes.samples.nifti import write_nifti

SEED = 900_501
SHAPE = (216, 156, 92)
SPACING_MM = (1.6, 1.6, 2.0)
SUBSAMPLES = 5
NOISE_HU = 9.0
AIR, LUNG, FAT, MUSCLE, BLOOD, BONE, NODULE = -1000, -860, -95, 45, 55, 420, 35

FloatArray = npt.NDArray[np.float32]
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Nodule:
    """An ellipsoid along the axes; centre in mm from the middle of the phantom (x, y, z)."""

    centre_mm: Point
    diameters_mm: Point

    @property
    def volume_mm3(self) -> float:
        """Of the ellipsoid, not of its voxels."""
        return float(np.pi / 6 * np.prod(self.diameters_mm))


NODULES = (
    Nodule((-71.6, 9.8, 29.3), (6.0, 6.0, 6.0)),
    Nodule((63.1, -12.5, 44.1), (8.0, 8.0, 8.0)),
    Nodule((-60.6, -29.1, -8.7), (10.0, 10.0, 10.0)),
    Nodule((88.5, 19.2, -20.1), (12.0, 12.0, 12.0)),
    Nodule((-84.8, 23.2, -39.9), (15.0, 15.0, 15.0)),
    Nodule((69.7, 33.4, 11.6), (20.0, 20.0, 20.0)),
    Nodule((57.2, -31.8, -45.5), (24.0, 16.0, 14.0)),
    Nodule((-69.4, 36.2, 3.3), (30.0, 22.0, 26.0)),
)
"""Centres lie off the grid such that the labelled voxels' volume is within 1 % of the ellipsoid's:
on the grid's symmetry points small nodules miss theirs by up to 10 %."""


def write_ct_sample(folder: Path) -> None:
    """Write the phantom, its labels, and ``ct_nodules_truth.json``."""
    affine = np.diag([*(-step for step in SPACING_MM[:2]), SPACING_MM[2], 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    image, labels = render(np.random.default_rng(SEED))
    write_nifti(folder / "ct_nodules.nii.gz", image, affine)
    write_nifti(folder / "ct_nodules_labels.nii.gz", (labels > 0).astype(np.uint8), affine)
    voxel_mm3 = float(np.prod(SPACING_MM))
    entries = [
        asdict(nodule)
        | {
            "id": number,
            "volume_mm3": round(nodule.volume_mm3, 2),
            "label_volume_mm3": round(float((labels == number).sum()) * voxel_mm3, 2),
            "centroid_lps_mm": [float(value) for value in nodule.centre_mm],
        }
        for number, nodule in enumerate(NODULES, start=1)
    ]
    for entry in entries:
        del entry["centre_mm"]
    truth: dict[str, Any] = {
        "note": __doc__,
        "image": "ct_nodules.nii.gz",
        "labels": "ct_nodules_labels.nii.gz",
        "nodule_hu": NODULE,
        "noise_hu": NOISE_HU,
        "nodules": entries,
    }
    write_json(folder / "ct_nodules_truth.json", truth)


def render(rng: np.random.Generator) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """CT numbers, and the nodules' numbers where a nodule fills at least half a voxel."""
    x, y, z = _grid_mm()
    tissue = np.full(SHAPE, AIR, np.float32)
    _paint(tissue, _soft((x / 162) ** 2 + (y / 112) ** 2, 80), FAT)
    _paint(tissue, _soft((x / 150) ** 2 + (y / 100) ** 2, 80), MUSCLE)
    narrowing = 1 - 0.25 * np.clip(z / 92, 0, 1) ** 2
    for side in (-1, 1):
        radius = ((x - side * 74) / (54 * narrowing)) ** 2 + (y / (78 * narrowing)) ** 2
        lung = _soft(radius + np.clip((z + 70) / -30, 0, 1) ** 2, 55)
        _paint(tissue, lung, LUNG)
        _paint(tissue, lung * _vessels(rng), BLOOD)
    _paint(tissue, _soft((x / 20) ** 2 + ((y - 74) / 17) ** 2, 16), BONE)
    _paint(tissue, _soft((x / 7) ** 2 + ((y - 74 - 24) / 8) ** 2, 8), BONE)
    _paint(tissue, _ribs(x, y, z), BONE)
    _paint(tissue, _soft(((x + 12) / 13) ** 2 + ((y + 8) / 13) ** 2, 13), BLOOD + 25)
    _paint(tissue, _soft((x / 8) ** 2 + ((y - 22) / 8) ** 2, 8), AIR)
    labels = np.zeros(SHAPE, np.uint8)
    for number, nodule in enumerate(NODULES, start=1):
        fraction = ellipsoid_fraction(nodule)
        _paint(tissue, fraction, NODULE)
        labels[fraction >= 0.5] = number
    grain = ndimage.gaussian_filter(rng.standard_normal(SHAPE, dtype=np.float32), (0.6, 0.6, 0.3))
    noisy = tissue + NOISE_HU * grain / grain.std()
    return np.rint(np.clip(noisy, -1024, 3071)).astype(np.int16), labels


def ellipsoid_fraction(nodule: Nodule) -> FloatArray:
    """Fraction of each voxel inside the ellipsoid, from 5 x 5 x 5 points a voxel."""
    steps = (np.arange(SUBSAMPLES) + 0.5) / SUBSAMPLES - 0.5
    fraction = np.zeros(SHAPE, np.float32)
    axes = _axes_mm()
    near = tuple(
        slice(*np.searchsorted(axis, [c - d / 2 - 3, c + d / 2 + 3]))
        for axis, c, d in zip(axes, nodule.centre_mm, nodule.diameters_mm, strict=True)
    )
    fine = [
        (axis[part][:, None] + steps * spacing).ravel()
        for axis, part, spacing in zip(axes, near, SPACING_MM, strict=True)
    ]
    grid = np.meshgrid(*fine, indexing="ij", sparse=True)
    inside = sum(
        ((g - c) / (d / 2)) ** 2
        for g, c, d in zip(grid, nodule.centre_mm, nodule.diameters_mm, strict=True)
    )
    shape = [size for part in near for size in (part.stop - part.start, SUBSAMPLES)]
    fraction[near] = (np.asarray(inside) <= 1).reshape(shape).mean(axis=(1, 3, 5))
    return fraction


def _axes_mm() -> list[FloatArray]:
    """LPS coordinates of the voxel centres along x, y, z, the middle of the phantom at zero."""
    return [
        ((np.arange(size) - (size - 1) / 2) * spacing).astype(np.float32)
        for size, spacing in zip(SHAPE, SPACING_MM, strict=True)
    ]


def _grid_mm() -> tuple[FloatArray, FloatArray, FloatArray]:
    x, y, z = _axes_mm()
    return x[:, None, None], y[None, :, None], z[None, None, :]


def _soft(squared_radius: FloatArray, size_mm: float) -> FloatArray:
    """Fraction inside a surface at radius 1 of an object of some `size_mm`, about a voxel soft."""
    depth = (1 - np.sqrt(squared_radius)) * np.float32(size_mm)
    return np.clip(0.5 + depth / np.float32(1.6), 0, 1)


def _paint(image: FloatArray, fraction: FloatArray, hu: float) -> None:
    image += (hu - image) * fraction


def _vessels(rng: np.random.Generator) -> FloatArray:
    """Thin branching strands: where two smooth random fields are both near zero."""
    first, second = (
        ndimage.gaussian_filter(rng.standard_normal(SHAPE, dtype=np.float32), 8) for _ in range(2)
    )
    distance = np.hypot(first / first.std(), second / second.std())
    return np.clip((0.15 - distance) / 0.06, 0, 1)


def _ribs(x: FloatArray, y: FloatArray, z: FloatArray) -> FloatArray:
    radius = np.sqrt((x / 141) ** 2 + (y / 92) ** 2)
    shell = np.clip(1 - np.abs(radius - 1) * 92 / 4.5, 0, 1) * 2
    phase = (z - 0.35 * y) / 26
    band = np.clip((np.cos(2 * np.pi * phase) - 0.45) * 4, 0, 1)
    return np.clip(shell * band, 0, 1)
