"""What the network has to beat: a fixed intensity threshold within the template's white matter."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from nilearn import datasets
from nilearn.image import resample_to_img

from recipes.flair_lesions.metrics import score
from recipes.flair_lesions.patients import Scan, even_out, read_ras
from recipes.flair_lesions.template import BoolArray, FloatArray

WHITE_MATTER_SHARE = 0.5
CANDIDATES = np.round(np.arange(1.10, 1.61, 0.025), 3)
"""Thresholds tried, in units of the brain's median."""


def white_matter(path: Path) -> BoolArray:
    """The template's white matter on a scan's grid; the scan is in MNI space. (x, y, z), RAS."""
    atlas = datasets.load_mni152_wm_template(resolution=1)
    target = nib.as_closest_canonical(nib.load(path))
    share = resample_to_img(atlas, target, force_resample=True, copy_header=True)
    return np.asarray(share.dataobj) > WHITE_MATTER_SHARE


def evened(scan: Scan) -> FloatArray:
    """The scan as the network gets it, for a fair comparison."""
    image, spacing = read_ras(scan.image)
    return even_out(image, image > 0, spacing)


def best_threshold(scan: Scan) -> float:
    """The threshold with the highest Dice on one patient, to be used on another."""
    image, matter = evened(scan), white_matter(scan.image)
    truth, _ = read_ras(scan.truth)
    dice = [score((image > level) & matter, truth, 1.0).dice for level in CANDIDATES]
    return float(CANDIDATES[int(np.argmax(dice))])
