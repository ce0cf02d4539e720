"""How far a figure can be trusted: bootstrap intervals, resampled by patient.

Cases of one patient resemble each other, so that patients are drawn, never cases: with a patient
come all of its cases. Intervals are SciPy's.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

Method: TypeAlias = Literal["BCa", "percentile"]
Indices: TypeAlias = npt.NDArray[np.int64]
Weights: TypeAlias = npt.NDArray[np.float64]

LEVEL = 0.95
RESAMPLES = 2000
FEWEST_GROUPS = 5
"""Four patients can be drawn in 35 different ways, two in three: an interval of these would be the
range of what was seen, and would look like certainty."""

MAX_UNDEFINED = 0.1
"""An interval whose figure does not exist in more of the resamples would be of other data."""

MAX_WEIGHTS = 2_000_000
"""Cases times resamples that are worked on at once: some 100 MB."""


@dataclass(frozen=True)
class Interval:
    """A figure with its bootstrap interval.

    Parameters
    ----------
    estimate : float, optional
        Of the cases as they are; None where the figure does not exist.
    low, high : float, optional
        The interval's ends; None where there is none, `note` says why.
    cases, groups : int
        How many cases have the figure, and how many patients (groups) they are of: those were
        resampled.
    level : float
        E.g. 0.95.
    method : {"BCa", "percentile"}
        Bias-corrected and accelerated (Efron 1987), or plain percentiles.
    note : str
        What a reader must know of it.
    """

    estimate: float | None
    low: float | None
    high: float | None
    cases: int
    groups: int
    level: float = LEVEL
    method: Method = "BCa"
    note: str = ""


def bootstrap_interval(
    values: Sequence[float | None] | npt.NDArray[np.float64],
    seed: int = 0,
    *,
    groups: Sequence[str] | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    method: Method = "BCa",
) -> Interval:
    """The mean of some cases' figures, and its interval.

    Parameters
    ----------
    values : sequence of float
        One a case; cases without one (None, NaN) are left out.
    seed : int
        Of the resampling.
    groups : sequence of str, optional
        The patient of each case; without, each case is one of its own.
    level : float
        E.g. 0.95.
    resamples : int
        How many.
    method : {"BCa", "percentile"}
        BCa gives way to percentiles where it does not exist, which is said.
    """
    numbers = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
    there = np.isfinite(numbers)
    names = [str(n) for n in range(len(numbers))] if groups is None else list(groups)
    kept = [name for name, is_there in zip(names, there, strict=True) if is_there]
    numbers = numbers[there]

    members = _members(kept)
    sums = np.array([numbers[of].sum() for of in members])
    counts = np.array([len(of) for of in members], dtype=np.float64)

    def draw() -> _Spread:
        return _drawn((sums, counts), _ratio_of_sums, seed, level, resamples, method)

    estimate = float(numbers.mean()) if len(numbers) else float("nan")
    bare = Interval(estimate, None, None, len(numbers), len(members), level, method)
    return _interval(bare, draw)


def bootstrap_statistic(
    statistic: Callable[[Indices], float],
    groups: Sequence[str],
    seed: int = 0,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    method: Method = "BCa",
) -> Interval:
    """Any figure of a set of cases, and its interval.

    Parameters
    ----------
    statistic : callable
        Takes numbers of cases ``(n,)``, some of them several times, to the figure; NaN where it
        does not exist.
    groups : sequence of str
        The patient of each case.
    seed, level, resamples, method
        See :func:`bootstrap_interval`.
    """
    members = _members(groups)
    count = len(groups)

    def of_groups(drawn: npt.NDArray[np.int64]) -> float:
        return float(statistic(np.concatenate([members[g] for g in drawn])))

    def draw() -> _Spread:
        return _drawn((np.arange(len(members)),), of_groups, seed, level, resamples, method)

    estimate = float(statistic(np.arange(count))) if count else float("nan")
    return _interval(Interval(estimate, None, None, count, len(members), level, method), draw)


def bootstrap_figures(
    figures: Callable[[Weights], npt.NDArray[np.float64]],
    estimates: npt.NDArray[np.float64],
    groups: Sequence[str],
    seed: int = 0,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
) -> tuple[Interval, ...]:
    """Percentile intervals of many figures at once, all from the same resamples.

    Parameters
    ----------
    figures : callable
        Takes weights ``(resample, case)``, how often each case was drawn, to the figures
        ``(figure, resample)``; NaN where one does not exist.
    estimates : numpy.ndarray
        ``(figure,)`` of the cases as they are.
    groups : sequence of str
        The patient of each case.
    seed, level, resamples
        See :func:`bootstrap_interval`.
    """
    drawn: npt.NDArray[np.float64] | None = None
    if len(set(groups)) >= FEWEST_GROUPS and np.isfinite(estimates).any():
        drawn = resampled(figures, groups, seed, resamples)
    return intervals_of(drawn, estimates, groups, level)


def intervals_of(
    drawn: npt.NDArray[np.float64] | None,
    estimates: npt.NDArray[np.float64],
    groups: Sequence[str],
    level: float = LEVEL,
) -> tuple[Interval, ...]:
    """Percentile intervals of resamples ``(figure, resample)``, see :func:`resampled`.

    `drawn` may be None where there are too few groups for an interval.
    """
    count = len(set(groups))
    tail = (1 - level) / 2

    def interval(number: int, estimate: float) -> Interval:
        bare = Interval(estimate, None, None, len(groups), count, level, "percentile")

        def spread() -> _Spread:
            own = np.empty(0) if drawn is None else drawn[number]
            low, high = np.quantile(own, [tail, 1 - tail])  # NaN where a resample has no figure
            return _Spread(float(low), float(high), own)

        return _interval(bare, spread)

    return tuple(interval(n, float(estimate)) for n, estimate in enumerate(estimates))


def resampled(
    figures: Callable[[Weights], npt.NDArray[np.float64]],
    groups: Sequence[str],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> npt.NDArray[np.float64]:
    """Figures of resamples of patients, ``(figure, resample)``; see :func:`bootstrap_figures`."""
    names, member = np.unique(np.asarray(groups, dtype=str), return_inverse=True)

    def of_drawn(drawn: Indices, axis: int) -> npt.NDArray[np.float64]:
        times = np.stack([np.bincount(one, minlength=len(names)) for one in drawn])
        return figures(times[:, member].astype(np.float64))

    with warnings.catch_warnings():
        # SciPy asks for BCa's ground even where only the resamples are wanted.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            (np.arange(len(names)),),
            of_drawn,
            n_resamples=resamples,
            batch=max(1, MAX_WEIGHTS // len(member)),
            vectorized=True,
            method="percentile",
            rng=np.random.default_rng(seed),
        )
    return np.asarray(found.bootstrap_distribution)


@dataclass(frozen=True, eq=False)
class _Spread:
    """SciPy's interval, NaN where it has none, and the figure of each resample."""

    low: float
    high: float
    drawn: npt.NDArray[np.float64]


