"""DICOM segmentations (SEG) as label maps on the grid of the volume that they belong to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from napari_medcnn.core.errors import GeometryError, ReadError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import Label
from napari_medcnn.core.volume import Volume
from napari_medcnn.io.dicom_objects.placement import Placement, inside, place_planes
from napari_medcnn.io.dicom_objects.seg_file import SegFile
from napari_medcnn.io.label_layers import (
    Box,
    LabelLayer,
    LabelLayers,
    Mask,
    SegmentMasks,
    chosen,
    layered,
)

FRACTION_THRESHOLD = 0.5
"""From which part of its maximum a fractional segment counts as present."""

_NUMBERS = 1 << 16


def read_seg(seg: SegFile, volume: Volume, segments: Sequence[str] | None = None) -> LabelLayers:
    """A segmentation as label maps on the grid of `volume`; voxels are copied, not interpolated.

    Parameters
    ----------
    seg : SegFile
        By :func:`~napari_medcnn.io.dicom_objects.seg_file.parse_seg`.
    volume : Volume
        The image that it was made on.
    segments : sequence of str, optional
        Names or numbers of the segments to read; all by default.

    Raises
    ------
    GeometryError
        When its pixels do not lie on the volume's voxels, or something lies outside.
    ReadError
        When there is no such segment.
    """
    try:
        placement = _placement(seg, volume)
        values = {label.value for label in chosen(seg.labels.values(), segments, seg.path)}
        wanted = {n: label for n, label in seg.labels.items() if label.value in values}
        if seg.kind == "LABELMAP":
            return _label_map(seg, placement, volume.geometry, wanted)
        return _masks(seg, placement, volume.geometry, wanted)
    except GeometryError as error:
        raise GeometryError(error.what, source=seg.path, hint=error.hint) from error


def _label_map(
    seg: SegFile, placement: Placement, grid: Geometry, wanted: dict[int, Label]
) -> LabelLayers:
    highest = max((label.value for label in wanted.values()), default=0)
    array = np.zeros(grid.shape, dtype=np.min_scalar_type(highest))
    view = placement.axes.apply(array)
    value_of = np.zeros(_NUMBERS, dtype=array.dtype)
    for number, label in wanted.items():
        value_of[number] = label.value
    known = np.zeros(_NUMBERS, dtype=bool)
    known[[*seg.labels, *seg.background]] = True
    for index, start in enumerate(placement.starts):
        frame = seg.read_frame(index)
        if not known[frame].all():
            unknown = int(frame[~known[frame]][0])
            raise ReadError(f"marks voxels with {unknown}, which is no segment", source=seg.path)
        box, part = inside(start, value_of[frame], view.shape)
        view[box] = part
    return LabelLayers((LabelLayer(array, tuple(wanted.values())),))


def _masks(
    seg: SegFile, placement: Placement, grid: Geometry, wanted: dict[int, Label]
) -> LabelLayers:
    frames: dict[int, list[int]] = defaultdict(list)
    for index, number in enumerate(seg.segment_of):
        frames[number].append(index)
    shape = placement.axes.apply(np.empty(grid.shape, dtype=bool)).shape
    threshold = 1
    notes: tuple[str, ...] = ()
    if seg.kind == "FRACTIONAL":
        threshold = int(np.ceil(FRACTION_THRESHOLD * seg.maximum))
        notes = (
            f"Its segments are fractional; voxels of at least {FRACTION_THRESHOLD:.0%} are taken.",
        )

    def parts_of(number: int) -> Iterator[tuple[Box, Mask]]:
        for index in frames[number]:
            mask = seg.read_frame(index)
            mask = mask.view(bool) if seg.kind == "BINARY" else mask >= threshold
            yield inside(placement.starts[index], mask, shape)

    masks = [
        SegmentMasks(label, lambda number=number: parts_of(number))  # type: ignore[misc]
        for number, label in wanted.items()
    ]
    return layered(masks, grid, placement.axes, notes)


def _placement(seg: SegFile, volume: Volume) -> Placement:
    if seg.positions:
        return place_planes(seg.positions, seg.orientation, seg.spacing, seg.shape, volume.geometry)
    return _by_reference(seg, volume)


def _by_reference(seg: SegFile, volume: Volume) -> Placement:
    """Frames of projections have no place; they name the image that they were made from."""
    instances = volume.source.header.get("instances") or []
    planes = {
        (str(uid), int(number)): plane
        for frame in instances
        for plane, (uid, number) in enumerate(frame)
    }
    axes = volume.source.axes.inverse()
    starts = [(planes.get(source, -1), 0, 0) for source in seg.sources]
    shape = axes.apply(np.empty(volume.geometry.shape, dtype=bool)).shape
    if any(start[0] < 0 for start in starts) or shape[1:] != seg.shape:
        raise GeometryError(
            "has no place in the patient, and was made on another image",
            hint="open the image that it was made on",
        )
    return Placement(axes, np.array(starts, dtype=np.intp))
