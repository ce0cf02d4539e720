"""Curves are those of another library; bands hold them; what has no curve says why."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchmetrics.functional.classification as tm

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.evaluation.answers import Answers, answer_records
from napari_medcnn.evaluation.classification import classification_figures
from napari_medcnn.evaluation.curves import (
    band_records,
    confusion_records,
    curve_records,
    pr_curves,
    roc_curves,
)

CLASSES = ("a", "b", "c")


def answers(seed: int = 0, count: int = 60, ties: bool = False) -> Answers:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, count)
    logits = rng.normal(size=(count, 3))
    logits[np.arange(count), truth] += 1
    given = np.exp(logits.round() if ties else logits)
    given /= given.sum(1, keepdims=True)
    names = tuple(f"case {n}" for n in range(count))
    groups = tuple(f"patient {n // 2}" for n in range(count))
    return Answers(names, groups, CLASSES, truth, given)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_points_and_areas_are_torchmetrics(seed: int, ties: bool) -> None:
    said = answers(seed, ties=ties)
    rocs, prs = roc_curves(said, resamples=0), pr_curves(said, resamples=0)
    for n, (roc, pr) in enumerate(zip(rocs, prs, strict=True)):
        scores = torch.from_numpy(said.probabilities[:, n])
        target = torch.from_numpy((said.truth == n).astype(int))
        x, y, thresholds = tm.binary_roc(scores, target)
        np.testing.assert_allclose(roc.x, x, atol=1e-6)
        np.testing.assert_allclose(roc.y, y, atol=1e-6)
        np.testing.assert_allclose(roc.thresholds[1:], thresholds[1:], atol=1e-6)
        assert roc.area == pytest.approx(float(tm.binary_auroc(scores, target)), abs=1e-6)
        assert roc.thresholds[0] == np.inf
        precision, recall, levels = tm.binary_precision_recall_curve(scores, target)
        np.testing.assert_allclose(pr.x, recall.flip(0)[1:], atol=1e-6)
        np.testing.assert_allclose(pr.y, precision.flip(0)[1:], atol=1e-6)
        np.testing.assert_allclose(pr.thresholds, levels.flip(0), atol=1e-6)
        area = float(tm.binary_average_precision(scores, target))
        assert pr.area == pytest.approx(area, abs=1e-6)


def test_a_band_holds_its_curve_and_is_narrower_with_more_patients() -> None:
    widths = []
    for count in (60, 600):
        for curve in (*roc_curves(answers(1, count), resamples=200),):
            band = curve.band
            assert band is not None
            assert (band.low <= band.high).all()
            inside = np.interp(band.x, curve.x, curve.y)[20:80:10]
            assert (band.low[20:80:10] <= inside + 0.05).all()
            assert (inside - 0.05 <= band.high[20:80:10]).all()
            widths.append(float((band.high - band.low).mean()))
    assert np.mean(widths[3:]) < np.mean(widths[:3]) / 2
    for curve in pr_curves(answers(1, 600), resamples=100):
        assert curve.band is not None
        reached = np.searchsorted(curve.x, 0.5)
        low, high = curve.band.low[50], curve.band.high[50]
        assert low - 0.02 <= curve.y[reached] <= high + 0.02


def test_a_class_without_cases_has_no_curve_and_few_patients_no_band() -> None:
    said = answers(0, 12)
    only = Answers(said.cases, said.groups, CLASSES, said.truth % 2, said.probabilities)
    roc, pr = roc_curves(only)[2], pr_curves(only)[2]
    assert (roc.area, pr.area, len(roc.x)) == (None, None, 0)
    assert roc.undefined == pr.undefined == "no case is of c"
    few = answers(2, 8)
    assert all(c.band is None and "too few" in c.undefined for c in roc_curves(few, resamples=20))
    ones = Answers(said.cases, said.groups, CLASSES, said.truth * 0, said.probabilities)
    assert roc_curves(ones)[0].undefined == "all cases are of a"
    assert pr_curves(ones, resamples=0)[0].area == pytest.approx(1)


def test_records_are_flat_and_hold_every_point() -> None:
    said = answers(0)
    curves = roc_curves(said, resamples=30)
    records = curve_records(curves)
    assert len(records) == sum(len(curve.x) for curve in curves)
    assert records[0] == {"curve": "roc", "class": "a", "x": 0, "y": 0, "threshold": None}
    assert len(band_records(curves)) == 3 * 101
    figures = classification_figures(said.truth, said.probabilities, CLASSES, resamples=20)
    rows = confusion_records(figures)
    assert sum(row["said b"] for row in rows) == int((said.probabilities.argmax(1) == 1).sum())


def test_answers_stand_worst_first_behind_failures() -> None:
    said = answers(0, 10)
    records = answer_records(said, [0.5] * 10, [("broken", "p", "no image")])
    assert (records[0]["case"], records[0]["note"], records[0]["said"]) == (
        "broken",
        "no image",
        None,
    )
    trust = [record[f"p {record['truth']}"] for record in records[1:]]
    assert trust == sorted(trust) and len(trust) == 10
    assert set(records[0]) == set(records[1])


def test_answers_that_do_not_belong_together_are_refused() -> None:
    said = answers(0, 10)
    with pytest.raises(InputMismatch, match="belong together"):
        Answers(said.cases[1:], said.groups, CLASSES, said.truth, said.probabilities)
