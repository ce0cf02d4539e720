"""Calibration curves: how often is true what is said with a certain probability.

Expected calibration error (Guo et al. 2017, arXiv:1706.04599): mean over the cases of the gap
between mean confidence and share of right answers in the case's bin. Softmax: confidence is the
likeliest class's probability. Multi-label: every class is a question by itself, the confidence is
its probability, right is whether it is there, and the error is the mean over the classes. Bins are
open to the left. Equal-width bins part 0 to 1; adaptive ones hold equally many cases (quantiles,
ties stay together).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from napari_medcnn.evaluation.answers import Answers

Floats: TypeAlias = npt.NDArray[np.float64]
Binning: TypeAlias = Literal["equal width", "adaptive"]

BINS = 15


@dataclass(frozen=True, eq=False)
class Reliability:
    """A calibration curve.

    Parameters
    ----------
    name : str
        The class; ``"likeliest class"`` for the confidence of softmax answers.
    binning : {"equal width", "adaptive"}
        How cases are parted.
    edges : numpy.ndarray
        ``(bin + 1,)``.
    counts : numpy.ndarray
        ``(bin,)`` cases.
    said, seen : numpy.ndarray
        ``(bin,)`` mean probability, and share of cases of which it was true; NaN in empty bins.
    error : float
        The expected calibration error.
    """

    name: str
    binning: Binning
    edges: Floats
    counts: npt.NDArray[np.int64]
    said: Floats
    seen: Floats
    error: float


def reliability(
    answers: Answers, binning: Binning = "equal width", bins: int = BINS
) -> tuple[Reliability, ...]:
    """Calibration curves: of the likeliest class (softmax alone), then of each class.

    Parameters
    ----------
    answers : Answers
        What the model said.
    binning : {"equal width", "adaptive"}
        How cases are parted.
    bins : int
        How many, at most.
    """
    asked = answers.questions()
    each = tuple(
        _reliability(name, asked.given[:, n], asked.true[:, n], binning, bins)
        for n, name in enumerate(answers.classes)
    )
    return each if answers.multi_label else (*_judged(answers, binning, bins), *each)


def reliability_records(curves: tuple[Reliability, ...]) -> list[dict[str, Any]]:
    """A record a bin that holds cases, to be written as a table."""
    return [
        {
            "class": curve.name,
            "binning": curve.binning,
            "from": float(curve.edges[n]),
            "to": float(curve.edges[n + 1]),
            "cases": int(count),
            "said": float(curve.said[n]),
            "seen": float(curve.seen[n]),
        }
        for curve in curves
        for n, count in enumerate(curve.counts)
        if count
    ]


def calibration_error(
    answers: Answers, binning: Binning = "equal width", bins: int = BINS
) -> float:
    """The expected calibration error; parameters as of :func:`reliability`."""
    return float(np.mean([one.error for one in _judged(answers, binning, bins)]))


def _judged(answers: Answers, binning: Any, bins: int) -> tuple[Reliability, ...]:
    """The curves whose mean error is the calibration error."""
    if answers.multi_label:
        return reliability(answers, binning, bins)
    asked = answers.questions()
    right = np.asarray((asked.true & asked.said).any(1))
    return (_reliability("likeliest class", asked.given.max(1), right, binning, bins),)


def _reliability(
    name: str, given: Floats, right: npt.NDArray[np.bool_], binning: Binning, bins: int
) -> Reliability:
    edges = np.linspace(0, 1, bins + 1)
    if binning == "adaptive":
        edges = np.unique(np.quantile(given, edges))
        edges = np.array([edges[0], edges[0]]) if len(edges) == 1 else edges
    place = np.searchsorted(edges[1:-1], given, side="left")
    counts = np.bincount(place, minlength=len(edges) - 1)
    with np.errstate(invalid="ignore"):
        said, seen = (
            np.bincount(place, weights=values, minlength=len(counts)) / counts
            for values in (given, right.astype(np.float64))
        )
    there = counts > 0
    error = float(np.average(np.abs(said - seen)[there], weights=counts[there]))
    return Reliability(name, binning, edges, counts, said, seen, error)
