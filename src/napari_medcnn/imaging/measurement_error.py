"""The measurement error to expect from voxel size and partial volume.

Every figure is the half-width of an interval that should hold the true value in about 95 % of
cases, for a lesion with a sharp boundary and a label map that counts a voxel as lesion when the
lesion fills more than some part of it. Errors of *which tissue is lesion* are not in it.

Two things are uncertain.

1. *Where in its voxel the boundary is counted* (partial volume). Readers and models do not switch
   at exactly half: a boundary voxel may be counted from a quarter to three quarters full. The whole
   surface then moves by up to a quarter of a voxel, in one direction: a systematic error, taken as
   a uniform distribution of half-width 1/4 voxel.
2. *Rounding to whole voxels* (digitisation). The boundary is rounded to the next voxel face: a
   uniform error of one voxel's width, standard deviation 1/sqrt(12) voxel (JCGM 100:2008, GUM,
   4.3.7).

Volume
    Let F be the number of exposed voxel faces and v a voxel's volume. The volume between the
    surface and the surface moved by one voxel is ``integral of w(n) dA``, where ``w(n)`` is the
    voxel's extent along the normal n; summed over the faces of a digital surface it is ``F v``,
    whatever the spacing. Part 1 is thus ``F v / 4``. In part 2 the faces that lie in one plane of
    the grid are rounded together, those of different planes independently: with F_p faces in plane
    p it is ``1.96 v sqrt(sum of F_p^2 / 12)``. (For a ball on a cubic lattice the exact standard
    deviation grows with the square root of the surface only, Kendall, Q J Math 1948;19:1-26; flat
    faces and thick slices do worse, and are covered.)
    For a ball of radius r voxels, part 1 alone is ``1.1 / r`` of the volume: 19 % at r = 6.
    Errors of this kind for small lesions and thick slices are described by Firbank et al. for
    multiple sclerosis (Magn Reson Imaging 1999;17:593-601).

Diameter
    With ``w(u)`` the voxel's extent along the diameter u: both ends move together by up to a
    quarter, ``w / 2`` for the diameter, and each end is rounded, ``1.96 sqrt(2 / 12) w``.

Slice spacing, for axial diameters
    The widest place lies between two slices, up to half a spacing from the centre of one, and of
    that slice the lesion must fill up to three quarters to be counted: the section that is seen
    lies up to 3/4 spacing off the widest. For an ellipsoid seen in n slices with largest in-slice
    diameter d, the true one is then at most ``d sqrt(1 + (3/2)^2 / n^2)``. The difference is part
    of the error. It does not exist in a single picture.

The parts are independent and added as root of the sum of squares. Simulations of spheres and
ellipsoids in random place, size and orientation on isotropic and anisotropic grids, with the
threshold drawn anew each time, hold the coverage for lesions that reach at least two voxels in
every direction of the grid (`tests/imaging/test_measurement_error.py`). Of smaller ones some are
not seen at all; where they are seen, the intervals hold in some 70 to 95 %.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.geometry import FloatArray, Geometry

SURFACE_UNCERTAINTY = 0.25
"""Half-width of where in a voxel the boundary is counted, in voxels."""

ROUNDING_VARIANCE = 1 / 12
"""Variance of rounding to the next voxel face, in square voxels."""

COVERAGE_FACTOR = 1.96
"""Standard deviations of a normal distribution to either side that hold 95 %."""

_OFF_CENTRE = 2 * (0.5 + SURFACE_UNCERTAINTY)
"""Twice how far the section that is seen may lie off the widest, in slice spacings."""


def volume_error_mm3(mask: npt.NDArray[np.bool_], voxel_volume_mm3: float) -> float:
    """The error to expect of a lesion's volume in mm³.

    Parameters
    ----------
    mask : numpy.ndarray
        ``(z, y, x)`` booleans of the lesion.
    voxel_volume_mm3 : float
        Volume of one voxel.
    """
    by_plane = exposed_faces(mask)
    surface = SURFACE_UNCERTAINTY * by_plane.sum()
    rounding = COVERAGE_FACTOR * np.sqrt(ROUNDING_VARIANCE * (by_plane**2).sum())
    return float(voxel_volume_mm3 * np.hypot(surface, rounding))


def diameter_error_mm(direction: FloatArray, geometry: Geometry) -> float:
    """The error to expect in mm of a diameter along the LPS unit vector `direction` (x, y, z)."""
    surface = 2 * SURFACE_UNCERTAINTY
    rounding = COVERAGE_FACTOR * np.sqrt(2 * ROUNDING_VARIANCE)
    return voxel_extent_mm(direction, geometry) * float(np.hypot(surface, rounding))


def axial_diameter_error_mm(
    length_mm: float, direction: FloatArray, geometry: Geometry, slice_count: int
) -> float:
    """The error to expect in mm of a diameter measured within an axial slice.

    Parameters
    ----------
    length_mm : float
        The diameter.
    direction : numpy.ndarray
        Its LPS unit vector (x, y, z).
    geometry : Geometry
        The grid of the whole image; with a single slice, no slice was missed.
    slice_count : int
        Number of slices in which the lesion appears.
    """
    within = diameter_error_mm(direction, geometry)
    if geometry.shape[0] == 1:
        return within
    between = length_mm * (np.sqrt(1 + (_OFF_CENTRE / slice_count) ** 2) - 1)
    return float(np.hypot(within, between))


def voxel_extent_mm(direction: FloatArray, geometry: Geometry) -> float:
    """How far a voxel reaches in mm along an LPS unit vector (x, y, z)."""
    return float(np.abs(direction @ geometry.affine[:3, :3]).sum())


def exposed_faces(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Number of voxel faces between lesion and surroundings, by plane of the grid."""
    padded = np.pad(mask, 1)
    counts = []
    for axis in range(mask.ndim):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        counts.append(np.diff(padded, axis=axis).sum(axis=others, dtype=np.int64))
    return np.concatenate(counts)
