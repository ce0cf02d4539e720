"""The figures of one lesion: where it is, how large, and how bright."""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.geometry import FloatArray, Geometry, Index
from napari_medcnn.core.lesion import Measurement, Point, missing
from napari_medcnn.core.volume import Volume
from napari_medcnn.imaging.components import Component
from napari_medcnn.imaging.diameters import Diameter, axial_axes, max_diameter_3d
from napari_medcnn.imaging.measurement_error import (
    axial_diameter_error_mm,
    diameter_error_mm,
    volume_error_mm3,
)

NO_DEPTH = "a single picture has no depth"
NO_SPACING = "the image does not tell its voxel size"
NO_PROBABILITY = "there is no probability map"


class Location(TypedDict):
    """The fields of a lesion that say where it is."""

    centroid_lps_mm: Point | None
    centroid_index: Point
    anchor_index: Index


class Sizes(TypedDict):
    """The fields of a lesion that say how large it is."""

    volume_mm3: Measurement
    long_axis_mm: Measurement
    short_axis_mm: Measurement
    long_axis_lps_mm: tuple[Point, Point] | None
    short_axis_lps_mm: tuple[Point, Point] | None
    max_diameter_3d_mm: Measurement


class Intensities(TypedDict):
    """The fields of a lesion that say how bright it is, and how sure the model was."""

    mean: Measurement
    sd: Measurement
    minimum: Measurement
    maximum: Measurement
    mean_probability: Measurement


def why_not_measured(volume: Volume, accept_blocking: bool) -> str:
    """Why nothing in millimetres may be told of a volume; empty when it may."""
    if not volume.spacing_known:
        return NO_SPACING
    if volume.blocking_findings and not accept_blocking:
        codes = ", ".join(finding.code for finding in volume.blocking_findings)
        return f"the image's geometry needs the user's consent: {codes}"
    return ""


def location(component: Component, volume: Volume, accept_blocking: bool) -> Location:
    """Centroid and anchor of a component; the centroid is the mean of its voxel centres."""
    centroid = _centroid(component)
    told = not why_not_measured(volume, accept_blocking)
    return {
        "centroid_lps_mm": _point(volume.geometry.index_to_lps(centroid)) if told else None,
        "centroid_index": _point(centroid),
        "anchor_index": _anchor(component, centroid, volume.geometry),
    }


def sizes(component: Component, volume: Volume, accept_blocking: bool) -> Sizes:
    """Volume and diameters of a component, each with its error to expect."""
    reason = why_not_measured(volume, accept_blocking)
    if reason:
        unknown = missing(reason, "mm")
        return {
            "volume_mm3": missing(reason, "mm3"),
            "long_axis_mm": unknown,
            "short_axis_mm": unknown,
            "long_axis_lps_mm": None,
            "short_axis_lps_mm": None,
            "max_diameter_3d_mm": unknown,
        }
    grid = volume.geometry
    local = grid.cropped(component.start, _shape(component))
    axes = axial_axes(component.mask, local)
    return {
        "volume_mm3": missing(NO_DEPTH, "mm3") if volume.is_2d else _volume(component, grid),
        "long_axis_mm": _axial(axes.long, component, grid),
        "short_axis_mm": _axial(axes.short, component, grid),
        "long_axis_lps_mm": axes.long.ends_lps_mm,
        "short_axis_lps_mm": axes.short.ends_lps_mm,
        "max_diameter_3d_mm": (
            missing(NO_DEPTH, "mm") if volume.is_2d else _in_space(component, local)
        ),
    }


def intensities(
    component: Component, volume: Volume, probability: npt.NDArray[np.float16] | None
) -> Intensities:
    """Mean, population standard deviation, least and largest value; mean probability.

    One voxel without a finite value makes a figure missing, with the number of such voxels.
    """
    values = volume.array[component.box][component.mask].astype(np.float64)
    reason = _why_not_finite(values)

    def of_image(figure: float) -> Measurement:
        return missing(reason, volume.unit) if reason else Measurement(figure, volume.unit)

    return {
        "mean": of_image(float(values.mean())),
        "sd": of_image(float(values.std())),
        "minimum": of_image(float(values.min())),
        "maximum": of_image(float(values.max())),
        "mean_probability": _mean_probability(component, probability),
    }


def _mean_probability(
    component: Component, probability: npt.NDArray[np.float16] | None
) -> Measurement:
    if probability is None:
        return missing(NO_PROBABILITY)
    values = probability[component.box][component.mask].astype(np.float64)
    reason = _why_not_finite(values)
    return missing(reason) if reason else Measurement(float(values.mean()))


def _why_not_finite(values: FloatArray) -> str:
    bad = int(np.count_nonzero(~np.isfinite(values)))
    return f"{bad} of {values.size} voxels have no finite value" if bad else ""


def _volume(component: Component, grid: Geometry) -> Measurement:
    voxel = grid.voxel_volume_mm3
    error = volume_error_mm3(component.mask, voxel)
    return Measurement(component.voxel_count * voxel, "mm3", error)


def _axial(diameter: Diameter, component: Component, grid: Geometry) -> Measurement:
    slices = int(np.count_nonzero(component.mask.any(axis=(1, 2))))
    error = axial_diameter_error_mm(diameter.length_mm, diameter.direction, grid, slices)
    return Measurement(diameter.length_mm, "mm", error)


def _in_space(component: Component, local: Geometry) -> Measurement:
    diameter = max_diameter_3d(component.mask, local)
    error = diameter_error_mm(diameter.direction, local)
    return Measurement(diameter.length_mm, "mm", error)


def _centroid(component: Component) -> FloatArray:
    # Sums of whole numbers by axis: exact, and no list of coordinates for a large organ.
    means = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        counts = component.mask.sum(axis=others, dtype=np.int64)
        moment = int(counts @ np.arange(len(counts)))
        means.append(component.start[axis] + moment / component.voxel_count)
    return np.array(means)


def _anchor(component: Component, centroid: FloatArray, geometry: Geometry) -> Index:
    start = np.array(component.start)
    nearest = np.rint(centroid - start).astype(int)
    # On a grid with right angles the rounded index is the closest voxel of all.
    if not geometry.is_sheared and component.mask[tuple(nearest)]:
        return _index(start + nearest)
    voxels = np.argwhere(component.mask)
    offsets = (voxels + start - centroid) @ geometry.affine[:3, :3].T
    return _index(start + voxels[int((offsets**2).sum(axis=1).argmin())])


def _shape(component: Component) -> Index:
    return _index(component.mask.shape)


def _point(values: FloatArray) -> Point:
    a, b, c = (float(v) for v in values)
    return a, b, c


def _index(values: Any) -> Index:
    z, y, x = (int(v) for v in values)
    return z, y, x
