"""A FLAIR brain with known lesions, and its follow-up with known changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cc3d
import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from napari_medcnn.core.atomic import write_json
from recipes.flair_lesions.acquisition import sample_slices, tissue_signal
from recipes.flair_lesions.anatomy import Anatomy, random_anatomy
from recipes.flair_lesions.fields import warp
from recipes.flair_lesions.lesions import (
    Blob,
    add_blob,
    blob_fraction,
    no_lesions,
    site_weights,
)
from recipes.flair_lesions.template import FloatArray, load_template
from recipes.samples.nifti import lps, write_nifti

SEED = 900_001
"""Far from the seeds of the training volumes."""

RADII_MM = (8.5, 7.0, 6.0, 5.5, 5.0, 4.5, 4.2, 4.0, 3.7, 3.5, 3.2, 3.0, 2.8, 2.6, 2.4, 2.2)
PERIVENTRICULAR = 4
"""The first lesions lie along the ventricles and have uneven borders."""

CHANGES = {2: "grown", 5: "grown", 8: "grown", 10: "shrunk", 13: "resolved", 16: "new"}
"""What happens to a lesion by its number; the others stay. Number 16 appears at the follow-up."""

SCALES = {"grown": 1.3, "shrunk": 0.75}
NEW_RADIUS_MM = 4.0
GAP_MM = 5.0
"""Least distance between two lesions, so that each is one component also after growth."""

FOLLOWUP_ROTATION_DEG = (4.0, -3.0, 6.0)
FOLLOWUP_SHIFT_MM = (3.5, -4.0, 5.0)
CORTEX_SIGNAL = 1.13
"""Relative to normal white matter, as in a common FLAIR protocol."""

SIGNAL_OF_ONE = 400.0
"""Stored integer of normal white matter."""


@dataclass(frozen=True)
class Planted:
    """A lesion of the series: its shape, and what becomes of it."""

    number: int
    blob: Blob
    change: str


def write_flair_samples(folder: Path) -> None:
    """Write baseline, follow-up, their masks, and ``flair_truth.json``."""
    template = load_template()
    anatomy = random_anatomy(template, np.random.default_rng(SEED))
    lesions = plant(anatomy)
    pose = followup_pose(anatomy)
    studies = {
        "baseline": ([one for one in lesions if one.change != "new"], np.eye(4)),
        "followup": (
            [_changed(one) for one in lesions if one.change != "resolved"],
            pose,
        ),
    }
    truth: dict[str, Any] = {"note": __doc__, "seed": SEED}
    for number, (name, (present, index_map)) in enumerate(studies.items()):
        image, labels = render(anatomy, present, index_map, SEED + 10 + number)
        affine = template.affine
        write_nifti(folder / f"flair_{name}.nii.gz", image, affine)
        write_nifti(folder / f"flair_{name}_labels.nii.gz", (labels > 0).astype(np.uint8), affine)
        truth[name] = {
            "image": f"flair_{name}.nii.gz",
            "labels": f"flair_{name}_labels.nii.gz",
            "lesions": [_entry(one, labels, affine) for one in present],
        }
    truth["baseline_to_followup_lps"] = _lps_transform(pose, template.affine).round(6).tolist()
    write_json(folder / "flair_truth.json", truth)


def plant(anatomy: Anatomy) -> list[Planted]:
    """Place lesions one after the other where white-matter lesions occur, apart from each other."""
    rng = np.random.default_rng(SEED + 1)
    weights = site_weights(anatomy, rng) * (anatomy.brain_sdf_mm > 8) * (anatomy.wm > 0.8)
    at_wall = weights * (anatomy.ventricle_sdf_mm > 1) * (anatomy.ventricle_sdf_mm < 5)
    planted: list[Planted] = []
    for number, radius in enumerate([*RADII_MM, NEW_RADIUS_MM]):
        large = number < PERIVENTRICULAR
        cumulative = np.cumsum((at_wall if large else weights).ravel(), dtype=np.float64)
        change = CHANGES.get(number, "stable")
        reach = radius * SCALES.get(change, 1.0) * 1.5
        while True:
            place = int(np.searchsorted(cumulative, rng.random() * cumulative[-1]))
            centre = np.array(np.unravel_index(place, anatomy.shape), dtype=float)
            blob = _blob(centre, radius, large, rng)
            if _apart(blob, reach, planted) and _fills_tissue(
                anatomy, blob, 0.75 if large else 0.93
            ):
                planted.append(Planted(number, blob, change))
                break
    return planted


def _blob(
    centre: npt.NDArray[np.float64], radius_mm: float, large: bool, rng: np.random.Generator
) -> Blob:
    axes = radius_mm * np.exp(rng.normal(0, 0.18, 3)) * ((0.75, 1.25, 0.9) if large else 1)
    turn = Rotation.from_euler("xyz", rng.normal(0, 0.35, 3))
    rotation = (turn if large else Rotation.random(random_state=rng)).as_matrix()
    return Blob(
        centre=(float(centre[0]), float(centre[1]), float(centre[2])),
        semi_axes_mm=(float(axes[0]), float(axes[1]), float(axes[2])),
        rotation=tuple(tuple(float(value) for value in row) for row in rotation),
        contrast=float(rng.uniform(0.36, 0.55)),
        unevenness=0.3 if large else 0.2,
        edge_mm=0.45,
    )


def _apart(blob: Blob, reach_mm: float, planted: list[Planted]) -> bool:
    return all(
        np.linalg.norm(np.subtract(blob.centre, other.blob.centre))
        > reach_mm + 1.5 * max(other.blob.semi_axes_mm) + GAP_MM
        for other in planted
    )


def _fills_tissue(anatomy: Anatomy, blob: Blob, share: float) -> bool:
    """Whether at least `share` of the blob lies in tissue that a lesion may take."""
    box, fraction = blob_fraction(anatomy.shape, blob, np.random.default_rng(0))
    return float((fraction * anatomy.lesion_hold[box]).sum() / fraction.sum()) > share


def _changed(lesion: Planted) -> Planted:
    scale = SCALES.get(lesion.change, 1.0)
    first, second, third = (axis * scale for axis in lesion.blob.semi_axes_mm)
    return replace(lesion, blob=replace(lesion.blob, semi_axes_mm=(first, second, third)))


def followup_pose(anatomy: Anatomy) -> npt.NDArray[np.float64]:
    """Map from an index of the follow-up to the index of the baseline (x, y, z); rigid."""
    centre = (np.array(anatomy.shape) - 1) / 2
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", FOLLOWUP_ROTATION_DEG, degrees=True).as_matrix()
    pose[:3, 3] = centre - pose[:3, :3] @ centre + FOLLOWUP_SHIFT_MM
    return pose


def render(
    anatomy: Anatomy, lesions: list[Planted], index_map: npt.NDArray[np.float64], seed: int
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """Image and label map (numbered as the lesions, from 1) of one study."""
    load = no_lesions(anatomy)
    fractions = np.zeros(anatomy.shape, np.float32)
    owner = np.zeros(anatomy.shape, np.uint8)
    for lesion in lesions:
        box, fraction = blob_fraction(anatomy.shape, lesion.blob, _shape_rng(lesion))
        held = fraction * anatomy.lesion_hold[box]
        owner[box] = np.where(held > fractions[box], lesion.number + 1, owner[box])
        fractions[box] = np.maximum(fractions[box], held)
        load = add_blob(load, anatomy, lesion.blob, _shape_rng(lesion))
    signal = tissue_signal(anatomy, load, _look_rng(), CORTEX_SIGNAL)
    signal = np.where(anatomy.brain_sdf_mm >= 0.5, signal, 0).astype(np.float32)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in anatomy.shape), indexing="ij"))
    source = np.tensordot(index_map[:3, :3], index, axes=1) + index_map[:3, 3, None, None, None]
    moved, fraction, inside = warp(
        np.stack([signal, fractions, anatomy.brain_sdf_mm]), source.astype(np.float32)
    )
    moved = sample_slices(moved, 2, 1.0, 0.35)
    rng = np.random.default_rng(seed)
    image = _quiet_noise(moved, rng) * (inside > 0.5)
    nearest = np.clip(np.rint(source), 0, np.array(anatomy.shape)[:, None, None, None] - 1)
    names = owner[tuple(nearest.astype(int))]
    labels = _whole(np.where((fraction >= 0.5) & (inside > 0.5), names, 0).astype(np.uint8))
    return np.rint(np.clip(image * SIGNAL_OF_ONE, 0, 4095)).astype(np.int16), labels


def _whole(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Keep the largest piece of each lesion; tissue may have cut a few voxels off."""
    pieces = cc3d.connected_components(labels, connectivity=26)
    sizes = np.bincount(pieces.ravel())
    kept = np.zeros(labels.shape, dtype=bool)
    for number in np.unique(labels[labels > 0]):
        own = np.unique(pieces[labels == number])
        kept |= pieces == own[np.argmax(sizes[own])]
    return np.where(kept, labels, 0).astype(np.uint8)


