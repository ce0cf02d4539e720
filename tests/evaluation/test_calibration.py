"""Calibration figures are other libraries'; a planted temperature is found, or refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchmetrics.functional.classification as tm
from sklearn import metrics
from sklearn.calibration import calibration_curve

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.evaluation.answers import Answers
from napari_medcnn.evaluation.calibration import (
    NotCalibrated,
    calibration_figures,
    fit_temperature,
    logits_of,
    probabilities_of,
)
from napari_medcnn.evaluation.reliability import reliability, reliability_records


def drawn(seed: int, count: int, factor: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and classes drawn by their probabilities; then the logits times `factor`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (count, 3))
    chances = probabilities_of(logits).cumsum(1)
    truth = (rng.random((count, 1)) > chances).sum(1).clip(max=2)
    return logits * factor, truth


def answers_of(given: np.ndarray, truth: np.ndarray, multi_label: bool = False) -> Answers:
    names = tuple(str(n) for n in range(len(given)))
    classes = tuple("abc"[: given.shape[1]])
    return Answers(names, names, classes, truth, given, multi_label)


@pytest.mark.parametrize("seed", range(4))
def test_figures_of_softmax_are_scikit_learns_and_torchmetrics(seed: int) -> None:
    logits, truth = drawn(seed, 150, 1.7)
    given = probabilities_of(logits)
    found = calibration_figures(answers_of(given, truth))
    brier = metrics.brier_score_loss(truth, given, scale_by_half=False)
    assert found.brier == pytest.approx(brier, abs=1e-9)
    assert found.nll == pytest.approx(metrics.log_loss(truth, given), abs=1e-9)
    theirs = tm.multiclass_calibration_error(
        torch.from_numpy(given), torch.from_numpy(truth), num_classes=3, n_bins=15
    )
    assert found.ece == pytest.approx(float(theirs), abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_figures_of_multi_label_are_per_class(seed: int) -> None:
    rng = np.random.default_rng(seed)
    given = rng.random((80, 3))
    truth = (rng.random((80, 3)) < given).astype(int)
    found = calibration_figures(answers_of(given, truth, True))
    pairs = [(truth[:, n].copy(), given[:, n].copy()) for n in range(3)]
    brier = np.mean([metrics.brier_score_loss(t, p) for t, p in pairs])
    nll = np.mean([metrics.log_loss(t, p) for t, p in pairs])
    ece = np.mean(
        [
            float(tm.binary_calibration_error(torch.from_numpy(p), torch.from_numpy(t)))
            for t, p in pairs
        ]
    )
    assert (found.brier, found.nll) == pytest.approx((brier, nll), abs=1e-9)
    assert found.ece == pytest.approx(ece, abs=1e-6)


@pytest.mark.parametrize(
    ("binning", "strategy"), [("equal width", "uniform"), ("adaptive", "quantile")]
)
def test_curves_are_scikit_learns(binning: str, strategy: str) -> None:
    logits, truth = drawn(1, 200)
    given = probabilities_of(logits)
    top, *each = reliability(answers_of(given, truth), binning, 8)  # type: ignore[arg-type]
    for n, curve in enumerate(each):
        seen, said = calibration_curve(truth == n, given[:, n], n_bins=8, strategy=strategy)
        there = curve.counts > 0
        np.testing.assert_allclose(curve.seen[there], seen, atol=1e-9)
        np.testing.assert_allclose(curve.said[there], said, atol=1e-9)
    assert top.counts.sum() == 200
    gaps = np.abs(top.said - top.seen)[top.counts > 0]
    assert top.error == pytest.approx(np.average(gaps, weights=top.counts[top.counts > 0]))
    records = reliability_records((top, *each))
    assert sum(r["cases"] for r in records if r["class"] == "a") == 200


def test_adaptive_bins_hold_equally_many() -> None:
    logits, truth = drawn(2, 150)
    top = reliability(answers_of(probabilities_of(logits), truth), "adaptive", 15)[0]
    assert top.counts.tolist() == [10] * 15


def test_hand_worked_error() -> None:
    given = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.3, 0.7]])
    found = calibration_figures(answers_of(given, np.array([0, 1, 0, 1])), bins=10)
    # 0.9 twice, right once: a gap of 0.4 for two; 0.6 right: 0.4; 0.7 right: 0.3.
    assert found.ece == pytest.approx((2 * 0.4 + 0.4 + 0.3) / 4)
    assert found.brier == pytest.approx((0.02 + 1.62 + 0.32 + 0.18) / 4)


def test_answers_that_are_all_alike_have_one_bin_and_a_zero_has_no_likelihood() -> None:
    given = np.tile([1.0, 0.0], (6, 1))
    found = calibration_figures(answers_of(given, np.array([0, 0, 0, 0, 0, 1])))
    assert found.ece == found.adaptive_ece == pytest.approx(1 / 6)
    assert found.nll is None and "probability 0" in found.undefined


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_a_planted_temperature_is_found(factor: float) -> None:
    logits, truth = drawn(3, 4000, factor)
    found = fit_temperature(logits, truth)
    assert found.temperature == pytest.approx(factor, rel=0.08)
    assert found.nll_after <= found.nll_before + 1e-9
    if factor != 1:
        assert found.ece_after < found.ece_before / 2
    assert found.cases == 4000


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_fit_is_that_of_torchs_lbfgs(multi_label: bool) -> None:
    logits, truth = drawn(5, 120, 2.0)
    if multi_label:
        truth = np.eye(3, dtype=int)[truth]
    found = fit_temperature(logits, truth, multi_label=multi_label)
    exponent = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    given, true = torch.from_numpy(logits), torch.from_numpy(truth)
    search = torch.optim.LBFGS([exponent], max_iter=200, tolerance_grad=1e-12)

    def loss() -> torch.Tensor:
        scaled = given / exponent.exp()
        if multi_label:
            lost = torch.nn.functional.binary_cross_entropy_with_logits(scaled, true.double())
        else:
            lost = torch.nn.functional.cross_entropy(scaled, true)
        search.zero_grad()
        lost.backward()
        return lost

    search.step(loss)
    assert found.nll_after == pytest.approx(float(loss().detach()), abs=1e-6)
    assert found.temperature == pytest.approx(float(exponent.detach().exp()), rel=1e-3)
    raw = metrics.log_loss(truth, probabilities_of(logits)) if not multi_label else None
    assert raw is None or found.nll_before == pytest.approx(raw, abs=1e-6)


@pytest.mark.parametrize(
    ("logits", "truth", "words"),
    [
        (np.zeros((19, 2)), np.arange(19) % 2, "too few"),
        (np.random.default_rng(0).normal(size=(30, 2)), np.zeros(30, int), "one class"),
        (5 * np.eye(2)[np.arange(30) % 2], np.arange(30) % 2, "right in all"),
        (5 * np.eye(2)[np.arange(30) % 2], (np.arange(30) + 1) % 2, "no better than chance"),
        (
            1e-3 * np.eye(2)[np.arange(30) % 2],
            (np.arange(30) > 0) * np.arange(30) % 2 + (np.arange(30) == 0),
            "too near",
        ),
    ],
)
def test_no_temperature_is_made_up(logits: np.ndarray, truth: np.ndarray, words: str) -> None:
    with pytest.raises(NotCalibrated, match=words):
        fit_temperature(logits, truth)


def test_what_are_no_logits_is_refused() -> None:
    with pytest.raises(InputMismatch, match="finite"):
        fit_temperature(np.full((30, 2), np.nan), np.arange(30) % 2)


@pytest.mark.parametrize("multi_label", [False, True])
def test_logits_give_back_their_probabilities(multi_label: bool) -> None:
    given = probabilities_of(
        np.random.default_rng(0).normal(0, 20, (50, 3)), multi_label=multi_label
    )
    back = probabilities_of(logits_of(given, multi_label=multi_label), multi_label=multi_label)
    np.testing.assert_allclose(back, given, atol=1e-12)
