"""Changes of a patch's values as scanners and protocols make them: noise, blur, contrast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats: TypeAlias = npt.NDArray[np.float32]

_FLAT = 1e-6
"""A range of values below it has no contrast to change."""


def with_noise(values: Floats, share: float, rng: np.random.Generator) -> Floats:
    """Gaussian noise of `share` times the patch's own deviation."""
    noise = rng.standard_normal(values.shape, dtype=np.float32)
    noise *= np.float32(share * float(values.std()))
    noise += values
    return noise


def blurred(values: Floats, sigma_mm: float, spacing_mm: Sequence[float]) -> Floats:
    """Smoothed by a Gaussian whose width is the same in mm along all axes."""
    sigma = [
        sigma_mm / step if n > 1 else 0.0 for step, n in zip(spacing_mm, values.shape, strict=True)
    ]
    smooth: Floats = ndimage.gaussian_filter(values, sigma, mode="nearest", truncate=3.0)
    return smooth


def shifted(values: Floats, share: float) -> Floats:
    """Brighter or darker by `share` times the patch's own deviation."""
    return values + np.float32(share * float(values.std()))


def stretched(values: Floats, factor: float) -> Floats:
    """Contrast times `factor` about the mean, within the values that there were."""
    mean = float(values.mean())
    low, high = values.min(), values.max()
    changed = values * np.float32(factor)
    changed += np.float32(mean * (1 - factor))
    return np.clip(changed, low, high, out=changed)


def with_gamma(values: Floats, gamma: float) -> Floats:
    """Values on 0..1 to the power of `gamma`, then back to the mean and deviation they had."""
    low, high = float(values.min()), float(values.max())
    if high - low < _FLAT:
        return values
    mean, deviation = float(values.mean()), float(values.std())
    changed = (values - np.float32(low)) / np.float32(high - low)
    np.power(changed, np.float32(gamma), out=changed)
    factor = deviation / max(float(changed.std()), _FLAT)
    offset = mean - float(changed.mean()) * factor
    changed *= np.float32(factor)
    changed += np.float32(offset)
    return changed


def at_low_resolution(values: Floats, factor: float, spacing_mm: Sequence[float]) -> Floats:
    """As if it had been scanned `factor` times as coarse, and interpolated since.

    Axes that are coarser than that already keep their voxels.
    """
    import torch
    from torch.nn import functional

    coarse_mm = min(spacing_mm) * factor
    size = [
        max(1, round(n * min(1.0, step / coarse_mm)))
        for n, step in zip(values.shape, spacing_mm, strict=True)
    ]
    if tuple(size) == values.shape:
        return values
    whole = torch.from_numpy(values)[None, None]
    coarse = functional.interpolate(whole, size=size, mode="nearest-exact")
    fine = functional.interpolate(coarse, size=values.shape, mode="trilinear", align_corners=False)
    back: Floats = fine[0, 0].numpy()
    return back
