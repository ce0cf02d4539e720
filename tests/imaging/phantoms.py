"""Ellipsoids of known size on any grid, drawn as a scanner would: by how full a voxel is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Volume


@dataclass(frozen=True)
class Phantom:
    """A mask on its grid with what is true of the ellipsoid."""

    mask: np.ndarray
    geometry: Geometry
    volume_mm3: float
    diameter_3d_mm: float
    long_axis_mm: float
    short_axis_mm: float
    extent_voxels: np.ndarray


def ellipsoid(
    rng: np.random.Generator,
    semi_axes_mm: tuple[float, float, float],
    spacing: tuple[float, float, float],
    threshold: float = 0.5,
    samples: int = 4,
) -> Phantom:
    """In random place and orientation; a voxel counts when it is fuller than `threshold`.

    With one sample a voxel counts when its centre is inside: the mean volume is then exact.

    True axial diameters are those of the central section, the largest of all parallel ones.
    """
    turn = Rotation.random(rng=rng).as_matrix()
    form = turn @ np.diag(np.asarray(semi_axes_mm) ** -2.0) @ turn.T  # in (z, y, x)
    reach = np.sqrt(np.diag(np.linalg.inv(form)))
    half = np.ceil(reach / spacing).astype(int) + 1
    shift = rng.uniform(-0.5, 0.5, 3)
    within = (np.arange(samples) + 0.5) / samples - 0.5
    z, y, x = (
        ((np.arange(-n, n + 1)[:, None] + within - s) * step).ravel()
        for n, s, step in zip(half, shift, spacing, strict=True)
    )
    points = np.stack(np.meshgrid(z, y, x, indexing="ij"), -1)
    inside = np.einsum("...i,ij,...j->...", points, form, points, optimize=True) <= 1
    blocks = [m for n in half for m in (2 * n + 1, samples)]
    mask = inside.reshape(blocks).mean(axis=(1, 3, 5)) > threshold
    thick, thin = np.linalg.eigvalsh(form[1:, 1:])
    return Phantom(
        mask,
        Geometry.from_spacing(mask.shape, spacing),
        volume_mm3=float(4 / 3 * np.pi * np.prod(semi_axes_mm)),
        diameter_3d_mm=2 * max(semi_axes_mm),
        long_axis_mm=2 / np.sqrt(thick),
        short_axis_mm=2 / np.sqrt(thin),
        extent_voxels=2 * reach / spacing,
    )


def marked(array: np.ndarray, geometry: Geometry, **fields: object) -> tuple[Segmentation, Volume]:
    """A label map and an image of its grid whose values are the flat index."""
    image = np.arange(array.size, dtype=np.float32).reshape(array.shape)
    volume = Volume(image, geometry, **{"unit": "HU", "modality": "CT", **fields})
    labels = (Label(1, "lesion"), Label(2, "oedema", (0.0, 1.0, 0.0)))
    return Segmentation(array.astype(np.uint8), geometry, labels, volume.id), volume
