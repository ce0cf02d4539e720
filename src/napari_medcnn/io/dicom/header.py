"""What a loader needs of each frame's header, classic or enhanced, in one shape."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import ReadError
from napari_medcnn.io.dicom.encoding import Encoding
from napari_medcnn.io.dicom.frame_order import (
    PRIVATE_TAGS,
    FrameOrder,
    frame_order,
    free_dimensions,
)
from napari_medcnn.io.dicom.tag_values import (
    Lookup,
    first_item,
    floats,
    integer,
    number,
    values,
)

if TYPE_CHECKING:
    from napari_medcnn.io.dicom.tag_values import Values

TAGS: tuple[Any, ...] = (
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription",
    "Modality", "ImageType", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel",
    "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "ImagerPixelSpacing",
    "NominalScannedPixelSpacing", "EstimatedRadiographicMagnificationFactor", "SliceThickness",
    "SpacingBetweenSlices", "RescaleSlope", "RescaleIntercept", "RescaleType",
    "ModalityLUTSequence", "Units", "EchoTime", "EchoNumbers", "ComplexImageComponent",
    "InstanceNumber", "AcquisitionNumber", "TemporalPositionIdentifier", "TriggerTime",
    "DiffusionBValue", "DiffusionGradientOrientation", "AcquisitionDate", "AcquisitionTime",
    "AcquisitionDateTime", "ContentTime", "FrameTime", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence", "DimensionIndexSequence", "GridFrameOffsetVector",
    "DoseGridScaling", "DoseUnits", "TotalPixelMatrixRows", 0x00650010, 0x00651050, 0x00651051,
    *PRIVATE_TAGS,
)  # fmt: skip
"""All that is read of a header; none of it names the patient."""

_SEGMENTATION_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")

Key = tuple[Any, ...]


@dataclass(frozen=True)
class FrameHeader:
    """One frame: of a classic file its only one, of an enhanced file one of many.

    Lengths are in mm, `pixel_spacing` is (between rows, between columns), positions and direction
    cosines are LPS as in DICOM; None where the file does not tell. `index` counts the file's frames
    or, of a mosaic, its tiles; a tile's `shape` is its own and `tile` its first row and column.
    `order` tells frames at the same position apart. `sop_uid` is a name of our own where the file
    has none.
    """

    path: Path
    index: int
    frame_count: int
    sop_uid: str
    series_uid: str
    series_number: int | None
    series_description: str
    modality: str
    image_type: tuple[str, ...]
    shape: tuple[int, int]
    colour: bool
    photometric: str
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    pixel_spacing: tuple[float, float] | None
    spacing_source: str
    magnification: float | None
    thickness: float | None
    slope: float
    intercept: float
    rescale_type: str
    has_rescale: bool
    has_lookup_table: bool
    units: str
    contrast: Key
    order: FrameOrder
    instance_number: int | None
    frame_time_ms: float | None
    refusal: str
    encoding: Encoding
    tile: tuple[int, int] | None = None

    @property
    def stored_index(self) -> int:
        """Which of the file's pictures holds the pixels."""
        return 0 if self.tile is not None else self.index


def frame_headers(dataset: Values, path: Path, encoding: Encoding) -> list[FrameHeader]:
    """The frames of one file.

    Raises
    ------
    ReadError
        When the file holds no image that belongs in a volume.
    ValueError
        When a value cannot be understood.
    """
    if not dataset.get("Rows") or not dataset.get("Columns"):
        raise ReadError("holds no image")
    if dataset.get("SOPClassUID") in _SEGMENTATION_CLASSES:
        raise ReadError("is a segmentation, not an image")
    count = int(dataset.get("NumberOfFrames") or 1)
    shared = first_item(dataset, "SharedFunctionalGroupsSequence")
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    if per_frame and len(per_frame) != count:
        raise ReadError(f"says {count} frames and describes {len(per_frame)}")
    if not per_frame:
        first = _frame(dataset, path, 0, count, [*shared, dataset], (), encoding)
        return _plain_frames(dataset, first)
    free = free_dimensions(dataset)
    return [
        _frame(dataset, path, index, count, [groups, *shared, dataset], free, encoding)
        for index, groups in enumerate(per_frame)
    ]


def name_without_uid(path: Path) -> str:
    """What stands for the instance UID of a file that has none.

    Always the same for a path, and tells nothing of it: folders are named after patients.
    """
    return f"file-{hashlib.sha256(os.fsencode(path)).hexdigest()[:32]}"


