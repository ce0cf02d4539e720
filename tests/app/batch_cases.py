"""Small scans whose lesions are known, and a model that finds them, for tests of batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from napari_medcnn.app.case import Case, cases_of


def write_scan(path: Path, lesions: int, size: tuple[int, int, int] = (12, 20, 24)) -> Path:
    """A scan with so many bright blocks of 2x3x3 voxels of 1x1.5x3 mm."""
    array = np.zeros(size, np.float32)
    for number in range(lesions):
        array[4:6, 3:6, 2 + 5 * number : 5 + 5 * number] = 100
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((1.0, 1.5, 3.0))
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return path


def three_scans(folder: Path) -> list[Path]:
    """Scans ``a``, ``b`` and ``c`` with one, two and three lesions."""
    return [write_scan(folder / f"{name}.nii.gz", n + 1) for n, name in enumerate("abc")]


def three_cases(folder: Path) -> tuple[Case, ...]:
    """The cases of :func:`three_scans`."""
    return cases_of(three_scans(folder))
