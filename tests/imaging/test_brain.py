"""Skull-strip detection and mask clean-up, on shapes of known structure and on real scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from napari_medcnn.core.geometry import Geometry
from napari_medcnn.imaging.brain import (
    clean_brain_mask,
    detect_skull_stripping,
    share_at_border,
)

SPACING_MM = 3.0
SIZE = 72


def _ball(radius_mm: float, size: int = SIZE) -> np.ndarray:
    axis = (np.arange(size) - size / 2) * SPACING_MM
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    ball: np.ndarray = np.sqrt(z**2 + y**2 + x**2) < radius_mm
    return ball


def _grid(array: np.ndarray) -> Geometry:
    return Geometry.from_spacing(array.shape, (SPACING_MM,) * 3)


@pytest.fixture(scope="module")
def brain() -> np.ndarray:
    rng = np.random.default_rng(3)
    return np.where(_ball(66), 100 + 10 * rng.standard_normal((SIZE,) * 3), 0.0).astype(np.float32)


def _head(brain: np.ndarray) -> np.ndarray:
    """The brain within a thin skull (dark, not empty) and scalp, small enough to be a brain."""
    head = np.where(_ball(79), 80.0, 0.0)
    head[_ball(75)] = 8.0
    return np.where(_ball(66), brain, head)


def test_a_brain_in_a_constant_background_is_stripped(brain: np.ndarray) -> None:
    verdict = detect_skull_stripping(brain, _grid(brain))
    assert verdict.stripped
    assert verdict.mask is not None
    np.testing.assert_array_equal(verdict.mask, _ball(66))


def test_a_background_below_zero_counts_as_background(brain: np.ndarray) -> None:
    scaled = (brain - 100) / 20
    verdict = detect_skull_stripping(scaled, _grid(scaled))
    assert verdict.stripped
    assert verdict.background == pytest.approx(-5.0)


def test_a_head_with_zeroed_air_is_not_stripped(brain: np.ndarray) -> None:
    head = _head(brain)
    verdict = detect_skull_stripping(head, _grid(head))
    assert not verdict.stripped
    assert verdict.mask is None
    assert "skull" in verdict.reason


def test_noise_in_the_air_is_no_background(brain: np.ndarray) -> None:
    noisy = brain + np.random.default_rng(0).random(brain.shape)
    assert not detect_skull_stripping(noisy, _grid(noisy)).stripped


def test_a_head_far_larger_than_any_brain_is_not_stripped() -> None:
    large = np.where(_ball(95), 100.0, 0.0)
    assert not detect_skull_stripping(large, _grid(large)).stripped


def test_a_stripped_brain_cut_by_the_field_of_view_is_still_stripped(brain: np.ndarray) -> None:
    slab = brain[26:46]
    assert detect_skull_stripping(slab, _grid(slab)).stripped


def test_holes_are_filled_and_specks_dropped(brain: np.ndarray) -> None:
    mask = _ball(60)
    mask[33:36, 33:36, 33:36] = False
    mask[:3, :3, :3] = True
    np.testing.assert_array_equal(clean_brain_mask(mask), _ball(60))


def test_an_empty_mask_stays_empty() -> None:
    assert not clean_brain_mask(np.zeros((4, 5, 6), bool)).any()


def test_the_share_at_the_border_tells_a_cut_brain() -> None:
    half = _ball(60)[36:]
    assert share_at_border(half, 0, 0) == pytest.approx(1.0)
    assert share_at_border(half, 0, -1) == 0.0


def _read(path: Path) -> tuple[np.ndarray, Geometry]:
    image = sitk.ReadImage(str(path))
    geometry = Geometry.from_sitk(
        image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()
    )
    return sitk.GetArrayFromImage(image), geometry


@pytest.mark.parametrize(
    ("path", "stripped"),
    [
        ("ms_flair/patient19/flair.nii.gz", True),
        ("ms_flair/patient26/flair.nii.gz", True),
        ("brats2013/pat0001/flair.nii.gz", True),
        ("brats2013/pat0001/t1c.nii.gz", True),
        ("ms_longitudinal/patient01/study1_FLAIR.nii.gz", False),
        ("ms_longitudinal/patient01/study2_FLAIR.nii.gz", False),
        ("ms_longitudinal/patient03/study1_FLAIR.nii.gz", False),
        ("ms_longitudinal/patient03/study2_FLAIR.nii.gz", False),
        ("stroke_t2/T2.nii.gz", False),
        ("radiomics/brain1_image.nrrd", False),
    ],
)
def test_real_scans_are_told_apart(shared_data: Path, path: str, stripped: bool) -> None:
    array, geometry = _read(shared_data / path)
    assert detect_skull_stripping(array, geometry).stripped is stripped