def _plain_frames(dataset: Values, first: FrameHeader) -> list[FrameHeader]:
    """All frames of a file without functional groups; a dose grid gives each its height."""
    if first.frame_count == 1:
        return [first]
    offsets = floats(dataset.get("GridFrameOffsetVector"), first.frame_count)
    if offsets is not None and first.position is not None and first.orientation is not None:
        positions = _dose_positions(np.array(first.position), first.orientation, offsets)
    elif first.frame_time_ms:
        positions = [first.position] * first.frame_count
    else:
        # The one position is the first frame's; where the others lie is not told.
        positions = [None] * first.frame_count
    return [
        replace(first, index=index, instance_number=index, position=position)
        for index, position in enumerate(positions)
    ]


def _dose_positions(
    first: npt.NDArray[np.float64], orientation: tuple[float, ...], offsets: tuple[float, ...]
) -> list[tuple[float, ...] | None]:
    """Positions by Grid Frame Offset Vector (PS3.3 C.8.8.3.2).

    Offsets from 0 run along the normal; others are heights in the patient, of transverse planes.
    """
    normal = np.cross(orientation[:3], orientation[3:])
    if offsets[0] == 0:
        places = first + np.outer(offsets, normal)
    else:
        places = np.array([(first[0], first[1], height) for height in offsets])
    return [tuple(map(float, place)) for place in places]


def _frame(
    dataset: Values,
    path: Path,
    index: int,
    count: int,
    places: list[Values],
    free: tuple[int, ...],
    encoding: Encoding,
) -> FrameHeader:
    find = Lookup(places)
    spacing, spacing_source = _spacing(find)
    slope = find("RescaleSlope", "PixelValueTransformationSequence")
    transform = "PixelValueTransformationSequence"
    frame_type = find("FrameType", "MRImageFrameTypeSequence") or find(
        "FrameType", "CTImageFrameTypeSequence"
    )
    image_type = tuple(str(v) for v in values(frame_type or dataset.get("ImageType")))
    if slope is None:
        slope = dataset.get("DoseGridScaling")
    order = frame_order(find, dataset, count, free)
    component = str(find("ComplexImageComponent", "MRImageFrameTypeSequence") or "")
    return FrameHeader(
        path=path,
        index=index,
        frame_count=count,
        sop_uid=str(dataset.get("SOPInstanceUID") or name_without_uid(path)),
        series_uid=str(dataset.get("SeriesInstanceUID") or ""),
        series_number=integer(dataset.get("SeriesNumber")),
        series_description=str(dataset.get("SeriesDescription") or "").strip(),
        modality=str(dataset.get("Modality") or ""),
        image_type=image_type,
        shape=(int(dataset.get("Rows")), int(dataset.get("Columns"))),
        colour=int(dataset.get("SamplesPerPixel") or 1) > 1,
        photometric=str(dataset.get("PhotometricInterpretation") or ""),
        position=floats(find("ImagePositionPatient", "PlanePositionSequence"), 3),
        orientation=floats(find("ImageOrientationPatient", "PlaneOrientationSequence"), 6),
        pixel_spacing=spacing,
        spacing_source=spacing_source,
        magnification=number(dataset.get("EstimatedRadiographicMagnificationFactor")),
        thickness=number(find("SliceThickness", "PixelMeasuresSequence"))
        or number(find("SpacingBetweenSlices", "PixelMeasuresSequence")),
        slope=1.0 if slope is None else float(slope),
        intercept=float(find("RescaleIntercept", transform) or 0),
        rescale_type=str(find("RescaleType", transform) or ""),
        has_rescale=slope is not None,
        has_lookup_table=bool(dataset.get("ModalityLUTSequence")),
        units=str(dataset.get("Units") or dataset.get("DoseUnits") or ""),
        contrast=(component, order.echo_time_ms, tuple(values(find("EchoNumbers")))),
        order=order,
        instance_number=index if count > 1 else integer(dataset.get("InstanceNumber")),
        frame_time_ms=number(dataset.get("FrameTime")),
        refusal=_refusal(dataset, encoding),
        encoding=encoding,
    )


def _refusal(dataset: Values, encoding: Encoding) -> str:
    """Why frames of this kind cannot be placed or decoded, or an empty text."""
    if dataset.get("TotalPixelMatrixRows"):
        return "a slide of many tiles is not supported"
    if encoding.high_bit >= encoding.bits_stored > 0:
        # No decoder here moves them down, and the standard no longer allows them (PS3.5 8.1.1).
        return f"its values begin above the lowest bit (high bit {encoding.high_bit})"
    return ""


def _spacing(find: Lookup) -> tuple[tuple[float, float] | None, str]:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        pair = floats(find(keyword, "PixelMeasuresSequence"), 2)
        if pair is not None and min(pair) > 0:
            return (pair[0], pair[1]), keyword
    return None, ""
