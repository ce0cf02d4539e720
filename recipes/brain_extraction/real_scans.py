"""Real scans to judge the network by; none of them is trained on.

`ms_longitudinal` brings a brain mask a patient in a common space, and transforms that map a point
of that space to the point of each raw scan (LPS); a label goes the inverse way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from napari_medcnn.core.geometry import Geometry

WITHOUT_TRUTH = ("stroke_t2/T2.nii.gz", "radiomics/brain1_image.nrrd")
"""Raw head scans without a brain mask of their own, judged by pictures."""


@dataclass(frozen=True, eq=False)
class RealScan:
    """A raw head scan: `array` and `truth` are ``(z, y, x)``; `truth` None where there is none."""

    name: str
    array: np.ndarray
    geometry: Geometry
    truth: np.ndarray | None = None


def real_scans(root: Path) -> Iterator[RealScan]:
    """All scans under the data folder, those with a mask first."""
    for patient in sorted((root / "ms_longitudinal").glob("patient*")):
        common = sitk.ReadImage(str(patient / "brainmask.nii.gz"), sitk.sitkFloat32)
        for file in sorted(patient.glob("study*_FLAIR.nii.gz")):
            study = file.name.removesuffix(".nii.gz")
            scan = sitk.ReadImage(str(file))
            to_raw = sitk.ReadTransform(str(patient / f"{study}_to_common_space.txt"))
            brought = sitk.Resample(common, scan, to_raw.GetInverse(), sitk.sitkLinear, 0.0)
            truth = sitk.GetArrayFromImage(brought) > 0.5
            yield _scan(f"{patient.name}/{study}", scan, truth)
    for name in WITHOUT_TRUTH:
        yield _scan(name, sitk.ReadImage(str(root / name)))


def _scan(name: str, image: sitk.Image, truth: np.ndarray | None = None) -> RealScan:
    geometry = Geometry.from_sitk(
        image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()
    )
    return RealScan(name, sitk.GetArrayFromImage(image), geometry, truth)
