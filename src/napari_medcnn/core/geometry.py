"""Where voxels are: one convention for the whole package.

Arrays are ``(z, y, x)`` = (slice, row, column). Patient space is LPS in millimetres, as in DICOM
and ITK: x grows to the patient's Left, y to the Posterior, z to the Superior. An affine maps an
array index ``(k, j, i)`` in array order to LPS millimetres ``(x, y, z)``; index 0 is a voxel's
centre. Foreign conventions are converted by the ``from_*`` and ``to_*`` functions here, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import GeometryError

FloatArray: TypeAlias = npt.NDArray[np.float64]
Index: TypeAlias = tuple[int, int, int]

POSITION_TOLERANCE_MM = 1e-3
"""Two grids are the same when no voxel centre differs by more; far below any scanner's accuracy."""

SHEAR_TOLERANCE = 1e-3
"""Largest cosine between two grid axes that still counts as a right angle (0.06 degrees).

Headers store direction cosines with rounding up to some 1e-4; a gantry tilt starts near 1e-2."""

OBLIQUE_TOLERANCE = 1e-3
"""Largest off-axis direction cosine of a grid that is still called axis-aligned."""

_ORDERS: tuple[Index, ...] = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
_LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_REVERSED_INDEX = np.eye(4)[[2, 1, 0, 3]]


