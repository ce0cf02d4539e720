"""A volume with two lesions, and a session that holds them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medcnn.app.result import Result
from napari_medcnn.app.session import Session
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import Label, ModelReference, Segmentation
from napari_medcnn.core.volume import Volume

LABELS = (Label(1, "lesion", (1.0, 0.2, 0.1)), Label(2, "core", (0.1, 0.4, 1.0)))


def two_lesions(volume: Volume) -> Segmentation:
    """Lesions of 24 and of 4 voxels of 2 mm³, far from each other."""
    array = np.zeros(volume.geometry.shape, np.uint8)
    array[2:4, 3:7, 4:7] = 1
    array[8, 12:14, 9:11] = 2
    probability = np.where(array > 0, 0.75, 0.125).astype(np.float16)
    return Segmentation(
        array,
        volume.geometry,
        LABELS,
        volume.id,
        probability,
        model=ModelReference("flair_lesions", "1.0", "ab" * 32, "FLAIR lesions"),
        parameters={"overlap": 0.25},
    )


def oblique_volume() -> Volume:
    """Anisotropic and rotated by 0.2 rad about the patient's long axis."""
    affine = Geometry.from_spacing((12, 20, 16), (2.0, 1.0, 1.0), (-30.0, 12.5, 100.0)).affine
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]]
    geometry = Geometry((12, 20, 16), turn @ affine)
    array = np.arange(12 * 20 * 16, dtype=np.int16).reshape(geometry.shape)
    return Volume(array, geometry, name="oblique", modality="MR")


@pytest.fixture
def session(small_volume: Volume) -> Session:
    """A session of one volume in memory."""
    session = Session()
    session.add_volume(small_volume)
    return session


@pytest.fixture
def result(session: Session, small_volume: Volume) -> Result:
    """Its two lesions, measured."""
    return session.add_segmentation(two_lesions(small_volume), min_volume_mm3=0.0)
