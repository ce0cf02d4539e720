"""Shares and covers are what they are said to be."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medcnn.core.geometry import Geometry
from napari_medcnn.followup.nearness import gap_mm, nearness
from tests.followup.marked_studies import balls, study

FINE = Geometry.from_spacing((40, 40, 40), (1.0, 1.0, 1.0))
STILL = np.zeros((1, 3))


def box(start: tuple[int, int, int], stop: tuple[int, int, int]) -> np.ndarray:
    array = np.zeros(FINE.shape, dtype=np.uint8)
    array[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = 1
    return array


def test_a_share_is_the_part_of_the_voxels_that_lies_in_the_other() -> None:
    small = study("first", box((10, 10, 10), (14, 14, 14)), FINE)
    large = study("second", box((10, 10, 11), (17, 17, 18)), FINE)
    near = nearness(small, large, 0.0, STILL)
    assert near.pairs.tolist() == [[0, 0]]
    np.testing.assert_allclose(near.shares[0, 0], (3 / 4, 48 / 343), atol=1e-9)
    np.testing.assert_allclose(near.covers, near.shares)  # nothing to forgive


def test_shifts_move_the_lesions_before() -> None:
    first = study("first", box((10, 10, 10), (14, 14, 14)), FINE)
    second = study("second", box((10, 10, 12), (14, 14, 16)), FINE)
    shifts = np.array([(0.0, 0.0, 0.0), (2.0, 0.0, 0.0), (-2.0, 0.0, 0.0), (0.0, 0.0, 1.0)])
    near = nearness(first, second, 0.0, shifts)
    np.testing.assert_allclose(near.shares[:, 0, 0], (0.5, 1.0, 0.0, 0.375), atol=1e-9)
    np.testing.assert_allclose(near.shares[:, 0, 1], (0.5, 1.0, 0.0, 0.375), atol=1e-9)


@pytest.mark.parametrize("residual_mm", [1.0, 2.0])
def test_a_point_that_is_as_far_off_as_one_in_twenty_has_a_cover_of_a_quarter(
    residual_mm: float,
) -> None:
    one = study("first", box((20, 20, 16), (21, 21, 17)), FINE)
    offset = round(1.65 * residual_mm)
    other = study("second", box((20, 20, 16 + offset), (21, 21, 17 + offset)), FINE)
    cover = nearness(one, other, residual_mm, STILL).covers[0, 0]
    np.testing.assert_allclose(cover, np.exp(-((offset / residual_mm) ** 2) / 2), rtol=0.03)


def test_a_lesion_covers_itself_and_what_lies_within_it_however_small() -> None:
    large = study("first", balls([(20, 20, 20, 8)], FINE), FINE)
    point = study("second", box((20, 20, 20), (21, 21, 21)), FINE)
    assert nearness(large, large, 1.0, STILL).covers[0, 0].tolist() == [1.0, 1.0]
    of_large, of_point = nearness(large, point, 1.0, STILL).covers[0, 0]
    assert of_point == 1.0
    assert of_large < 0.05


def test_what_is_far_away_is_no_pair() -> None:
    first = study("first", balls([(8, 8, 8, 4)], FINE), FINE)
    second = study("second", balls([(30, 30, 30, 4)], FINE), FINE)
    assert nearness(first, second, 1.0, STILL).pairs.shape == (0, 2)


def test_a_gap_is_that_of_the_closest_voxels_and_none_where_they_overlap() -> None:
    first = study("first", box((10, 10, 10), (14, 14, 14)), FINE)
    second = study("second", box((10, 10, 18), (14, 14, 20)), FINE)
    assert gap_mm(first, first.lesions[0], second, second.lesions[0]) == pytest.approx(5.0)
    assert gap_mm(first, first.lesions[0], first, first.lesions[0]) == 0.0
