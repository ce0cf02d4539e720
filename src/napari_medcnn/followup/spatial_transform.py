"""Transforms as SimpleITK has them, and points through them, there and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from napari_medcnn.core.errors import GeometryError
from napari_medcnn.core.geometry import FloatArray, Geometry
from napari_medcnn.core.registration import Deformation, SpatialTransform

BACK_TOLERANCE_MM = 1e-4
"""How exactly the way back through a deformation is found; far below any voxel."""

_MAX_BACK_STEPS = 200

_MAX_DEPTH = 4
"""Of composites within composites."""


_REVERSED = [2, 1, 0, 3]
"""Indices (k, j, i) as ITK's (i, j, k)."""


def to_sitk(transform: SpatialTransform) -> sitk.Transform:
    """The transform for SimpleITK's resampling, registration and files."""
    linear = _affine(transform.matrix)
    if transform.deformation is None:
        return linear
    # ITK applies the last transform of a composite first.
    return sitk.CompositeTransform([linear, _bspline(transform.deformation)])


def from_sitk(transform: sitk.Transform) -> SpatialTransform:
    """A transform of SimpleITK as plain arrays.

    Raises
    ------
    GeometryError
        When it is not three-dimensional, or is neither linear nor cubic B-splines followed by
        linear ones.
    """
    if transform.GetDimension() != 3:
        raise GeometryError(f"a transform of {transform.GetDimension()} dimensions, not of 3")
    parts = list(_parts(transform))
    deformation = None
    if parts and parts[-1].GetTransformEnum() == sitk.sitkBSplineTransform:
        deformation = _deformation(sitk.BSplineTransform(parts.pop()))
    matrix = np.eye(4)
    for part in parts:
        if not part.IsLinear():
            raise GeometryError(
                f"a {part.GetName()} is no transform that is understood here",
                hint="use a rigid or affine transform, or cubic B-splines before one",
            )
        matrix = matrix @ _matrix(part)
    return SpatialTransform(matrix, deformation)


def map_points(transform: SpatialTransform, points: npt.ArrayLike) -> FloatArray:
    """Where points of the fixed image lie in the moving one; ``(..., 3)`` LPS mm (x, y, z)."""
    there = np.asarray(points, dtype=np.float64)
    if transform.deformation is not None:
        bend = _bspline(transform.deformation)
        flat = [bend.TransformPoint(point) for point in there.reshape(-1, 3).tolist()]
        there = np.reshape(np.asarray(flat, dtype=np.float64), there.shape)
    moved: FloatArray = there @ transform.matrix[:3, :3].T + transform.matrix[:3, 3]
    return moved


def map_points_back(transform: SpatialTransform, points: npt.ArrayLike) -> FloatArray:
    """Where points of the moving image lie in the fixed one; ``(..., 3)`` LPS mm (x, y, z).

    Raises
    ------
    GeometryError
        When a deformation is so steep that a point has no clear way back.

    Notes
    -----
    ``x = y - u(x)`` is repeated until it stands still, which it does wherever the displacement u
    changes by less than one millimetre a millimetre: where the deformation does not fold.
    """
    inverse = np.linalg.inv(transform.matrix)
    bent: FloatArray = np.asarray(points, dtype=np.float64) @ inverse[:3, :3].T + inverse[:3, 3]
    if transform.deformation is None:
        return bent
    alone = SpatialTransform(np.eye(4), transform.deformation)
    straight = bent
    for _ in range(_MAX_BACK_STEPS):
        correction = bent - map_points(alone, straight)
        straight = straight + correction
        if np.abs(correction).max(initial=0.0) < BACK_TOLERANCE_MM:
            return straight
    raise GeometryError(
        "the deformation folds: some points cannot be brought back to the baseline",
        hint="register with a wider lattice, or affinely",
    )


def between_indices(
    transform: SpatialTransform, fixed: Geometry, moving: Geometry
) -> sitk.Transform:
    """From a fractional index of the grid `fixed` to that of `moving`, both as ITK's (i, j, k).

    With it both images can be resampled as if they lay on unit grids, sheared ones too, which ITK
    cannot hold.
    """
    from_index = fixed.affine[:, _REVERSED]
    to_index = np.linalg.inv(moving.affine[:, _REVERSED])
    return sitk.CompositeTransform([_affine(to_index), to_sitk(transform), _affine(from_index)])


def _affine(matrix: npt.NDArray[np.floating[Any]]) -> sitk.AffineTransform:
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(matrix[:3, :3].ravel().tolist())
    affine.SetTranslation(matrix[:3, 3].tolist())
    return affine


def _bspline(deformation: Deformation) -> sitk.BSplineTransform:
    bspline = sitk.BSplineTransform(3, 3)
    bspline.SetFixedParameters(deformation.lattice.tolist())
    bspline.SetParameters(deformation.coefficients.tolist())
    return bspline


def _deformation(bspline: sitk.BSplineTransform) -> Deformation:
    if bspline.GetOrder() != 3:
        raise GeometryError(f"B-splines of order {bspline.GetOrder()}; only cubic ones are used")
    return Deformation(
        np.asarray(bspline.GetParameters()), np.asarray(bspline.GetFixedParameters())
    )


def _matrix(linear: sitk.Transform) -> FloatArray:
    """The 4x4 matrix of any linear transform, whatever its parameters are."""
    matrix = np.eye(4)
    matrix[:3, 3] = linear.TransformPoint((0.0, 0.0, 0.0))
    for axis, unit in enumerate(np.eye(3).tolist()):
        matrix[:3, axis] = np.asarray(linear.TransformVector(unit, (0.0, 0.0, 0.0)))
    return matrix


def _parts(transform: sitk.Transform, depth: int = 0) -> Iterable[sitk.Transform]:
    """The parts of a composite in the order of a product of matrices; linear ones are one part."""
    if transform.IsLinear() or transform.GetTransformEnum() != sitk.sitkComposite:
        yield transform
        return
    # SimpleITK shows a transform that it does not know as a composite of itself, without end.
    if depth == _MAX_DEPTH:
        raise GeometryError("a transform of a kind that is not understood here")
    composite = sitk.CompositeTransform(transform)
    for number in range(composite.GetNumberOfTransforms()):
        yield from _parts(composite.GetNthTransform(number), depth + 1)
