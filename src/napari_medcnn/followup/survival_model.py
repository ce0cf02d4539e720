"""A survival model as plain figures: what it holds, how it is applied, and where it must not be.

The model is Cox's (J R Stat Soc B 1972;34:187-220): a row with values x has the hazard
``h0(t) exp(sum of b (x - mean))``, and survives time t with the probability
``exp(-H0(t) exp(...))``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

# The whole of pydantic before Qt: PySide6 looks into every import that follows it, which pydantic's
# lazy modules do not survive, and napari could not start any more.
import pydantic.types  # noqa: F401
from pydantic import ConfigDict

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.geometry import FloatArray
from napari_medcnn.followup.survival_table import FeatureTable

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


class OutsideTrainingRange(MedcnnError):
    """A row lies where the model has seen nobody."""


@dataclass(frozen=True)
class Term:
    """One feature of a model.

    Parameters
    ----------
    name : str
        The column's.
    coefficient, standard_error : float
        Of the logarithm of the hazard, for one unit of the feature.
    mean, lowest, highest : float
        In the rows that the model was fitted to.
    proportional_p : float
        Of the test for proportional hazards (Grambsch and Therneau, Biometrika 1994;81:515-526,
        against the rank of time): small where the feature's effect changes over time.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    coefficient: float
    standard_error: float
    mean: float
    lowest: float
    highest: float
    proportional_p: float


@dataclass(frozen=True)
class Concordance:
    """How well the order of the events is told: 0.5 by chance, 1 always right (Harrell's C).

    Parameters
    ----------
    estimate, low, high : float
        Of rows that each fitted model had not seen, with a 95 % interval; None where it does not
        exist, `note` says why.
    note : str
        What a reader must know of the interval.
    apparent : float
        Of the rows that the model was fitted to: too good, for comparison.
    folds, repeats : int
        Of the cross-validation.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    estimate: float
    low: float | None
    high: float | None
    note: str
    apparent: float
    folds: int
    repeats: int


@dataclass(frozen=True)
class CalibrationGroup:
    """Rows of similar predicted risk: what was said of them, and what became of them.

    `said` is the mean predicted risk, `seen` the share by Kaplan and Meier with its 95 % interval;
    None where nobody was followed for long enough.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    rows: int
    said: float
    seen: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Calibration:
    """Whether predicted risks mean what they say, on rows that each fitted model had not seen.

    `slope` is 1 where they do, and below where high risks are too high and low ones too low.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    groups: tuple[CalibrationGroup, ...]
    slope: float
    slope_low: float
    slope_high: float


@dataclass(frozen=True)
class SurvivalModel:
    """A fitted Cox model, with how far to trust it.

    Parameters
    ----------
    time_column, event_column : str
        What was predicted; times have the unit of that column.
    terms : tuple of Term
        One for each feature.
    times, hazard : tuple of float
        The cumulative hazard H0 of a row of mean values, by Breslow's estimate, at each time at
        which a row left.
    rows, patients, events : int
        What the model was fitted to.
    horizon : float
        The time at which it was calibrated, and for which risks are told if no other is asked for.
    concordance, calibration
        On rows that it had not seen.
    warnings : tuple of str
        What speaks against it.
    software : dict of str
        Versions of what made it.
    table_sha256 : str
        Of the file that it was fitted to.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    time_column: str
    event_column: str
    terms: tuple[Term, ...]
    times: tuple[float, ...]
    hazard: tuple[float, ...]
    rows: int
    patients: int
    events: int
    horizon: float
    concordance: Concordance
    calibration: Calibration
    warnings: tuple[str, ...]
    software: dict[str, str]
    table_sha256: str
    kind: Literal["napari-medcnn survival model"] = "napari-medcnn survival model"
    version: Literal[1] = 1

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the columns that it needs."""
        return tuple(term.name for term in self.terms)


@dataclass(frozen=True)
class Prediction:
    """What a model says of a row, or why it says nothing.

    Parameters
    ----------
    row : str
        Its name.
    hazard_ratio : float, optional
        Against a row of mean values.
    risk : float, optional
        Probability of the event until `horizon`.
    median_time : float, optional
        When half of such rows have had the event; None also where that lies beyond the time that
        the model knows.
    refused : str
        Why there is none of them; ``""`` otherwise.
    """

    row: str
    horizon: float
    hazard_ratio: float | None = None
    risk: float | None = None
    median_time: float | None = None
    refused: str = ""


def predict(
    model: SurvivalModel, table: FeatureTable, horizon: float | None = None
) -> tuple[Prediction, ...]:
    """One prediction a row; a row outside the training range gets none.

    Parameters
    ----------
    model : SurvivalModel
        The model.
    table : FeatureTable
        With the columns of :attr:`SurvivalModel.features`, in that order.
    horizon : float, optional
        Time of the risk; the model's own if not given.

    Raises
    ------
    OutsideTrainingRange
        When `horizon` lies beyond the last time that the model knows, or is not above 0.
    """
    until = model.horizon if horizon is None else horizon
    if not 0 < until <= model.times[-1]:
        raise OutsideTrainingRange(
            f"time {until:g} lies outside of 0 to {model.times[-1]:g}, the times of the model",
            source=model.time_column,
        )
    predictions = []
    for name, values in zip(table.rows, table.values, strict=True):
        try:
            require_known_range(model, name, values)
        except OutsideTrainingRange as refusal:
            predictions.append(Prediction(name, until, refused=str(refusal)))
        else:
            predictions.append(_predict_one(model, name, values, until))
    return tuple(predictions)


def require_known_range(model: SurvivalModel, row: str, values: FloatArray) -> None:
    """Refuse a row that lies outside of the training range in any column.

    Parameters
    ----------
    model : SurvivalModel
        The model.
    row : str
        The row's name, for the error.
    values : numpy.ndarray
        ``(feature,)``, in the order of the model's terms.

    Raises
    ------
    OutsideTrainingRange
        With the name of the row, the columns and their ranges.
    """
    problems = [
        f"column {term.name}: "
        + ("no number" if np.isnan(value) else f"{value:g}")
        + f", the model knows {term.lowest:g} to {term.highest:g}"
        for term, value in zip(model.terms, values, strict=True)
        if not term.lowest <= value <= term.highest
    ]
    if problems:
        raise OutsideTrainingRange("; ".join(problems), source=row)


def _predict_one(model: SurvivalModel, name: str, values: FloatArray, horizon: float) -> Prediction:
    ratio = float(np.exp(linear_predictor(model.terms, values[None])[0]))
    survival = np.exp(-np.asarray(model.hazard) * ratio)
    at = int(np.searchsorted(model.times, horizon, side="right")) - 1
    risk = 0.0 if at < 0 else 1 - float(survival[at])
    half = np.flatnonzero(survival <= 0.5)
    median = model.times[half[0]] if len(half) else None
    return Prediction(name, horizon, ratio, risk, median)


def linear_predictor(terms: tuple[Term, ...], values: FloatArray) -> FloatArray:
    """``sum of b (x - mean)`` for rows ``(row, feature)``: the logarithm of the hazard ratio."""
    coefficients = np.array([term.coefficient for term in terms])
    means = np.array([term.mean for term in terms])
    found: FloatArray = (values - means) @ coefficients
    return found
