"""Intervals: known coverage, patients drawn whole, and words where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from napari_medcnn.evaluation.confidence import bootstrap_interval, bootstrap_statistic


def width(values: list[float], groups: list[str] | None = None) -> float:
    interval = bootstrap_interval(values, groups=groups)
    assert interval.low is not None and interval.high is not None
    return interval.high - interval.low


def test_the_interval_of_a_normal_mean_is_near_students() -> None:
    values = np.random.default_rng(3).normal(0.8, 0.05, 60)
    found = bootstrap_interval(values, seed=1)
    low, high = stats.t.interval(0.95, 59, values.mean(), stats.sem(values))
    assert found.estimate == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.002)
    assert (found.cases, found.groups, found.method) == (60, 60, "BCa")


def test_the_same_seed_gives_the_same_interval_and_another_one_nearly() -> None:
    values = np.random.default_rng(0).random(25)
    one = bootstrap_interval(values, seed=5)
    assert one == bootstrap_interval(values, seed=5)
    other = bootstrap_interval(values, seed=6)
    assert one != other
    assert one.low == pytest.approx(other.low, abs=0.02)


def test_many_scans_of_a_patient_do_not_make_an_interval_narrower() -> None:
    patients = list(np.random.default_rng(0).random(15))
    groups = [str(n // 4) for n in range(60)]
    repeated = [value for value in patients for _ in range(4)]
    assert width(repeated, groups) == pytest.approx(width(patients), rel=0.1)
    assert width(repeated) < 0.65 * width(patients)


def test_patients_are_drawn_with_all_of_their_cases() -> None:
    groups = ["b", "a", "a", "b", "c", "d", "e"]
    seen: list[tuple[int, ...]] = []

    def record(cases: np.ndarray) -> float:
        seen.append(tuple(np.bincount(cases, minlength=7)))
        return float(cases.mean())

    bootstrap_statistic(record, groups, resamples=50, method="percentile")
    for counts in seen:
        assert counts[0] == counts[3]
        assert counts[1] == counts[2]


def test_cases_without_the_figure_are_left_out_and_counted() -> None:
    found = bootstrap_interval([0.5, None, 0.7, float("nan")], groups=["a", "b", "c", "d"])
    assert found.estimate == pytest.approx(0.6)
    assert (found.cases, found.groups) == (2, 2)


@pytest.mark.parametrize(("groups", "words"), [("aaaa", "1 patient:"), ("aabb", "2 patients:")])
def test_few_patients_have_a_figure_and_no_interval(groups: str, words: str) -> None:
    found = bootstrap_interval([0.5, 0.7, 0.5, 0.7], groups=list(groups))
    assert (found.estimate, found.low, found.high) == (pytest.approx(0.6), None, None)
    assert found.note.startswith(words)


def test_without_any_case_there_is_nothing() -> None:
    found = bootstrap_interval([None, None])
    assert (found.estimate, found.low, found.note) == (None, None, "does not exist")


def test_cases_that_are_all_alike_have_an_interval_of_no_width() -> None:
    found = bootstrap_interval([0.25] * 6)
    assert (found.low, found.high, found.method) == (0.25, 0.25, "percentile")


def test_a_figure_that_most_resamples_lack_has_no_interval() -> None:
    def only_with_the_first(cases: np.ndarray) -> float:
        return 1.0 if 0 in cases else float("nan")

    found = bootstrap_statistic(only_with_the_first, list("abcde"), resamples=100)
    assert (found.estimate, found.low) == (1.0, None)
    assert "does not exist in" in found.note


def test_resamples_without_the_figure_are_left_out_and_told() -> None:
    truth = np.array([0] * 10 + [1] * 3)

    def both(cases: np.ndarray) -> float:
        return float(truth[cases].mean()) if truth[cases].any() else float("nan")

    found = bootstrap_statistic(both, [str(n) for n in range(13)], method="percentile")
    assert found.low is not None and found.low > 0
    assert "lack the figure" in found.note
