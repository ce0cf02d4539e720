"""Is a registration to be believed? Figures, and warnings where it looks wrong.

A wrong registration makes every comparison wrong, and its optimiser does not notice. What is looked
at here does not hang on the optimiser's own value: whether another position nearby would make the
images more alike, whether the masks lie on each other, and whether the transform does to the
patient what no patient does.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from napari_medcnn.core.geometry import FloatArray
from napari_medcnn.core.lesion import Point
from napari_medcnn.core.registration import RegistrationQuality, SpatialTransform
from napari_medcnn.followup.registration_scan import (
    Scan,
    fixed_image_at,
    mask_at,
    moving_image_at,
)
from napari_medcnn.followup.spatial_transform import map_points, to_sitk
from napari_medcnn.followup.warp import folds

WORKING_MM = 3.0
"""Resolution at which similarity is taken: finer ones say the same and take seconds."""

NEARBY_MM, NEARBY_DEG = 8.0, 8.0
"""How far the neighbours of a position are. At the right one, every neighbour is less alike."""

LEAST_OVERLAP = 0.75
"""Dice of the masks; brains that were registered rightly reached 0.93 and more."""

LEAST_SEEN = 0.25
"""Least share of the fixed mask that the moving image shows."""

STRETCH = (0.7, 1.4)
"""Volume by which an affine transform may scale a grown person's body."""

LARGE_ROTATION_DEG = 30.0
"""Heads in a scanner's coil differ by less; a larger turn may be right, and is to be looked at."""

LARGE_LANDMARK_ERROR_MM = 5.0
"""Beyond it neighbouring lesions are taken for each other."""

_BINS = 48


@dataclass(frozen=True, eq=False)
class _Compared:
    """Both scans thinned, with the fixed one's mask as booleans."""

    fixed: sitk.Image
    moving: sitk.Image
    fixed_mask: npt.NDArray[np.bool_]
    moving_mask: sitk.Image


def assess(
    fixed: Scan,
    moving: Scan,
    transform: SpatialTransform,
    landmarks: Sequence[tuple[Point, Point]] = (),
) -> RegistrationQuality:
    """Judge a transform between two scans, whoever made it.

    Parameters
    ----------
    fixed, moving : Scan
        With the masks that count.
    transform : SpatialTransform
        From the fixed image's points to the moving one's.
    landmarks : sequence of pairs of points
        The same place in the fixed and in the moving image, LPS mm.
    """
    compared = _Compared(
        fixed_image_at(fixed, WORKING_MM),
        moving_image_at(moving, WORKING_MM),
        sitk.GetArrayFromImage(mask_at(fixed, WORKING_MM)) > 0,
        mask_at(moving, WORKING_MM),
    )
    middle = fixed.middle_lps_mm
    after = _similarity(compared, transform)
    before = _similarity(compared, SpatialTransform.identity())
    nearby = [_similarity(compared, near) for near in _neighbours(transform, middle)]
    better_nearby = after is None or any(near is not None and near > after for near in nearby)
    overlap, seen = _overlap(compared, transform)
    error = _landmark_error(transform, landmarks)
    serious = [
        *_position_warnings(before, after, better_nearby, overlap, seen),
        *_shape_warnings(transform),
    ]
    notes = []
    if transform.rotation_deg > LARGE_ROTATION_DEG:
        notes.append(f"the image is turned by {transform.rotation_deg:.0f} degrees")
    if error is not None and error > LARGE_LANDMARK_ERROR_MM:
        serious.append(f"the landmarks are {error:.1f} mm apart on average")
    return RegistrationQuality(
        similarity_before=before,
        similarity_after=after,
        overlap=overlap,
        landmark_error_mm=error,
        shift_mm=float(np.linalg.norm(map_points(transform, middle) - middle)),
        rotation_deg=transform.rotation_deg,
        warnings=(*serious, *notes),
        plausible=not serious,
    )


