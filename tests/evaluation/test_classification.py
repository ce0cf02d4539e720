"""Figures of a classifier are scikit-learn's; what does not exist is None and told."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.evaluation.classification import ClassificationFigures, classification_figures

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
    assert (found.by_class[1].recall.estimate, found.by_class[1].auc) == (None, None)
    assert found.by_class[0].auc is not None
    expected = metrics.recall_score(
        truth[kept], given[kept].argmax(1), labels=[0, 2, 3], average="macro"
    )
    assert found.balanced_accuracy.estimate == pytest.approx(expected)
    assert "meningioma" in found.undefined[0]


def test_a_single_class_has_accuracy_and_no_area() -> None:
    _, given = answers(0, 20)
    found = figures(np.zeros(20, int), given)
    assert found.accuracy.estimate == found.by_class[0].recall.estimate
    assert found.by_class[0].auc is None
    assert found.macro_auc.estimate is None


def test_a_class_that_is_never_said_has_no_precision() -> None:
    truth = np.array([0, 1, 2, 3])
    given = np.tile([0.7, 0.1, 0.1, 0.1], (4, 1))
    found = figures(truth, given)
    assert [of.precision for of in found.by_class] == [0.25, None, None, None]


@pytest.mark.parametrize(
    ("truth", "given", "words"),
    [
        ([0, 1], np.full((3, 4), 0.25), "do not fit"),
        ([0, 4], np.full((2, 4), 0.25), "beyond"),
        ([0, 1], np.full((2, 4), 0.5), "add up to 1"),
        ([0, 1], np.full((2, 4), np.nan), "add up to 1"),
        ([], np.zeros((0, 4)), "do not fit"),
    ],
)
def test_what_is_no_answer_is_refused(truth: list[int], given: np.ndarray, words: str) -> None:
    with pytest.raises(InputMismatch, match=words):
        figures(np.array(truth, int), given)
