"""Diameters of a lesion: the RECIST pair in the axial plane, and the largest in space.

Where the outline lies
----------------------
A mask knows its boundary only to the voxel. Distances between voxel *centres* are too short for
small and thin lesions (a single voxel would have no size). With the outline half a voxel outside
the centres, a line of n voxels measures n and a single voxel 1, as it should; but on a round
lesion the *longest* of many nearly equal distances is taken, which picks the pair of voxels that
stick out most: spheres then measure 0.7 to 0.9 voxels too long, whatever their size. So the
outline is put

- half a voxel from the centre of the outermost voxel where the lesion is thin (no voxel with all
  its face neighbours in the lesion is next to it), and
- a quarter of a voxel from it elsewhere.

The short axis has its direction given by the long one, so there is no such choice among many: its
ends lie half a voxel out everywhere; it is cut to the long axis where it would exceed it.

Over spheres and ellipsoids in random place and orientation the mean error is then within half a
voxel (`tests/imaging/test_diameters.py` holds this). PyRadiomics and other tools that
measure a marching-cubes mesh of the mask use half a voxel everywhere: up to half a voxel longer.

A diameter is a segment with both ends on the outline. As with callipers, its middle may leave a
curved lesion or cross a hole.

All lengths go through the grid's affine, so anisotropic, oblique and sheared grids are measured in
true millimetres. "Axial" means a slice of the first array axis of a canonical volume, which is
the axial plane or the one closest to it, also where the scan was acquired sagittally or coronally.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import cdist
from skimage.measure import find_contours

from napari_medcnn.core.geometry import FloatArray, Geometry
from napari_medcnn.core.lesion import Point

Mask = npt.NDArray[np.bool_]

OUTLINE_OF_THIN = 0.5
"""Distance of the outline from the outermost centres of a thin lesion, in voxels."""

OUTLINE_OF_THICK = 0.25
"""The same of a thick one; see the module's text."""

_IN_SPACE = np.ones((3, 3, 3), dtype=bool)
_WITHIN_SLICE = np.ones((3, 3, 3), dtype=bool)
_WITHIN_SLICE[[0, 2]] = False
_PAIRS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Diameter:
    """A segment across a lesion; `ends_lps_mm` are its end points (x, y, z)."""

    length_mm: float
    ends_lps_mm: tuple[Point, Point]

    @property
    def direction(self) -> FloatArray:
        """Unit vector (x, y, z) in LPS from the first end to the second."""
        first, second = np.asarray(self.ends_lps_mm)
        along: FloatArray = (second - first) / self.length_mm
        return along


@dataclass(frozen=True)
class AxialAxes:
    """The long axis and its perpendicular, both in the axial slice `slice_index`."""

    long: Diameter
    short: Diameter
    slice_index: int


def axial_axes(mask: Mask, geometry: Geometry) -> AxialAxes:
    """The longest diameter in any one axial slice, and the longest one perpendicular to it there.

    Parameters
    ----------
    mask : numpy.ndarray
        ``(z, y, x)`` booleans, at least one true.
    geometry : Geometry
        Its grid.

    Notes
    -----
    Long axis: the longest segment within one slice with both ends on the lesion's outline.
    Short axis: the longest segment in that slice with
    both ends on the outline at a right angle to the long one, wherever along it (RECIST 1.1,
    Eisenhauer et al., Eur J Cancer 2009;45:228-247, sections 3.1 and appendix II). Both are exact
    for the outline polygon.
    """
    if not mask.any():
        raise ValueError("an empty mask has no diameter")
    padded = np.pad(mask, 1)
    offsets = _outline_offsets(padded, _WITHIN_SLICE)
    outline = np.concatenate([_outermost(padded, offsets, axis) for axis in (1, 2)]) - 1
    outline = outline[outline[:, 0].argsort(kind="stable")]
    slices = np.split(outline, _breaks(outline))
    planes = [geometry.index_to_lps(points) for points in slices]
    reach = np.array([_reach_mm(points) for points in planes])
    first, *others = (-reach).argsort(kind="stable")
    best, chosen = _farthest(planes[first]), int(slices[first][0, 0])
    for at in others:
        if reach[at] <= best.length_mm:
            break
        longest = _farthest(planes[at])
        if longest.length_mm > best.length_mm:
            best, chosen = longest, int(slices[at][0, 0])
    return AxialAxes(best, _perpendicular(mask[chosen], chosen, best, geometry), chosen)


def max_diameter_3d(mask: Mask, geometry: Geometry) -> Diameter:
    """The longest segment in space with both ends on the lesion's outline.

    Parameters
    ----------
    mask : numpy.ndarray
        ``(z, y, x)`` booleans, at least one true.
    geometry : Geometry
        Its grid.
    """
    padded = np.pad(mask, 1)
    offsets = _outline_offsets(padded, _IN_SPACE)
    points = np.concatenate([_outermost(padded, offsets, axis) for axis in range(3)]) - 1
    # The six faces of any one voxel span space: the hull is never degenerate. In index space its
    # accuracy does not depend on the spacing, and an affine map keeps which points are extreme.
    extreme = points[ConvexHull(points).vertices]
    return _farthest(geometry.index_to_lps(extreme))


