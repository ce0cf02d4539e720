"""The lesion-wise figures of the model's card, on masks whose score is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recipes.flair_lesions.metrics import score


def mask(*boxes: tuple[slice, slice, slice]) -> np.ndarray:
    array = np.zeros((30, 30, 30), dtype=np.uint8)
    for box in boxes:
        array[box] = 1
    return array


def cube(start: int, size: int) -> tuple[slice, slice, slice]:
    part = slice(start, start + size)
    return part, part, part


def test_the_truth_itself_scores_one() -> None:
    truth = mask(cube(2, 4), cube(12, 5))
    result = score(truth, truth, 1.0)
    assert (result.dice, result.recall, result.precision) == (1, 1, 1)
    assert (result.matched, result.merged) == (2, 0)


def test_dice_counts_every_voxel() -> None:
    result = score(mask(cube(0, 4)), mask((slice(0, 4), slice(0, 4), slice(2, 6))), 1.0)
    assert result.dice == pytest.approx(0.5)


def test_components_below_ten_cubic_millimetres_do_not_count_as_lesions() -> None:
    truth = mask(cube(2, 4), cube(12, 2))
    result = score(mask(cube(2, 4)), truth, 1.0)
    assert (result.truths, result.recall) == (1, 1)
    assert score(truth, truth, 2.0).truths == 2


def test_one_prediction_over_two_lesions_matches_one_and_is_a_merge() -> None:
    truth = mask((slice(0, 4),) * 3, (slice(0, 4), slice(0, 4), slice(6, 10)))
    result = score(mask((slice(0, 4), slice(0, 4), slice(0, 10))), truth, 1.0)
    assert (result.matched, result.merged) == (1, 1)
    assert (result.recall, result.precision, result.touched) == (0.5, 1, 1)


def test_a_slight_overlap_is_no_match_but_touches() -> None:
    result = score(mask((slice(7, 11),) * 3), mask((slice(0, 8),) * 3), 1.0)
    assert (result.matched, result.recall, result.precision, result.touched) == (0, 0, 0, 1)


def test_lesions_that_touch_by_a_corner_are_one() -> None:
    truth = mask(cube(0, 3), cube(3, 3))
    assert score(truth, truth, 1.0).truths == 1


def test_nothing_predicted_has_no_precision() -> None:
    result = score(mask(), mask(cube(0, 4)), 1.0)
    assert (result.dice, result.recall) == (0, 0)
    assert math.isnan(result.precision)
