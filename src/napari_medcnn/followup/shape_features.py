"""Shape features of a lesion as the IBSI defines them, on any grid.

Definitions and their codes are those of the Image Biomarker Standardisation Initiative (Zwanenburg
et al., Radiology 2020;295:328-338, and its reference manual, arXiv:1612.07003, section 3.1). The
mesh is that of marching cubes at 0.5 of the mask; its corners go through the grid's affine, so that
anisotropic, oblique and sheared grids are measured in true millimetres.

The diameters here are those of the mesh, half a voxel outside of the outermost centres. They are
meant for models that were made with such features; a lesion's own diameters
(:mod:`napari_medcnn.imaging.diameters`) correct for what that adds.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist
from skimage.measure import marching_cubes

from napari_medcnn.core.geometry import FloatArray, Geometry
from napari_medcnn.core.lesion import Measurement, missing

IBSI_CODES = {
    "shape_mesh_volume_mm3": "RNU0",
    "shape_voxel_volume_mm3": "YEKZ",
    "shape_surface_mm2": "C0JK",
    "shape_surface_to_volume_per_mm": "2PR5",
    "shape_sphericity": "QCFX",
    "shape_asphericity": "25C7",
    "shape_compactness_1": "SKGS",
    "shape_compactness_2": "BQWJ",
    "shape_max_diameter_3d_mm": "L0JK",
    "shape_major_axis_mm": "TDIC",
    "shape_minor_axis_mm": "P9VJ",
    "shape_least_axis_mm": "7J51",
    "shape_elongation": "Q3CK",
    "shape_flatness": "N17B",
}
"""Features by name, with the IBSI's code; units stand at the end of the names."""

PLANE_DIAMETERS = {
    "shape_max_diameter_axial_mm": 0,
    "shape_max_diameter_coronal_mm": 1,
    "shape_max_diameter_sagittal_mm": 2,
}
"""Largest diameters within planes of the grid, by the axis across: common, but not of the IBSI."""

SHAPE_FEATURES = (*IBSI_CODES, *PLANE_DIAMETERS)

_NO_SPREAD = "all voxels lie in one point or line"


def shape_features(mask: npt.NDArray[np.bool_], geometry: Geometry) -> dict[str, Measurement]:
    """The features of :data:`SHAPE_FEATURES`.

    Parameters
    ----------
    mask : numpy.ndarray
        ``(z, y, x)`` booleans, at least one true.
    geometry : Geometry
        Its grid.

    Raises
    ------
    ValueError
        When the mask is empty.
    """
    if not mask.any():
        raise ValueError("an empty mask has no shape")
    corners, faces = _mesh(mask)
    points = geometry.index_to_lps(corners)
    volume, surface = _volume_mm3(points, faces), _surface_mm2(points, faces)
    voxels = np.count_nonzero(mask) * geometry.voxel_volume_mm3
    # 36 pi V^2 / A^3 is 1 for a ball: what the four figures of roundness are made of.
    roundness = 36 * np.pi * volume**2 / surface**3
    return {
        "shape_mesh_volume_mm3": Measurement(volume, "mm3"),
        "shape_voxel_volume_mm3": Measurement(float(voxels), "mm3"),
        "shape_surface_mm2": Measurement(surface, "mm2"),
        "shape_surface_to_volume_per_mm": Measurement(surface / volume, "1/mm"),
        "shape_sphericity": Measurement(float(roundness ** (1 / 3))),
        "shape_asphericity": Measurement(float(roundness ** (-1 / 3) - 1)),
        "shape_compactness_1": Measurement(float(volume / (np.pi**0.5 * surface**1.5))),
        "shape_compactness_2": Measurement(float(roundness)),
        "shape_max_diameter_3d_mm": Measurement(_widest_mm(points), "mm"),
        **_axes(np.argwhere(mask), geometry),
        **{
            name: Measurement(_widest_in_plane_mm(corners, points, axis), "mm")
            for name, axis in PLANE_DIAMETERS.items()
        },
    }


def _mesh(mask: npt.NDArray[np.bool_]) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Corners ``(n, 3)`` in array indices and triangles ``(m, 3)`` of the mask's surface."""
    corners, faces, _, _ = marching_cubes(  # type: ignore[no-untyped-call]
        np.pad(mask, 1).astype(np.float32), 0.5
    )
    return corners.astype(np.float64) - 1, faces.astype(np.int64)


def _volume_mm3(points: FloatArray, faces: npt.NDArray[np.int64]) -> float:
    """The sum of the signed tetrahedra between a point and each triangle."""
    # From the mesh's middle: far from the origin the terms would be large and cancel.
    a, b, c = (points[faces[:, n]] - points.mean(axis=0) for n in range(3))
    return abs(float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum())) / 6


def _surface_mm2(points: FloatArray, faces: npt.NDArray[np.int64]) -> float:
    a, b, c = (points[faces[:, n]] for n in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()) / 2


def _widest_mm(points: FloatArray) -> float:
    """The largest distance of any two points; only corners of their hull can have it."""
    # A mesh around even a single voxel spans space: the hull is never degenerate.
    return float(pdist(points[ConvexHull(points).vertices]).max())


def _widest_in_plane_mm(corners: FloatArray, points: FloatArray, axis: int) -> float:
    """The largest distance of two corners of the mesh that lie in one plane of the grid."""
    order = corners[:, axis].argsort(kind="stable")
    breaks = np.flatnonzero(np.diff(corners[order, axis])) + 1
    others = [n for n in range(3) if n != axis]
    widest = 0.0
    for plane in np.split(order, breaks):
        if len(plane) < 2:
            continue
        flat = corners[plane][:, others]
        # Corners in one line have no hull: they are few, and all are compared.
        with suppress(QhullError):
            plane = plane[ConvexHull(flat).vertices]
        widest = max(widest, float(pdist(points[plane]).max()))
    return widest


def _axes(voxels: npt.NDArray[np.int64], geometry: Geometry) -> dict[str, Measurement]:
    """Axes of the ellipsoid with the same principal moments as the voxels' centres."""
    points = geometry.index_to_lps(voxels.astype(np.float64))
    moments = np.linalg.eigvalsh(np.cov(points.T)) if len(points) > 1 else np.zeros(3)
    least, minor, major = (float(4 * np.sqrt(max(moment, 0.0))) for moment in moments)
    ratios = {"shape_elongation": minor, "shape_flatness": least}
    return {
        "shape_major_axis_mm": Measurement(major, "mm"),
        "shape_minor_axis_mm": Measurement(minor, "mm"),
        "shape_least_axis_mm": Measurement(least, "mm"),
        **{
            name: Measurement(length / major) if major > 0 else missing(_NO_SPREAD)
            for name, length in ratios.items()
        },
    }
