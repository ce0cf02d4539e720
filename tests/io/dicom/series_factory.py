"""DICOM series as they come, small: made by pydicom, slice by slice, to be read back."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import (
    EnhancedMRImageStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    generate_uid,
)

from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Volume
from tests.io.io_files import ct_slice, rounded

SERIES = "1.2.826.0.1.3680043.8.498.1"


def grid_at(place: Sequence[float], geometry: Geometry) -> Geometry:
    """One slice of `geometry`'s directions whose first pixel lies at `place`, LPS mm."""
    affine = geometry.affine.copy()
    affine[:3, 3] = place
    return Geometry((1, *geometry.shape[1:]), affine)


def save_slices(
    folder: Path, places: np.ndarray, geometry: Geometry, array: np.ndarray, **tags: Any
) -> list[Path]:
    """One file a slice, each at its own place ``(n, 3)``, as one series."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, (place, pixels) in enumerate(zip(places, array, strict=True)):
        dataset = ct_slice(pixels, grid_at(place, geometry), 0, SERIES)
        dataset.InstanceNumber = number + 1
        for name, value in tags.items():
            # A list with a value a slice, else one value for all.
            each = isinstance(value, list) and len(value) == len(array)
            setattr(dataset, name, value[number] if each else value)
        paths.append(folder / f"{number:03d}-{len(list(folder.iterdir()))}")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def places_along(geometry: Geometry, heights: Sequence[float], sideways: Any = 0.0) -> np.ndarray:
    """Places at heights in mm along the normal, shifted in mm along the columns."""
    direction = geometry.direction
    shifts = np.broadcast_to(sideways, len(heights))
    return (
        geometry.affine[:3, 3]
        + np.outer(heights, direction[:, 0])
        + np.outer(shifts, direction[:, 1])
    )


def smooth(shape: tuple[int, int, int]) -> np.ndarray:
    """Values whose every axis can be told, linear so that interpolation is exact."""
    z, y, x = np.indices(shape)
    return (100 * z + 10 * y + x).astype(np.int16)


def csa_header(tags: dict[str, Sequence[Any]]) -> bytes:
    """A Siemens CSA2 header with some tags."""
    content = b"SV10\4\3\2\1" + struct.pack("<2I", len(tags), 77)
    for name, items in tags.items():
        texts = [str(item).encode() + b"\0" for item in items]
        vr = b"LO" if "Secret" in str(items) else b"FD"
        content += struct.pack("<64si4s3i", name.encode(), len(texts), vr, 4, len(texts), 77)
        for text in texts:
            padded = text + bytes(-len(text) % 4)
            content += struct.pack("<4i", len(text), len(text), 77, len(text)) + padded
    return content


def mosaic_of(array: np.ndarray) -> np.ndarray:
    """Slices as tiles of one picture."""
    across = math.ceil(math.sqrt(len(array)))
    rows, columns = array.shape[1:]
    picture = np.zeros((across * rows, across * columns), array.dtype)
    for number, pixels in enumerate(array):
        y, x = number // across * rows, number % across * columns
        picture[y : y + rows, x : x + columns] = pixels
    return picture


def save_siemens_mosaic(
    path: Path, array: np.ndarray, geometry: Geometry, *, csa: bool = True, **tags: Any
) -> Path:
    """A mosaic file: its position is that of a slice of the whole mosaic's size."""
    picture = mosaic_of(array)
    corner = geometry.index_to_lps(
        (0, *((np.array(array.shape[1:]) - np.array(picture.shape)) / 2))
    )
    dataset = ct_slice(picture, grid_at(corner, geometry), 0, SERIES)
    dataset.Modality, dataset.SOPClassUID = "MR", MRImageStorage
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    dataset.SpacingBetweenSlices = rounded([geometry.spacing[0]])[0]
    if csa:
        block = dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
        normal = [f"{v:.8f}" for v in geometry.direction[:, 0]]
        content = csa_header({"NumberOfImagesInMosaic": [len(array)], "SliceNormalVector": normal})
        block.add_new(0x10, "OB", content)
    return _saved(dataset, path, tags)


def save_uih_grid(
    path: Path, array: np.ndarray, geometry: Geometry, *, told: int | None = None
) -> Path:
    """A UIH grid: tiles with a position each in a private sequence (`told` of them)."""
    dataset = ct_slice(mosaic_of(array), geometry, 0, SERIES)
    dataset.Modality, dataset.SOPClassUID = "MR", MRImageStorage
    items = []
    for k in range(len(array) if told is None else told):
        item = Dataset()
        item.ImagePositionPatient = rounded(geometry.index_to_lps((k, 0, 0)))
        items.append(item)
    block = dataset.private_block(0x0065, "Image Private Header", create=True)
    block.add_new(0x50, "DS", str(len(array)))
    block.add_new(0x51, "SQ", DicomSequence(items))
    return _saved(dataset, path, {})


