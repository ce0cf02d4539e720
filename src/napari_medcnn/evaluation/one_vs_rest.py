"""Each class against all others: the figures of yes/no questions, for cases and for resamples.

Figures of the cases as they are come from scikit-learn. For a thousand resamples at once they are
worked out from the cases' weights: the same numbers, to which the tests hold them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn import metrics

from napari_medcnn.evaluation.ranks import Ranked, average_precisions, rank, roc_areas

Table: TypeAlias = npt.NDArray[np.float64]
Answers: TypeAlias = npt.NDArray[np.bool_]

FIGURES = ("recall", "precision", "specificity", "f1", "auc", "average_precision")
"""In the order of every array's first axis here; NaN where a figure does not exist."""


@dataclass(frozen=True, eq=False)
class Questions:
    """What is true and what was said of each case and class, each array ``(case, class)``.

    Parameters
    ----------
    true, said : numpy.ndarray
        Whether a case is of a class, and whether the model says so.
    given : numpy.ndarray
        Its probability.
    """

    true: Answers
    said: Answers
    given: npt.NDArray[np.float64]

    def taken(self, cases: npt.NDArray[np.intp]) -> Questions:
        """The same of these cases, in this order."""
        return Questions(self.true[cases], self.said[cases], self.given[cases])

    def ranked(self) -> tuple[Ranked, ...]:
        """The cases by each class's probability."""
        return tuple(rank(self.true[:, n], self.given[:, n]) for n in range(self.true.shape[1]))


def figures_of_cases(questions: Questions) -> Table:
    """Every figure of the cases as they are, by scikit-learn.

    Returns
    -------
    numpy.ndarray
        ``(figure, class)``, figures as in :data:`FIGURES`.
    """
    classes = range(questions.true.shape[1])
    rows = [
        _of_question(questions.true[:, n], questions.said[:, n], questions.given[:, n])
        for n in classes
    ]
    return np.array(rows).T


def figures_of_resamples(
    questions: Questions,
) -> Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]]:
    """A function from weights ``(resample, case)`` to figures ``(figure, class, resample)``."""
    ranked = questions.ranked()
    true, said = questions.true.astype(np.float64), questions.said.astype(np.float64)
    both = true * said

    def of(weights: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        counts = [one.counts(weights) for one in ranked]
        total = weights.sum(1)[:, None]
        hits, yes, found = weights @ both, weights @ true, weights @ said
        with np.errstate(invalid="ignore", divide="ignore"):
            plain = [
                hits / yes,
                hits / found,
                (total - yes - found + hits) / (total - yes),
                2 * hits / (yes + found),
            ]
        areas = [
            np.stack([area(*one) for one in counts], 1) for area in (roc_areas, average_precisions)
        ]
        return np.stack([*plain, *areas]).transpose(0, 2, 1)

    return of


def _of_question(true: Answers, said: Answers, given: npt.NDArray[np.float64]) -> list[float]:
    nan = float("nan")
    some, others = bool(true.any()), not bool(true.all())
    return [
        metrics.recall_score(true, said) if some else nan,
        metrics.precision_score(true, said) if said.any() else nan,
        metrics.recall_score(~true, ~said) if others else nan,
        metrics.f1_score(true, said) if some or said.any() else nan,
        metrics.roc_auc_score(true, given) if some and others else nan,
        metrics.average_precision_score(true, given) if some else nan,
    ]