def _interval(bare: Interval, draw: Callable[[], _Spread]) -> Interval:
    """The estimate with its interval, or with why there is none."""
    if bare.estimate is None or not np.isfinite(bare.estimate):
        return replace(bare, estimate=None, note="does not exist")
    if bare.groups < FEWEST_GROUPS:
        number = f"{bare.groups} patient{'s' * (bare.groups != 1)}"
        return replace(bare, note=f"{number}: too few for an interval between patients")
    spread = draw()
    undefined = float(np.mean(~np.isfinite(spread.drawn)))
    if undefined > MAX_UNDEFINED:
        return replace(bare, note=f"the figure does not exist in {undefined:.0%} of the resamples")
    if np.isfinite([spread.low, spread.high]).all():
        return replace(bare, low=spread.low, high=spread.high)
    tail = (1 - bare.level) / 2
    low, high = (float(end) for end in np.nanquantile(spread.drawn, [tail, 1 - tail]))
    note = f"without the {undefined:.1%} of resamples that lack the figure" if undefined else ""
    return replace(bare, low=low, high=high, method="percentile", note=note)


def _drawn(
    data: tuple[npt.NDArray[Any], ...],
    statistic: Callable[..., Any],
    seed: int,
    level: float,
    resamples: int,
    method: Method,
) -> _Spread:
    """SciPy's bootstrap of groups: of their sums and counts, or of their numbers."""
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        # Where all values are alike there is no BCa; its place is taken by percentiles.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        found = stats.bootstrap(
            data,
            statistic,
            n_resamples=resamples,
            paired=len(data) > 1,
            vectorized=len(data) > 1,
            confidence_level=level,
            method=method,
            rng=np.random.default_rng(seed),
        )
    interval = found.confidence_interval
    return _Spread(
        float(interval.low), float(interval.high), np.asarray(found.bootstrap_distribution)
    )


def _ratio_of_sums(
    sums: npt.NDArray[np.float64], counts: npt.NDArray[np.float64], axis: int = -1
) -> npt.NDArray[np.float64]:
    """The mean over the cases of the groups that were drawn."""
    means: npt.NDArray[np.float64] = sums.sum(axis) / counts.sum(axis)
    return means


def _members(groups: Sequence[str]) -> list[Indices]:
    """The numbers of the cases of each group, groups in the order of their names."""
    if not groups:
        return []
    names, inverse = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    return np.split(order, np.cumsum(np.bincount(inverse, minlength=len(names)))[:-1])
