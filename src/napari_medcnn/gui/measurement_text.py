"""Measurements as people read them: as many digits as the error allows, and why one is missing."""

from __future__ import annotations

import math

from napari_medcnn.core.lesion import Lesion, Measurement

MISSING = "–"
_UNITS = {"mm3": "mm³", "mm2": "mm²"}


def unit_text(unit: str) -> str:
    """``mm3`` becomes ``mm³``."""
    return _UNITS.get(unit, unit)


def value_text(measurement: Measurement) -> str:
    """The number alone, ``–`` where it is missing."""
    if measurement.value is None:
        return MISSING
    return _rounded(measurement.value, _decimals(measurement))


def interval_text(measurement: Measurement) -> str:
    """The number with the error to expect: ``12.3 ± 0.8``."""
    if measurement.value is None:
        return MISSING
    if measurement.error is None:
        return value_text(measurement)
    decimals = _decimals(measurement)
    return f"{_rounded(measurement.value, decimals)} ± {_rounded(measurement.error, decimals)}"


def full_text(name: str, measurement: Measurement) -> str:
    """A line for a tooltip: name, value, error and unit, or the reason why there is none."""
    if measurement.value is None:
        return f"{name}: not available, {measurement.reason}"
    unit = unit_text(measurement.unit)
    return f"{name}: {interval_text(measurement)}{' ' + unit if unit else ''}"


def axes_text(lesion: Lesion) -> str:
    """Long by short axis with one decimal each, so that the rows compare: ``12.3 × 8.1``."""
    axes = (lesion.long_axis_mm, lesion.short_axis_mm)
    return " × ".join(MISSING if a.value is None else _rounded(a.value, 1) for a in axes)


def _decimals(measurement: Measurement) -> int:
    """Decimals that show two figures of the error, or three of the value."""
    size = abs(measurement.value or 0.0)
    shown = measurement.error if measurement.error else size
    if not shown or not math.isfinite(shown):
        return 0
    figures = 2 if measurement.error else 3
    return min(max(figures - 1 - math.floor(math.log10(shown)), 0), 4)


def _rounded(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}"
