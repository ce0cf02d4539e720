"""Lesions found against false alarms a scan, over all thresholds on the candidates' scores (FROC).

A candidate is a component of the predicted mask, its score the largest (or the mean) probability
within it. Candidates and true lesions are partners by the rule of
:mod:`~napari_medcnn.evaluation.lesion_wise`, decided once for all candidates: a threshold on the
scores then drops candidates, and a true lesion whose partner is dropped is missed. The curve ends
with all candidates, at what the mask itself finds. Points and score are MONAI's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_medcnn.core.errors import GeometryError, InputMismatch
from napari_medcnn.evaluation.confidence import RESAMPLES, Interval, Weights, bootstrap_figures
from napari_medcnn.evaluation.lesion_wise import MIN_IOU, pair_lesions
from napari_medcnn.evaluation.ranks import rank

Mask: TypeAlias = npt.NDArray[Any]
Floats: TypeAlias = npt.NDArray[np.float64]
Score: TypeAlias = Literal["max", "mean"]

RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False positives a scan whose mean sensitivity is the score (LUNA16's CPM)."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """One case's predicted lesions.

    Parameters
    ----------
    truths : int
        Number of true lesions.
    scores : numpy.ndarray
        ``(candidate,)``, above 0, at most 1.
    hits : numpy.ndarray
        ``(candidate,)``, whether it has a partner among the true lesions.
    """

    truths: int
    scores: Floats
    hits: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Froc:
    """Lesions found against false alarms.

    Parameters
    ----------
    false_positives, sensitivity, thresholds : numpy.ndarray
        ``(point,)``: false alarms a scan, share of all true lesions that are found, and the score
        from which on candidates count, falling; the first, infinite one drops all.
    score : Interval
        Mean sensitivity at :data:`RATES` (competition performance metric, CPM), between points by
        straight lines, beyond the last point as there.
    at_rates : tuple of float
        The sensitivity at each of them.
    scans, lesions : int
        How many were looked through, and how many were there to be found.
    undefined : str
        Why there is no curve.
    """

    false_positives: Floats
    sensitivity: Floats
    thresholds: Floats
    score: Interval
    at_rates: tuple[float, ...]
    scans: int
    lesions: int
    undefined: str = ""


def score_candidates(
    prediction: Mask,
    probability: npt.NDArray[Any],
    truth: Mask,
    voxel_volume_mm3: float,
    *,
    score: Score = "max",
    min_iou: float = MIN_IOU,
    min_volume_mm3: float = 0.0,
) -> Candidates:
    """The predicted lesions of a case with their scores.

    Parameters
    ----------
    prediction, truth : numpy.ndarray
        ``(z, y, x)`` on one grid; other than 0 is inside. The lower the threshold that the
        prediction was made with, the further the curve goes.
    probability : numpy.ndarray
        ``(z, y, x)`` of the same grid, 0 to 1.
    voxel_volume_mm3, min_iou, min_volume_mm3
        See :func:`~napari_medcnn.evaluation.lesion_wise.match_lesions`.
    score : {"max", "mean"}
        Of the probabilities within a candidate.

    Raises
    ------
    GeometryError
        When the arrays differ in shape.
    InputMismatch
        When a candidate has no probability above 0.
    """
    if probability.shape != prediction.shape:
        raise GeometryError(
            f"a probability of {probability.shape} voxels, a prediction of {prediction.shape}: "
            "two grids"
        )
    pairs = pair_lesions(
        prediction, truth, voxel_volume_mm3, min_iou=min_iou, min_volume_mm3=min_volume_mm3
    )
    numbers = np.arange(1, len(pairs.found_sizes) + 1)
    of = ndimage.maximum if score == "max" else ndimage.mean
    scores = np.asarray(of(probability, pairs.found, numbers), dtype=np.float64).reshape(-1)
    if not (scores > 0).all():
        raise InputMismatch("a predicted lesion has no probability above 0")
    hits = np.isin(numbers, [found for found, _ in pairs.partners])
    return Candidates(len(pairs.true_sizes), scores, hits)


def froc(
    cases: Sequence[Candidates],
    groups: Sequence[str],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Froc:
    """The curve over all cases, and its score with an interval, patients resampled.

    Parameters
    ----------
    cases : sequence of Candidates
        Cases without lesions belong to it: they have false alarms, too.
    groups : sequence of str
        The patient of each case.
    seed, resamples : int
        Of the bootstrap.

    Raises
    ------
    InputMismatch
        When there is no case.
    """
    if not cases:
        raise InputMismatch("there is no scan to look for lesions in")
    lesions = sum(case.truths for case in cases)
    scores = np.concatenate([case.scores for case in cases])
    hits = np.concatenate([case.hits for case in cases])
    if not lesions:
        none = np.empty(0)
        missing = Interval(None, None, None, len(cases), len(set(groups)), note="does not exist")
        why = "there is no true lesion to find"
        return Froc(none, none, none, missing, (), len(cases), 0, why)
    false_positives, sensitivity = _curve(scores, hits, lesions, len(cases))
    at_rates = np.interp(RATES, false_positives, sensitivity)
    (score,) = bootstrap_figures(
        _Resampled(cases, scores, hits),
        np.array([_score(false_positives, sensitivity)]),
        groups,
        seed,
        resamples=resamples,
    )
    thresholds = np.concatenate([[np.inf], np.unique(scores)[::-1]])
    return Froc(
        false_positives,
        sensitivity,
        thresholds,
        score,
        tuple(float(s) for s in at_rates),
        len(cases),
        lesions,
    )


def froc_records(found: Froc) -> list[dict[str, Any]]:
    """A record a point, to be written as a table; an infinite threshold is left empty."""
    points = zip(found.false_positives, found.sensitivity, found.thresholds, strict=True)
    return [
        {
            "false_positives_a_scan": float(x),
            "sensitivity": float(y),
            "threshold": float(t) if np.isfinite(t) else None,
        }
        for x, y, t in points
    ]


def _curve(
    scores: Floats, hits: npt.NDArray[np.bool_], lesions: int, scans: int
) -> tuple[Floats, Floats]:
    """MONAI's points, in the order of falling thresholds."""
    from monai.metrics import compute_froc_curve_data

    # MONAI leaves out the lowest of all scores, which in its use is the 0 of lesions that nobody
    # found; there is always one here, so that no real candidate is left out.
    rates, found = compute_froc_curve_data(
        scores[~hits], np.append(scores[hits], 0.0), lesions, scans
    )
    return np.asarray(rates)[::-1], np.asarray(found)[::-1]