def save_enhanced_mr(
    path: Path,
    frames: list[dict[str, Any]],
    array: np.ndarray,
    geometry: Geometry,
    dimensions: Sequence[int] = (),
    **tags: Any,
) -> Path:
    """An enhanced MR object.

    Each frame's dict has `place` (LPS mm) and may have `slope`, `intercept`, `b_value`,
    `gradient`, `echo_time`, `component` and `index` (dimension index values).
    """
    dataset = ct_slice(array[0], geometry, 0, SERIES)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        del dataset[name]
    dataset.Modality, dataset.NumberOfFrames = "MR", len(frames)
    dataset.SharedFunctionalGroupsSequence = [_shared_groups(geometry)]
    dataset.PerFrameFunctionalGroupsSequence = [_frame_groups(frame) for frame in frames]
    pointers = []
    for tag in dimensions:
        item = Dataset()
        item.DimensionIndexPointer = tag
        pointers.append(item)
    if pointers:
        dataset.DimensionIndexSequence = pointers
    dataset.PixelData = np.ascontiguousarray(array).tobytes()
    return _saved(dataset, path, tags)


def _shared_groups(geometry: Geometry) -> Dataset:
    groups, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = rounded(geometry.spacing[1:])
    measures.SliceThickness = geometry.spacing[0]
    plane.ImageOrientationPatient = rounded([*geometry.direction[:, 2], *geometry.direction[:, 1]])
    groups.PixelMeasuresSequence = [measures]
    groups.PlaneOrientationSequence = [plane]
    return groups


def _frame_groups(frame: dict[str, Any]) -> Dataset:
    groups, position, values, content = Dataset(), Dataset(), Dataset(), Dataset()
    if "place" in frame:
        position.ImagePositionPatient = rounded(frame["place"])
        groups.PlanePositionSequence = [position]
    values.RescaleSlope, values.RescaleIntercept = frame.get("slope", 1), frame.get("intercept", 0)
    values.RescaleType = "US"
    groups.PixelValueTransformationSequence = [values]
    if "index" in frame:
        content.DimensionIndexValues = frame["index"]
        groups.FrameContentSequence = [content]
    if "b_value" in frame:
        diffusion = Dataset()
        diffusion.DiffusionBValue = float(frame["b_value"])
        if "gradient" in frame:
            direction = Dataset()
            direction.DiffusionGradientOrientation = list(frame["gradient"])
            diffusion.DiffusionGradientDirectionSequence = [direction]
        groups.MRDiffusionSequence = [diffusion]
    if "echo_time" in frame:
        echo = Dataset()
        echo.EffectiveEchoTime = float(frame["echo_time"])
        groups.MREchoSequence = [echo]
    if "component" in frame:
        kind = Dataset()
        kind.ComplexImageComponent = frame["component"]
        kind.FrameType = ["ORIGINAL", "PRIMARY", "M", "NONE"]
        groups.MRImageFrameTypeSequence = [kind]
    return groups


PET_TAGS: dict[str, Any] = {
    "Modality": "PT",
    "SOPClassUID": PositronEmissionTomographyImageStorage,
    "Units": "BQML",
    "CorrectedImage": ["NORM", "ATTN", "SCAT", "DECY"],
    "DecayCorrection": "START",
    "PatientWeight": "70",
    "SeriesDate": "20200102",
    "SeriesTime": "110000",
    "AcquisitionDate": "20200102",
    "AcquisitionTime": "110000",
}
"""A whole-body FDG scan, an hour after the injection of 350 MBq at 10 o'clock."""


def tracer(**tags: Any) -> list[Dataset]:
    """The radiopharmaceutical of :data:`PET_TAGS`, with other values or without some (None)."""
    item = Dataset()
    told = {
        "RadionuclideTotalDose": "350000000",
        "RadionuclideHalfLife": "6586.2",
        "RadiopharmaceuticalStartTime": "100000",
        **tags,
    }
    for name, value in told.items():
        if value is not None:
            setattr(item, name, value)
    return [item]


def with_new_uids(paths: Sequence[Path]) -> None:
    """Give every file a SOP Instance UID of its own, as copies of pixels have in archives."""
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.save_as(path)


def holds_source_pixels(volume: Volume, paths: Sequence[Path], tolerance: float = 1e-3) -> bool:
    """Whether each file's pixels lie in the volume where the file's own header places them."""
    for path in paths:
        dataset = pydicom.dcmread(path)
        stored = dataset.pixel_array * float(dataset.get("RescaleSlope", 1)) + float(
            dataset.get("RescaleIntercept", 0)
        )
        row, column = np.reshape(np.array(dataset.ImageOrientationPatient, float), (2, 3))
        spacing = [float(v) for v in dataset.PixelSpacing]
        j, i = np.indices(stored.shape).reshape(2, -1)
        points = (
            np.array(dataset.ImagePositionPatient, float)
            + np.outer(i * spacing[1], row)
            + np.outer(j * spacing[0], column)
        )
        index = volume.geometry.lps_to_index(points)
        nearest = np.rint(index).astype(int)
        if np.abs(index - nearest).max() > 0.02 or (nearest < 0).any():
            return False
        frames = volume.array if volume.frames is not None else volume.array[np.newaxis]
        found = [frame[tuple(nearest.T)] for frame in frames]
        if not any(np.allclose(f, stored.ravel(), atol=tolerance) for f in found):
            return False
    return True


def _saved(dataset: Dataset, path: Path, tags: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.save_as(path, enforce_file_format=True)
    return path
