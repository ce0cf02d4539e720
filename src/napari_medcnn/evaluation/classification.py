"""How well a model tells classes apart: accuracy, recall, ROC, with intervals by patient.

Of classes that exclude each other (softmax), a case is said to be of the likeliest. Where several
may be true of a case (multi-label), each class is a question of its own, answered yes from a
threshold on. A figure that does not exist, because a class has no case or all cases are of one
class, is None with the reason beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn import metrics

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.evaluation.confidence import Interval, Weights, bootstrap_figures
from napari_medcnn.evaluation.one_vs_rest import (
    FIGURES,
    Questions,
    figures_of_cases,
    figures_of_resamples,
)

Truth: TypeAlias = npt.NDArray[Any]
Probabilities: TypeAlias = npt.NDArray[Any]
Table: TypeAlias = npt.NDArray[np.float64]

RESAMPLES = 1000
SUM_TOLERANCE = 1e-3
"""Probabilities of one case add up to 1, but for the rounding of half precision."""

YES = 0.5
"""From which probability on a multi-label class is said to be there."""


@dataclass(frozen=True)
class Figures:
    """Figures of one class against all others, or their means over the classes.

    Parameters
    ----------
    recall, precision, specificity : Interval
        Share of the class's cases that were said to be of it (sensitivity); share of what was said
        to be of it that is; share of the other cases that were not said to be of it.
    f1 : Interval
        Harmonic mean of precision and recall.
    auc, average_precision : Interval
        Areas under the ROC curve, and under the precision-recall curve (without interpolation).
    """

    recall: Interval
    precision: Interval
    specificity: Interval
    f1: Interval
    auc: Interval
    average_precision: Interval


@dataclass(frozen=True, kw_only=True)
class ClassFigures(Figures):
    """One class: `count` true cases, `said` cases that the model takes for it, and the figures."""

    name: str
    count: int
    said: int


@dataclass(frozen=True)
class ClassificationFigures:
    """A model's figures on a set of cases.

    Parameters
    ----------
    cases, patients : int
        How many there are; patients were resampled for the intervals.
    accuracy : Interval
        Share of right answers; of multi-label cases those with every class right.
    balanced_accuracy : Interval
        Mean recall of the classes that have cases. Multi-label: mean over the classes of the mean
        of recall and specificity.
    macro : Figures
        Means over all classes; None where a class lacks the figure.
    by_class : tuple of ClassFigures
        In the order of the model's outputs.
    confusion : tuple of tuple of int
        Numbers of cases, ``[true class][predicted class]``. Multi-label: for each class ``(true
        positives, false positives, false negatives, true negatives)``.
    multi_label : bool
        Whether several classes may be true of a case.
    undefined : tuple of str
        Why figures are None.
    """

    cases: int
    patients: int
    accuracy: Interval
    balanced_accuracy: Interval
    macro: Figures
    by_class: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...]
    multi_label: bool = False
    undefined: tuple[str, ...] = ()

    @property
    def macro_auc(self) -> Interval:
        """Mean area under the ROC curve of each class against all others."""
        return self.macro.auc


def classification_figures(
    truth: Sequence[int] | Truth,
    probabilities: Probabilities,
    classes: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    multi_label: bool = False,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> ClassificationFigures:
    """Judge a model by what it said of labelled cases.

    Parameters
    ----------
    truth : sequence of int, or numpy.ndarray
        The class of each case, numbered as in `classes`. Multi-label: ``(case, class)`` of 0 and 1.
    probabilities : numpy.ndarray
        ``(case, class)``; each row adds up to 1, unless they are multi-label.
    classes : sequence of str
        Their names.
    groups : sequence of str, optional
        The patient of each case; without, each case is one of its own.
    multi_label : bool
        Whether several classes may be true of a case.
    seed, resamples : int
        Of the bootstrap.

    Raises
    ------
    InputMismatch
        When the arrays do not fit each other, or rows are no probabilities.
    """
    asked = questions_of(truth, probabilities, len(classes), multi_label=multi_label)
    patients = [str(n) for n in range(len(asked.true))] if groups is None else list(groups)
    judged = Judged(asked, multi_label)
    intervals = bootstrap_figures(
        judged.resampled(), judged.estimates(), patients, seed, resamples=resamples
    )
    width = len(FIGURES)
    macro, *rows = (intervals[n : n + width] for n in range(2, len(intervals), width))
    return ClassificationFigures(
        cases=len(asked.true),
        patients=len(set(patients)),
        accuracy=intervals[0],
        balanced_accuracy=intervals[1],
        macro=Figures(*macro),
        by_class=tuple(
            ClassFigures(
                name=name,
                count=int(asked.true[:, n].sum()),
                said=int(asked.said[:, n].sum()),
                **dict(zip(FIGURES, row, strict=True)),
            )
            for n, (name, row) in enumerate(zip(classes, rows, strict=True))
        ),
        confusion=_confusion(asked, multi_label),
        multi_label=multi_label,
        undefined=tuple(_undefined(asked, classes)),
    )


def questions_of(
    truth: Sequence[int] | Truth,
    probabilities: Probabilities,
    classes: int,
    *,
    multi_label: bool = False,
) -> Questions:
    """Truth and answers of each case and class, checked; parameters as above.

    Raises
    ------
    InputMismatch
        When the arrays do not fit each other, or rows are no probabilities.
    """
    given = np.asarray(probabilities, dtype=np.float64)
    true = np.asarray(truth, dtype=np.int64)
    wanted = given.shape if multi_label else given.shape[:1]
    fewest = 1 if multi_label else 2
    if classes < fewest or given.shape != (len(true), classes) or not len(true):
        raise InputMismatch(
            f"probabilities of the shape {given.shape} do not fit {len(true)} cases and "
            f"{classes} classes"
        )
    if true.shape != wanted or true.min() < 0 or true.max() >= (2 if multi_label else classes):
        raise InputMismatch(
            "what is true of multi-label cases is told by 0 and 1, a row a case"
            if multi_label
            else f"a case is of a class beyond the {classes} of the model"
        )
    if not np.isfinite(given).all() or given.min() < 0 or given.max() > 1 + SUM_TOLERANCE:
        raise InputMismatch("what the model says are no probabilities between 0 and 1")
    if multi_label:
        return Questions(true == 1, given >= YES, given)
    if np.abs(given.sum(1) - 1).max() > SUM_TOLERANCE:
        raise InputMismatch("what the model says are no probabilities that add up to 1")
    every = np.arange(classes)
    return Questions(true[:, None] == every, given.argmax(1)[:, None] == every, given)


@dataclass(frozen=True, eq=False)
class Judged:
    """Every figure of a set of answers as one flat list.

    Accuracy, balanced accuracy, the macro figures, then those of each class.
    """

    asked: Questions
    multi_label: bool

    @property
    def right(self) -> npt.NDArray[np.float64]:
        """``(case,)``, 1 where every class was told right."""
        return np.asarray((self.asked.true == self.asked.said).all(1), dtype=np.float64)

    def flat(self, accuracy: Any, table: Table) -> Table:
        """``(figure, resample)`` from figures ``(figure, class, resample)``."""
        recall, specificity = table[FIGURES.index("recall")], table[FIGURES.index("specificity")]
        balanced = (recall + specificity) / 2 if self.multi_label else recall
        there = np.isfinite(balanced)
        with np.errstate(invalid="ignore"):
            mean = np.where(there, balanced, 0).sum(0) / there.sum(0)
        by_class = table.transpose(1, 0, 2).reshape(-1, table.shape[2])
        first = np.stack([np.broadcast_to(accuracy, mean.shape), mean])
        return np.concatenate([first, table.mean(1), by_class])

    def estimates(self) -> Table:
        """``(figure,)`` of the cases as they are."""
        table = figures_of_cases(self.asked)
        return self.flat(np.mean(self.right), table[..., None])[:, 0]

    def resampled(self) -> Callable[[Weights], Table]:
        """A function from weights ``(resample, case)`` to figures ``(figure, resample)``."""
        right, tables = self.right, figures_of_resamples(self.asked)

        def of(weights: Weights) -> Table:
            return self.flat(weights @ right / weights.sum(1), tables(weights))

        return of


def _confusion(asked: Questions, multi_label: bool) -> tuple[tuple[int, ...], ...]:
    if multi_label:
        tables = metrics.multilabel_confusion_matrix(asked.true, asked.said).tolist()
        return tuple((tp, fp, fn, tn) for (tn, fp), (fn, tp) in tables)
    labels = np.arange(asked.true.shape[1])
    table = metrics.confusion_matrix(asked.true.argmax(1), asked.said.argmax(1), labels=labels)
    return tuple(tuple(int(count) for count in row) for row in table)


def _undefined(asked: Questions, classes: Sequence[str]) -> list[str]:
    """Why figures are None, in words."""

    def names(which: Any) -> str:
        return ", ".join(name for name, is_it in zip(classes, which, strict=True) if is_it)

    told = []
    none, every, unsaid = ~asked.true.any(0), asked.true.all(0), ~asked.said.any(0)
    if none.any():
        told.append(
            f"no case of {names(none)}: no recall, no area under the curves, none of their means"
        )
    if every.any():
        told.append(f"all cases are of {names(every)}: no specificity, no area under the ROC curve")
    if unsaid.any():
        told.append(f"no case was said to be of {names(unsaid)}: no precision, no mean of it")
    return told
