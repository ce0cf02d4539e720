"""How well a model tells classes apart: accuracy, recall, ROC, with intervals by patient.

A figure that does not exist, because a class has no case or all cases are of one class, is None
with the reason beside it. Figures of the cases as they are come from scikit-learn. What is worked
out anew for each resample of an interval takes the ranks themselves: the same numbers, to which
the tests hold it, twenty times as fast.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from sklearn import metrics

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.evaluation.confidence import Indices, Interval, bootstrap_statistic

Truth: TypeAlias = npt.NDArray[np.int64]
Probabilities: TypeAlias = npt.NDArray[Any]

RESAMPLES = 1000
SUM_TOLERANCE = 1e-3
"""Probabilities of one case add up to 1, but for the rounding of half precision."""


@dataclass(frozen=True)
class ClassFigures:
    """One class: `count` true cases, `recall` of them, `precision` and area under the ROC curve."""

    name: str
    count: int
    recall: Interval
    precision: float | None
    auc: float | None


@dataclass(frozen=True)
class ClassificationFigures:
    """A model's figures on a set of cases.

    Parameters
    ----------
    cases, patients : int
        How many there are; patients were resampled for the intervals.
    accuracy : Interval
        Share of right answers (the likeliest class).
    balanced_accuracy : Interval
        Mean recall of the classes that have cases.
    macro_auc : Interval
        Mean area under the ROC curve of each class against all others; None where a class has no
        case.
    by_class : tuple of ClassFigures
        In the order of the model's outputs.
    confusion : tuple of tuple of int
        Numbers of cases, ``[true class][predicted class]``.
    undefined : tuple of str
        Why figures are None.
    """

    cases: int
    patients: int
    accuracy: Interval
    balanced_accuracy: Interval
    macro_auc: Interval
    by_class: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...]
    undefined: tuple[str, ...] = ()


def classification_figures(
    truth: Sequence[int] | Truth,
    probabilities: Probabilities,
    classes: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> ClassificationFigures:
    """Judge a model by what it said of labelled cases.

    Parameters
    ----------
    truth : sequence of int
        The class of each case, numbered as in `classes`.
    probabilities : numpy.ndarray
        ``(case, class)``; each row adds up to 1.
    classes : sequence of str
        Their names.
    groups : sequence of str, optional
        The patient of each case; without, each case is one of its own.
    seed, resamples : int
        Of the bootstrap.

    Raises
    ------
    InputMismatch
        When the arrays do not fit each other, or rows are no probabilities.
    """
    true = np.asarray(truth, dtype=np.int64)
    given = np.asarray(probabilities, dtype=np.float64)
    _check(true, given, len(classes))
    patients = [str(n) for n in range(len(true))] if groups is None else list(groups)
    said = given.argmax(1)

    def interval(figure: Callable[[Truth, Truth, Probabilities], float]) -> Interval:
        def of(cases: Indices) -> float:
            return figure(true[cases], said[cases], given[cases])

        return bootstrap_statistic(of, patients, seed, resamples=resamples, method="percentile")

    return ClassificationFigures(
        cases=len(true),
        patients=len(set(patients)),
        accuracy=interval(_accuracy),
        balanced_accuracy=interval(_balanced),
        macro_auc=interval(_macro_auc),
        by_class=tuple(
            _of_class(name, number, true, said, given, interval)
            for number, name in enumerate(classes)
        ),
        confusion=_confusion(true, said, len(classes)),
        undefined=_undefined(true, classes),
    )


def _check(true: Truth, given: Probabilities, classes: int) -> None:
    if classes < 2 or given.ndim != 2 or given.shape != (len(true), classes) or not len(true):
        raise InputMismatch(
            f"probabilities of the shape {given.shape} do not fit {len(true)} cases and "
            f"{classes} classes"
        )
    if true.min() < 0 or true.max() >= classes:
        raise InputMismatch(f"a case is of a class beyond the {classes} of the model")
    sums = np.abs(given.sum(1) - 1)
    if not np.isfinite(given).all() or given.min() < 0 or sums.max() > SUM_TOLERANCE:
        raise InputMismatch("what the model says are no probabilities that add up to 1")


def _accuracy(true: Truth, said: Truth, given: Probabilities) -> float:
    return float(np.mean(true == said))


def _balanced(true: Truth, said: Truth, given: Probabilities) -> float:
    counts = np.bincount(true, minlength=given.shape[1])
    right = np.bincount(true[true == said], minlength=given.shape[1])
    return float(np.mean(right[counts > 0] / counts[counts > 0]))


def _macro_auc(true: Truth, said: Truth, given: Probabilities) -> float:
    areas = [_area(true == number, given[:, number]) for number in range(given.shape[1])]
    return float(np.mean(areas))


def _area(positive: npt.NDArray[np.bool_], score: Probabilities) -> float:
    """Area under the ROC curve by ranks (Hanley and McNeil 1982); NaN without cases of both."""
    count = int(positive.sum())
    others = len(positive) - count
    if not count or not others:
        return float("nan")
    above = float(rankdata(score)[positive].sum()) - count * (count + 1) / 2
    return above / (count * others)


def _recall(number: int, true: Truth, said: Truth, given: Probabilities) -> float:
    own = true == number
    return float(np.mean(said[own] == number)) if own.any() else float("nan")


def _of_class(
    name: str,
    number: int,
    true: Truth,
    said: Truth,
    given: Probabilities,
    interval: Callable[[Callable[[Truth, Truth, Probabilities], float]], Interval],
) -> ClassFigures:
    own, precision, auc = true == number, None, None
    if (said == number).any():
        precision = float(metrics.precision_score(own, said == number))
    if own.any() and not own.all():
        auc = float(metrics.roc_auc_score(own, given[:, number]))
    recall = interval(functools.partial(_recall, number))
    return ClassFigures(name, int(own.sum()), recall, precision, auc)


def _confusion(true: Truth, said: Truth, classes: int) -> tuple[tuple[int, ...], ...]:
    table = metrics.confusion_matrix(true, said, labels=np.arange(classes))
    return tuple(tuple(int(count) for count in row) for row in table)


def _undefined(true: Truth, classes: Sequence[str]) -> tuple[str, ...]:
    missing = [name for number, name in enumerate(classes) if not (true == number).any()]
    if not missing:
        return ()
    none = f"no case of {', '.join(missing)}: no recall, no area under the curve, no macro AUC"
    return (none,)
