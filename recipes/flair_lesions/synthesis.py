"""One synthetic FLAIR volume with its exact lesion mask, from one seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_medcnn.imaging.intensity import normalise_by_brain_median
from recipes.flair_lesions.acquisition import (
    bias_and_noise,
    random_brain_mask,
    random_slices,
    residual_rim,
    sample_slices,
    tissue_signal,
)
from recipes.flair_lesions.anatomy import random_anatomy
from recipes.flair_lesions.lesions import random_lesions
from recipes.flair_lesions.template import FloatArray, load_template

VISIBLE_FRACTION = 0.4
"""A voxel is labelled from this lesion fraction on; raters include the border, hence below half."""


@dataclass(frozen=True)
class Example:
    """A training example (x, y, z) at 1 mm: image in units of the brain's median, lesion mask."""

    image: FloatArray
    lesions: npt.NDArray[np.uint8]


def synthetic_example(seed: int) -> Example:
    """Generate one example; the same seed gives the same volume."""
    rng = np.random.default_rng(seed)
    anatomy = random_anatomy(load_template(), rng)
    load = random_lesions(anatomy, rng)
    signal = tissue_signal(anatomy, load, rng)
    brain = anatomy.brain_sdf_mm >= 0.5
    image = np.where(brain, signal, residual_rim(anatomy, rng))
    axis, thickness_mm, blur_mm = random_slices(anatomy.shape, rng)
    image = sample_slices(image, axis, thickness_mm, blur_mm)
    seen = sample_slices(load.fraction, axis, thickness_mm, blur_mm)
    image = bias_and_noise(image, rng)
    mask = random_brain_mask(anatomy, rng)
    image = normalise_by_brain_median(image * mask, mask)
    return Example(image, ((seen > VISIBLE_FRACTION) & mask).astype(np.uint8))
