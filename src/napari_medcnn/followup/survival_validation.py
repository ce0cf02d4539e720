"""How good a survival model is on rows that it has not seen: order of events, and calibration.

Folds keep patients together and hold events in equal shares. Harrell's C counts pairs within a
fold alone: scores of two models have no common scale. Its interval resamples patients, with the
fitted models as they are; that the models themselves would differ is not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold

from napari_medcnn.core.geometry import FloatArray
from napari_medcnn.evaluation.confidence import Interval, bootstrap_figures
from napari_medcnn.followup.cox import event_share, fit_cox
from napari_medcnn.followup.survival_model import Calibration, CalibrationGroup
from napari_medcnn.followup.survival_table import OutcomeTable

Indices = npt.NDArray[np.int64]

_NORMAL_95 = 1.96


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of rows of which it is known who had the event first.

    Parameters
    ----------
    right, known : numpy.ndarray
        ``(row, row)`` float32: how often, over all repeats, the score said so (ties are a half),
        and how often the pair could be judged. The first row is the one with the earlier event.
    """

    right: npt.NDArray[np.float32]
    known: npt.NDArray[np.float32]


def folds(
    outcomes: OutcomeTable, count: int, repeats: int, seed: int
) -> Iterator[tuple[int, Indices, Indices]]:
    """Number of the repeat, rows to fit to, and rows to judge by; patients stay together."""
    for repeat in range(repeats):
        drawn = StratifiedGroupKFold(count, shuffle=True, random_state=seed + repeat)
        for train, test in drawn.split(outcomes.times, outcomes.events, outcomes.patients):
            yield repeat, train, test


def no_pairs(rows: int) -> Pairs:
    """Nothing was judged yet."""
    return Pairs(np.zeros((rows, rows), np.float32), np.zeros((rows, rows), np.float32))


def count_pairs(pairs: Pairs, outcomes: OutcomeTable, rows: Indices, scores: FloatArray) -> None:
    """Add the pairs among some rows to `pairs`, in place.

    Parameters
    ----------
    pairs : Pairs
        What was counted before.
    outcomes : OutcomeTable
        Times and events.
    rows : numpy.ndarray
        ``(n,)`` numbers of rows whose scores can be compared.
    scores : numpy.ndarray
        ``(n,)``: the higher, the earlier the event is expected.
    """
    times, events = outcomes.times[rows], outcomes.events[rows]
    # Who left at the time of another's event, without one, outlived it.
    later = (times[:, None] < times) | ((times[:, None] == times) & ~events)
    known = events[:, None] & later
    right = (scores[:, None] > scores) + 0.5 * (scores[:, None] == scores)
    place = np.ix_(rows, rows)
    pairs.right[place] += np.where(known, right, 0).astype(np.float32)
    pairs.known[place] += known.astype(np.float32)


def concordance(pairs: Pairs, patients: Sequence[str], seed: int) -> Interval:
    """Harrell's C of the pairs, with a 95 % interval by resampling patients."""

    def of_weights(weights: FloatArray) -> FloatArray:
        drawn = weights.astype(np.float32)
        right = ((drawn @ pairs.right) * drawn).sum(axis=1, dtype=np.float64)
        known = ((drawn @ pairs.known) * drawn).sum(axis=1, dtype=np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            found: FloatArray = (right / known)[None]
        return found

    estimate = of_weights(np.ones((1, len(patients))))[:, 0]
    (interval,) = bootstrap_figures(of_weights, estimate, patients, seed)
    return interval


def calibration(
    outcomes: OutcomeTable, risks: FloatArray, scores: FloatArray, horizon: float, groups: int
) -> Calibration:
    """Predicted risks beside what became of the rows, in groups of similar risk.

    Parameters
    ----------
    outcomes : OutcomeTable
        What became of them.
    risks, scores : numpy.ndarray
        ``(row,)`` risk until `horizon`, and logarithm of the hazard ratio, by models that had not
        seen the row.
    horizon : float
        Time of the risk.
    groups : int
        Parts of about equally many rows.
    """
    slope = fit_cox(scores[:, None], outcomes.times, outcomes.events)
    estimate, error = float(slope.coefficients[0]), float(slope.standard_errors[0])
    return Calibration(
        tuple(
            _group(outcomes, risks, members, horizon)
            for members in np.array_split(risks.argsort(kind="stable"), groups)
        ),
        estimate,
        estimate - _NORMAL_95 * error,
        estimate + _NORMAL_95 * error,
    )


def _group(
    outcomes: OutcomeTable, risks: FloatArray, members: Indices, horizon: float
) -> CalibrationGroup:
    said = float(risks[members].mean())
    share = event_share(outcomes.times[members], outcomes.events[members], horizon)
    seen, low, high = (None, None, None) if share is None else share
    return CalibrationGroup(len(members), said, seen, low, high)
