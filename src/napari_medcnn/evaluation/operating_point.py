"""What a classifier does from a threshold on, and which threshold to take: made for a slider.

Everything is counted once, when the scores are sorted; a threshold is then looked up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.evaluation.ranks import rank

_ROUNDING = 1e-12
"""0.9 of ten cases are nine, whatever floating point makes of it."""


@dataclass(frozen=True)
class OperatingPoint:
    """Figures where scores of at least `threshold` mean yes; None where one does not exist.

    Parameters
    ----------
    threshold : float
        Infinite where nothing is said to be there.
    sensitivity, specificity : float, optional
        Share of the positive cases that are found; share of the others that are left alone.
    ppv, npv : float, optional
        Share of the found ones that are positive; share of the ones left alone that are not. They
        hold where positive cases are as frequent as in these.
    f1 : float, optional
        Harmonic mean of sensitivity and `ppv`.
    true_positives, false_positives, false_negatives, true_negatives : int
        Numbers of cases.
    rule : str
        How the threshold was chosen; ``""`` where it was given.
    """

    threshold: float
    sensitivity: float | None
    specificity: float | None
    ppv: float | None
    npv: float | None
    f1: float | None
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int
    rule: str = ""


@dataclass(frozen=True, eq=False)
class OperatingPoints:
    """All thresholds that differ in what they find; use :func:`operating_points` to make one.

    Parameters
    ----------
    thresholds : numpy.ndarray
        ``(level,)``, falling, the first one infinite.
    true, false : numpy.ndarray
        ``(level,)``, true and false positives.
    """

    thresholds: npt.NDArray[np.float64]
    true: npt.NDArray[np.int64]
    false: npt.NDArray[np.int64]

    @property
    def positives(self) -> int:
        """Number of positive cases."""
        return int(self.true[-1])

    @property
    def negatives(self) -> int:
        """Number of the other cases."""
        return int(self.false[-1])

    def at(self, threshold: float) -> OperatingPoint:
        """The figures at any threshold."""
        level = int(np.searchsorted(-self.thresholds, -threshold, side="right")) - 1
        return self._point(max(level, 0), threshold)

    def youden(self) -> OperatingPoint:
        """Where sensitivity + specificity - 1 is largest (Youden 1950); of equals the highest.

        Raises
        ------
        InputMismatch
            When the cases are all of one kind.
        """
        self._require(self.positives, self.negatives)
        level = int(np.argmax(self.true / self.positives - self.false / self.negatives))
        return self._point(level, rule="Youden's index")

    def at_sensitivity(self, wanted: float) -> OperatingPoint:
        """The highest threshold, with the best specificity, at which at least `wanted` are found.

        Raises
        ------
        InputMismatch
            When there is no positive case, or `wanted` is no share.
        """
        self._require(self.positives)
        _require_share(wanted)
        level = int(np.argmax(self.true / self.positives >= wanted - _ROUNDING))
        return self._point(level, rule=f"sensitivity of at least {wanted:g}")

    def at_specificity(self, wanted: float) -> OperatingPoint:
        """The lowest threshold, with the best sensitivity, that leaves at least `wanted` alone.

        Raises
        ------
        InputMismatch
            When all cases are positive, or `wanted` is no share.
        """
        self._require(self.negatives)
        _require_share(wanted)
        allowed = np.flatnonzero(1 - self.false / self.negatives >= wanted - _ROUNDING)
        return self._point(int(allowed[-1]), rule=f"specificity of at least {wanted:g}")

    def _require(self, *counts: int) -> None:
        if not all(counts):
            kind = "positive" if self.positives else "negative"
            raise InputMismatch(f"all cases are {kind}: there is no such operating point")

    def _point(self, level: int, threshold: float | None = None, rule: str = "") -> OperatingPoint:
        true, false = int(self.true[level]), int(self.false[level])
        missed, spared = self.positives - true, self.negatives - false
        return OperatingPoint(
            float(self.thresholds[level]) if threshold is None else threshold,
            _share(true, self.positives),
            _share(spared, self.negatives),
            _share(true, true + false),
            _share(spared, spared + missed),
            _share(2 * true, 2 * true + false + missed),
            true,
            false,
            missed,
            spared,
            rule,
        )


def operating_points(positive: npt.ArrayLike, scores: npt.ArrayLike) -> OperatingPoints:
    """Count what every threshold finds.

    Parameters
    ----------
    positive : array of bool
        ``(case,)``, which cases are what is looked for.
    scores : array of float
        ``(case,)``, the larger the likelier.

    Raises
    ------
    InputMismatch
        When there is no case, the arrays differ in length, or a score is no number.
    """
    ranked = rank(positive, scores)
    if not len(ranked.order):
        raise InputMismatch("there is no case to find an operating point of")
    true, false = (counts[0].astype(np.int64) for counts in ranked.counts())
    return OperatingPoints(
        np.concatenate([[np.inf], ranked.thresholds]),
        np.concatenate([[0], true]),
        np.concatenate([[0], false]),
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _require_share(wanted: float) -> None:
    if not 0 <= wanted <= 1:
        raise InputMismatch(f"{wanted:g} is no share between 0 and 1")
