"""A follow-up's image and labels on the baseline's grid, as new objects; the originals stay.

What is brought over is for looking at and for finding which lesion is which. Volumes are measured
on the grid that a lesion was drawn on, never on a label map that was interpolated.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from napari_medcnn.core.errors import GeometryError, InputMismatch
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.registration import SpatialTransform
from napari_medcnn.core.volume import Finding, Severity, Source, Volume
from napari_medcnn.followup.spatial_transform import between_indices, map_points_back

_ITK_LABELS = (np.uint8, np.uint16, np.uint32)
_UNIT = np.eye(3).ravel().tolist()


def image_on_baseline(
    moving: Volume, transform: SpatialTransform, baseline: Volume, *, name: str | None = None
) -> Volume:
    """The follow-up's image interpolated (trilinear) on the baseline's grid.

    Parameters
    ----------
    moving : Volume
        The follow-up, one frame.
    transform : SpatialTransform
        From the baseline's points to the follow-up's.
    baseline : Volume
        Whose grid it goes to.
    name : str, optional
        By default that of `moving` with "on baseline".

    Returns
    -------
    Volume
        A new volume with an id of its own, marked as resampled, and with no source: nothing that
        is saved from it can land on the follow-up's own files. Voxels that the follow-up does not
        show have its lowest value.

    Raises
    ------
    InputMismatch
        When `moving` has several frames.
    """
    if moving.frames is not None:
        raise InputMismatch(
            f"one frame is brought to the baseline, not {moving.frame_count}", source=moving.name
        )
    values = np.asarray(moving.array, dtype=np.float32)
    finite = np.isfinite(values)
    fill = float(values[finite].min()) if finite.any() else 0.0
    array = values_on_grid(
        np.where(finite, values, np.float32(fill)), moving.geometry, transform, baseline.geometry,
        fill=fill,
    )  # fmt: skip
    finding = Finding(
        "on-baseline", Severity.INFO, f"{moving.name} was interpolated on the grid of a baseline"
    )
    return Volume(
        array,
        baseline.geometry,
        name=f"{moving.name} on baseline" if name is None else name,
        modality=moving.modality,
        unit=moving.unit,
        source=Source(),
        findings=(*moving.findings, finding),
        resampled=True,
        spacing_known=moving.spacing_known and baseline.spacing_known,
    )


def values_on_grid(
    array: npt.NDArray[Any],
    moving: Geometry,
    transform: SpatialTransform,
    fixed: Geometry,
    *,
    fill: float,
) -> npt.NDArray[np.float32]:
    """An image's values ``(z, y, x)`` on another grid, trilinear; both grids may be sheared."""
    values = np.ascontiguousarray(array, dtype=np.float32)
    return _resampled(values, moving, transform, fixed, sitk.sitkLinear, fill)


def labels_on_grid(
    array: npt.NDArray[Any],
    moving: Geometry,
    transform: SpatialTransform,
    fixed: Geometry,
    *,
    keep_small: bool = False,
) -> npt.NDArray[Any]:
    """A label map ``(z, y, x)``, or a map of lesions' ids, on another grid, by the nearest voxel.

    Parameters
    ----------
    array : numpy.ndarray
        uint8, uint16 or uint32.
    moving, fixed : Geometry
        Its grid, and the one that it goes to; either may be sheared.
    transform : SpatialTransform
        From points of `fixed` to points of `moving`.
    keep_small : bool
        Give a label that falls between the voxels of a coarser grid the nearest free voxels of its
        own, so that no lesion is lost to sight.

    Raises
    ------
    GeometryError
        When the array does not fit its grid or has another type.
    """
    if array.shape != moving.shape:
        raise GeometryError(f"an array of {array.shape} does not fit a grid of {moving.shape}")
    if array.dtype not in _ITK_LABELS:
        raise GeometryError(f"a label map holds uint8, uint16 or uint32, not {array.dtype}")
    stored = np.ascontiguousarray(array)
    labels = _resampled(stored, moving, transform, fixed, sitk.sitkNearestNeighbor, 0.0)
    if keep_small:
        _restore_lost(labels, array, moving, transform, fixed)
    return labels


def seen_on_grid(
    moving: Geometry, transform: SpatialTransform, fixed: Geometry
) -> npt.NDArray[np.bool_]:
    """Which voxels of the grid `fixed` the moving image shows at all; ``(z, y, x)``."""
    everywhere = np.ones(moving.shape, dtype=np.uint8)
    seen = _resampled(everywhere, moving, transform, fixed, sitk.sitkNearestNeighbor, 0.0)
    return np.asarray(seen > 0)


def _resampled(
    array: npt.NDArray[Any],
    moving: Geometry,
    transform: SpatialTransform,
    fixed: Geometry,
    interpolator: int,
    fill: float,
) -> npt.NDArray[Any]:
    resampled = sitk.Resample(
        sitk.GetImageFromArray(array),
        tuple(reversed(fixed.shape)),
        between_indices(transform, fixed, moving),
        interpolator,
        (0.0, 0.0, 0.0),
        (1.0, 1.0, 1.0),
        _UNIT,
        fill,
    )
    result: npt.NDArray[Any] = sitk.GetArrayFromImage(resampled)
    return result


def _restore_lost(
    labels: npt.NDArray[Any],
    array: npt.NDArray[Any],
    moving: Geometry,
    transform: SpatialTransform,
    fixed: Geometry,
) -> None:
    """Write labels of `array` that `labels` lacks to the voxels that are nearest to them."""
    for value in np.setdiff1d(np.unique(array), np.unique(labels)).tolist():
        points = moving.index_to_lps(np.argwhere(array == value))
        index = np.rint(fixed.lps_to_index(map_points_back(transform, points))).astype(int)
        within = ((index >= 0) & (index < fixed.shape)).all(axis=1)
        z, y, x = index[within].T
        free = labels[z, y, x] == 0
        labels[z[free], y[free], x[free]] = value
