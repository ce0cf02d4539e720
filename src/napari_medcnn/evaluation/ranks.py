"""Scores in falling order: what any threshold on them finds, for the cases or for resamples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import InputMismatch

Floats: TypeAlias = npt.NDArray[np.float64]
Positive: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Ranked:
    """Scores of yes/no cases; use :func:`rank` to make one.

    Parameters
    ----------
    thresholds : numpy.ndarray
        ``(level,)``, the different scores, falling. Level ``k`` says yes to all of at least it.
    order : numpy.ndarray
        ``(case,)``, the cases' numbers by falling score.
    ends : numpy.ndarray
        ``(level,)``, the place in `order` of each level's last case.
    positive : numpy.ndarray
        ``(case,)`` in the order of `order`.
    """

    thresholds: Floats
    order: npt.NDArray[np.intp]
    ends: npt.NDArray[np.intp]
    positive: Positive

    def counts(self, weights: npt.NDArray[Any] | None = None) -> tuple[Floats, Floats]:
        """True and false positives at each level.

        Parameters
        ----------
        weights : numpy.ndarray, optional
            ``(resample, case)``, how often each case was drawn; without, each counts once.

        Returns
        -------
        numpy.ndarray, numpy.ndarray
            Each ``(resample, level)``; one row where there are no weights.
        """
        if weights is None:
            weights = np.ones((1, len(self.order)))
        sorted_ = weights[:, self.order].astype(np.float64)
        every = np.cumsum(sorted_, axis=1)[:, self.ends]
        true = np.cumsum(sorted_ * self.positive, axis=1)[:, self.ends]
        return true, every - true


def rank(positive: npt.ArrayLike, scores: npt.ArrayLike) -> Ranked:
    """Put scores into falling order; equal ones form one level.

    Parameters
    ----------
    positive : array of bool
        ``(case,)``, which cases are what is looked for.
    scores : array of float
        ``(case,)``, the larger the likelier.

    Raises
    ------
    InputMismatch
        When the arrays differ in length or a score is no number.
    """
    yes, values = np.asarray(positive, dtype=bool), np.asarray(scores, dtype=np.float64)
    if yes.ndim != 1 or yes.shape != values.shape:
        raise InputMismatch(f"scores of the shape {values.shape} for cases of {yes.shape}")
    if np.isnan(values).any():
        raise InputMismatch("a score is no number")
    order = np.argsort(-values, kind="stable")
    falling = values[order]
    # A level ends where the next score is smaller; behind the last one comes none.
    ends = np.flatnonzero(np.diff(falling, append=-np.inf) < 0)
    return Ranked(falling[ends], order, ends, yes[order])


def roc_areas(true: Floats, false: Floats) -> Floats:
    """Areas under ROC curves by trapezes; NaN where a resample lacks either kind of case.

    Parameters
    ----------
    true, false : numpy.ndarray
        ``(resample, level)``, as :meth:`Ranked.counts` gives them.

    Returns
    -------
    numpy.ndarray
        ``(resample,)``.
    """
    if not true.shape[1]:
        return np.full(len(true), np.nan)
    higher, wider = _from_zero(true), _from_zero(false)
    area = np.trapezoid(higher, wider, axis=1)
    with np.errstate(invalid="ignore"):
        found: Floats = area / (true[:, -1] * false[:, -1])
    return found


def average_precisions(true: Floats, false: Floats) -> Floats:
    """Precision at each level, weighed by the recall that it adds; NaN without positive cases.

    Without interpolation, as scikit-learn defines it. Parameters and result as of
    :func:`roc_areas`.
    """
    if not true.shape[1]:
        return np.full(len(true), np.nan)
    added = np.diff(_from_zero(true), axis=1)
    with np.errstate(invalid="ignore"):
        # A resample may lack the cases of the first levels: nothing is added there.
        precision = np.nan_to_num(true / (true + false))
        found: Floats = (added * precision).sum(1) / true[:, -1]
    return found


def _from_zero(counts: Floats) -> Floats:
    """The same with a first level that says yes to nothing."""
    return np.concatenate([np.zeros((len(counts), 1)), counts], axis=1)
