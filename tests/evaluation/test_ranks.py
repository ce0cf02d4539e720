"""Counts and areas over all thresholds are scikit-learn's, weights included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.evaluation.ranks import average_precisions, rank, roc_areas

CASES = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), st.integers(0, 3)),
    min_size=1,
    max_size=30,
)


@given(CASES)
def test_areas_of_weighted_cases_are_scikit_learns(cases: list[tuple[bool, float, int]]) -> None:
    true, scores, weights = (np.array(column) for column in zip(*cases, strict=True))
    counts = rank(true, scores).counts(weights[None])
    roc, precision = float(roc_areas(*counts)[0]), float(average_precisions(*counts)[0])
    drawn = weights > 0
    if true[drawn].any() and not true[drawn].all():
        expected = metrics.roc_auc_score(true, scores, sample_weight=weights)
        assert roc == pytest.approx(expected, abs=1e-9)
    else:
        assert np.isnan(roc)
    if true[drawn].any():
        expected = metrics.average_precision_score(true, scores, sample_weight=weights)
        assert precision == pytest.approx(expected, abs=1e-9)
    else:
        assert np.isnan(precision)


def test_equal_scores_are_one_level() -> None:
    found = rank([True, False, True, False], [0.5, 0.5, 0.9, 0.1])
    assert found.thresholds.tolist() == [0.9, 0.5, 0.1]
    true, false = found.counts()
    assert (true.tolist(), false.tolist()) == ([[1, 2, 2]], [[0, 1, 2]])


def test_no_case_has_no_area() -> None:
    counts = rank([], []).counts(np.ones((2, 0)))
    assert np.isnan(roc_areas(*counts)).all() and np.isnan(average_precisions(*counts)).all()


@pytest.mark.parametrize("scores", [[0.5], [0.5, np.nan]])
def test_what_are_no_scores_is_refused(scores: list[float]) -> None:
    with pytest.raises(InputMismatch):
        rank([True, False], scores)
