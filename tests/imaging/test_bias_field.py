"""N4 removes a known shading, keeps the level, and leaves an even image as it is."""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt
import pytest

from napari_medcnn.core.errors import Cancelled, InputMismatch
from napari_medcnn.core.events import JobControl
from napari_medcnn.imaging.bias_field import correct_bias_field

SPACING = (6.0, 4.5, 4.5)
FloatArray = npt.NDArray[np.float32]


def ball() -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """A brain-like ball of two tissues in stripes, with noise, and its mask."""
    rng = np.random.default_rng(0)
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (24, 32, 32)), indexing="ij")
    mask = z**2 + y**2 + x**2 < 0.8
    tissue = np.where(np.sin(11 * x) + np.sin(11 * y) + np.sin(9 * z) > 0, 120.0, 90.0)
    image = (tissue + rng.normal(0, 2, tissue.shape)) * mask
    return np.clip(image, 0, None).astype(np.float32), mask


def shading(shape: tuple[int, ...]) -> FloatArray:
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    return np.exp(0.25 * x - 0.2 * z + 0.1 * y * y).astype(np.float32)


def spread(ratio: FloatArray) -> float:
    return float(np.std(ratio) / np.mean(ratio))


def test_a_known_shading_is_removed() -> None:
    image, mask = ball()
    shaded = image * shading(image.shape)
    corrected = correct_bias_field(shaded, SPACING, mask)
    inside = mask & (image > 0)
    before = spread(shaded[inside] / image[inside])
    after = spread(corrected[inside] / image[inside])
    assert after < 0.3 * before


def test_the_overall_level_is_kept() -> None:
    image, mask = ball()
    shaded = image * shading(image.shape)
    corrected = correct_bias_field(shaded, SPACING, mask)
    inside = mask & (image > 0)
    ratio = np.log(corrected[inside] / shaded[inside])
    assert float(ratio.mean()) == pytest.approx(0, abs=0.01)


def test_an_even_image_stays_as_it_is() -> None:
    image, mask = ball()
    corrected = correct_bias_field(image, SPACING, mask)
    inside = mask & (image > 0)
    assert np.abs(corrected[inside] / image[inside] - 1).max() < 0.03


def test_zero_stays_zero_and_the_type_is_float32() -> None:
    image, mask = ball()
    corrected = correct_bias_field(image.astype(np.int16), SPACING, mask)
    assert corrected.dtype == np.float32
    assert corrected.shape == image.shape
    assert not corrected[~mask].any()


def test_without_a_mask_the_foreground_guides() -> None:
    image, mask = ball()
    shaded = image * shading(image.shape)
    corrected = correct_bias_field(shaded, SPACING)
    inside = mask & (image > 0)
    assert spread(corrected[inside] / image[inside]) < 0.4 * spread(shaded[inside] / image[inside])


def test_it_gives_the_same_result_every_time() -> None:
    image, mask = ball()
    first, second = (correct_bias_field(image, SPACING, mask) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_nothing_to_estimate_from_is_refused() -> None:
    with pytest.raises(InputMismatch, match="no voxel"):
        correct_bias_field(np.zeros((5, 5, 5)), SPACING)


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(InputMismatch, match="shape"):
        correct_bias_field(np.ones((5, 5, 5)), SPACING, np.ones((5, 5, 4)))


def test_a_flat_picture_is_refused() -> None:
    with pytest.raises(InputMismatch, match="3D"):
        correct_bias_field(np.ones((5, 5)), SPACING)


class CancelledOnTheWay(JobControl):
    """Someone presses Cancel while the fourth checkpoint is passed."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0

    def checkpoint(self) -> None:
        self.passed += 1
        if self.passed == 4:
            self.cancel()
        super().checkpoint()


def test_cancelling_ends_the_iterations_without_a_word_on_stderr(
    capfd: pytest.CaptureFixture[str],
) -> None:
    image, mask = ball()
    control, hook = CancelledOnTheWay(), sys.excepthook
    with pytest.raises(Cancelled):
        correct_bias_field(image * shading(image.shape), SPACING, mask, control=control)
    assert control.passed == 5, "one iteration more than wanted"
    assert sys.excepthook is hook
    assert capfd.readouterr().err == ""
