"""Label maps from files onto the grid of a volume, without interpolation."""

from __future__ import annotations

import colorsys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import GeometryError, ReadError
from napari_medcnn.core.geometry import POSITION_TOLERANCE_MM, Geometry
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.io.seg_nrrd import is_seg_nrrd, segments
from napari_medcnn.io.single_file import read_image

MAX_LABELS = 10_000
"""A label map with more different values is an image by mistake."""

_GOLDEN_RATIO = 0.618033988749895


def read_segmentation(path: str | Path, volume: Volume) -> Segmentation:
    """Read a label map onto the grid of `volume`.

    Axes may be stored in any order and direction. A ``.seg.nrrd`` may be a part of the volume's
    grid (3D Slicer crops to the segments); the rest is background. Nothing is interpolated.

    Parameters
    ----------
    path : str or Path
        NIfTI, NRRD, MetaImage or ``.seg.nrrd``.
    volume : Volume
        The image that the labels belong to.

    Returns
    -------
    Segmentation
        With the names and colours of a ``.seg.nrrd``, else with numbered labels.

    Raises
    ------
    ReadError
        When the file holds no label map.
    GeometryError
        When its grid differs from the volume's by more than 1e-3 mm anywhere.
    """
    path = Path(path)
    image = read_image(path)
    if is_seg_nrrd(image):
        labels, names = segments(image, path)
    else:
        if image.frames is not None:
            raise ReadError("has four dimensions; a label map has three", source=path)
        labels, names = _whole_numbers(image.array, path), None
    axes = image.geometry.canonical_axes()
    geometry, labels = image.geometry.reordered(axes), axes.apply(labels)
    if not geometry.is_close(volume.geometry):
        if not is_seg_nrrd(image):
            raise _differ(geometry, volume, path)
        labels = _placed(labels, geometry, volume, path)
    return Segmentation(
        array=np.ascontiguousarray(labels),
        geometry=volume.geometry,
        labels=_numbered(labels) if names is None else names,
        volume_id=volume.id,
    )


def numbered_label(value: int) -> Label:
    """A label without a name of its own, in a colour that differs from its neighbours'."""
    colour = colorsys.hsv_to_rgb((value - 1) * _GOLDEN_RATIO % 1, 0.75, 0.95)
    return Label(value, f"label {value}", colour)


def _whole_numbers(array: npt.NDArray[Any], path: Path) -> npt.NDArray[Any]:
    if not np.isfinite(array.min()) or not np.isfinite(array.max()):
        raise ReadError("holds values that are no numbers; it is no label map", source=path)
    low, high = float(array.min()), float(array.max())
    if low < 0 or high > np.iinfo(np.uint32).max:
        raise ReadError(f"holds values from {low:g} to {high:g}; it is no label map", source=path)
    labels = array.astype(np.min_scalar_type(int(high)))
    if not np.array_equal(labels, array):
        raise ReadError("holds fractions; it is no label map", source=path)
    return labels


def _numbered(labels: npt.NDArray[Any]) -> tuple[Label, ...]:
    values = [int(value) for value in np.unique(labels) if value]
    if len(values) > MAX_LABELS:
        raise ReadError(f"{len(values)} different values are no label map")
    return tuple(numbered_label(value) for value in values)


def _placed(
    labels: npt.NDArray[Any], geometry: Geometry, volume: Volume, path: Path
) -> npt.NDArray[Any]:
    """The labels of a part of the volume's grid in an array of the whole."""
    offset = np.rint(volume.geometry.lps_to_index(geometry.index_to_lps((0, 0, 0)))).astype(int)
    start = (int(offset[0]), int(offset[1]), int(offset[2]))
    there = volume.geometry.cropped(start, geometry.shape)
    if not there.is_close(geometry, POSITION_TOLERANCE_MM):
        raise _differ(geometry, volume, path)
    whole = np.zeros(volume.geometry.shape, dtype=labels.dtype)
    inside, part = [], []
    for begin, count, limit in zip(start, labels.shape, whole.shape, strict=True):
        low, high = max(begin, 0), min(begin + count, limit)
        if low >= high:
            raise _differ(geometry, volume, path)
        inside.append(slice(low, high))
        part.append(slice(low - begin, high - begin))
    kept = labels[tuple(part)]
    if np.count_nonzero(kept) != np.count_nonzero(labels):
        raise GeometryError(
            "has labels outside the volume", source=path, hint=f"the volume is {volume.name}"
        )
    whole[tuple(inside)] = kept
    return whole


def _differ(geometry: Geometry, volume: Volume, path: Path) -> GeometryError:
    if geometry.shape != volume.geometry.shape:
        difference = f"{geometry.shape} voxels (z, y, x) against {volume.geometry.shape}"
    else:
        difference = f"voxels lie up to {geometry.max_distance_mm(volume.geometry):.3f} mm apart"
    return GeometryError(
        f"its grid differs from that of {volume.name}: {difference}",
        source=path,
        hint="resample the labels onto the image first, or choose the image they were drawn on",
    )
