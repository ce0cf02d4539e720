"""Differences of two models' figures on the same cases, with intervals and paired tests.

Every difference is the second model's figure less the first one's. Its interval comes from a paired
bootstrap: patients are drawn, and both models are judged on the same drawn cases. Its p-value is
twice the share of resamples on the rarer side of 0, which is counted as one more than there were,
so that it is never 0. The tests know nothing of how many figures were looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from napari_medcnn.evaluation.confidence import (
    FEWEST_GROUPS,
    RESAMPLES,
    Interval,
    Weights,
    intervals_of,
    resampled,
)

Figures = npt.NDArray[np.float64]

NO_DIFFERENCE = "the models do not differ in any case"
FEW_PATIENTS = "too few patients for a test"
SEVERAL = "signed ranks of patients' mean differences"


@dataclass(frozen=True)
class Difference:
    """One figure of two models, on the cases that have it in both.

    Parameters
    ----------
    figure : str
        Its name; a segmentation's with its label.
    first, second : float, optional
        The two models'.
    difference : Interval
        Second less first, with its paired interval.
    p_value : float, optional
        Of the paired bootstrap, two-sided.
    wilcoxon_p : float, optional
        Of means over cases: Wilcoxon's signed-rank test of the differences, two-sided; of patients'
        mean differences where a patient has several cases.
    note : str
        Why a test is missing, and what a reader must know.
    """

    figure: str
    first: float | None
    second: float | None
    difference: Interval
    p_value: float | None = None
    wilcoxon_p: float | None = None
    note: str = ""


def paired_figures(
    names: Sequence[str],
    first: Figures,
    second: Figures,
    differences: Callable[[Weights], Figures],
    groups: Sequence[str],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> tuple[Difference, ...]:
    """Differences of figures that are no means of cases, such as areas under curves.

    Parameters
    ----------
    names : sequence of str
        Of the figures.
    first, second : numpy.ndarray
        ``(figure,)`` of the cases as they are; NaN where one does not exist.
    differences : callable
        Takes weights ``(resample, case)``, how often each case was drawn, to the differences
        ``(figure, resample)``.
    groups : sequence of str
        The patient of each case.
    seed, resamples : int
        Of the bootstrap.
    """
    drawn = None
    if len(set(groups)) >= FEWEST_GROUPS:
        drawn = resampled(differences, groups, seed, resamples)
    intervals = intervals_of(drawn, second - first, groups)
    return tuple(
        Difference(
            name,
            _or_none(first[n]),
            _or_none(second[n]),
            interval,
            _p_value(drawn[n]) if drawn is not None and interval.low is not None else None,
        )
        for n, (name, interval) in enumerate(zip(names, intervals, strict=True))
    )


def paired_values(
    name: str,
    pairs: Sequence[tuple[float | None, float | None]],
    groups: Sequence[str],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Difference:
    """The difference of a mean over cases; cases without the figure in either model are left out.

    Parameters
    ----------
    name : str
        Of the figure.
    pairs : sequence of (float, float)
        Each case's figure with the first and the second model, None where it does not exist.
    groups : sequence of str
        The patient of each case.
    seed, resamples : int
        Of the bootstrap.
    """
    both = [
        (a, b, group)
        for (a, b), group in zip(pairs, groups, strict=True)
        if a is not None and b is not None
    ]
    if not both:
        nothing = Interval(None, None, None, 0, 0, note="does not exist")
        return Difference(name, None, None, nothing, note="no case has it with both models")
    one, other = np.array([(a, b) for a, b, _ in both]).T
    change, of = other - one, [group for _, _, group in both]

    def mean(weights: Weights) -> Figures:
        found: Figures = (weights @ change / weights.sum(1))[None]
        return found

    (found,) = paired_figures(
        [name], one.mean(keepdims=True), other.mean(keepdims=True), mean, of, seed, resamples
    )
    p_value, note = _wilcoxon(change, of)
    return Difference(
        name, found.first, found.second, found.difference, found.p_value, p_value, note
    )


def _wilcoxon(change: Figures, groups: Sequence[str]) -> tuple[float | None, str]:
    """The p-value, or why there is none."""
    names, member = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    means = np.bincount(member, weights=change) / np.bincount(member)
    if len(names) < FEWEST_GROUPS:
        return None, FEW_PATIENTS
    if not means.any():
        return None, NO_DIFFERENCE
    p_value = float(stats.wilcoxon(means).pvalue)
    return p_value, SEVERAL if len(names) < len(groups) else ""


def _p_value(drawn: Figures) -> float:
    there = drawn[np.isfinite(drawn)]
    rarer = min(int((there <= 0).sum()), int((there >= 0).sum()))
    return min(1.0, 2 * (rarer + 1) / (len(there) + 1))


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
