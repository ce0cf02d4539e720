"""The header of a DICOM segmentation, checked, and its frames made readable."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_medcnn.core.errors import GeometryError, ReadError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import Label
from napari_medcnn.io.dicom_objects.colours import rgb_of
from napari_medcnn.io.dicom_objects.dataset import damage_told
from napari_medcnn.io.dicom_objects.placement import stacked_geometry
from napari_medcnn.io.dicom_objects.seg_frames import FrameReader, frame_reader

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_BACKGROUND_CODE = "125040"  # DCM, "Background"


@dataclass(frozen=True, eq=False)
class SegFile:
    """What a segmentation's header says, checked.

    Parameters
    ----------
    kind : str
        ``"BINARY"``, ``"FRACTIONAL"`` or ``"LABELMAP"``.
    labels : dict
        Label of each segment number, without the background.
    background : set of int
        Values of a label map that mark nothing.
    segment_of : list of int
        Segment number of each frame; empty for a label map.
    positions : list
        LPS mm of each frame's first pixel; empty for projections.
    sources : list of tuple
        SOP Instance UID and frame number that each frame was made from; ``("", 0)`` if unknown.
    """

    path: Path
    kind: str
    shape: tuple[int, int]
    labels: dict[int, Label]
    background: set[int]
    segment_of: list[int]
    positions: list[tuple[float, ...]]
    orientation: tuple[float, ...]
    spacing: tuple[float, ...]
    slice_spacing: float | None
    sources: list[tuple[str, int]]
    maximum: int
    read_frame: FrameReader


def parse_seg(dataset: Dataset, path: Path) -> SegFile:
    """Check a segmentation's header and make its frames readable.

    Raises
    ------
    ReadError
        When it is tiled (microscopy), or damaged.
    """
    with damage_told(path):
        organization = str(dataset.get("DimensionOrganizationType") or "")
        if dataset.get("TotalPixelMatrixRows") or organization.startswith("TILED"):
            raise ReadError(
                "is a tiled segmentation, as of microscopy, which is not supported", source=path
            )
        return _parsed(dataset, path)


def own_grid(seg: SegFile) -> Geometry:
    """The grid that a segmentation's frames span by themselves, from its first to its last plane.

    Raises
    ------
    GeometryError
        When it has no place in the patient, or its planes are no regular grid.
    """
    if not seg.positions:
        raise GeometryError("has no place in the patient", source=seg.path)
    positions = np.unique(np.array(seg.positions), axis=0)
    step = seg.slice_spacing
    if step is None:
        heights = positions @ np.cross(*np.reshape(seg.orientation, (2, 3)))
        gaps = np.diff(np.sort(heights))
        step = float(gaps[gaps > 1e-3].min(initial=np.inf))
        step = step if np.isfinite(step) else 1.0
    return stacked_geometry(positions, seg.orientation, seg.spacing, step, seg.shape)


def _parsed(dataset: Dataset, path: Path) -> SegFile:
    kind = str(dataset.get("SegmentationType") or "")
    if kind not in ("BINARY", "FRACTIONAL", "LABELMAP"):
        raise ReadError(f"is a segmentation of unknown type {kind!r}", source=path)
    count = int(dataset.get("NumberOfFrames") or 1)
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [None])[0]
    groups = dataset.get("PerFrameFunctionalGroupsSequence") or []
    if len(groups) != count:
        raise ReadError(f"says {count} frames and describes {len(groups)}", source=path)
    first = groups[0]
    plane = _group(first, shared, "PlaneOrientationSequence")
    measures = _group(first, shared, "PixelMeasuresSequence")
    has_place = plane is not None and measures is not None
    background = _background(dataset, kind)
    between = measures.get("SpacingBetweenSlices") if measures is not None else None
    return SegFile(
        path=path,
        kind=kind,
        shape=(int(dataset.Rows), int(dataset.Columns)),
        labels=_labels(dataset, background),
        background=background,
        segment_of=[] if kind == "LABELMAP" else [_segment_number(g, shared) for g in groups],
        positions=[_position(group, shared) for group in groups] if has_place else [],
        orientation=tuple(float(v) for v in plane.ImageOrientationPatient) if has_place else (),
        spacing=tuple(float(v) for v in measures.PixelSpacing) if has_place else (),
        slice_spacing=float(between) if between else None,
        sources=[_source(group, shared) for group in groups] if not has_place else [],
        maximum=int(dataset.get("MaximumFractionalValue") or 255),
        read_frame=frame_reader(dataset, path),
    )


def _labels(dataset: Dataset, background: set[int]) -> dict[int, Label]:
    items = {int(item.SegmentNumber): item for item in dataset.get("SegmentSequence") or []}
    labels: dict[int, Label] = {}
    for number, item in items.items():
        if number in background:
            continue
        colour = rgb_of(item.get("RecommendedDisplayCIELabValue"), number)
        name = str(item.get("SegmentLabel") or "").strip() or f"segment {number}"
        # 0 is no label here; a segment of that number gets the next free one.
        labels[number] = Label(number or max(items) + 1, name, colour)
    return labels


def _background(dataset: Dataset, kind: str) -> set[int]:
    """Pixel values of a label map that mark nothing: its padding, and 0 unless it is a segment."""
    if kind != "LABELMAP":
        return set()
    padding = int(dataset.get("PixelPaddingValue") or 0)
    for item in dataset.get("SegmentSequence") or []:
        code = item.SegmentedPropertyTypeCodeSequence[0].get("CodeValue")
        if int(item.SegmentNumber) == 0 and padding and code != _BACKGROUND_CODE:
            return {padding}
    return {padding, 0}


def _group(group: Dataset, shared: Dataset | None, keyword: str) -> Any:
    for place in (group, shared):
        items = place.get(keyword) if place is not None else None
        if items:
            return items[0]
    return None


def _segment_number(group: Dataset, shared: Dataset | None) -> int:
    return int(_group(group, shared, "SegmentIdentificationSequence").ReferencedSegmentNumber)


def _position(group: Dataset, shared: Dataset | None) -> tuple[float, ...]:
    x, y, z = _group(group, shared, "PlanePositionSequence").ImagePositionPatient
    return float(x), float(y), float(z)


def _source(group: Dataset, shared: Dataset | None) -> tuple[str, int]:
    derivation = _group(group, shared, "DerivationImageSequence")
    images = derivation.get("SourceImageSequence") if derivation is not None else None
    if not images:
        return "", 0
    number = images[0].get("ReferencedFrameNumber")
    numbers = [number] if isinstance(number, (int, str)) else list(number or [1])
    return str(images[0].ReferencedSOPInstanceUID), int(numbers[0])