def mutual_information(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> float:
    """Normalised mutual information of two lists of values, 1 to 2.

    ``(H(a) + H(b)) / H(a, b)`` of the joint histogram: Studholme, Hill and Hawkes, An overlap
    invariant entropy measure of 3D medical image alignment, Pattern Recognition 32(1), 1999.
    """
    joint, _, _ = np.histogram2d(first, second, bins=_BINS)
    share = joint / joint.sum()
    together = _entropy(share.ravel())
    if together == 0:
        return 1.0
    return float((_entropy(share.sum(axis=0)) + _entropy(share.sum(axis=1))) / together)


def _entropy(share: FloatArray) -> float:
    present = share[share > 0]
    return float(-(present * np.log(present)).sum())


def _similarity(compared: _Compared, transform: SpatialTransform) -> float | None:
    moved = sitk.Resample(
        compared.moving, compared.fixed, to_sitk(transform), sitk.sitkLinear, float("nan")
    )
    values = sitk.GetArrayViewFromImage(moved)
    used = compared.fixed_mask & np.isfinite(values)
    if used.sum() < LEAST_SEEN * compared.fixed_mask.sum():
        return None
    return mutual_information(sitk.GetArrayViewFromImage(compared.fixed)[used], values[used])


def _neighbours(transform: SpatialTransform, middle: FloatArray) -> list[SpatialTransform]:
    """The transform after a small move of the fixed image about its middle, each way."""
    moves = []
    for axis, sign in itertools.product(range(3), (-1.0, 1.0)):
        shift, turn = np.eye(4), np.eye(4)
        shift[axis, 3] = sign * NEARBY_MM
        unit = np.eye(3)[axis]
        turn[:3, :3] = Rotation.from_rotvec(sign * NEARBY_DEG * unit, degrees=True).as_matrix()
        turn[:3, 3] = middle - turn[:3, :3] @ middle
        moves += [shift, turn]
    there = transform.matrix
    # A deformation bends the fixed image first: the move has to come after it.
    return [SpatialTransform(there @ move, transform.deformation) for move in moves]


def _overlap(compared: _Compared, transform: SpatialTransform) -> tuple[float, float]:
    """Dice of the masks where both images see, and the share of the fixed mask that is seen."""
    mask = sitk.Cast(compared.moving_mask, sitk.sitkFloat32)
    moved = sitk.Resample(
        mask, compared.fixed, to_sitk(transform), sitk.sitkNearestNeighbor, float("nan")
    )
    values = sitk.GetArrayViewFromImage(moved)
    seen = np.isfinite(values)
    there, here = seen & (values > 0), seen & compared.fixed_mask
    total = int(there.sum()) + int(here.sum())
    dice = 2.0 * int((there & here).sum()) / total if total else 0.0
    return dice, float(here.sum() / compared.fixed_mask.sum())


def _landmark_error(
    transform: SpatialTransform, landmarks: Sequence[tuple[Point, Point]]
) -> float | None:
    if not landmarks:
        return None
    here, there = np.asarray(landmarks, dtype=np.float64).transpose(1, 0, 2)
    return float(np.linalg.norm(map_points(transform, here) - there, axis=1).mean())


def _position_warnings(
    before: float | None, after: float | None, better_nearby: bool, overlap: float, seen: float
) -> list[str]:
    found = []
    if seen < LEAST_SEEN:
        found.append(f"the follow-up shows {seen:.0%} of the region that guides the registration")
    elif better_nearby:
        found.append("a position nearby makes the images more alike: this is not the right one")
    if after is not None and before is not None and after < before - 1e-3:
        found.append("the images are more alike without the registration")
    if overlap < LEAST_OVERLAP:
        found.append(f"the outlines of both images agree poorly (Dice {overlap:.2f})")
    return found


def _shape_warnings(transform: SpatialTransform) -> list[str]:
    found = []
    scale = float(np.linalg.det(transform.matrix[:3, :3]))
    if scale < 0:
        found.append("the transform mirrors the patient")
    elif not STRETCH[0] <= scale <= STRETCH[1]:
        found.append(f"the transform scales volumes by {scale:.2f}")
    if transform.deformation is not None and folds(transform.deformation):
        found.append("the deformation folds: some places appear twice")
    return found
