"""What registration sees of an image: one frame on a right-angled grid, at any resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from napari_medcnn.core.errors import ConsentNeeded, InputMismatch
from napari_medcnn.core.geometry import FloatArray, Geometry
from napari_medcnn.core.volume import Volume
from napari_medcnn.imaging.brain import MaskArray
from napari_medcnn.imaging.resample import grid_with_spacing, resample, straighten

_FINER = 0.5
"""Side of the moving image's voxels as a part of the resolution."""

_BLUR = 0.425
"""Standard deviation of a Gaussian by its full width at half maximum."""

_EXTREMES = (0.1, 99.9)
"""Percentiles in the mask to which values are held: a few bright vessels must not fill the bins."""


@dataclass(frozen=True, eq=False)
class Scan:
    """An image ready to be registered.

    Parameters
    ----------
    array : numpy.ndarray
        ``(z, y, x)`` float32, finite.
    geometry : Geometry
        Right-angled.
    mask : numpy.ndarray
        ``(z, y, x)`` bool: what guides the registration.
    name : str
        For people.
    """

    array: npt.NDArray[np.float32]
    geometry: Geometry
    mask: MaskArray
    name: str

    def masked(self, mask: MaskArray) -> Scan:
        """The scan guided by another mask.

        Raises
        ------
        InputMismatch
            When the mask is empty.
        """
        if not mask.any():
            raise InputMismatch("the mask that guides the registration is empty", source=self.name)
        return replace(self, mask=mask)

    @property
    def middle_lps_mm(self) -> FloatArray:
        """The mask's centre of mass."""
        index = [np.average(np.arange(n), weights=w) for n, w in self._profiles()]
        return self.geometry.index_to_lps(index)

    def _profiles(self) -> list[tuple[int, npt.NDArray[np.int64]]]:
        others = ((1, 2), (0, 2), (0, 1))
        return [
            (n, self.mask.sum(axis=axes))
            for n, axes in zip(self.geometry.shape, others, strict=True)
        ]


def scan_of(volume: Volume, *, accept_blocking: bool = False) -> Scan:
    """The scan of a volume, guided by every voxel.

    A sheared grid is interpolated onto a right-angled one; what is not finite becomes the lowest
    value.

    Raises
    ------
    InputMismatch
        When the volume has several frames, no depth, no scale or one value everywhere.
    ConsentNeeded
        When it has blocking findings that were not accepted.
    """
    _check(volume, accept_blocking)
    array = np.asarray(volume.array, dtype=np.float32)
    finite = np.isfinite(array)
    lowest = float(array[finite].min()) if finite.any() else 0.0
    array = np.where(finite, array, np.float32(lowest))
    if array.min() == array.max():
        raise InputMismatch(
            "the image has the same value everywhere", source=volume.name, hint="choose another"
        )
    geometry = volume.geometry
    if geometry.is_sheared:
        array, geometry = straighten(array, geometry, fill=lowest)
    return Scan(array, geometry, np.ones(geometry.shape, dtype=bool), volume.name)


def fixed_image_at(scan: Scan, resolution_mm: float) -> sitk.Image:
    """The scan blurred and thinned to about a resolution, axis by axis.

    An axis whose spacing is coarser stays as it is: thick slices are neither blurred nor doubled.
    """
    grid = _grid(scan.geometry, resolution_mm)
    return _sitk(resample(_blurred(scan, resolution_mm), scan.geometry, grid), grid)


def moving_image_at(scan: Scan, resolution_mm: float) -> sitk.Image:
    """The scan blurred to about a resolution, on voxels of `_FINER` that size in every direction.

    ITK takes the image's slope between neighbouring voxels. Across thick slices, or voxels as large
    as the blur, that slope is not the slope of what it interpolates, and the optimiser comes to
    rest beside the best position: by 1 mm with 3 mm slices, measured.
    """
    side = _FINER * resolution_mm
    grid = grid_with_spacing(scan.geometry, (side, side, side))
    return _sitk(resample(_blurred(scan, resolution_mm), scan.geometry, grid, order=3), grid)


def mask_at(scan: Scan, resolution_mm: float) -> sitk.Image:
    """The scan's mask on the grid of :func:`fixed_image_at`."""
    grid = _grid(scan.geometry, resolution_mm)
    return _sitk(resample(scan.mask.astype(np.uint8), scan.geometry, grid, order=0), grid)


def _check(volume: Volume, accept_blocking: bool) -> None:
    problem, hint = "", ""
    if volume.frames is not None:
        problem = f"one frame is registered, not {volume.frame_count}"
        hint = f"choose a frame of its axis {volume.frames.name!r}"
    elif volume.is_2d:
        problem, hint = "a single picture cannot be registered in space", "choose a volume"
    elif not volume.spacing_known:
        problem, hint = "its voxels have no size in millimetres", "choose a file that tells it"
    if problem:
        raise InputMismatch(problem, source=volume.name, hint=hint)
    if volume.blocking_findings and not accept_blocking:
        raise ConsentNeeded(
            f"this image must not be registered unseen: {volume.blocking_findings[0].text}",
            source=volume.name,
            hint="look at the image, then accept its findings to go on",
        )


def _blurred(scan: Scan, resolution_mm: float) -> npt.NDArray[np.float32]:
    low, high = np.percentile(scan.array[scan.mask], _EXTREMES)
    clipped = np.clip(scan.array, low, high if high > low else low + 1)
    sigmas = [_BLUR * _rest(resolution_mm, step) / step for step in scan.geometry.spacing]
    blurred: npt.NDArray[np.float32] = ndimage.gaussian_filter(clipped, sigmas, mode="nearest")
    return blurred


def _rest(resolution_mm: float, step_mm: float) -> float:
    """The blur that is missing to a resolution where voxels have blurred by their own width."""
    return float(np.sqrt(max(0.0, resolution_mm**2 - step_mm**2)))


def _grid(geometry: Geometry, resolution_mm: float) -> Geometry:
    z, y, x = (max(resolution_mm, step) for step in geometry.spacing)
    return grid_with_spacing(geometry, (z, y, x))


def _sitk(array: npt.NDArray[Any], geometry: Geometry) -> sitk.Image:
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    fields: dict[str, Sequence[float]] = {**geometry.to_sitk()}
    image.SetSpacing(fields["spacing"])
    image.SetOrigin(fields["origin"])
    image.SetDirection(fields["direction"])
    return image
