"""The real patients as the package reads them, with where their white matter has no lesion."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.imaging.resample import resample
from napari_medcnn.io.read import read, read_segmentation
from recipes.flair_lesions.baseline import white_matter
from recipes.flair_lesions.patients import ms_flair
from recipes.lesion_classifier.places import APART, TISSUE, Mask


@dataclass(frozen=True, eq=False)
class RealScan:
    """A patient's image with the mask that experts drew, ``(z, y, x)`` on the image's grid."""

    path: Path
    volume: Volume
    lesions: Mask

    def in_brain_medians(self) -> Volume:
        """The image in units of its brain's median; it is skull-stripped, 0 outside the brain."""
        values = self.volume.array.astype(np.float32)
        scaled = values / float(np.median(values[values > 0]))
        return Volume(scaled, self.volume.geometry, name=self.volume.name, modality="MR")


def real_scan(data: Path, patient: str) -> RealScan:
    """A patient of the folder `ms_flair` under `data`."""
    scan = ms_flair(data, patient)
    (volume,) = read(scan.image)
    return RealScan(scan.image, volume, read_segmentation(scan.truth, volume).array != 0)


def free_white_matter(scan: RealScan) -> Mask:
    """The template's white matter, where the image is no fluid and no lesion is near."""
    matter = white_matter(scan.path).transpose(2, 1, 0)
    affine = nib.as_closest_canonical(nib.load(scan.path)).affine
    grid = Geometry.from_ras_affine(matter.shape, affine)
    there = resample(matter.astype(np.uint8), grid, scan.volume.geometry, order=0) > 0
    spacing = scan.volume.geometry.spacing
    far = ndimage.distance_transform_edt(~scan.lesions, sampling=spacing) > APART
    free: Mask = there & far & (scan.in_brain_medians().array >= TISSUE)
    return free


def drawn(scan: RealScan, *masks: Mask) -> Segmentation:
    """Masks as the label map 1, 2, ... of a scan."""
    labels = np.zeros(scan.lesions.shape, dtype=np.uint8)
    for value, mask in enumerate(masks, start=1):
        labels[mask] = value
    names = tuple(Label(value, f"part {value}") for value in range(1, len(masks) + 1))
    return Segmentation(labels, scan.volume.geometry, names, scan.volume.id)
