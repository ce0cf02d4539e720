"""What the shipped lesion model marks in a synthetic volume, run as it is on any image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import napari_medcnn as mc
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.spec import ModelSpec
from recipes.flair_lesions.bundle import FOLDER as LESION_MODEL
from recipes.lesion_classifier.places import Mask
from recipes.lesion_classifier.volumes import SyntheticVolume

EAGER = 0.3
"""Probability from which a voxel is marked: below the model's own, for more to learn from."""

_EVENING = ("BrainMaskd", "N4BiasCorrectiond", "NormalizeByBrainMediand")


def lesion_model() -> ModelSpec:
    """The lesion model for images that are even already, as synthetic ones are."""
    spec = read_bundle(LESION_MODEL)
    steps = tuple(step for step in spec.preprocessing if step.target not in _EVENING)
    return replace(spec, preprocessing=steps)


def candidates(volume: SyntheticVolume) -> Mask:
    """What the lesion model marks ``(x, y, z)`` in the axis order of the file."""
    (image,) = mc.read(volume.image)
    found = mc.segment(
        image,
        lesion_model(),
        threshold=EAGER,
        keep_probability=False,
        accept_findings=True,
        threads=1,
    )
    stored, _ = image.on_source_grid(found.array)
    marked: Mask = np.asarray(stored).transpose(2, 1, 0) != 0
    return marked
