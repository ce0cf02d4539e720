"""A small volume with lesions of two labels, some reviewed, and what is known of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.lesion import LesionTable, Review, Verdict
from napari_medcnn.core.segmentation import Label, ModelReference, Segmentation
from napari_medcnn.core.volume import Finding, Severity, Volume
from napari_medcnn.imaging.lesions import find_lesions

GRID = Geometry.from_spacing((20, 40, 48), (3.0, 1.0, 1.0), (-24.0, -20.0, 5.0))


@pytest.fixture
def volume() -> Volume:
    """A bright block in noise, brighter to the patient's left."""
    rng = np.random.default_rng(0)
    array = rng.normal(0, 1, GRID.shape).astype(np.float32)
    array[2:18, 4:36, 4:44] += np.linspace(50, 100, 40, dtype=np.float32)
    finding = Finding("sheared-grid", Severity.WARNING, "The grid is sheared.")
    return Volume(array, GRID, name="phantom", modality="MR", findings=(finding,))


@pytest.fixture
def segmentation(volume: Volume) -> Segmentation:
    """Two lesions of the first label and one of the second."""
    array = np.zeros(GRID.shape, dtype=np.uint8)
    array[5:9, 10:20, 8:16] = 1
    array[12:14, 24:28, 30:36] = 1
    array[12:15, 8:12, 32:40] = 2
    labels = (Label(1, "lesion"), Label(2, "oedema, „left“", (0.1, 0.8, 0.3)))
    model = ModelReference("flair", "1.2", "ab" * 32, "FLAIR lesions")
    return Segmentation(array, GRID, labels, volume.id, model=model)


@pytest.fixture
def table(volume: Volume, segmentation: Segmentation) -> LesionTable:
    """The lesions; the third is rejected."""
    found = find_lesions(segmentation, volume)
    review = Review(Verdict.REJECTED, 'an "artefact", sure')
    lesions = tuple(replace(x, review=review) if x.id == 3 else x for x in found.lesions)
    return replace(found, lesions=lesions)
