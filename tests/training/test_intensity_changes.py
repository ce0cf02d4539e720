"""Changes of values: what they keep, and that nothing becomes of nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medcnn.training.intensity_changes import (
    at_low_resolution,
    blurred,
    shifted,
    stretched,
    with_gamma,
    with_noise,
)

Floats = npt.NDArray[np.float32]
FINE = (1.0, 1.0, 1.0)


def patch(seed: int = 0, shape: tuple[int, int, int] = (16, 14, 12)) -> Floats:
    return np.random.default_rng(seed).normal(2, 3, shape).astype(np.float32)


CHANGES: dict[str, Callable[[Floats], Floats]] = {
    "noise": lambda v: with_noise(v, 0.5, np.random.default_rng(0)),
    "blur": lambda v: blurred(v, 1.0, FINE),
    "brightness": lambda v: shifted(v, 0.5),
    "contrast": lambda v: stretched(v, 1.5),
    "gamma": lambda v: with_gamma(v, 0.6),
    "coarse": lambda v: at_low_resolution(v, 2.0, FINE),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("shape", [(16, 14, 12), (16, 14, 1)])
def test_a_change_makes_a_new_patch_and_leaves_the_old_one(
    name: str, shape: tuple[int, int, int]
) -> None:
    values = patch(shape=shape)
    before = values.copy()
    changed = CHANGES[name](values)
    assert np.array_equal(values, before)
    assert changed.shape == shape
    assert changed.dtype == np.float32
    assert np.isfinite(changed).all()
    assert not np.allclose(changed, values)


@pytest.mark.parametrize("name", CHANGES)
def test_nothing_becomes_of_a_patch_that_is_all_one_value(name: str) -> None:
    flat = np.full((8, 8, 8), 3, np.float32)
    assert np.allclose(CHANGES[name](flat), flat, atol=1e-5)


@given(st.floats(0.5, 2.0))
def test_gamma_keeps_mean_deviation_and_order(gamma: float) -> None:
    values = patch()
    changed = with_gamma(values, gamma)
    assert changed.mean() == pytest.approx(values.mean(), abs=1e-3)
    assert changed.std() == pytest.approx(values.std(), rel=1e-3)
    order = np.argsort(values, axis=None)
    assert (np.diff(changed.ravel()[order]) >= -1e-5).all()


def test_contrast_stays_within_the_values_that_there_were() -> None:
    values = patch()
    changed = stretched(values, 1.5)
    assert changed.min() >= values.min()
    assert changed.max() <= values.max()
    assert stretched(values, 0.5).std() == pytest.approx(values.std() / 2, rel=1e-3)


def test_noise_is_as_strong_as_stated() -> None:
    values = patch(shape=(40, 40, 40))
    noise = with_noise(values, 0.25, np.random.default_rng(1)) - values
    assert noise.std() == pytest.approx(0.25 * values.std(), rel=0.02)


def test_blur_reaches_as_far_in_mm_along_every_axis() -> None:
    point = np.zeros((41, 41, 21), np.float32)
    point[20, 20, 10] = 1
    smooth = blurred(point, 3.0, (1.0, 1.0, 2.0))
    index = np.indices(point.shape) - np.array([20, 20, 10])[:, None, None, None]
    spread = [
        np.sqrt((smooth * (i * step) ** 2).sum()) for i, step in zip(index, (1, 1, 2), strict=True)
    ]
    assert spread == pytest.approx([3.0, 3.0, 3.0], rel=0.05)


def test_low_resolution_leaves_axes_alone_that_are_coarse_already() -> None:
    values = patch()
    same = at_low_resolution(values, 2.0, (1.0, 4.0, 4.0))
    assert not np.allclose(same, values)
    # Along the fine axis neighbours became alike; along the coarse ones nothing was mixed.
    alone = at_low_resolution(np.ascontiguousarray(values[:, :1, :1]), 2.0, (1.0, 4.0, 4.0))
    assert np.allclose(same[:, :1, :1], alone, atol=1e-6)
    assert np.array_equal(at_low_resolution(values, 1.0, FINE), values)
