"""What a loader needs of each frame's header, classic or enhanced, in one shape."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_medcnn.core.errors import ReadError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

TAGS = (
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription",
    "Modality", "ImageType", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel",
    "PhotometricInterpretation", "BitsStored", "PixelRepresentation", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing",
    "EstimatedRadiographicMagnificationFactor", "SliceThickness", "SpacingBetweenSlices",
    "RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence", "Units", "EchoTime",
    "EchoNumbers", "InstanceNumber", "AcquisitionNumber", "TemporalPositionIdentifier",
    "TriggerTime", "DiffusionBValue", "AcquisitionTime", "ContentTime", "FrameTime",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "DimensionIndexSequence", "GridFrameOffsetVector", "TotalPixelMatrixRows",
)  # fmt: skip
"""All that is read of a header; none of it names the patient."""

_UIH_GRID_COUNT = 0x00651050
_POSITION_POINTERS = (0x00209057, 0x00200032)  # In-Stack Position Number, Image Position
_SEGMENTATION_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")

Key = tuple[Any, ...]


@dataclass(frozen=True)
class FrameHeader:
    """One frame: of a classic file its only one, of an enhanced file one of many.

    Lengths are in mm, `pixel_spacing` is (between rows, between columns), positions and direction
    cosines are LPS as in DICOM; None where the file does not tell. `order_keys` are the values by
    which frames at the same position may be told apart, the most telling first.
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
    order_keys: tuple[Any, ...]
    instance_number: int | None
    frame_time_ms: float | None
    refusal: str


def frame_headers(dataset: Dataset, path: Path) -> list[FrameHeader]:
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
    shared = _first(dataset, "SharedFunctionalGroupsSequence")
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    if per_frame and len(per_frame) != count:
        raise ReadError(f"says {count} frames and describes {len(per_frame)}")
    free_dimensions = _free_dimensions(dataset)
    if not per_frame:
        return [_frame(dataset, path, index, count, [dataset], ()) for index in range(count)]
    return [
        _frame(dataset, path, index, count, [groups, *shared, dataset], free_dimensions)
        for index, groups in enumerate(per_frame)
    ]


class _Lookup:
    """A value by keyword, from the first of several places that has it: frame, shared, file."""

    def __init__(self, places: list[Dataset]) -> None:
        self._places = places
        # A classic file has no functional groups to look into.
        self._has_groups = len(places) > 1

    def __call__(self, keyword: str, sequence: str = "") -> Any:
        for place in self._places:
            inside = _first(place, sequence) if sequence and self._has_groups else []
            for dataset in (*inside, place):
                value = dataset.get(keyword)
                if value is not None and str(value) != "":
                    return value
        return None


def _frame(
    dataset: Dataset,
    path: Path,
    index: int,
    count: int,
    places: list[Dataset],
    free_dimensions: tuple[int, ...],
) -> FrameHeader:
    find = _Lookup(places)
    spacing, spacing_source = _spacing(find)
    slope = find("RescaleSlope", "PixelValueTransformationSequence")
    transform = "PixelValueTransformationSequence"
    frame_type = find("FrameType", "MRImageFrameTypeSequence") or find(
        "FrameType", "CTImageFrameTypeSequence"
    )
    image_type = tuple(str(v) for v in _values(frame_type or dataset.get("ImageType")))
    component = str(find("ComplexImageComponent", "MRImageFrameTypeSequence") or "")
    return FrameHeader(
        path=path,
        index=index,
        frame_count=count,
        sop_uid=str(dataset.get("SOPInstanceUID") or path),
        series_uid=str(dataset.get("SeriesInstanceUID") or ""),
        series_number=_integer(dataset.get("SeriesNumber")),
        series_description=str(dataset.get("SeriesDescription") or "").strip(),
        modality=str(dataset.get("Modality") or ""),
        image_type=image_type,
        shape=(int(dataset.Rows), int(dataset.Columns)),
        colour=int(dataset.get("SamplesPerPixel") or 1) > 1,
        photometric=str(dataset.get("PhotometricInterpretation") or ""),
        position=_floats(find("ImagePositionPatient", "PlanePositionSequence"), 3),
        orientation=_floats(find("ImageOrientationPatient", "PlaneOrientationSequence"), 6),
        pixel_spacing=spacing,
        spacing_source=spacing_source,
        magnification=_number(dataset.get("EstimatedRadiographicMagnificationFactor")),
        thickness=_number(find("SliceThickness", "PixelMeasuresSequence"))
        or _number(find("SpacingBetweenSlices", "PixelMeasuresSequence")),
        slope=1.0 if slope is None else float(slope),
        intercept=float(find("RescaleIntercept", transform) or 0),
        rescale_type=str(find("RescaleType", transform) or ""),
        has_rescale=slope is not None,
        has_lookup_table=bool(dataset.get("ModalityLUTSequence")),
        units=str(dataset.get("Units") or ""),
        contrast=(component, *_echo(find)),
        order_keys=_order_keys(find, free_dimensions),
        instance_number=index if count > 1 else _integer(dataset.get("InstanceNumber")),
        frame_time_ms=_number(dataset.get("FrameTime")),
        refusal=_refusal(dataset, image_type),
    )


