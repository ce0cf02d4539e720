"""How the points of one image lie in another, and how far that may be believed.

One convention everywhere, ITK's own: a transform maps a point of the FIXED image (the baseline) to
the point of the MOVING image (the follow-up) that shows the same anatomy, both in LPS mm.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from napari_medcnn.core.errors import GeometryError
from napari_medcnn.core.geometry import FloatArray


class RegistrationKind(StrEnum):
    """What a transform may do to the image."""

    RIGID = "rigid"
    AFFINE = "affine"
    BSPLINE = "bspline"


@dataclass(frozen=True, eq=False)
class Deformation:
    """Smooth displacements of the fixed image's points: a lattice of cubic B-splines, as in ITK.

    Parameters
    ----------
    coefficients : numpy.ndarray
        Flat float64, in mm: those of x for the whole lattice (x runs fastest), then y, then z.
    lattice : numpy.ndarray
        18 numbers: size, origin in LPS mm, spacing in mm, each (x, y, z), and the direction, row by
        row: the fixed parameters of ITK's ``BSplineTransform``.
    """

    coefficients: FloatArray
    lattice: FloatArray

    def __post_init__(self) -> None:
        coefficients = _frozen(self.coefficients)
        lattice = _frozen(self.lattice)
        if lattice.shape != (18,) or not np.isfinite(lattice).all():
            raise GeometryError("a lattice of B-splines is described by 18 finite numbers")
        if coefficients.shape != (3 * round(float(np.prod(lattice[:3]))),):
            raise GeometryError(
                "a lattice of B-splines has three coefficients at each of its points"
            )
        object.__setattr__(self, "coefficients", coefficients)
        object.__setattr__(self, "lattice", lattice)


@dataclass(frozen=True, eq=False)
class SpatialTransform:
    """From a point of the fixed image to that of the moving one: ``matrix @ (x + deformation(x))``.

    Plain arrays, so that it can cross to another process and be written to any file.

    Parameters
    ----------
    matrix : numpy.ndarray
        4x4, LPS mm ``(x, y, z, 1)`` to LPS mm; not singular.
    deformation : Deformation, optional
        Applied before the matrix, in the fixed image's space.

    Raises
    ------
    GeometryError
        When the matrix is no finite invertible affine map.
    """

    matrix: FloatArray
    deformation: Deformation | None = None

    def __post_init__(self) -> None:
        matrix = _frozen(self.matrix)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
            raise GeometryError("a transform's matrix is a finite 4x4 matrix")
        if not np.array_equal(matrix[3], (0, 0, 0, 1)):
            raise GeometryError("the last row of a transform's matrix is 0 0 0 1")
        if abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
            raise GeometryError("a transform that flattens space cannot be undone")
        object.__setattr__(self, "matrix", matrix)

    @classmethod
    def identity(cls) -> SpatialTransform:
        """Both images in one space already."""
        return cls(np.eye(4))

    @property
    def is_linear(self) -> bool:
        """Whether the matrix is all there is to it."""
        return self.deformation is None

    def is_rigid(self, tolerance: float) -> bool:
        """Whether it keeps every distance, but for so small a share of it."""
        linear = self.matrix[:3, :3]
        kept = np.allclose(linear.T @ linear, np.eye(3), rtol=0, atol=tolerance)
        return self.is_linear and kept and bool(np.linalg.det(linear) > 0)

    @property
    def rotation_deg(self) -> float:
        """The angle of the rotation that is closest to the matrix (polar decomposition)."""
        left, _, right = np.linalg.svd(self.matrix[:3, :3])
        return float(np.degrees(np.arccos(np.clip((np.trace(left @ right) - 1) / 2, -1, 1))))

    def shift_mm(self, point: FloatArray) -> float:
        """How far the matrix moves an LPS point ``(x, y, z)``."""
        moved = self.matrix[:3, :3] @ point + self.matrix[:3, 3]
        return float(np.linalg.norm(moved - point))


@dataclass(frozen=True)
class RegistrationQuality:
    """What speaks for and against a registration; to be looked at before it is used.

    Parameters
    ----------
    similarity_before, similarity_after : float or None
        Normalised mutual information (1: nothing in common, 2: one image tells the other exactly)
        within the mask, by the images' own headers and by the transform. None without overlap.
    overlap : float
        Dice coefficient of both masks after registration, where both images see the patient.
    landmark_error_mm : float or None
        Mean distance of the landmarks that were given, after registration.
    shift_mm, rotation_deg : float
        How far the middle of the mask is moved, and the angle of the rotation.
    warnings : tuple of str
        What a careful reader would want to know, a sentence each.
    plausible : bool
        False where something is so far off that the registration must not be used unseen.
    """

    similarity_before: float | None
    similarity_after: float | None
    overlap: float
    landmark_error_mm: float | None
    shift_mm: float
    rotation_deg: float
    warnings: tuple[str, ...] = ()
    plausible: bool = True

    def to_json(self) -> dict[str, Any]:
        """The quality as a JSON-able dict."""
        return {**asdict(self), "warnings": list(self.warnings)}


@dataclass(frozen=True, eq=False)
class Registration:
    """A follow-up registered to its baseline.

    Parameters
    ----------
    transform : SpatialTransform
        From the fixed image's points to the moving image's.
    kind : RegistrationKind
        What the transform was allowed to do.
    fixed_id, moving_id : str
        Ids of both volumes.
    quality : RegistrationQuality
        How far to trust it.
    method : dict
        Settings and versions, JSON-able: enough to do it again.
    """

    transform: SpatialTransform
    kind: RegistrationKind
    fixed_id: str
    moving_id: str
    quality: RegistrationQuality
    method: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Everything but the coefficients of a deformation, which are the transform file's."""
        return {
            "kind": self.kind.value,
            "convention": "maps fixed (baseline) points to moving (follow-up) points, LPS mm",
            "matrix": self.transform.matrix.tolist(),
            "deformed": not self.transform.is_linear,
            "fixed_id": self.fixed_id,
            "moving_id": self.moving_id,
            "quality": self.quality.to_json(),
            "method": self.method,
        }


def _frozen(values: FloatArray) -> FloatArray:
    copied = np.array(values, dtype=np.float64)
    copied.setflags(write=False)
    return copied
