"""Remove the receive coil's slow shading from MR images (N4)."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from napari_medcnn.core.errors import Cancelled, InputMismatch
from napari_medcnn.core.events import JobControl

WORKING_SPACING_MM = 4.0
"""Grid on which the field is estimated. The field varies over centimetres, so 4 mm lose nothing
and make N4 take seconds instead of minutes."""

ITERATIONS: tuple[int, ...] = (40, 40, 30)
"""Most iterations at each of the levels of the B-spline, coarse to fine."""

FOREGROUND_FRACTION = 0.1
"""Without a mask, voxels above this fraction of the image's 99th percentile guide the field."""


def correct_bias_field(
    array_zyx: npt.NDArray[Any],
    spacing_zyx_mm: tuple[float, float, float],
    mask_zyx: npt.NDArray[Any] | None = None,
    *,
    iterations: tuple[int, ...] = ITERATIONS,
    control: JobControl | None = None,
) -> npt.NDArray[np.float32]:
    """Divide an MR image by its estimated bias field.

    The field is estimated on a grid of about 4 mm and applied at full resolution. It is scaled to
    a geometric mean of 1 within the mask, so that intensities keep their overall level.

    Parameters
    ----------
    array_zyx : array (z, y, x)
        Image with intensities of at least 0; voxels at or below 0 do not guide the field.
    spacing_zyx_mm : (float, float, float)
        Voxel spacing along z, y, x.
    mask_zyx : array (z, y, x), optional
        Voxels that guide the field where not zero, best the brain. Without it, voxels above a
        tenth of the image's 99th percentile are used.
    iterations : tuple of int
        Most iterations per resolution level, coarse to fine.
    control : JobControl, optional
        Cancels or pauses between two iterations, which take some tenths of a second.

    Returns
    -------
    float32 array (z, y, x)
        Corrected image; voxels that are zero stay zero.

    Raises
    ------
    InputMismatch
        If the array is not 3D, a shape differs, or no voxel is left to guide the field.
    Cancelled
        When the job was cancelled.

    References
    ----------
    Tustison et al., N4ITK: improved N3 bias correction, IEEE Trans Med Imaging 29(6), 2010.
    """
    if array_zyx.ndim != 3:
        raise InputMismatch(f"bias correction needs a 3D image, not {array_zyx.ndim}D")
    if mask_zyx is not None and mask_zyx.shape != array_zyx.shape:
        raise InputMismatch(
            f"the mask's shape {mask_zyx.shape} is not the image's {array_zyx.shape}"
        )
    image = np.nan_to_num(array_zyx.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    guide = _guiding_voxels(image, mask_zyx)
    if not guide.any():
        raise InputMismatch(
            "no voxel is left to estimate a bias field from",
            hint="check that the mask lies on the image and that intensities are above zero",
        )
    log_field = _log_field(image, guide, spacing_zyx_mm, iterations, control or JobControl())
    log_field -= np.float32(log_field[guide].mean())
    return (image / np.exp(log_field)).astype(np.float32)


def _guiding_voxels(
    image: npt.NDArray[np.float32], mask: npt.NDArray[Any] | None
) -> npt.NDArray[np.bool_]:
    if mask is not None:
        return np.asarray((mask != 0) & (image > 0))
    positive = image[image > 0]
    if positive.size == 0:
        return np.zeros(image.shape, dtype=bool)
    return image > FOREGROUND_FRACTION * float(np.percentile(positive, 99))


def _log_field(
    image: npt.NDArray[np.float32],
    guide: npt.NDArray[np.bool_],
    spacing_zyx_mm: tuple[float, float, float],
    iterations: tuple[int, ...],
    control: JobControl,
) -> npt.NDArray[np.float32]:
    """Logarithm of the bias field on the image's grid, from N4 on a coarse grid."""
    full, guiding = sitk.GetImageFromArray(image), sitk.GetImageFromArray(guide.astype(np.uint8))
    for part in (full, guiding):
        part.SetSpacing(tuple(float(step) for step in reversed(spacing_zyx_mm)))
    factors = [max(1, round(WORKING_SPACING_MM / step)) for step in full.GetSpacing()]
    coarse = sitk.Shrink(full, factors)
    coarse_guide = sitk.Shrink(guiding, factors)
    if not sitk.GetArrayViewFromImage(coarse_guide).any():
        coarse, coarse_guide = full, guiding
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations(iterations)
    control.checkpoint()
    with _stopped_by(n4, control):
        n4.Execute(coarse, coarse_guide)
    control.checkpoint()
    field = sitk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(full))
    return np.asarray(field, dtype=np.float32)


@contextlib.contextmanager
def _stopped_by(filter_: sitk.ProcessObject, control: JobControl) -> Iterator[None]:
    """Let a control cancel or pause a filter at the end of each of its iterations.

    N4 does not heed ``Abort``; what ends it is a Python error in its callback. SimpleITK shows that
    error to ``sys.excepthook`` (in napari a message to the user) and raises a RuntimeError.
    """
    shown = sys.excepthook

    def hide_cancelled(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, Cancelled):
            shown(kind, error, trace)

    def after_iteration() -> None:
        try:
            control.checkpoint()
        except Cancelled:
            sys.excepthook = hide_cancelled
            raise

    filter_.AddCommand(sitk.sitkIterationEvent, after_iteration)
    try:
        yield
    except RuntimeError:
        control.checkpoint()
        raise
    finally:
        if sys.excepthook is hide_cancelled:
            sys.excepthook = shown