def _refusal(dataset: Dataset, image_type: tuple[str, ...]) -> str:
    """Why frames of this kind cannot be placed yet, or an empty text."""
    grid = dataset.get(_UIH_GRID_COUNT)
    if "MOSAIC" in image_type or (grid is not None and (_integer(grid.value) or 0) > 1):
        return "its slices are tiles of a mosaic, which is not supported"
    if dataset.get("GridFrameOffsetVector") is not None or dataset.get("TotalPixelMatrixRows"):
        return f"{dataset.get('Modality') or 'its kind'} with many frames is not supported"
    if str(dataset.get("PhotometricInterpretation")) == "PALETTE COLOR":
        return "its colours are a palette, which is not supported"
    return ""


def _spacing(find: _Lookup) -> tuple[tuple[float, float] | None, str]:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        pair = _floats(find(keyword, "PixelMeasuresSequence"), 2)
        if pair is not None and min(pair) > 0:
            return (pair[0], pair[1]), keyword
    return None, ""


def _echo(find: _Lookup) -> Key:
    time = _number(find("EffectiveEchoTime", "MREchoSequence")) or _number(find("EchoTime"))
    numbers = tuple(_values(find("EchoNumbers")))
    # Rounded: one scan's slices may differ in the last digits of their nominal echo time.
    return (None if time is None else round(time, 1), numbers)


def _order_keys(find: _Lookup, free_dimensions: tuple[int, ...]) -> tuple[Any, ...]:
    dimensions = _values(find("DimensionIndexValues", "FrameContentSequence"))
    usable = all(axis < len(dimensions) for axis in free_dimensions)
    free = tuple(int(dimensions[axis]) for axis in free_dimensions) if usable else ()
    return (
        free or None,
        _number(find("TemporalPositionIdentifier"))
        or _number(find("TemporalPositionIndex", "FrameContentSequence")),
        _number(find("TriggerTime")),
        _integer(find("AcquisitionNumber")),
        _number(find("DiffusionBValue", "MRDiffusionSequence")),
        str(find("AcquisitionTime") or "") or None,
        str(find("ContentTime") or "") or None,
    )


ORDER_NAMES = ("frame", "time", "trigger time", "acquisition", "b-value", "time", "time")
"""What each entry of `order_keys` is called when it becomes the frame axis."""

ORDER_UNITS = ("", "", "ms", "", "s/mm²", "", "")


def _free_dimensions(dataset: Dataset) -> tuple[int, ...]:
    """Which of an enhanced object's dimension indices are not the position along the stack."""
    pointers = [
        int(item.DimensionIndexPointer) for item in dataset.get("DimensionIndexSequence") or []
    ]
    return tuple(axis for axis, tag in enumerate(pointers) if tag not in _POSITION_POINTERS)


def _first(dataset: Dataset, sequence: str) -> list[Dataset]:
    items = dataset.get(sequence)
    return [items[0]] if items else []


def _values(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return list(value) if hasattr(value, "__iter__") and not isinstance(value, str) else [value]


def _floats(value: Any, count: int) -> tuple[float, ...] | None:
    numbers = tuple(float(v) for v in _values(value))
    return numbers if len(numbers) == count and np.isfinite(numbers).all() else None


def _number(value: Any) -> float | None:
    values = _values(value)
    return float(values[0]) if values else None


def _integer(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)