def _quiet_noise(image: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Rician noise of a good scan."""
    level = np.float32(0.03)
    real, imaginary = rng.standard_normal((2, *image.shape), dtype=np.float32)
    return np.hypot(image + level * real, level * imaginary).astype(np.float32)


def _shape_rng(lesion: Planted) -> np.random.Generator:
    """The same border at both studies."""
    return np.random.default_rng(SEED + 100 + lesion.number)


def _look_rng() -> np.random.Generator:
    """The same contrast and normal bright places at both studies."""
    return np.random.default_rng(SEED + 6)


def _entry(
    lesion: Planted, labels: npt.NDArray[np.uint8], affine: npt.NDArray[np.float64]
) -> dict[str, Any]:
    voxels = np.argwhere(labels == lesion.number + 1)
    return {
        "id": lesion.number + 1,
        "change": lesion.change,
        "volume_mm3": float(len(voxels)),
        "centroid_lps_mm": lps(affine, voxels.mean(0)),
    }


def _lps_transform(
    pose: npt.NDArray[np.float64], affine: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """From a point of the baseline to the same tissue in the follow-up, LPS mm."""
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    index_to_lps = flip @ affine
    return np.asarray(index_to_lps @ np.linalg.inv(pose) @ np.linalg.inv(index_to_lps))
