"""How fast a lesion grows: mm³ a day, the specific rate, and the doubling time.

All three are slopes of a straight line through the volumes of two or more studies, each weighted by
the inverse square of its error (weighted least squares; Bevington, Data Reduction, section 6.3).
For two studies that is the difference over the days, with the root of both squared errors.

- Linear: volume over time, mm³ a day.
- Specific rate: ln(volume) over time, a day (Mehrara et al., Cancer Res 2007;67:3970-3975).
- Doubling time: ln 2 over the specific rate (Schwartz, Cancer 1961;14:1272-1294). It runs to
  infinity where growth is not certain, so it is only given where the specific rate is larger than
  its error; its own error is then of first order.

The errors hold the measurement's error alone, not that a lesion need not grow along a line.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_medcnn.core.change import Growth
from napari_medcnn.core.geometry import FloatArray
from napari_medcnn.core.lesion import Measurement, missing

LINEAR_UNIT, RATE_UNIT, TIME_UNIT = "mm3/day", "1/day", "day"


def growth(volumes_mm3: Sequence[Measurement], days: Sequence[float | None]) -> Growth:
    """Fit growth to the volumes of one lesion.

    Parameters
    ----------
    volumes_mm3 : sequence of Measurement
        Of the studies that show it, each with its error.
    days : sequence of float or None
        When each was made, in days since any one date.

    Raises
    ------
    ValueError
        When there is not one day for each volume.
    """
    if len(volumes_mm3) != len(days):
        raise ValueError(f"{len(volumes_mm3)} volumes on {len(days)} days")
    reason = _why_not(volumes_mm3, days)
    if reason:
        return no_growth(reason)
    when = np.array(days, dtype=np.float64)
    values = np.array([v.value for v in volumes_mm3], dtype=np.float64)
    errors = np.array([v.error for v in volumes_mm3], dtype=np.float64)
    rate, rate_error = _slope(when, np.log(values), errors / values)
    return Growth(
        Measurement(*_in_unit(_slope(when, values, errors), LINEAR_UNIT)),
        Measurement(rate, RATE_UNIT, rate_error),
        _doubling_time(rate, rate_error),
    )


def no_growth(reason: str) -> Growth:
    """Growth that could not be told, for a reason."""
    units = (LINEAR_UNIT, RATE_UNIT, TIME_UNIT)
    return Growth(*(missing(reason, unit) for unit in units))


def _why_not(volumes: Sequence[Measurement], days: Sequence[float | None]) -> str:
    unknown = next((v.reason for v in volumes if v.value is None), "")
    if unknown:
        return unknown
    if any(day is None for day in days):
        return "the date of a study is unknown"
    if len(set(days)) < 2:
        return "it was seen on one day only"
    if not all(v.value and v.error for v in volumes):
        return "a volume is 0, or its error is unknown"
    return ""


def _slope(x: FloatArray, y: FloatArray, errors: FloatArray) -> tuple[float, float]:
    """Slope of the weighted least squares line, and its error."""
    weights = errors**-2.0
    away = x - (weights @ x) / weights.sum()
    spread = float(weights @ away**2)
    return float(weights @ (away * y)) / spread, spread**-0.5


def _in_unit(slope: tuple[float, float], unit: str) -> tuple[float, str, float]:
    return slope[0], unit, slope[1]


def _doubling_time(rate: float, error: float) -> Measurement:
    if rate < 0:
        return missing("it does not grow", TIME_UNIT)
    if rate <= error:
        return missing("growth is within the measurement error", TIME_UNIT)
    time = float(np.log(2)) / rate
    return Measurement(time, TIME_UNIT, time * error / rate)
