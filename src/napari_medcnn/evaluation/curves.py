"""ROC and precision-recall curves of each class, with bands by patient, and what tables take.

The points are scikit-learn's. A band holds 95 % of the curves of resampled patients, point by point
on an even grid: it says how far single points can be trusted, and is no region that holds a whole
curve so often.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn import metrics

from napari_medcnn.evaluation.answers import Answers
from napari_medcnn.evaluation.classification import RESAMPLES, ClassificationFigures
from napari_medcnn.evaluation.confidence import FEWEST_GROUPS, LEVEL, MAX_UNDEFINED, resampled
from napari_medcnn.evaluation.ranks import Ranked, rank

Floats: TypeAlias = npt.NDArray[np.float64]

GRID = np.linspace(0, 1, 101)
"""Where bands are given along a curve's x axis."""


@dataclass(frozen=True, eq=False)
class Band:
    """Pointwise interval of a curve: `low` and `high` at each `x`."""

    x: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class Curve:
    """One class's curve.

    Parameters
    ----------
    kind : {"roc", "pr"}
        ROC: x is 1 - specificity, y the sensitivity. PR: x is the recall, y the precision.
    name : str
        The class.
    x, y, thresholds : numpy.ndarray
        ``(point,)``, thresholds falling: cases of at least it are said to be of the class. The
        first threshold of a ROC curve is infinite and says yes to nothing.
    area : float, optional
        ROC: area under the curve; PR: average precision.
    band : Band, optional
        Where there are patients enough.
    undefined : str
        Why there is no curve (no points) or no band.
    """

    kind: str
    name: str
    x: Floats
    y: Floats
    thresholds: Floats
    area: float | None
    band: Band | None = None
    undefined: str = ""


def roc_curves(answers: Answers, *, seed: int = 0, resamples: int = RESAMPLES) -> tuple[Curve, ...]:
    """The ROC curve of each class against all others; `resamples` of 0 leaves out the bands."""
    return _curves(answers, "roc", seed, resamples)


def pr_curves(answers: Answers, *, seed: int = 0, resamples: int = RESAMPLES) -> tuple[Curve, ...]:
    """The precision-recall curve of each class; `resamples` of 0 leaves out the bands."""
    return _curves(answers, "pr", seed, resamples)


def curve_records(curves: Sequence[Curve]) -> list[dict[str, Any]]:
    """A record a point, to be written as a table; an infinite threshold is left empty."""
    records: list[dict[str, Any]] = []
    for curve in curves:
        for x, y, threshold in zip(curve.x, curve.y, curve.thresholds, strict=True):
            at = float(threshold) if np.isfinite(threshold) else None
            point = {"x": float(x), "y": float(y), "threshold": at}
            records.append({"curve": curve.kind, "class": curve.name, **point})
    return records


def band_records(curves: Sequence[Curve]) -> list[dict[str, Any]]:
    """A record a point of each band."""
    return [
        {"curve": c.kind, "class": c.name, "x": float(x), "low": float(low), "high": float(high)}
        for c in curves
        if c.band is not None
        for x, low, high in zip(c.band.x, c.band.low, c.band.high, strict=True)
    ]


def confusion_records(figures: ClassificationFigures) -> list[dict[str, Any]]:
    """The confusion matrix: a record a true class (multi-label: a class), its counts by name."""
    names = [one.name for one in figures.by_class]
    if figures.multi_label:
        head, first = (
            ["true positive", "false positive", "false negative", "true negative"],
            "class",
        )
    else:
        head, first = [f"said {name}" for name in names], "true class"
    return [
        {first: name, **dict(zip(head, row, strict=True))}
        for name, row in zip(names, figures.confusion, strict=True)
    ]


def _curves(answers: Answers, kind: str, seed: int, resamples: int) -> tuple[Curve, ...]:
    asked = answers.questions()
    return tuple(
        _curve(kind, name, asked.true[:, n], asked.given[:, n], answers.groups, seed, resamples)
        for n, name in enumerate(answers.classes)
    )


def _curve(
    kind: str,
    name: str,
    true: npt.NDArray[np.bool_],
    given: Floats,
    groups: Sequence[str],
    seed: int,
    resamples: int,
) -> Curve:
    nothing = np.empty(0)
    if not true.any() or (kind == "roc" and true.all()):
        why = f"{'all cases are' if true.any() else 'no case is'} of {name}"
        return Curve(kind, name, nothing, nothing, nothing, None, undefined=why)
    if kind == "roc":
        x, y, thresholds = metrics.roc_curve(true, given, drop_intermediate=False)
        area = metrics.roc_auc_score(true, given)
    else:
        precision, recall, rising = metrics.precision_recall_curve(true, given)
        # The last point, of no case at all, has no threshold: its precision of 1 is a convention.
        x, y, thresholds = recall[-2::-1], precision[-2::-1], rising[::-1]
        area = metrics.average_precision_score(true, given)
    band, why = None, ""
    if resamples:
        at = _roc_at if kind == "roc" else _pr_at
        band, why = _band(rank(true, given), at, groups, seed, resamples)
    return Curve(kind, name, x, y, thresholds, float(area), band, why)


def _band(
    ranked: Ranked,
    at: Callable[[Floats, Floats], Floats],
    groups: Sequence[str],
    seed: int,
    resamples: int,
) -> tuple[Band | None, str]:
    patients = len(set(groups))
    if patients < FEWEST_GROUPS:
        return None, f"{patients} patients: too few for a band"

    def heights(weights: Floats) -> Floats:
        pairs = zip(*ranked.counts(weights), strict=True)
        return np.stack([at(true, false) for true, false in pairs], axis=1)

    drawn = resampled(heights, groups, seed, resamples)
    undefined = float(np.isnan(drawn[-1]).mean())
    if undefined > MAX_UNDEFINED:
        return None, f"the curve does not exist in {undefined:.0%} of the resamples"
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(drawn, [tail, 1 - tail], axis=1)
    return Band(GRID, low, high), ""


def _roc_at(true: Floats, false: Floats) -> Floats:
    """Sensitivities at the grid's false positive rates, of one resample's counts by level."""
    if not true[-1] or not false[-1]:
        return np.full(len(GRID), np.nan)
    wide, high = (np.concatenate([[0.0], c / c[-1]]) for c in (false, true))
    # Among points of one rate the highest counts, as a curve that rises there goes through it.
    last = np.append(wide[1:] != wide[:-1], True)
    return np.asarray(np.interp(GRID, wide[last], high[last]))


def _pr_at(true: Floats, false: Floats) -> Floats:
    """Precision where each of the grid's recalls is first reached, of one resample's counts."""
    if not true[-1]:
        return np.full(len(GRID), np.nan)
    there = true + false > 0
    recall = true[there] / true[-1]
    precision = true[there] / (true[there] + false[there])
    # Rounding may put the last recall a hair below 1.
    reached = np.searchsorted(recall, GRID - 1e-12).clip(max=len(recall) - 1)
    return np.asarray(precision[reached])
