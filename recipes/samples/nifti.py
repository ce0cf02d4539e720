"""NIfTI files of the samples: (x, y, z) arrays in RAS order, byte for byte the same every time."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from napari_medcnn.core.atomic import write_bytes


def write_nifti(path: Path, array: npt.NDArray[Any], affine: npt.NDArray[np.float64]) -> None:
    """Write an integer array in mm; the gzip header carries no time and no name."""
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    write_bytes(path, gzip.compress(image.to_bytes(), compresslevel=9, mtime=0))


def lps(affine: npt.NDArray[np.float64], index: npt.NDArray[np.floating[Any]]) -> list[float]:
    """An index (x, y, z) as LPS millimetres, of an affine that leads to RAS."""
    x, y, z = (affine @ np.append(index, 1.0))[:3]
    return [round(float(-x), 3), round(float(-y), 3), round(float(z), 3)]
