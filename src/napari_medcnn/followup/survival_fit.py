"""Fit a survival model to a table and find out how good it is: the job behind the command."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import Done, Job, JobControl, Message, Progress
from napari_medcnn.core.geometry import FloatArray
from napari_medcnn.followup.cox import CoxFit, fit_cox
from napari_medcnn.followup.survival_model import (
    Calibration,
    Concordance,
    SurvivalModel,
    Term,
)
from napari_medcnn.followup.survival_table import OutcomeTable
from napari_medcnn.followup.survival_validation import (
    Pairs,
    calibration,
    concordance,
    count_pairs,
    folds,
    no_pairs,
)

STAGE = "cross-validation"

EVENTS_PER_FEATURE = 10
"""With fewer, coefficients are unreliable (Peduzzi et al., J Clin Epidemiol 1995;48:1503-1510)."""

NOT_PROPORTIONAL = 0.05
"""A test for proportional hazards below this is told."""

_SOFTWARE = ("napari-medcnn", "lifelines", "numpy", "pandas", "scikit-learn")


@dataclass(frozen=True)
class FitOptions:
    """How a model is judged.

    Parameters
    ----------
    horizon : float, optional
        Time at which calibration is looked at; the median time of the events if not given.
    folds, repeats : int
        Of the cross-validation.
    groups : int
        Of similar risk, in the calibration.
    seed : int
        Of folds and resamples.
    """

    horizon: float | None = None
    folds: int = 5
    repeats: int = 10
    groups: int = 4
    seed: int = 0


def fit_survival(outcomes: OutcomeTable, options: FitOptions, control: JobControl) -> Job:
    """Fit a Cox model, cross-validate it, and end with ``Done(SurvivalModel)``.

    Raises
    ------
    MedcnnError
        When there are too few events for the features or the folds, the horizon lies outside of
        the times, or no model fits.
    Cancelled
        When it was cancelled.
    """
    horizon = _horizon(outcomes, options)
    _require_enough(outcomes, options)
    whole = fit_cox(outcomes.table.values, outcomes.times, outcomes.events, check_hazards=True)
    warnings = _warnings(outcomes, whole)
    for text in warnings:
        yield Message(text, "warning")
    rows = len(outcomes.times)
    pairs, risks, scores = no_pairs(rows), np.zeros(rows), np.zeros(rows)
    total = options.folds * options.repeats
    drawn = folds(outcomes, options.folds, options.repeats, options.seed)
    for number, (_, train, test) in enumerate(drawn):
        control.checkpoint()
        part = fit_cox(outcomes.table.values[train], outcomes.times[train], outcomes.events[train])
        held_out = outcomes.table.values[test]
        score = part.log_hazard_ratio(held_out)
        count_pairs(pairs, outcomes, test, score)
        # Each row is held out once a repeat: the mean over the repeats.
        scores[test] += score / options.repeats
        risks[test] += part.risk(held_out, horizon) / options.repeats
        yield Progress(STAGE, number + 1, total)
    control.checkpoint()
    calibrated = calibration(outcomes, risks, scores, horizon, options.groups)
    order = _concordance(outcomes, whole, pairs, options)
    yield Done(_model(outcomes, whole, horizon, order, calibrated, warnings))


def _horizon(outcomes: OutcomeTable, options: FitOptions) -> float:
    if not outcomes.events.any():
        raise MedcnnError(
            "no row had the event", source=outcomes.columns.event, hint="1 is an event, 0 is none"
        )
    if options.horizon is None:
        return float(np.median(outcomes.times[outcomes.events]))
    if not 0 < options.horizon <= outcomes.times.max():
        raise MedcnnError(
            f"time {options.horizon:g} lies outside of 0 to {outcomes.times.max():g}",
            source=outcomes.columns.time,
        )
    return options.horizon


def _require_enough(outcomes: OutcomeTable, options: FitOptions) -> None:
    events, features = int(outcomes.events.sum()), len(outcomes.table.features)
    least = max(2 * options.folds, features + 1)
    if events < least:
        raise MedcnnError(
            f"{events} events are too few for {features} features and {options.folds} folds: at "
            f"least {least} are needed",
            hint="use fewer features or folds, or a larger table",
        )
    if len(set(outcomes.patients)) < options.folds:
        raise MedcnnError(
            f"{len(set(outcomes.patients))} patients are too few for {options.folds} folds"
        )


def _warnings(outcomes: OutcomeTable, fit: CoxFit) -> tuple[str, ...]:
    events, features = int(outcomes.events.sum()), outcomes.table.features
    told = []
    if events < EVENTS_PER_FEATURE * len(features):
        told.append(
            f"{events} events for {len(features)} features: with fewer than "
            f"{EVENTS_PER_FEATURE} events per feature coefficients are unreliable"
        )
    for name, p in zip(features, fit.proportional_p, strict=True):
        if p < NOT_PROPORTIONAL:
            told.append(
                f"{name}: hazards may not be proportional (p = {p:.3g}), so that its effect "
                "changes over time and one coefficient does not describe it"
            )
    return tuple(told)


def _concordance(
    outcomes: OutcomeTable, whole: CoxFit, pairs: Pairs, options: FitOptions
) -> Concordance:
    found = concordance(pairs, outcomes.patients, options.seed)
    if found.estimate is None:
        raise MedcnnError("no fold has two rows of which it is known who had the event first")
    seen = no_pairs(len(outcomes.times))
    every = np.arange(len(outcomes.times))
    count_pairs(seen, outcomes, every, whole.log_hazard_ratio(outcomes.table.values))
    apparent = float(seen.right.sum(dtype=np.float64) / seen.known.sum(dtype=np.float64))
    return Concordance(
        found.estimate,
        found.low,
        found.high,
        found.note,
        apparent,
        options.folds,
        options.repeats,
    )


def _model(
    outcomes: OutcomeTable,
    fit: CoxFit,
    horizon: float,
    order: Concordance,
    calibrated: Calibration,
    warnings: tuple[str, ...],
) -> SurvivalModel:
    return SurvivalModel(
        time_column=outcomes.columns.time,
        event_column=outcomes.columns.event,
        terms=_terms(outcomes.table.features, outcomes.table.values, fit),
        times=tuple(float(time) for time in fit.times),
        hazard=tuple(float(hazard) for hazard in fit.hazard),
        rows=len(outcomes.times),
        patients=len(set(outcomes.patients)),
        events=int(outcomes.events.sum()),
        horizon=horizon,
        concordance=order,
        calibration=calibrated,
        warnings=warnings,
        software={name: version(name) for name in _SOFTWARE},
        table_sha256=outcomes.sha256,
    )


def _terms(features: tuple[str, ...], values: FloatArray, fit: CoxFit) -> tuple[Term, ...]:
    return tuple(
        Term(
            name,
            float(fit.coefficients[n]),
            float(fit.standard_errors[n]),
            float(fit.means[n]),
            float(values[:, n].min()),
            float(values[:, n].max()),
            float(fit.proportional_p[n]),
        )
        for n, name in enumerate(features)
    )
