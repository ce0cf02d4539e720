"""First-order features of a lesion as the IBSI defines them: statistics of its voxels' values.

Definitions and their codes are those of the Image Biomarker Standardisation Initiative (Zwanenburg
et al., Radiology 2020;295:328-338, and its reference manual, arXiv:1612.07003, sections 3.3 and
3.4). Values are taken as the image holds them: nothing is resampled, normalised or left out.

Other programs differ in three points, which are no errors of either: PyRadiomics' kurtosis is not
the excess over a normal distribution's 3; its energy and root mean square add an offset to each
value where its settings ask for one; and its total energy is the energy times a voxel's volume.
"""

from __future__ import annotations

import numpy as np

from napari_medcnn.core.geometry import FloatArray
from napari_medcnn.core.lesion import Measurement, missing

IBSI_CODES = {
    "intensity_mean": "Q4LE",
    "intensity_variance": "ECT3",
    "intensity_skewness": "KE2A",
    "intensity_kurtosis": "IPH6",
    "intensity_median": "Y12H",
    "intensity_minimum": "1GSF",
    "intensity_p10": "QG58",
    "intensity_p90": "8DWT",
    "intensity_maximum": "84IY",
    "intensity_interquartile_range": "SALO",
    "intensity_range": "2OJQ",
    "intensity_mean_absolute_deviation": "4FUA",
    "intensity_robust_mean_absolute_deviation": "1128",
    "intensity_median_absolute_deviation": "N72L",
    "intensity_variation": "7TET",
    "intensity_quartile_dispersion": "9S40",
    "intensity_energy": "N8CA",
    "intensity_root_mean_square": "5ZWQ",
    "histogram_entropy": "TLU2",
    "histogram_uniformity": "BJ5W",
}
"""Features by name, with the IBSI's code."""

BIN_WIDTH = 25.0
"""Of the histogram, in the image's unit; bins begin at its multiples, the same for every lesion."""

_FLAT = "all voxels have one value"
_ZERO = "the denominator is 0"


def intensity_features(
    values: FloatArray, unit: str, bin_width: float = BIN_WIDTH
) -> dict[str, Measurement]:
    """The features of :data:`IBSI_CODES`.

    Parameters
    ----------
    values : numpy.ndarray
        ``(n,)`` values of the lesion's voxels, at least one.
    unit : str
        Of the values; ``""`` for arbitrary ones.
    bin_width : float
        Of the histogram behind entropy and uniformity (fixed bin size, IBSI Q3RU). It means the
        same in different images only where their values have one scale, as in CT.

    Raises
    ------
    ValueError
        When there is no value, or `bin_width` is not above 0.
    """
    if values.size == 0 or bin_width <= 0:
        raise ValueError("needs at least one value, and bins of a width above 0")
    bad = int(np.count_nonzero(~np.isfinite(values)))
    if bad:
        reason = f"{bad} of {values.size} voxels have no finite value"
        return dict.fromkeys(IBSI_CODES, missing(reason))
    squared = f"({unit})^2" if unit else ""
    return {
        **_moments(values, unit, squared),
        **_order_statistics(values, unit),
        "intensity_energy": Measurement(float((values**2).sum()), squared),
        "intensity_root_mean_square": Measurement(float(np.sqrt((values**2).mean())), unit),
        **_histogram(values, bin_width),
    }


def _moments(values: FloatArray, unit: str, squared: str) -> dict[str, Measurement]:
    mean, variance = float(values.mean()), float(values.var())
    away = values - mean

    def standardised(power: int, minus: float) -> Measurement:
        if variance == 0:
            return missing(_FLAT)
        return Measurement(float((away**power).mean() / variance ** (power / 2)) - minus)

    return {
        "intensity_mean": Measurement(mean, unit),
        "intensity_variance": Measurement(variance, squared),
        "intensity_skewness": standardised(3, 0.0),
        "intensity_kurtosis": standardised(4, 3.0),
        "intensity_mean_absolute_deviation": Measurement(float(np.abs(away).mean()), unit),
        "intensity_variation": _ratio(variance**0.5, mean),
    }


def _order_statistics(values: FloatArray, unit: str) -> dict[str, Measurement]:
    levels = (0, 10, 25, 50, 75, 90, 100)
    least, p10, p25, median, p75, p90, most = (float(v) for v in np.percentile(values, levels))
    core = values[(values >= p10) & (values <= p90)]
    figures = {
        "minimum": least,
        "p10": p10,
        "median": median,
        "p90": p90,
        "maximum": most,
        "interquartile_range": p75 - p25,
        "range": most - least,
        "robust_mean_absolute_deviation": float(np.abs(core - core.mean()).mean()),
        "median_absolute_deviation": float(np.abs(values - median).mean()),
    }
    return {
        **{f"intensity_{name}": Measurement(figure, unit) for name, figure in figures.items()},
        "intensity_quartile_dispersion": _ratio(p75 - p25, p75 + p25),
    }


def _histogram(values: FloatArray, bin_width: float) -> dict[str, Measurement]:
    """Entropy in bits, and uniformity (energy), of the shares of the bins that hold voxels."""
    _, counts = np.unique(np.floor(values / bin_width), return_counts=True)
    shares = counts / counts.sum()
    return {
        "histogram_entropy": Measurement(abs(float((shares * np.log2(shares)).sum())), "bit"),
        "histogram_uniformity": Measurement(float((shares**2).sum())),
    }


def _ratio(above: float, below: float) -> Measurement:
    return Measurement(above / below) if below else missing(_ZERO)
