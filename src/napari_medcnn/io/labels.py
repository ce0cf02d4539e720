"""Label maps from files onto the grid of a volume, without interpolation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import GeometryError, ReadError
from napari_medcnn.core.geometry import POSITION_TOLERANCE_MM, Geometry
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Source, Volume, canonical_volume
from napari_medcnn.io.dicom_objects.dataset import object_kind
from napari_medcnn.io.dicom_objects.read import read_object_alone, read_object_layers
from napari_medcnn.io.file_image import FileImage
from napari_medcnn.io.label_layers import LabelLayer, LabelLayers, numbered_label
from napari_medcnn.io.seg_nrrd import is_seg_nrrd
from napari_medcnn.io.seg_nrrd import segments as seg_nrrd_segments
from napari_medcnn.io.single_file import read_image

MAX_LABELS = 10_000
"""A label map with more different values is an image by mistake."""


def read_segmentation(
    path: str | Path, volume: Volume, segments: Sequence[str] | None = None
) -> Segmentation:
    """Read a label map onto the grid of `volume`.

    Axes may be stored in any order and direction. A ``.seg.nrrd`` or DICOM segmentation may be a
    part of the volume's grid; the rest is background. Nothing is interpolated.

    Parameters
    ----------
    path : str or Path
        NIfTI, NRRD, MetaImage, ``.seg.nrrd``, DICOM segmentation (SEG) or structure set (RTSTRUCT).
    volume : Volume
        The image that the labels belong to.
    segments : sequence of str, optional
        Names or numbers of the segments to read, where the file has segments; all by default.

    Returns
    -------
    Segmentation
        With the file's names and colours, else with numbered labels. What a careful reader would
        want to know of the reading is in ``parameters["notes"]``.

    Raises
    ------
    ReadError
        When the file holds no label map, or segments that overlap: :func:`read_segmentations`
        reads them all.
    GeometryError
        When its voxels are not the volume's (1e-3 mm; in DICOM objects 0.05 voxels).
    """
    found = read_segmentations(path, volume, segments)
    if len(found) > 1:
        first, *others = ([label.name for label in layer.labels] for layer in found)
        names = ", ".join(repr(name) for layer in others for name in layer)
        raise ReadError(
            f"its segments overlap: {names} share voxels with others ({', '.join(first)})",
            source=path,
            hint="choose segments that do not overlap, or open the file in the Load dock",
        )
    return found[0]


def read_segmentations(
    path: str | Path, volume: Volume, segments: Sequence[str] | None = None
) -> tuple[Segmentation, ...]:
    """As :func:`read_segmentation`, but segments that overlap come as several label maps.

    Each segment lies in the first label map where it fits; no voxel is lost.
    """
    path = Path(path)
    if object_kind(path) is not None:
        return _segmentations(read_object_layers(path, volume, segments), volume)
    image = read_image(path)
    if is_seg_nrrd(image):
        return _of_seg_nrrd(image, path, volume, segments)
    if segments is not None:
        raise ReadError("has numbers and no segments to choose from", source=path)
    if image.frames is not None:
        raise ReadError("has four dimensions; a label map has three", source=path)
    axes = image.geometry.canonical_axes()
    geometry = image.geometry.reordered(axes)
    labels = axes.apply(_whole_numbers(image.array, path))
    if not geometry.is_close(volume.geometry):
        raise _differ(geometry, volume, path)
    layer = LabelLayer(np.ascontiguousarray(labels), _numbered(labels))
    return _segmentations(LabelLayers((layer,)), volume)


def _of_seg_nrrd(
    image: FileImage, path: Path, volume: Volume, names: Sequence[str] | None
) -> tuple[Segmentation, ...]:
    axes = image.geometry.canonical_axes()
    geometry = image.geometry.reordered(axes)
    layers = []
    for layer in seg_nrrd_segments(image, path, names).layers:
        labels = axes.apply(layer.array)
        if not geometry.is_close(volume.geometry):
            labels = _placed(labels, geometry, volume, path)
        layers.append(LabelLayer(np.ascontiguousarray(labels), layer.labels))
    return _segmentations(LabelLayers(tuple(layers)), volume)


def _segmentations(found: LabelLayers, volume: Volume) -> tuple[Segmentation, ...]:
    return tuple(
        Segmentation(
            array=layer.array,
            geometry=volume.geometry,
            labels=layer.labels,
            volume_id=volume.id,
            parameters={"notes": list(found.notes)} if found.notes else {},
        )
        for layer in found.layers
    )


def read_labels_alone(path: Path) -> list[tuple[Segmentation, Volume]]:
    """Segments that come without their image, on the grid that they span by themselves.

    Parameters
    ----------
    path : Path
        A ``.seg.nrrd`` file or a DICOM segmentation.

    Returns
    -------
    list of tuple
        A label map, and the same as a volume to write it back by; several where segments overlap.

    Raises
    ------
    ReadError
        When it names no segments, or is a structure set, which has no grid.
    """
    if object_kind(path) is not None:
        geometry, found = read_object_alone(path)
        source = Source(path=path, series=path.name)
    else:
        image = read_image(path)
        if not is_seg_nrrd(image):
            raise ReadError("names no segments", source=path, hint="rename it to .nrrd")
        geometry, found = image.geometry, seg_nrrd_segments(image, path)
        source = Source(path=path, series=path.name, format=image.format, header=image.header)
    name = path.name.removesuffix(".seg.nrrd").removesuffix(".dcm")
    alone = []
    for number, layer in enumerate(found.layers):
        title = f"{name} {number + 1}" if number else name
        volume = canonical_volume(layer.array, geometry, source=source, name=title)
        labels = Segmentation(volume.array, volume.geometry, layer.labels, volume.id)
        alone.append((labels, volume))
    return alone


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