def _score(false_positives: Floats, sensitivity: Floats) -> float:
    from monai.metrics import compute_froc_score

    return float(compute_froc_score(false_positives[::-1], sensitivity[::-1], RATES))


class _Resampled:
    """The score of resamples, from the weights of their cases."""

    def __init__(
        self, cases: Sequence[Candidates], scores: Floats, hits: npt.NDArray[np.bool_]
    ) -> None:
        self.ranked = rank(hits, scores)
        self.case = np.repeat(np.arange(len(cases)), [len(case.scores) for case in cases])
        self.truths = np.array([case.truths for case in cases], dtype=np.float64)

    def __call__(self, weights: Weights) -> npt.NDArray[np.float64]:
        """Scores ``(1, resample)``; NaN where a resample has no lesion."""
        true, false = self.ranked.counts(weights[:, self.case])
        lesions, scans = weights @ self.truths, weights.sum(1)
        found = [
            self._score(true[n] / lesions[n], false[n] / scans[n]) if lesions[n] else np.nan
            for n in range(len(weights))
        ]
        return np.array([found])

    @staticmethod
    def _score(sensitivity: Floats, rates: Floats) -> float:
        high, wide = np.append(0.0, sensitivity), np.append(0.0, rates)
        return float(np.interp(RATES, wide, high).mean())
