"""How well a mask fits the truth: overlap, volume, and surfaces in millimetres.

Overlap is counted by SimpleITK, surfaces are measured by MONAI, which follows DeepMind's
``surface-distance``: surfaces of voxels are weighed by their area in mm2, so that anisotropic grids
are not judged by the number of their voxels.

Where a figure does not exist it is None, and :attr:`Overlap.undefined` says why:

- truth and prediction empty: nothing to find, every ratio is None; nothing counts as an error;
- truth empty, prediction not: Dice, Jaccard, precision and surface agreement are 0, the
  sensitivity, the Hausdorff distance and the volume error in percent are None;
- prediction empty, truth not: Dice, Jaccard, sensitivity and surface agreement are 0, the precision
  and the Hausdorff distance are None.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from napari_medcnn.core.errors import GeometryError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.imaging.components import foreground_box

Mask: TypeAlias = npt.NDArray[Any]

TOLERANCE_MM = 1.0
"""Surfaces that lie so near each other agree; that of the Decathlon for the hippocampus."""

HAUSDORFF_PERCENTILE = 95

BOTH_EMPTY = "truth and prediction are empty"
TRUTH_EMPTY = "the truth is empty"
PREDICTION_EMPTY = "nothing was predicted"
SHEARED = "distances are not measured on a sheared grid"
NO_SPACING = "the size of a voxel is unknown"


@dataclass(frozen=True)
class Overlap:
    """Figures of one mask; None where one does not exist.

    Parameters
    ----------
    dice, jaccard : float, optional
        Twice the common voxels over the sum of both, common voxels over the union.
    sensitivity, precision : float, optional
        Share of the true voxels that were found, and of the found voxels that are true.
    truth_ml, predicted_ml, volume_error_ml : float, optional
        Volumes, and what was predicted too much (negative: too little).
    volume_error_percent : float, optional
        Of the true volume.
    hd95_mm : float, optional
        The larger of the two 95th percentiles of distances from the edge voxels of one mask to the
        nearest edge voxel of the other.
    nsd : float, optional
        Normalised surface distance (surface Dice): share of both surfaces, by area (2D: length),
        that lies within `tolerance_mm` of the other (Nikolov et al. 2018, arXiv:1809.04430).
    tolerance_mm : float
        Of `nsd`.
    undefined : str
        Why figures are None.
    """

    dice: float | None
    jaccard: float | None
    sensitivity: float | None
    precision: float | None
    truth_ml: float | None
    predicted_ml: float | None
    volume_error_ml: float | None
    volume_error_percent: float | None
    hd95_mm: float | None
    nsd: float | None
    tolerance_mm: float = TOLERANCE_MM
    undefined: str = ""


def measure_overlap(
    prediction: Mask,
    truth: Mask,
    geometry: Geometry,
    *,
    tolerance_mm: float = TOLERANCE_MM,
    spacing_known: bool = True,
) -> Overlap:
    """All figures of a mask against the truth.

    Parameters
    ----------
    prediction, truth : numpy.ndarray
        ``(z, y, x)``; other than 0 is inside. A grid of one slice is taken for a picture.
    geometry : Geometry
        The grid of both.
    tolerance_mm : float
        From which distance surfaces disagree.
    spacing_known : bool
        False leaves out everything in millimetres and millilitres.

    Raises
    ------
    GeometryError
        When an array does not fit the grid.
    """
    _check(prediction, truth, geometry)
    voxel_ml = geometry.voxel_volume_mm3 / 1000 if spacing_known else None
    prediction, truth = _cut_out(prediction, truth)
    found, true = int(prediction.sum()), int(truth.sum())
    common = _common(prediction, truth) if found and true else _of_empty(found, true)
    true_ml, found_ml = _ml(true, voxel_ml), _ml(found, voxel_ml)
    error_ml = None if true_ml is None or found_ml is None else found_ml - true_ml
    why = [_why_empty(found, true)]
    hd95: float | None = None
    nsd = None if not (found or true) else 0.0
    if not spacing_known or geometry.is_sheared:
        nsd = None
        why.append(SHEARED if spacing_known else NO_SPACING)
    elif found and true:
        hd95 = _hausdorff(prediction, truth, geometry)
        nsd = _surface_dice(prediction, truth, geometry, tolerance_mm)
    return Overlap(
        *common,
        truth_ml=true_ml,
        predicted_ml=found_ml,
        volume_error_ml=error_ml,
        volume_error_percent=100 * (found - true) / true if true else None,
        hd95_mm=hd95,
        nsd=nsd,
        tolerance_mm=tolerance_mm,
        undefined="; ".join(text for text in why if text),
    )


def dice(prediction: Mask, truth: Mask) -> float | None:
    """Dice's coefficient of two masks of one shape; None where both are empty."""
    prediction, truth = _cut_out(prediction, truth)
    found, true = bool(prediction.any()), bool(truth.any())
    return (_common(prediction, truth) if found and true else _of_empty(found, true))[0]


