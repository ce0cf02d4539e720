from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from napari_medcnn.io.dicom_objects.contours import filled, outlines

masks = arrays.arrays(
    bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.booleans()
)


def area(points: np.ndarray) -> float:
    row, column = points.T
    return abs(float(row @ np.roll(column, -1) - column @ np.roll(row, -1))) / 2


@settings(deadline=None, max_examples=150)
@given(mask=masks)
def test_any_mask_comes_back_from_its_outlines(mask: np.ndarray) -> None:
    assert np.array_equal(filled(outlines(mask), mask.shape), mask)


@settings(deadline=None, max_examples=50)
@given(mask=masks)
def test_there_is_one_outline_a_part_and_none_shares_a_pixel(mask: np.ndarray) -> None:
    found = outlines(mask)
    assert len(found) == ndimage.label(mask)[1]
    total = sum(filled([outline], mask.shape).astype(int) for outline in found)
    assert np.array_equal(total, mask.astype(int)) or not found


def test_a_hole_is_keyholed_into_one_closed_contour_of_the_right_area() -> None:
    mask = np.zeros((20, 20), bool)
    mask[3:15, 4:16] = True
    mask[6:9, 7:11] = False
    mask[11:13, 6:8] = False
    (outline,) = outlines(mask)
    # Half a pixel less for the outline, half a pixel less for each hole.
    assert area(outline) == pytest.approx(np.count_nonzero(mask) - 0.5 + 2 * 0.5)
    assert np.array_equal(filled([outline], mask.shape), mask)


def test_a_round_lesion_s_contour_lies_within_half_a_pixel_of_the_circle() -> None:
    row, column = np.mgrid[:60, :60]
    mask = np.hypot(row - 30.2, column - 29.7) <= 20
    (outline,) = outlines(mask)
    radius = np.hypot(outline[:, 0] - 30.2, outline[:, 1] - 29.7)
    assert np.abs(radius - 20).max() < 0.75
    assert np.abs(radius - 20).mean() < 0.25
    assert area(outline) == pytest.approx(np.pi * 20**2, rel=0.01)


def test_neighbours_that_share_an_edge_share_no_pixel() -> None:
    left = np.array([[2.0, 2.0], [2.0, 6.0], [8.0, 6.0], [8.0, 2.0]])
    right = left + np.array([0.0, 4.0])
    both = filled([left], (12, 12)).astype(int) + filled([right], (12, 12))
    assert both.max() == 1
    assert both.sum() == 6 * 8


def test_contours_that_leave_the_image_are_cut_at_its_edges() -> None:
    square = np.array([[-5.0, -5.0], [-5.0, 3.5], [3.5, 3.5], [3.5, -5.0]])
    assert np.array_equal(np.argwhere(filled([square], (6, 6))).max(axis=0), (3, 3))
