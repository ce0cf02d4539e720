"""Patches of a volume: cut around a voxel as the shipped model cuts them, and written as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt

SIZE = 32
"""Edge of a patch in voxels of 1 mm: a lesion and the tissue around it."""

NONE, LESION = "no lesion", "lesion"
CLASSES = (NONE, LESION)


def patch_around(array: npt.NDArray[np.generic], centre: Sequence[int]) -> npt.NDArray[np.generic]:
    """What the network sees around a voxel; beyond the array its smallest value.

    The voxel becomes the later one of the two in the middle, as `inference.lesion_patches` has it.
    """
    start = [c - SIZE // 2 for c in centre]
    before = [max(0, -s) for s in start]
    after = [max(0, s + SIZE - n) for s, n in zip(start, array.shape, strict=True)]
    padded = np.pad(array, list(zip(before, after, strict=True)), constant_values=array.min())
    box = tuple(slice(s + b, s + b + SIZE) for s, b in zip(start, before, strict=True))
    return padded[box]


def write_patch(path: Path, patch: npt.NDArray[np.generic]) -> None:
    """Write a patch as a file at 1 mm in RAS, from which it comes back as it is."""
    nib.save(nib.Nifti1Image(np.ascontiguousarray(patch, dtype=np.float32), np.eye(4)), path)