def hd95_mm(prediction: Mask, truth: Mask, geometry: Geometry) -> float | None:
    """The 95 % Hausdorff distance in mm; None where a mask is empty.

    Raises
    ------
    GeometryError
        When an array does not fit the grid, or the grid is sheared.
    """
    _check(prediction, truth, geometry)
    _refuse_shear(geometry)
    prediction, truth = _cut_out(prediction, truth)
    if not (prediction.any() and truth.any()):
        return None
    return _hausdorff(prediction, truth, geometry)


def nsd(
    prediction: Mask, truth: Mask, geometry: Geometry, tolerance_mm: float = TOLERANCE_MM
) -> float | None:
    """Normalised surface distance; 0 where one mask is empty, None where both are.

    Raises
    ------
    GeometryError
        When an array does not fit the grid, or the grid is sheared.
    """
    _check(prediction, truth, geometry)
    _refuse_shear(geometry)
    prediction, truth = _cut_out(prediction, truth)
    if prediction.any() and truth.any():
        return _surface_dice(prediction, truth, geometry, tolerance_mm)
    return 0.0 if prediction.any() or truth.any() else None


def _check(prediction: Mask, truth: Mask, geometry: Geometry) -> None:
    for name, mask in (("prediction", prediction), ("truth", truth)):
        if mask.shape != geometry.shape:
            raise GeometryError(
                f"a {name} of {mask.shape} voxels does not fit a grid of {geometry.shape}"
            )


def _refuse_shear(geometry: Geometry) -> None:
    if geometry.is_sheared:
        raise GeometryError(SHEARED, hint="resample it onto a right-angled grid first")


def _cut_out(prediction: Mask, truth: Mask) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Both masks in the smallest box that holds them; of empty ones a single voxel."""
    if prediction.shape != truth.shape:
        raise GeometryError(
            f"a prediction of {prediction.shape} voxels, a truth of {truth.shape}: two grids"
        )
    prediction, truth = prediction != 0, truth != 0
    box = foreground_box(prediction | truth) or (slice(0, 1),) * 3
    return np.ascontiguousarray(prediction[box]), np.ascontiguousarray(truth[box])


def _common(prediction: Mask, truth: Mask) -> tuple[float, float, float, float]:
    """Dice, Jaccard, sensitivity and precision of two masks of which none is empty."""
    images = [sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in (prediction, truth)]
    both = sitk.LabelOverlapMeasuresImageFilter()
    both.Execute(*images)  # source, target: the target's overlap is the sensitivity
    return (
        both.GetDiceCoefficient(1),
        both.GetJaccardCoefficient(1),
        1 - both.GetFalseNegativeError(1),
        1 - both.GetFalseDiscoveryRate(1),
    )


def _of_empty(
    found: float, true: float
) -> tuple[float | None, float | None, float | None, float | None]:
    """The same where at least one mask is empty."""
    one = 0.0 if found or true else None
    return one, one, 0.0 if true else None, 0.0 if found else None


def _why_empty(found: int, true: int) -> str:
    if found and true:
        return ""
    if not found and not true:
        return BOTH_EMPTY
    return PREDICTION_EMPTY if true else TRUTH_EMPTY


def _ml(count: int, voxel_ml: float | None) -> float | None:
    return None if voxel_ml is None else count * voxel_ml


def _hausdorff(prediction: Mask, truth: Mask, geometry: Geometry) -> float:
    from monai.metrics import compute_hausdorff_distance

    one, other, spacing = _for_monai(prediction, truth, geometry)
    with _monais_own_warnings():
        distance = compute_hausdorff_distance(
            one, other, include_background=True, percentile=HAUSDORFF_PERCENTILE, spacing=spacing
        )
    return float(distance.item())


def _surface_dice(prediction: Mask, truth: Mask, geometry: Geometry, tolerance_mm: float) -> float:
    from monai.metrics import compute_surface_dice

    one, other, spacing = _for_monai(prediction, truth, geometry)
    with _monais_own_warnings():
        share = compute_surface_dice(
            one,
            other,
            [tolerance_mm],
            include_background=True,
            spacing=spacing,
            use_subvoxels=True,
        )
    return float(share.item())


@contextmanager
def _monais_own_warnings() -> Iterator[None]:
    """Keep what MONAI's metrics warn each other of from the user."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*always_return_as_numpy", FutureWarning)
        yield


def _for_monai(prediction: Mask, truth: Mask, geometry: Geometry) -> tuple[Any, Any, list[float]]:
    """Both as ``(1, 1, z, y, x)``, of one slice ``(1, 1, y, x)``, and their spacing in mm."""
    import torch

    spacing = list(geometry.spacing)
    if geometry.shape[0] == 1:
        prediction, truth, spacing = prediction[0], truth[0], spacing[1:]
    masks = [torch.from_numpy(np.ascontiguousarray(m))[None, None] for m in (prediction, truth)]
    return masks[0], masks[1], spacing
