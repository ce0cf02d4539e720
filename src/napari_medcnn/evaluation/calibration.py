"""Whether probabilities mean what they say, and the temperature that brings them nearer to it.

Definitions:

- Brier score: mean over the cases of the sum over the classes of (probability - truth) squared
  (Brier 1950), from 0 to 2; of two classes twice the binary score. scikit-learn has
  the sum since 1.7.
  Multi-label: mean over cases and classes of the square, from 0 to 1.
- Temperature scaling: logits are divided by the T that gives the smallest mean negative
  log-likelihood (NLL, natural logarithm) of the truth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit, log_softmax, logit, softmax

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.evaluation.answers import Answers
from napari_medcnn.evaluation.reliability import BINS, calibration_error

Floats: TypeAlias = npt.NDArray[np.float64]
FEWEST_CASES = 20
"""Fewer validation cases say more about themselves than about a temperature."""

BOUNDS = (0.05, 20.0)
"""A best temperature at these ends is none: the likelihood goes on rising beyond them."""

_AT_THE_END = 0.01
"""So near to an end, as a logarithm, the search has run into it."""


class NotCalibrated(InputMismatch):
    """A temperature cannot be fitted, for the reason told."""


@dataclass(frozen=True)
class CalibrationFigures:
    """Figures of a set of answers; see the module for what each is.

    Parameters
    ----------
    brier : float
        Brier score.
    nll : float, optional
        None where a true class had the probability 0.
    ece, adaptive_ece : float
        With equal-width and with adaptive bins.
    bins : int
        How many.
    undefined : str
        Why a figure is None.
    """

    brier: float
    nll: float | None
    ece: float
    adaptive_ece: float
    bins: int = BINS
    undefined: str = ""


@dataclass(frozen=True)
class Temperature:
    """A fitted temperature.

    Parameters
    ----------
    temperature : float
        By which logits are divided.
    cases : int
        It was fitted on.
    nll_before, nll_after, ece_before, ece_after : float
        Of these cases; equal-width bins.
    """

    temperature: float
    cases: int
    nll_before: float
    nll_after: float
    ece_before: float
    ece_after: float


def calibration_figures(answers: Answers, bins: int = BINS) -> CalibrationFigures:
    """Brier score, likelihood and calibration errors of a set of answers."""
    asked = answers.questions()
    true, given = asked.true.astype(np.float64), asked.given
    squares = (given - true) ** 2
    sure = np.where(asked.true, given, 1 - given if answers.multi_label else 1)
    nll = None if (sure <= 0).any() else -float(np.log(sure).sum() / _questions(answers))
    return CalibrationFigures(
        float(squares.mean() if answers.multi_label else squares.sum(1).mean()),
        nll,
        calibration_error(answers, "equal width", bins),
        calibration_error(answers, "adaptive", bins),
        bins,
        "" if nll is not None else "a true answer had the probability 0: no likelihood",
    )


def fit_temperature(
    logits: npt.NDArray[Any], truth: npt.NDArray[Any], *, multi_label: bool = False
) -> Temperature:
    """The temperature that fits validation cases best (Guo et al. 2017).

    Parameters
    ----------
    logits : numpy.ndarray
        ``(case, class)``, what the network gives before its softmax or sigmoid.
    truth : numpy.ndarray
        ``(case,)`` numbers of classes; multi-label: ``(case, class)`` of 0 and 1.
    multi_label : bool
        Whether each class has a sigmoid of its own.

    Raises
    ------
    NotCalibrated
        When there are too few cases, all of one class, or no temperature is the best.
    InputMismatch
        When the arrays do not fit each other.
    """
    scores = np.asarray(logits, dtype=np.float64)
    if scores.ndim != 2 or not np.isfinite(scores).all():
        raise InputMismatch("logits are finite numbers, a row a case")
    cases = len(scores)
    if cases < FEWEST_CASES:
        raise NotCalibrated(
            f"{cases} validation cases are too few to fit a temperature; {FEWEST_CASES} are needed"
        )
    before = _answers(scores, truth, 1.0, multi_label)
    if (before.truth == before.truth[0]).all():
        raise NotCalibrated("all validation cases are of one class: no temperature can be fitted")
    asked = before.questions()
    if (asked.true == asked.said).all():
        raise NotCalibrated(
            "the network is right in all validation cases: the likelihood knows no best temperature"
        )
    true = asked.true

    def loss(exponent: float) -> float:
        return _nll(scores / math.exp(exponent), true, multi_label)

    low, high = (math.log(end) for end in BOUNDS)
    found = float(minimize_scalar(loss, bounds=(low, high), method="bounded").x)
    if min(found - low, high - found) < _AT_THE_END:
        why = "are too near to each other" if found < 0 else "are no better than chance"
        raise NotCalibrated(f"no temperature is the best: the network's scores {why}")
    after = _answers(scores, truth, math.exp(found), multi_label)
    return Temperature(
        math.exp(found),
        cases,
        _nll(scores, true, multi_label),
        loss(found),
        calibration_figures(before).ece,
        calibration_figures(after).ece,
    )


def logits_of(probabilities: npt.NDArray[Any], *, multi_label: bool = False) -> Floats:
    """Logits that give these probabilities; of a softmax they are known up to a constant.

    Probabilities of 0 and 1 become the nearest ones that have logits.
    """
    tiny = np.finfo(np.float64).tiny
    given = np.asarray(probabilities, dtype=np.float64)
    if multi_label:
        return np.asarray(logit(given.clip(tiny, 1 - np.finfo(np.float64).epsneg)))
    return np.asarray(np.log(given.clip(tiny, None)))


def probabilities_of(
    logits: npt.NDArray[Any], temperature: float = 1.0, *, multi_label: bool = False
) -> Floats:
    """Probabilities of logits ``(case, class)`` at a temperature."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    return np.asarray(expit(scaled) if multi_label else softmax(scaled, axis=1))


def _answers(scores: Floats, truth: npt.NDArray[Any], at: float, multi_label: bool) -> Answers:
    names = tuple(str(n) for n in range(len(scores)))
    given = probabilities_of(scores, at, multi_label=multi_label)
    classes = tuple(str(n) for n in range(scores.shape[1]))
    return Answers(names, names, classes, np.asarray(truth, np.int64), given, multi_label)


def _nll(scores: Floats, true: npt.NDArray[np.bool_], multi_label: bool) -> float:
    if multi_label:
        return -float(np.mean(np.where(true, log_expit(scores), log_expit(-scores))))
    return -float(log_softmax(scores, axis=1)[true].mean())


def _questions(answers: Answers) -> int:
    return int(answers.probabilities.size) if answers.multi_label else len(answers.cases)
