"""What is brighter at follow-up is a candidate where it was planted, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from napari_medcnn.core.errors import Cancelled, InputMismatch
from napari_medcnn.core.events import JobControl, Message, run_to_end
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.registration import (
    Registration,
    RegistrationKind,
    RegistrationQuality,
    SpatialTransform,
)
from napari_medcnn.core.volume import Volume
from napari_medcnn.followup.subtraction import Subtraction, SubtractionOptions, subtract

SHAPE, SPACING = (30, 60, 60), (2.0, 1.5, 1.5)
SHIFT_MM = (3.0, -4.5, 4.0)  # whole voxels
NEW, GONE = (15, 20, 25), (12, 40, 30)
RADIUS_MM = 6.0


def head(name: str, lesion: tuple[int, int, int], *, moved: bool = False) -> Volume:
    """A head of two tissues with one bright ball; a moved one has another scale and shading."""
    z, y, x = np.indices(SHAPE)
    inside = ((z - 15) / 12) ** 2 + ((y - 30) / 24) ** 2 + ((x - 30) / 22) ** 2 < 1
    rng = np.random.default_rng(1)
    tissue = 100 + 25 * ndimage.gaussian_filter(rng.normal(size=SHAPE), 4) / 0.02
    array = np.where(inside, np.clip(tissue, 60, 150), 0.0)
    away = [(i - c) * s for i, c, s in zip((z, y, x), lesion, SPACING, strict=True)]
    array += 80 * (sum(a**2 for a in away) < RADIUS_MM**2)
    array += np.random.default_rng(3 if moved else 2).normal(0, 2, SHAPE) * inside
    if moved:
        array = 1.7 * array * (1 + 0.1 * (x - 30) / 30)
        steps = [round(s / v) for s, v in zip(reversed(SHIFT_MM), SPACING, strict=True)]
        array = np.roll(array, steps, (0, 1, 2))
    return Volume(array.astype(np.float32), Geometry.from_spacing(SHAPE, SPACING), name=name)


def mask() -> np.ndarray:
    z, y, x = np.indices(SHAPE)
    return ((z - 15) / 11) ** 2 + ((y - 30) / 22) ** 2 + ((x - 30) / 20) ** 2 < 1


@pytest.fixture(scope="module")
def studies() -> tuple[Volume, Volume, Registration]:
    first, second = head("first", GONE), head("second", NEW, moved=True)
    matrix = np.eye(4)
    matrix[:3, 3] = SHIFT_MM
    quality = RegistrationQuality(1.1, 1.4, 0.97, None, 6.7, 0.0)
    transform = SpatialTransform(matrix)
    return (
        first,
        second,
        Registration(transform, RegistrationKind.RIGID, first.id, second.id, quality),
    )


def test_what_came_and_what_went_are_candidates_and_nothing_else(
    studies: tuple[Volume, Volume, Registration],
) -> None:
    found = run_to_end(subtract(*studies, mask()), Subtraction)
    marked = found.candidates.array
    assert marked[NEW] == 1 and marked[GONE] == 2
    assert found.difference.array[NEW] > 5 and found.difference.array[GONE] < -5
    for label, place in ((1, NEW), (2, GONE)):
        away = (np.argwhere(marked == label) - place) * SPACING
        assert np.linalg.norm(away, axis=1).max() < RADIUS_MM + 4
    assert not found.difference.array[~found.mask].any()
    assert found.difference.unit == "SD" and found.noise_sd > 0


def test_a_wrong_registration_is_told(studies: tuple[Volume, Volume, Registration]) -> None:
    first, second, registration = studies
    doubted = replace(registration, quality=replace(registration.quality, plausible=False))
    events = list(subtract(first, second, doubted, mask()))
    assert any(isinstance(e, Message) and "looks wrong" in e.text for e in events)


def test_it_can_be_cancelled(studies: tuple[Volume, Volume, Registration]) -> None:
    control = JobControl()
    job = subtract(*studies, mask(), control=control)
    next(job)
    control.cancel()
    with pytest.raises(Cancelled):
        list(job)


def test_what_cannot_be_subtracted_is_refused(
    studies: tuple[Volume, Volume, Registration],
) -> None:
    first, second, registration = studies
    far = np.eye(4)
    far[:3, 3] = (500.0, 0.0, 0.0)
    elsewhere = replace(registration, transform=SpatialTransform(far))
    with pytest.raises(InputMismatch, match="too little"):
        run_to_end(subtract(first, second, elsewhere, mask()), Subtraction)
    with pytest.raises(InputMismatch, match="mask"):
        run_to_end(subtract(first, second, registration, mask()[1:]), Subtraction)
    with pytest.raises(InputMismatch, match="lower threshold"):
        SubtractionOptions(seed_sd=2, extent_sd=3)
