"""Two studies of blocks in noise whose changes are known, for tests of what is said of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_medcnn.app.followup_run import StudyInput
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.registration import (
    Registration,
    RegistrationKind,
    RegistrationQuality,
    SpatialTransform,
)
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.followup.transform_files import write_transform
from napari_medcnn.imaging.lesions import find_lesions
from napari_medcnn.io.write import write_segmentation, write_volume

SHAPE = (24, 64, 64)
SPACING = (2.0, 1.0, 1.0)
SHIFT_MM = (3.0, -2.0, 4.0)
"""From a point of the baseline to that of the follow-up, LPS (x, y, z): whole voxels."""

LABELS = ("before_labels.nii.gz", "after_labels.nii.gz")

BEFORE = {"stable": (10, 10, 6), "growing": (30, 12, 6), "gone": (50, 14, 6)}
AFTER = {"stable": (10, 10, 6), "growing": (30, 12, 12), "fresh": (12, 40, 8)}
"""Name to (x, y) of the corner in voxels of the baseline, and the edge in mm; z begins at 8."""


def study(name: str, blocks: dict[str, tuple[int, int, int]], *, moved: bool = False) -> StudyInput:
    """A study with bright blocks; a moved one shows everything elsewhere, by `SHIFT_MM`."""
    rng = np.random.default_rng(3 if moved else 2)
    labels = np.zeros(SHAPE, np.uint8)
    for block in blocks.values():
        labels[_place(block, moved=moved)] = 1
    array = rng.normal(100, 5, SHAPE).astype(np.float32) + 200 * labels
    geometry = Geometry.from_spacing(SHAPE, SPACING)
    volume = Volume(array, geometry, name="Doe^Jane", modality="MR")
    lesion = Label(1, "lesion")
    segmentation = Segmentation(labels, geometry, (lesion,), volume.id)
    day = 180.0 if moved else 0.0
    return StudyInput(name, volume, segmentation, find_lesions(segmentation, volume), day)


def both() -> tuple[StudyInput, StudyInput]:
    """The baseline and the follow-up."""
    return study("baseline", BEFORE), study("follow-up", AFTER, moved=True)


def registered(
    before: StudyInput, after: StudyInput, *, plausible: bool = True, warnings: tuple[str, ...] = ()
) -> Registration:
    """The registration that is true of :func:`both`."""
    matrix = np.eye(4)
    matrix[:3, 3] = SHIFT_MM
    quality = RegistrationQuality(1.1, 1.4, 0.97, None, 5.4, 0.0, warnings, plausible)
    return Registration(
        SpatialTransform(matrix),
        RegistrationKind.RIGID,
        before.volume.id,
        after.volume.id,
        quality,
    )


def write_studies(folder: Path) -> Path:
    """Both studies as files, with the true transform and one that is wrong."""
    for one, name, labels in zip(both(), ("before", "after"), LABELS, strict=True):
        write_volume(one.volume, folder / f"{name}.nii.gz")
        write_segmentation(one.segmentation, one.volume, folder / labels)
    for name, shift in (("true", SHIFT_MM), ("wrong", (40.0, 40.0, 0.0))):
        matrix = np.eye(4)
        matrix[:3, 3] = shift
        write_transform(folder / f"{name}.tfm", SpatialTransform(matrix))
    return folder


def _place(block: tuple[int, int, int], *, moved: bool) -> tuple[slice, slice, slice]:
    x, y, edge = block
    dx, dy, dz = (round(mm) for mm in SHIFT_MM) if moved else (0, 0, 0)
    z = 8 + dz // 2
    return slice(z, z + edge // 2), slice(y + dy, y + dy + edge), slice(x + dx, x + dx + edge)
