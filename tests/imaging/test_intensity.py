"""Scaling by the brain's median: exact, safe against bad voxels, and refusing what cannot work."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.imaging.intensity import normalise_by_brain_median


def head(scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    image = rng.uniform(50, 150, (6, 7, 8)) * scale
    mask = np.zeros(image.shape, dtype=bool)
    mask[1:5, 1:6, 2:7] = True
    return image, mask


def test_the_brains_median_becomes_one() -> None:
    image, mask = head()
    scaled = normalise_by_brain_median(image, mask)
    assert scaled.dtype == np.float32
    assert np.median(scaled[mask]) == pytest.approx(1, abs=1e-6)


@given(st.floats(1e-3, 1e4))
def test_the_scanners_unit_does_not_matter(scale: float) -> None:
    image, mask = head()
    np.testing.assert_allclose(
        normalise_by_brain_median(image * scale, mask),
        normalise_by_brain_median(image, mask),
        rtol=1e-5,
    )


def test_voxels_outside_the_brain_do_not_count_but_are_scaled() -> None:
    image, mask = head()
    brighter = np.where(mask, image, image * 1000)
    scaled = normalise_by_brain_median(brighter, mask)
    np.testing.assert_allclose(scaled[mask], normalise_by_brain_median(image, mask)[mask])
    assert scaled[0, 0, 0] > 100


def test_nan_voxels_do_not_spoil_the_median() -> None:
    image, mask = head()
    image[2, 2, 3] = np.nan
    scaled = normalise_by_brain_median(image, mask)
    assert np.nanmedian(scaled[mask]) == pytest.approx(1, abs=1e-6)
    assert np.isnan(scaled[2, 2, 3])


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_a_median_that_is_not_above_zero_is_refused(value: float) -> None:
    with pytest.raises(InputMismatch, match="median"):
        normalise_by_brain_median(np.full((3, 3, 3), value), np.ones((3, 3, 3)))


def test_a_z_scored_image_is_refused_although_its_median_is_above_zero() -> None:
    image = np.random.default_rng(0).normal(0.3, 1, (8, 8, 8))
    assert np.median(image) > 0
    with pytest.raises(InputMismatch, match="below zero"):
        normalise_by_brain_median(image, np.ones(image.shape))


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(InputMismatch, match="no voxel"):
        normalise_by_brain_median(np.ones((3, 3, 3)), np.zeros((3, 3, 3)))


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(InputMismatch, match="shape"):
        normalise_by_brain_median(np.ones((3, 3, 3)), np.ones((3, 3, 4)))
