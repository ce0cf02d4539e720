"""FROC by hand and by brute force; the matching is that of the lesion-wise figures."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medcnn.core.errors import GeometryError, InputMismatch
from napari_medcnn.evaluation.froc import RATES, Candidates, froc, froc_records, score_candidates
from napari_medcnn.evaluation.lesion_wise import match_lesions


def case(truths: int, *candidates: tuple[float, bool]) -> Candidates:
    scores = np.array([score for score, _ in candidates])
    hits = np.array([hit for _, hit in candidates], dtype=bool)
    return Candidates(truths, scores, hits)


def patients(count: int) -> list[str]:
    return [f"{n:02}" for n in range(count)]


def made(seed: int, count: int = 20) -> list[Candidates]:
    rng = np.random.default_rng(seed)
    cases = []
    for _ in range(count):
        truths = int(rng.integers(0, 4))
        found = int(rng.integers(0, truths + 1))
        pairs = [(float(rng.choice([0.4, 0.6, 0.8, 0.95])), True) for _ in range(found)]
        pairs += [
            (float(rng.choice([0.2, 0.4, 0.6, 0.8])), False) for _ in range(rng.integers(0, 9))
        ]
        cases.append(case(truths, *pairs))
    return cases


def test_hand_worked_curve() -> None:
    found = froc(
        [case(2, (0.9, True), (0.7, False), (0.5, True)), case(1, (0.6, False))], ["a", "b"]
    )
    assert found.thresholds.tolist() == [np.inf, 0.9, 0.7, 0.6, 0.5]
    assert found.false_positives.tolist() == [0, 0, 0.5, 1, 1]
    np.testing.assert_allclose(found.sensitivity, [0, 1 / 3, 1 / 3, 1 / 3, 2 / 3])
    # At 1/8, 1/4, 1/2 a scan a third; from one a scan on two thirds, and no more beyond.
    np.testing.assert_allclose(found.at_rates, [1 / 3] * 3 + [2 / 3] * 4)
    assert found.score.estimate == pytest.approx((3 * 1 / 3 + 4 * 2 / 3) / 7)
    assert (found.scans, found.lesions) == (2, 3)
    assert found.score.low is None and "too few" in found.score.note
    assert froc_records(found)[0]["threshold"] is None


@pytest.mark.parametrize("seed", range(4))
def test_every_point_is_what_brute_force_counts(seed: int) -> None:
    cases = made(seed)
    found = froc(cases, patients(20), resamples=50)
    lesions = sum(c.truths for c in cases)
    points = zip(found.thresholds, found.false_positives, found.sensitivity, strict=True)
    for threshold, false, sensitivity in points:
        hits = sum(int((c.hits & (c.scores >= threshold)).sum()) for c in cases)
        alarms = sum(int((~c.hits & (c.scores >= threshold)).sum()) for c in cases)
        assert (false, sensitivity) == pytest.approx(
            (alarms / len(cases), hits / lesions), abs=1e-9
        )
    assert len(found.thresholds) == len({s for c in cases for s in c.scores}) + 1
    expected = np.interp(RATES, found.false_positives, found.sensitivity).mean()
    assert found.score.estimate == pytest.approx(expected, abs=1e-9)


def test_the_interval_is_that_of_drawn_patients() -> None:
    cases = made(7, 15)
    found = froc(cases, patients(15), seed=2, resamples=150).score
    rng = np.random.default_rng(2)
    drawn = [
        froc([cases[n] for n in rng.integers(0, 15, 15)], patients(15), resamples=2).score.estimate
        for _ in range(150)
    ]
    low, high = np.quantile(np.array(drawn, float), [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.06)
    assert found.low is not None and found.estimate is not None and found.low < found.estimate


def test_without_lesions_or_scans_there_is_no_curve() -> None:
    found = froc([case(0, (0.9, False))], ["a"])
    assert (found.score.estimate, len(found.thresholds)) == (None, 0)
    assert "no true lesion" in found.undefined
    with pytest.raises(InputMismatch, match="no scan"):
        froc([], [])


def test_a_model_that_predicts_nothing_finds_nothing() -> None:
    found = froc([case(2)], ["a"])
    assert (found.score.estimate, found.at_rates) == (0, (0.0,) * 7)


def test_candidates_are_matched_by_the_rule_and_scored_by_their_probabilities() -> None:
    truth = np.zeros((3, 20, 20), np.uint8)
    truth[1, 2:6, 2:6] = truth[1, 2:6, 12:16] = 1
    prediction = np.zeros_like(truth)
    prediction[1, 2:6, 3:7] = prediction[1, 14:17, 14:17] = 1
    prediction[1, 5:6, 15:20] = 1  # touches the second lesion, shares too little of the union
    probability = np.where(prediction > 0, 0.6, 0.1)
    probability[1, 3, 4] = 0.9
    found = score_candidates(prediction, probability, truth, 1.0)
    whole = match_lesions(prediction, truth, 1.0)
    assert (found.truths, len(found.scores), found.hits.sum()) == (2, 3, whole.matched)
    assert found.scores[found.hits].tolist() == [0.9]
    assert sorted(found.scores[~found.hits].tolist()) == [0.6, 0.6]
    mean = score_candidates(prediction, probability, truth, 1.0, score="mean")
    assert mean.scores[mean.hits].tolist() == pytest.approx([(15 * 0.6 + 0.9) / 16])
    large = score_candidates(prediction, probability, truth, 1.0, min_volume_mm3=10)
    assert len(large.scores) == 1
    empty = score_candidates(prediction * 0, probability, truth, 1.0)
    assert (empty.truths, len(empty.scores)) == (2, 0)


def test_other_grids_and_missing_probabilities_are_refused() -> None:
    mask = np.ones((2, 3, 3), np.uint8)
    with pytest.raises(GeometryError):
        score_candidates(mask, np.ones((2, 3, 4)), mask, 1.0)
    with pytest.raises(InputMismatch, match="a predicted lesion has no probability"):
        score_candidates(mask, np.zeros(mask.shape), mask, 1.0)
