"""A patient seen twice, the second time moved and turned, whose lesions are known in both studies.

Everything is a function of the place in the patient, so that neither image is interpolated.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.spatial.transform import Rotation

from napari_medcnn.core.geometry import FloatArray, Geometry
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Volume

SHAPE, SPACING = (28, 36, 32), (4.0, 4.0, 4.0)
GRID = Geometry.from_spacing(SHAPE, SPACING, (-62.0, -70.0, -54.0))
"""Around the origin, so that the patient is in the middle."""

BODY_MM = np.array([52.0, 60.0, 46.0])
TURN_DEG, SHIFT_MM = 5.0, np.array([4.0, -6.0, 3.0])

Spheres = Mapping[str, tuple[tuple[float, float, float], float]]
BEFORE: Spheres = {
    "stable": ((-20, -20, 0), 9.0),
    "growing": ((20, -20, 3), 7.0),
    "gone": ((-20, 20, -3), 8.0),
}
AFTER: Spheres = {
    "stable": ((-20, -20, 0), 9.0),
    "growing": ((20, -20, 3), 12.0),
    "fresh": ((22, 22, 6), 8.0),
}
"""Name to centre in the patient, LPS mm, and radius in mm."""


def motion() -> FloatArray:
    """4x4 from the baseline's points to the follow-up's, LPS mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("z", TURN_DEG, degrees=True).as_matrix()
    matrix[:3, 3] = SHIFT_MM
    return matrix


def study(name: str, spheres: Spheres, matrix: FloatArray) -> tuple[Volume, Segmentation]:
    """The patient with some lesions, moved by `matrix`, and what is lesion."""
    index = np.moveaxis(np.indices(SHAPE), 0, -1)
    inverse = np.linalg.inv(matrix)
    places = GRID.index_to_lps(index) @ inverse[:3, :3].T + inverse[:3, 3]
    labels = np.zeros(SHAPE, np.uint8)
    for centre, radius in spheres.values():
        labels[np.linalg.norm(places - np.array(centre), axis=-1) <= radius] = 1
    array = _tissue(places)
    array[labels > 0] = 300.0
    noise = np.random.default_rng(len(name)).normal(0, 2, SHAPE)
    volume = Volume((array + noise).astype(np.float32), GRID, name=name, modality="MR")
    return volume, Segmentation(labels, GRID, (Label(1, "lesion"),), volume.id)


def both() -> tuple[tuple[Volume, Segmentation], tuple[Volume, Segmentation]]:
    """The baseline and the follow-up."""
    return study("January", BEFORE, np.eye(4)), study("July", AFTER, motion())


def _tissue(places: FloatArray) -> FloatArray:
    """A body of uneven tissue in air."""
    rng = np.random.default_rng(7)
    array = np.full(places.shape[:-1], 100.0)
    for _ in range(40):
        centre = rng.uniform(-0.8, 0.8, 3) * BODY_MM
        away = ((places - centre) ** 2).sum(axis=-1)
        array += rng.uniform(-50, 50) * np.exp(-away / (2 * rng.uniform(5, 14) ** 2))
    array[((places / BODY_MM) ** 2).sum(axis=-1) > 1] = 0.0
    return array
