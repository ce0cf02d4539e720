"""Lesions that were found, missed or invented, counted one by one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import label
from scipy.optimize import linear_sum_assignment

from napari_medcnn.core.errors import GeometryError
from napari_medcnn.evaluation.lesion_wise import MIN_IOU, LesionWise, match_lesions

Mask = npt.NDArray[np.bool_]
Box = tuple[slice, slice, slice]

FIRST: Box = np.s_[1:3, 1:4, 1:4]
SECOND: Box = np.s_[6:8, 6:9, 6:9]
THIRD: Box = np.s_[1:3, 6:9, 6:9]


def mask(*boxes: Box) -> Mask:
    made = np.zeros((10, 10, 10), bool)
    for box in boxes:
        made[box] = True
    return made


def figures(found: LesionWise) -> tuple[float | None, float | None, float | None]:
    return found.sensitivity, found.precision, found.f1


def test_one_found_one_missed_one_invented() -> None:
    found = match_lesions(mask(FIRST, THIRD), mask(FIRST, SECOND), 1.0)
    assert (found.matched, found.missed, found.false_positives, found.touched) == (1, 1, 1, 1)
    assert figures(found) == (0.5, 0.5, 0.5)


def test_a_blob_over_two_lesions_finds_one_of_them() -> None:
    two = mask(np.s_[1:4, 1:4, 1:4], np.s_[1:4, 1:4, 5:8])
    blob = mask(np.s_[1:4, 1:4, 1:8])
    found = match_lesions(blob, two, 1.0)
    assert (found.truths, found.predictions, found.matched, found.touched) == (2, 1, 1, 2)


def test_two_parts_of_one_lesion_find_it_once_and_one_is_false() -> None:
    lesion = mask(np.s_[1:4, 1:4, 1:8])
    parts = mask(np.s_[1:4, 1:4, 1:4], np.s_[1:4, 1:4, 5:8])
    found = match_lesions(parts, lesion, 1.0)
    assert (found.matched, found.false_positives, found.missed) == (1, 1, 0)
    assert figures(found) == (1.0, 0.5, pytest.approx(2 / 3))


def test_touching_is_not_finding() -> None:
    lesion = mask(np.s_[1:9, 1:9, 1:9])
    corner = mask(np.s_[1:3, 1:3, 1:3])
    assert match_lesions(corner, lesion, 1.0).matched == 0
    assert match_lesions(corner, lesion, 1.0).touched == 1
    assert match_lesions(corner, lesion, 1.0, min_iou=0.01).matched == 1


def test_components_below_the_least_volume_are_no_lesions_on_either_side() -> None:
    speck = mask(SECOND, np.s_[1:2, 1:2, 1:2])
    assert match_lesions(speck, mask(SECOND), 1.0).false_positives == 1
    found = match_lesions(speck, mask(SECOND, np.s_[1:2, 8:9, 8:9]), 0.5, min_volume_mm3=1.0)
    assert (found.truths, found.predictions, found.matched) == (1, 1, 1)


def test_where_there_is_nothing_there_is_no_share() -> None:
    nothing = mask()
    assert figures(match_lesions(nothing, nothing, 1.0)) == (None, None, None)
    assert figures(match_lesions(nothing, mask(FIRST), 1.0)) == (0.0, None, 0.0)
    assert figures(match_lesions(mask(FIRST), nothing, 1.0)) == (None, 0.0, 0.0)


def test_lesions_that_meet_at_a_corner_are_one() -> None:
    corner = mask(np.s_[1:3, 1:3, 1:3], np.s_[3:5, 3:5, 3:5])
    assert match_lesions(corner, corner, 1.0).truths == 1


def test_wrong_input_is_refused() -> None:
    with pytest.raises(GeometryError, match="two grids"):
        match_lesions(np.ones((2, 2, 2)), np.ones((3, 2, 2)), 1.0)
    with pytest.raises(ValueError, match="union"):
        match_lesions(mask(), mask(), 1.0, min_iou=0)


def dense(found: Mask, true: Mask) -> tuple[int, int, int]:
    """Predicted, true and matched lesions by scipy's components and one table of every pair."""
    (left, predictions), (right, truths) = (label(m, np.ones((3, 3, 3))) for m in (found, true))
    iou = np.zeros((predictions, truths))
    for row, column in np.ndindex(iou.shape):
        one, other = left == row + 1, right == column + 1
        iou[row, column] = (one & other).sum() / (one | other).sum()
    iou[iou < MIN_IOU] = 0
    return predictions, truths, int((iou[linear_sum_assignment(iou, maximize=True)] > 0).sum())


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.floats(0.02, 0.2))
def test_counts_are_those_of_the_dense_assignment(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    true = rng.random((8, 12, 12)) < share
    found = (true & (rng.random(true.shape) < 0.7)) | (rng.random(true.shape) < share / 4)
    ours = match_lesions(found, true, 20.0, min_volume_mm3=10.0)
    assert (ours.predictions, ours.truths, ours.matched) == dense(found, true)


@settings(max_examples=40)
@given(arrays(np.bool_, (4, 5, 6)), arrays(np.bool_, (4, 5, 6)))
def test_counts_are_symmetric_and_within_range(one: Mask, other: Mask) -> None:
    there, back = match_lesions(one, other, 1.0), match_lesions(other, one, 1.0)
    assert there.matched == back.matched <= min(there.truths, there.predictions)
    assert there.matched <= there.touched <= there.truths
    assert (there.sensitivity, there.f1) == (back.precision, back.f1)
