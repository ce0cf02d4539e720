"""What a deformation does to space: its displacements on a grid, and whether it folds."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from napari_medcnn.core.geometry import FloatArray
from napari_medcnn.core.registration import Deformation, SpatialTransform
from napari_medcnn.followup.spatial_transform import to_sitk

SAMPLES_PER_CONTROL_POINT = 3
"""Cubic B-splines between control points are smooth: three samples see every fold."""


def folds(deformation: Deformation) -> bool:
    """Whether the Jacobian's determinant is negative or zero anywhere within the lattice."""
    return bool(jacobian(deformation).min() <= 0)


def jacobian(deformation: Deformation) -> FloatArray:
    """Local change of volume ``(z, y, x)`` on a grid over the lattice; 1 where nothing changes."""
    size, origin, spacing = deformation.lattice[:9].reshape(3, 3)
    inside = np.maximum(size - 3, 1)  # the outermost control points lie outside of the image
    direction = deformation.lattice[9:].reshape(3, 3)
    bend = to_sitk(SpatialTransform(np.eye(4), deformation))
    field = sitk.TransformToDisplacementField(
        bend,
        sitk.sitkVectorFloat64,
        (inside * SAMPLES_PER_CONTROL_POINT).astype(int).tolist(),
        (origin + direction @ spacing).tolist(),
        (spacing / SAMPLES_PER_CONTROL_POINT).tolist(),
        direction.ravel().tolist(),
    )
    determinant = sitk.DisplacementFieldJacobianDeterminant(field)
    result: FloatArray = sitk.GetArrayFromImage(determinant)
    return result
