"""An operating point is what scikit-learn counts there; rules choose what they say."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.evaluation.operating_point import operating_points

SCORES = st.sampled_from([0.0, 0.2, 0.25, 0.5, 0.75, 1.0])
CASES = st.lists(st.tuples(st.booleans(), SCORES), min_size=1, max_size=25)


@given(CASES, st.sampled_from([-1.0, 0.0, 0.2, 0.3, 0.5, 0.99, 1.0, 2.0]))
def test_counts_and_figures_are_scikit_learns(
    cases: list[tuple[bool, float]], threshold: float
) -> None:
    true, scores = (np.array(column) for column in zip(*cases, strict=True))
    said = scores >= threshold
    point = operating_points(true, scores).at(threshold)
    (tn, fp), (fn, tp) = metrics.confusion_matrix(true, said, labels=[False, True]).tolist()
    assert (point.true_positives, point.false_positives) == (tp, fp)
    assert (point.false_negatives, point.true_negatives) == (fn, tn)
    for own, theirs in {
        point.sensitivity: metrics.recall_score(true, said, zero_division=np.nan),
        point.specificity: metrics.recall_score(~true, ~said, zero_division=np.nan),
        point.ppv: metrics.precision_score(true, said, zero_division=np.nan),
        point.npv: metrics.precision_score(~true, ~said, zero_division=np.nan),
        point.f1: metrics.f1_score(true, said, zero_division=np.nan),
    }.items():
        assert np.isnan(theirs) if own is None else own == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_rules_choose_what_they_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true = rng.random(80) < 0.4
    scores = (rng.normal(size=80) + true).round(1)
    points = operating_points(true, scores)
    rates, found, _ = metrics.roc_curve(true, scores, drop_intermediate=False)
    best = points.youden()
    assert best.sensitivity is not None and best.specificity is not None
    index = best.sensitivity + best.specificity - 1
    assert index == pytest.approx((found - rates).max(), abs=1e-12)
    for wanted in (0.0, 0.5, 0.9, 1.0):
        at = points.at_sensitivity(wanted)
        assert 1 - (at.specificity or 0) == pytest.approx(rates[found >= wanted - 1e-9].min())
        at = points.at_specificity(wanted)
        assert at.sensitivity == pytest.approx(found[1 - rates >= wanted - 1e-9].max())
        assert f"{wanted:g}" in at.rule


def test_a_share_of_ten_is_not_lost_to_rounding() -> None:
    points = operating_points([True] * 10 + [False] * 10, np.r_[np.linspace(1, 0.1, 10), [0] * 10])
    assert points.at_sensitivity(0.3).true_positives == 3
    assert points.at_specificity(1.0).true_positives == 10


def test_cases_of_one_kind_have_no_rule_but_a_point() -> None:
    points = operating_points([True, True], [0.2, 0.8])
    assert points.at(0.5).sensitivity == 0.5
    assert (points.at(0.5).specificity, points.at(0.5).npv) == (None, 0)
    with pytest.raises(InputMismatch, match="all cases are positive"):
        points.youden()
    with pytest.raises(InputMismatch, match="all cases are positive"):
        points.at_specificity(0.9)
    with pytest.raises(InputMismatch, match="all cases are negative"):
        operating_points([False], [0.2]).at_sensitivity(0.9)
    with pytest.raises(InputMismatch, match="no share"):
        points.at_sensitivity(90)
    with pytest.raises(InputMismatch, match="no case"):
        operating_points([], [])


def test_a_slider_over_many_cases_is_answered_at_once() -> None:
    rng = np.random.default_rng(0)
    points = operating_points(rng.random(200_000) < 0.1, rng.random(200_000))
    start = time.perf_counter()
    for threshold in np.linspace(0, 1, 100):
        points.at(float(threshold))
    assert time.perf_counter() - start < 1, "a hundred moves of the slider"