def _outline_offsets(padded: Mask, neighbours: Mask) -> FloatArray:
    """How far outside each voxel's centre the outline lies, in voxels."""
    # A neighbour by face has a single coordinate that differs.
    faces = neighbours & ndimage.generate_binary_structure(3, 1)
    interior = ndimage.binary_erosion(padded, faces)
    near = ndimage.binary_dilation(interior, neighbours)
    return np.where(near, OUTLINE_OF_THICK, OUTLINE_OF_THIN)


def _outermost(padded: Mask, offsets: FloatArray, axis: int) -> FloatArray:
    """Outline points ``(n, 3)`` at both ends of every line of voxels along an axis."""
    lines = np.nonzero(padded.any(axis=axis))
    first = padded.argmax(axis=axis)[lines]
    last = padded.shape[axis] - 1 - np.flip(padded, axis).argmax(axis=axis)[lines]
    ends = []
    for sign, reached in ((-1, first), (1, last)):
        index = (*lines[:axis], reached, *lines[axis:])
        point = np.stack(index, axis=1).astype(np.float64)
        point[:, axis] += sign * offsets[index]
        ends.append(point)
    return np.concatenate(ends)


def _breaks(outline: FloatArray) -> npt.NDArray[np.intp]:
    """Where the next slice begins in points that are sorted by slice."""
    return np.flatnonzero(np.diff(outline[:, 0])) + 1


def _reach_mm(points: FloatArray) -> float:
    """An upper bound of the distance of any two points: twice that from the middle."""
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    return 2 * float(np.sqrt(((points - middle) ** 2).sum(axis=1).max()))


def _plane_basis(geometry: Geometry) -> FloatArray:
    """2x3: orthonormal vectors that span the axial slice in LPS."""
    row, column = geometry.direction[:, 2], geometry.direction[:, 1]
    across = column - row * (row @ column)
    return np.stack([row, across / np.linalg.norm(across)])


def _farthest(points: FloatArray) -> Diameter:
    rows = max(1, _PAIRS_AT_ONCE // len(points))
    best, ends = -1.0, (0, 0)
    for start in range(0, len(points), rows):
        distances = cdist(points[start : start + rows], points)
        first, second = np.unravel_index(distances.argmax(), distances.shape)
        if distances[first, second] > best:
            best, ends = float(distances[first, second]), (start + int(first), int(second))
    return Diameter(best, (_point(points[ends[0]]), _point(points[ends[1]])))


def _perpendicular(plane: Mask, slice_index: int, long: Diameter, geometry: Geometry) -> Diameter:
    """The longest segment at a right angle to the long axis between two outline points.

    The extent of a polygon across an axis is linear between vertices, so the largest is at one.
    """
    # Only the best of many directions is biased: here the direction is given, half a voxel fits.
    rings = find_contours(  # type: ignore[no-untyped-call]
        np.pad(plane, 1).astype(np.float64), 0.5, fully_connected="high"
    )
    polygons = [
        geometry.index_to_lps(np.insert(ring - 1, 0, slice_index, axis=1)) for ring in rings
    ]
    basis = _plane_basis(geometry)
    along = basis @ long.direction
    frame = np.stack([along, (-along[1], along[0])])
    starts = np.concatenate([ring[:-1] for ring in polygons])
    stops = np.concatenate([ring[1:] for ring in polygons])
    origin = starts[0]
    position, low, high = _widest(
        np.stack([(end - origin) @ basis.T @ frame.T for end in (starts, stops)])
    )
    surplus = max(0.0, high - low - long.length_mm) / 2
    low, high = low + surplus, high - surplus
    ends = [origin + (np.array([position, s]) @ frame) @ basis for s in (low, high)]
    return Diameter(high - low, (_point(ends[0]), _point(ends[1])))


def _widest(edges: FloatArray) -> tuple[float, float, float]:
    """Where along t the edges ``(2, n, 2)`` as (t, s) reach farthest in s: t, least and most s."""
    (t0, s0), (t1, s1) = edges[0].T, edges[1].T
    levels = np.unique(t0)
    rise = np.divide(s1 - s0, t1 - t0, out=np.zeros_like(s0), where=t1 != t0)
    best = (0.0, 0.0, -1.0)
    rows = max(1, _PAIRS_AT_ONCE // len(t0))
    for start in range(0, len(levels), rows):
        level = levels[start : start + rows, None]
        crossed = (np.minimum(t0, t1) <= level) & (level <= np.maximum(t0, t1))
        s = s0 + rise * (level - t0)
        low = np.where(crossed, s, np.inf).min(axis=1)
        high = np.where(crossed, s, -np.inf).max(axis=1)
        at = int((high - low).argmax())
        if high[at] - low[at] > best[2] - best[1]:
            best = float(level[at, 0]), float(low[at]), float(high[at])
    return best


def _point(values: FloatArray) -> Point:
    x, y, z = (float(v) for v in values)
    return x, y, z