@dataclass(frozen=True)
class AxisMap:
    """A permutation and flips of the three array axes; exact, without interpolation.

    Axis `a` of the result is axis ``order[a]`` of the source, reversed where ``flip[a]``.
    """

    order: Index = (0, 1, 2)
    flip: tuple[bool, bool, bool] = (False, False, False)

    def apply(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Reorder the last three axes ``(..., z, y, x)`` of `array`; a view, not a copy."""
        lead = array.ndim - 3
        moved = array.transpose(*range(lead), *(lead + axis for axis in self.order))
        steps = tuple(slice(None, None, -1 if reverse else 1) for reverse in self.flip)
        return moved[(slice(None),) * lead + steps]

    def inverse(self) -> AxisMap:
        """The map that undoes this one."""
        order = tuple(int(axis) for axis in np.argsort(self.order))
        return AxisMap(_index(order), _flags(self.flip[axis] for axis in order))

    @property
    def is_identity(self) -> bool:
        """Whether nothing is moved."""
        return self == AxisMap()


@dataclass(frozen=True, eq=False)
class Geometry:
    """The grid of a volume, apart from its voxels.

    Parameters
    ----------
    shape : tuple of int
        Number of voxels ``(z, y, x)``.
    affine : numpy.ndarray
        4x4, maps the index ``(k, j, i, 1)`` in array order to LPS mm ``(x, y, z, 1)``.

    Raises
    ------
    GeometryError
        When the shape has not three positive numbers, or the affine is not finite, not affine or
        singular.
    """

    shape: Index
    affine: FloatArray

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.shape)
        affine = np.array(self.affine, dtype=np.float64)
        if len(shape) != 3 or min(shape) < 1:
            raise GeometryError(f"a grid has three axes of at least one voxel, not {shape}")
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise GeometryError("a grid's affine is a finite 4x4 matrix")
        if not np.array_equal(affine[3], (0, 0, 0, 1)):
            raise GeometryError("the last row of a grid's affine is 0 0 0 1")
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
        if lengths.min() <= 0 or abs(np.linalg.det(affine[:3, :3] / lengths)) < 1e-6:
            raise GeometryError("the grid's axes do not span space (zero spacing or parallel axes)")
        affine.setflags(write=False)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "affine", affine)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Geometry):
            return NotImplemented
        return self.shape == other.shape and np.array_equal(self.affine, other.affine)

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def from_spacing(
        cls,
        shape: Index,
        spacing: tuple[float, float, float],
        origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> Geometry:
        """An axis-aligned grid.

        `spacing` is in mm along ``(z, y, x)``, `origin` in LPS mm ``(x, y, z)``.
        """
        affine = np.eye(4)
        affine[:3, :3] = np.diag(spacing)[::-1]
        affine[:3, 3] = origin
        return cls(shape, affine)

    @classmethod
    def from_sitk(
        cls,
        size: tuple[int, ...],
        spacing: tuple[float, ...],
        origin: tuple[float, ...],
        direction: tuple[float, ...],
    ) -> Geometry:
        """From SimpleITK's size, spacing, origin (LPS mm) and direction, in its x, y, z order."""
        affine = np.eye(4)
        affine[:3, :3] = np.reshape(direction, (3, 3)) * np.asarray(spacing)
        affine[:3, 3] = origin
        return cls(_index(reversed(size)), affine @ _REVERSED_INDEX)

    @classmethod
    def from_ras_affine(cls, shape: Index, affine: npt.ArrayLike) -> Geometry:
        """From a NIfTI or MONAI affine: index ``(i, j, k)`` to RAS mm.

        `shape` is that of the ``(z, y, x)`` array, i.e. the reverse of NIfTI's.
        """
        return cls(shape, _LPS_RAS @ np.asarray(affine, dtype=np.float64) @ _REVERSED_INDEX)

    def to_ras_affine(self) -> FloatArray:
        """The affine from index ``(i, j, k)`` to RAS mm, as NIfTI and MONAI use it."""
        affine: FloatArray = _LPS_RAS @ self.affine @ _REVERSED_INDEX
        return affine

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxel centres in mm along ``(z, y, x)``."""
        z, y, x = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(z), float(y), float(x)

    @property
    def origin(self) -> tuple[float, float, float]:
        """LPS mm ``(x, y, z)`` of the centre of voxel (0, 0, 0)."""
        x, y, z = self.affine[:3, 3]
        return float(x), float(y), float(z)

    @property
    def direction(self) -> FloatArray:
        """3x3; column `a` is the unit vector in LPS of array axis `a` (z, y, x)."""
        direction: FloatArray = self.affine[:3, :3] / np.asarray(self.spacing)
        return direction

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel, right for sheared grids too."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def is_sheared(self) -> bool:
        """Whether two axes are not at a right angle, as under a gantry tilt."""
        cosines = self.direction.T @ self.direction - np.eye(3)
        return bool(np.abs(cosines).max() > SHEAR_TOLERANCE)

    @property
    def is_oblique(self) -> bool:
        """Whether the grid is rotated against the patient's axes."""
        largest = np.abs(self.direction).max(axis=0)
        return bool((1 - largest).max() > OBLIQUE_TOLERANCE**2 / 2)

    @property
    def orientation(self) -> str:
        """Three letters: where array axes z, y, x point to, e.g. ``SPL``."""
        letters = ("LR", "PA", "SI")
        columns = (_column(self.direction, axis) for axis in range(3))
        return "".join(letters[row][sign < 0] for row, sign in columns)

    def index_to_lps(self, index: npt.ArrayLike) -> FloatArray:
        """LPS mm ``(..., 3)`` as (x, y, z) of the fractional indices ``(..., 3)`` as (z, y, x)."""
        index = np.asarray(index, dtype=np.float64)
        return index @ self.affine[:3, :3].T + self.affine[:3, 3]

    def lps_to_index(self, point: npt.ArrayLike) -> FloatArray:
        """Fractional indices ``(..., 3)`` as (z, y, x) of LPS points ``(..., 3)`` in mm."""
        offset = np.asarray(point, dtype=np.float64) - self.affine[:3, 3]
        return offset @ np.linalg.inv(self.affine[:3, :3]).T

    def reordered(self, axes: AxisMap) -> Geometry:
        """The grid of ``axes.apply(array)``: every voxel stays where it was."""
        matrix = np.zeros((4, 4))
        matrix[3, 3] = 1
        for axis, (source, flip) in enumerate(zip(axes.order, axes.flip, strict=True)):
            matrix[source, axis] = -1 if flip else 1
            matrix[source, 3] = self.shape[source] - 1 if flip else 0
        return Geometry(_index(self.shape[source] for source in axes.order), self.affine @ matrix)

    def canonical_axes(self) -> AxisMap:
        """The map to the closest grid whose z, y, x grow to Superior, Posterior, Left."""
        by_patient_axis = self.direction[::-1]  # rows S, P, L: the wanted order of array axes
        # Of the six orders the one that turns the grid least; at a tie the first, i.e. no change.
        order = max(_ORDERS, key=lambda axes: round(_agreement(by_patient_axis, axes), 9))
        return AxisMap(order, _flags(by_patient_axis[row, order[row]] < 0 for row in range(3)))

    def cropped(self, start: Index, shape: Index) -> Geometry:
        """The grid of ``array[start : start + shape]`` (z, y, x)."""
        affine = self.affine.copy()
        affine[:3, 3] = self.index_to_lps(start)
        return Geometry(shape, affine)

    def is_close(self, other: Geometry, tolerance_mm: float = POSITION_TOLERANCE_MM) -> bool:
        """Whether both grids have the same shape and every voxel centre within the tolerance."""
        if self.shape != other.shape:
            return False
        return self.max_distance_mm(other) <= tolerance_mm

    def max_distance_mm(self, other: Geometry) -> float:
        """Largest distance between centres of same-index voxels; it is reached at a corner."""
        corners = np.stack(np.meshgrid(*([0, n - 1] for n in self.shape)), -1).reshape(-1, 3)
        gaps = self.index_to_lps(corners) - other.index_to_lps(corners)
        return float(np.linalg.norm(gaps, axis=1).max())

    def to_sitk(self) -> dict[str, tuple[float, ...]]:
        """SimpleITK's ``spacing``, ``origin`` and ``direction`` (x, y, z order, row-major).

        Raises
        ------
        GeometryError
            When the grid is sheared: ITK images cannot hold shear.
        """
        if self.is_sheared:
            raise GeometryError("a sheared grid must be resampled before SimpleITK can hold it")
        return {
            "spacing": tuple(reversed(self.spacing)),
            "origin": self.origin,
            "direction": tuple(float(v) for v in self.direction[:, ::-1].ravel()),
        }


def _agreement(by_patient_axis: FloatArray, axes: Index) -> float:
    return float(sum(abs(by_patient_axis[row, axes[row]]) for row in range(3)))


def _column(direction: FloatArray, axis: int) -> tuple[int, float]:
    row = int(np.abs(direction[:, axis]).argmax())
    return row, float(direction[row, axis])


def _index(values: Any) -> Index:
    z, y, x = (int(v) for v in values)
    return z, y, x


def _flags(values: Any) -> tuple[bool, bool, bool]:
    z, y, x = (bool(v) for v in values)
    return z, y, x
