"""What type voxels have in memory and in files: exact first, then small."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.volume import Finding, Severity

_FLOAT32_EXACT = 2**24
"""Every whole number up to here is a float32."""

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""ITU-R BT.601 weights of red, green and blue."""


def narrowed(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Stored values in the smallest of int16, float32 and float64 that keeps every one exactly.

    Floating-point types stay (float16 becomes float32, which holds all of its values).
    """
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype.kind == "b":
        return array.astype(np.int16)
    if array.dtype.kind == "f":
        wanted = np.float64 if array.dtype.itemsize > 4 else np.float32
        return array.astype(wanted, copy=False)
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if fits_int16(low, high):
        return array.astype(np.int16, copy=False)
    exact = low >= -_FLOAT32_EXACT and high <= _FLOAT32_EXACT
    return array.astype(np.float32 if exact else np.float64)


def rescaled(stored: npt.NDArray[Any], slope: float, intercept: float) -> npt.NDArray[Any]:
    """``stored * slope + intercept`` as int16 where that is exact, else float32.

    Unsigned types do not wrap, and small slopes do not vanish.
    """
    if slope == 1 and intercept == 0:
        return narrowed(stored)
    stored = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    if stored.dtype.kind in "iub" and float(slope).is_integer() and float(intercept).is_integer():
        ends = [int(end) * int(slope) + int(intercept) for end in (stored.min(), stored.max())]
        if fits_int16(min(ends), max(ends)):
            # Arithmetic modulo 2**16 is exact here, because every result is an int16.
            factor, offset = (np.int64(int(v)).astype(np.int16) for v in (slope, intercept))
            values = stored.astype(np.int16)
            if slope != 1:
                values *= factor
            values += offset
            return values
    return (stored.astype(np.float64) * slope + intercept).astype(np.float32)


def fits_int16(low: float, high: float) -> bool:
    """Whether whole numbers from `low` to `high` are int16 values."""
    limits = np.iinfo(np.int16)
    return bool(limits.min <= low and high <= limits.max)


def stored_as(array: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
    """`array` in the type of the file that it came from, if that keeps every value; else as is."""
    wanted = np.dtype(dtype) if dtype else array.dtype
    if wanted == array.dtype or wanted.kind not in "iuf":
        return array
    if wanted.kind == "f":
        return array.astype(wanted) if np.can_cast(array.dtype, wanted) else array
    limits = np.iinfo(wanted)
    if not array.size or not np.isfinite(array.min()) or not np.isfinite(array.max()):
        return array
    if array.min() < limits.min or array.max() > limits.max:
        return array
    converted = array.astype(wanted)
    return converted if np.array_equal(converted, array) else array


def grey(colour: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], tuple[Finding, ...]]:
    """One channel from red, green, blue (and alpha, which is dropped).

    Parameters
    ----------
    colour : numpy.ndarray
        ``(..., 3)`` or ``(..., 4)``.

    Returns
    -------
    tuple
        ``(...)``, and a finding where the picture really had colour. Three equal channels give
        back their common value exactly.
    """
    red, green, blue = (colour[..., channel] for channel in range(3))
    if np.array_equal(red, green) and np.array_equal(red, blue):
        return narrowed(red), ()
    finding = Finding(
        "colour-to-grey",
        Severity.WARNING,
        "The image is in colour; it was turned into grey by its luminance (ITU-R BT.601).",
    )
    return (colour[..., :3].astype(np.float32) @ _LUMA), (finding,)


def non_finite_findings(array: npt.NDArray[Any]) -> tuple[Finding, ...]:
    """A finding where voxels are NaN or infinite."""
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return ()
    count = int(array.size - np.isfinite(array).sum())
    text = f"{count} voxels are not finite numbers; measurements over them have no value."
    return (Finding("non-finite-voxels", Severity.WARNING, text),)
