"""Cox regression by lifelines: ties by Efron, the baseline hazard by Breslow, all in plain arrays.

lifelines is imported when a model is fitted, never before: applying a model needs none of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.geometry import FloatArray

NOT_INSTALLED = "the library that fits survival models is not installed"
INSTALL = "pip install napari-medcnn[prognosis]"

_TIME, _EVENT = "time", "event"


@dataclass(frozen=True, eq=False)
class CoxFit:
    """A fitted Cox model.

    Parameters
    ----------
    coefficients, standard_errors : numpy.ndarray
        ``(feature,)``.
    means : numpy.ndarray
        ``(feature,)`` of the rows: where the baseline hazard holds.
    proportional_p : numpy.ndarray
        ``(feature,)`` of the test for proportional hazards against the rank of time; NaN if it was
        not asked for.
    times, hazard : numpy.ndarray
        ``(time,)``: cumulative hazard at each time at which a row left.
    log_likelihood : float
        Of the fit (partial).
    """

    coefficients: FloatArray
    standard_errors: FloatArray
    means: FloatArray
    proportional_p: FloatArray
    times: FloatArray
    hazard: FloatArray
    log_likelihood: float

    def log_hazard_ratio(self, values: FloatArray) -> FloatArray:
        """Of rows ``(row, feature)`` against one of mean values."""
        found: FloatArray = (values - self.means) @ self.coefficients
        return found

    def risk(self, values: FloatArray, horizon: float) -> FloatArray:
        """Probability ``(row,)`` of the event until `horizon`."""
        at = int(np.searchsorted(self.times, horizon, side="right")) - 1
        hazard = 0.0 if at < 0 else float(self.hazard[at])
        risk: FloatArray = 1 - np.exp(-hazard * np.exp(self.log_hazard_ratio(values)))
        return risk


def fit_cox(
    values: FloatArray,
    times: FloatArray,
    events: npt.NDArray[np.bool_],
    *,
    check_hazards: bool = False,
) -> CoxFit:
    """Fit a Cox model.

    Parameters
    ----------
    values : numpy.ndarray
        ``(row, feature)``.
    times, events : numpy.ndarray
        ``(row,)``: when, and whether the event happened then.
    check_hazards : bool
        Whether to test for proportional hazards.

    Raises
    ------
    MedcnnError
        When lifelines is not installed, or there is no finite fit: a feature that tells events from
        others without exception, or features that tell each other.
    """
    names = [f"x{number}" for number in range(values.shape[1])]
    frame = pd.DataFrame(values, columns=names).assign(**{_TIME: times, _EVENT: events})
    with _lifelines():
        from lifelines import CoxPHFitter
        from lifelines.exceptions import ConvergenceError, ConvergenceWarning
        from lifelines.statistics import proportional_hazard_test

        warnings.simplefilter("error", ConvergenceWarning)
        try:
            model: Any = CoxPHFitter().fit(frame, _TIME, _EVENT)
        except (ConvergenceError, ConvergenceWarning, np.linalg.LinAlgError) as error:
            raise MedcnnError(
                "no Cox model fits: its coefficients would grow without end",
                hint="use fewer features, none that follows from others, and more rows with events",
            ) from error
        proportional = np.full(len(names), np.nan)
        if check_hazards:
            tested = proportional_hazard_test(model, frame, time_transform="rank").summary
            proportional = tested.loc[names, "p"].to_numpy()
    cumulative = model.baseline_cumulative_hazard_
    return CoxFit(
        model.params_[names].to_numpy(),
        model.standard_errors_[names].to_numpy(),
        values.mean(axis=0),
        proportional,
        cumulative.index.to_numpy(dtype=np.float64),
        cumulative.iloc[:, 0].to_numpy(),
        float(model.log_likelihood_),
    )


def event_share(
    times: FloatArray, events: npt.NDArray[np.bool_], horizon: float
) -> tuple[float, float, float] | None:
    """The share with the event until `horizon` by Kaplan and Meier, and its 95 % interval.

    None where nobody was followed until then and some had not had the event before.
    """
    if times.max() < horizon and not events[times == times.max()].all():
        return None
    with _lifelines():
        from lifelines import KaplanMeierFitter

        fitter: Any = KaplanMeierFitter().fit(times, events)
        surviving = float(fitter.predict(horizon))
        bounds = fitter.confidence_interval_survival_function_
        at = int(np.searchsorted(bounds.index.to_numpy(), horizon, side="right")) - 1
        low, high = (float(bound) for bound in bounds.iloc[at])
    return 1 - surviving, 1 - high, 1 - low


@contextmanager
def _lifelines() -> Iterator[None]:
    """Import lifelines in words, and keep its own warnings of pandas' next version to itself."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Starting with pandas version", category=DeprecationWarning
        )
        try:
            yield
        except ModuleNotFoundError as error:
            if error.name != "lifelines":
                raise
            raise MedcnnError(NOT_INSTALLED, hint=INSTALL) from error
