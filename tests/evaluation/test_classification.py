"""Figures of a classifier are scikit-learn's; what does not exist is None and told."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchmetrics.functional.classification as tm
from sklearn import metrics

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.evaluation.classification import ClassificationFigures, classification_figures
from napari_medcnn.evaluation.confidence import bootstrap_statistic

CLASSES = ("glioma", "meningioma", "none", "pituitary")


def answers(seed: int, count: int = 120, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, count)
    logits = rng.normal(size=(count, 4))
    logits[np.arange(count), truth] += 1
    if ties:
        logits = logits.round()
    given = np.exp(logits)
    return truth, given / given.sum(1, keepdims=True)


def figures(truth: np.ndarray, given: np.ndarray, **options: object) -> ClassificationFigures:
    return classification_figures(truth, given, CLASSES, resamples=60, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_figures_are_scikit_learns(seed: int, ties: bool) -> None:
    truth, given = answers(seed, ties=ties)
    said = given.argmax(1)
    found = figures(truth, given)
    assert found.accuracy.estimate == pytest.approx(metrics.accuracy_score(truth, said), abs=1e-12)
    balanced = metrics.balanced_accuracy_score(truth, said)
    assert found.balanced_accuracy.estimate == pytest.approx(balanced, abs=1e-12)
    area = metrics.roc_auc_score(truth, given, multi_class="ovr", average="macro")
    assert found.macro_auc.estimate == pytest.approx(area, abs=1e-12)
    recalls = [of.recall.estimate for of in found.by_class]
    assert recalls == pytest.approx(list(metrics.recall_score(truth, said, average=None)))
    assert found.confusion == tuple(map(tuple, metrics.confusion_matrix(truth, said).tolist()))
    assert [of.count for of in found.by_class] == np.bincount(truth).tolist()
    assert found.undefined == ()


def test_intervals_hold_the_figure_and_know_the_patients() -> None:
    truth, given = answers(1)
    found = figures(truth, given, groups=[str(n // 3) for n in range(len(truth))])
    assert (found.cases, found.patients) == (120, 40)
    for interval in (found.accuracy, found.balanced_accuracy, found.macro_auc):
        assert interval.low is not None and interval.high is not None
        assert interval.estimate is not None
        assert 0 < interval.low < interval.estimate < interval.high <= 1
        assert interval.groups == 40


def test_a_class_without_cases_has_no_figures_and_is_named() -> None:
    truth, given = answers(2)
    kept = truth != 1
    found = figures(truth[kept], given[kept])
    assert found.macro_auc.estimate is None
    missing = found.by_class[1]
    assert (missing.recall.estimate, missing.auc.estimate) == (None, None)
    assert missing.specificity.estimate is not None
    assert found.by_class[0].auc.estimate is not None
    expected = metrics.recall_score(
        truth[kept], given[kept].argmax(1), labels=[0, 2, 3], average="macro"
    )
    assert found.balanced_accuracy.estimate == pytest.approx(expected)
    assert "meningioma" in found.undefined[0]


def test_a_single_class_has_accuracy_and_no_area() -> None:
    _, given = answers(0, 20)
    found = figures(np.zeros(20, int), given)
    assert found.accuracy.estimate == found.by_class[0].recall.estimate
    assert found.by_class[0].auc.estimate is None
    assert found.macro_auc.estimate is None
    assert any("all cases are of glioma" in text for text in found.undefined)


def test_a_class_that_is_never_said_has_no_precision() -> None:
    truth = np.array([0, 1, 2, 3])
    given = np.tile([0.7, 0.1, 0.1, 0.1], (4, 1))
    found = figures(truth, given)
    precisions = [of.precision for of in found.by_class]
    assert [one.estimate for one in precisions] == [0.25, None, None, None]
    assert found.macro.precision.estimate is None
    assert any("said to be of meningioma, none, pituitary" in text for text in found.undefined)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_figures_are_torchmetrics_too(seed: int, ties: bool) -> None:
    truth, given = answers(seed, ties=ties)
    found = figures(truth, given)
    scores, target = torch.from_numpy(given), torch.from_numpy(truth)
    for name, theirs in {
        "recall": tm.multiclass_recall,
        "precision": tm.multiclass_precision,
        "specificity": tm.multiclass_specificity,
        "f1": tm.multiclass_f1_score,
        "auc": tm.multiclass_auroc,
        "average_precision": tm.multiclass_average_precision,
    }.items():
        each = theirs(scores, target, num_classes=4, average="none").numpy()
        own = [getattr(one, name).estimate for one in found.by_class]
        np.testing.assert_allclose(own, each, atol=1e-6)
        assert getattr(found.macro, name).estimate == pytest.approx(each.mean(), abs=1e-6)
    accuracy = tm.multiclass_accuracy(scores, target, num_classes=4, average="micro")
    assert found.accuracy.estimate == pytest.approx(float(accuracy), abs=1e-6)


def several(seed: int, count: int = 90) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = (rng.random((count, 4)) < [0.5, 0.3, 0.2, 0.4]).astype(int)
    given = 1 / (1 + np.exp(-(rng.normal(size=(count, 4)) + 1.5 * truth - 0.7)))
    return truth, given


@pytest.mark.parametrize("seed", range(3))
def test_multi_label_figures_are_torchmetrics(seed: int) -> None:
    truth, given = several(seed)
    found = figures(truth, given, multi_label=True)
    scores, target = torch.from_numpy(given), torch.from_numpy(truth)
    options = {"num_labels": 4, "average": "none"}
    each = {
        "recall": tm.multilabel_recall(scores, target, **options),
        "precision": tm.multilabel_precision(scores, target, **options),
        "specificity": tm.multilabel_specificity(scores, target, **options),
        "f1": tm.multilabel_f1_score(scores, target, **options),
        "auc": tm.multilabel_auroc(scores, target, **options),
        "average_precision": tm.multilabel_average_precision(scores, target, **options),
    }
    for name, theirs in each.items():
        own = [getattr(one, name).estimate for one in found.by_class]
        np.testing.assert_allclose(own, theirs.numpy(), atol=1e-6)
    exact = tm.multilabel_exact_match(scores, target, num_labels=4)
    assert found.accuracy.estimate == pytest.approx(float(exact), abs=1e-6)
    balanced = float((each["recall"] + each["specificity"]).mean() / 2)
    assert found.balanced_accuracy.estimate == pytest.approx(balanced, abs=1e-6)
    for one, (tp, fp, fn, tn) in zip(found.by_class, found.confusion, strict=True):
        assert (one.count, one.said, tp + fp + fn + tn) == (tp + fn, tp + fp, 90)


def test_intervals_are_those_of_figures_worked_out_resample_by_resample() -> None:
    truth, given = answers(4, 40)
    patients = [str(n // 2) for n in range(40)]
    found = classification_figures(truth, given, CLASSES, groups=patients, resamples=200, seed=3)
    said = given.argmax(1)

    def f1(cases: np.ndarray) -> float:
        return float(metrics.f1_score(truth[cases] == 2, said[cases] == 2, zero_division=np.nan))

    def area(cases: np.ndarray) -> float:
        one = truth[cases] == 0
        whole = one.any() and not one.all()
        return float(metrics.roc_auc_score(one, given[cases, 0])) if whole else float("nan")

    # The names of the groups sort as texts: both sides draw the same ones.
    options = {"resamples": 200, "method": "percentile"}
    for figure, own in ((f1, found.by_class[2].f1), (area, found.by_class[0].auc)):
        slow = bootstrap_statistic(figure, patients, 3, **options)
        assert (own.low, own.high) == pytest.approx((slow.low, slow.high), abs=1e-9)


@pytest.mark.parametrize(
    ("truth", "given", "words"),
    [
        ([0, 1], np.full((3, 4), 0.25), "do not fit"),
        ([0, 4], np.full((2, 4), 0.25), "beyond"),
        ([0, 1], np.full((2, 4), 0.5), "add up to 1"),
        ([0, 1], np.full((2, 4), np.nan), "no probabilities"),
        ([], np.zeros((0, 4)), "do not fit"),
    ],
)
def test_what_is_no_answer_is_refused(truth: list[int], given: np.ndarray, words: str) -> None:
    with pytest.raises(InputMismatch, match=words):
        figures(np.array(truth, int), given)
