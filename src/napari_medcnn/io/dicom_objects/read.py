"""Any DICOM object that marks something, as label maps on the grid of a volume."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Volume
from napari_medcnn.io.dicom_objects.dataset import (
    ObjectKind,
    damage_told,
    object_kind,
    read_object,
)
from napari_medcnn.io.dicom_objects.rtstruct_read import parse_rtstruct, read_rtstruct
from napari_medcnn.io.dicom_objects.seg_file import own_grid, parse_seg
from napari_medcnn.io.dicom_objects.seg_read import read_seg
from napari_medcnn.io.label_layers import LabelLayers, chosen


def read_object_layers(
    path: Path, volume: Volume, segments: Sequence[str] | None = None
) -> LabelLayers:
    """A segmentation or structure set as label maps on the grid of `volume`.

    Parameters
    ----------
    path : Path
        The file.
    volume : Volume
        The image that was marked.
    segments : sequence of str, optional
        Names or numbers of the segments or regions to read; all by default.

    Raises
    ------
    ReadError
        When it is neither, is damaged, or has no such segment.
    GeometryError
        When it does not lie on the volume's voxels or slices.
    """
    kind = object_kind(path)
    if kind is None:
        raise ReadError("is neither a DICOM segmentation nor a structure set", source=path)
    dataset = read_object(path)
    if kind is ObjectKind.SEG:
        return read_seg(parse_seg(dataset, path), volume, segments)
    regions = parse_rtstruct(dataset, path)
    wanted = chosen((region.label for region in regions), segments, path)
    return read_rtstruct([r for r in regions if r.label in wanted], volume, path)


def referenced_series(path: Path) -> frozenset[str]:
    """UIDs of the image series that a segmentation or structure set names; empty for others.

    Raises
    ------
    ReadError
        When it cannot be read.
    """
    if object_kind(path) is None:
        return frozenset()
    head = read_object(path, ["ReferencedSeriesSequence", "ReferencedFrameOfReferenceSequence"])
    with damage_told(path):
        series = [*(head.get("ReferencedSeriesSequence") or [])]
        for frame in head.get("ReferencedFrameOfReferenceSequence") or []:
            for study in frame.get("RTReferencedStudySequence") or []:
                series += study.get("RTReferencedSeriesSequence") or []
        return frozenset(str(item.get("SeriesInstanceUID")) for item in series)


def read_object_alone(path: Path) -> tuple[Geometry, LabelLayers]:
    """A segmentation without its image, on the grid that its own frames span.

    Raises
    ------
    ReadError
        When it is a structure set: contours have no grid.
    GeometryError
        When its frames are no regular grid.
    """
    if object_kind(path) is not ObjectKind.SEG:
        raise ReadError(
            "holds contours, which need their image",
            source=path,
            hint="open the image first, then this file in the Load dock",
        )
    seg = parse_seg(read_object(path), path)
    geometry = own_grid(seg)
    shape_only = Volume(np.broadcast_to(np.uint8(0), geometry.shape), geometry)
    return geometry, read_seg(seg, shape_only)
