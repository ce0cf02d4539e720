"""Pixels of a DICOM segmentation's frames, of one, eight or sixteen bits, one frame at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import ReadError
from napari_medcnn.io.dicom_objects.dataset import damage_told
from napari_medcnn.io.limits import MAX_VOLUME_BYTES

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Frame = npt.NDArray[Any]
FrameReader = Callable[[int], Frame]
"""Gives frame `i` as ``(row, column)`` of uint8 or uint16; of one bit, 0 and 1."""


def frame_reader(dataset: Dataset, path: Path) -> FrameReader:
    """How to read single frames of a segmentation.

    Frames of one bit are packed without padding between them, the first pixel in the lowest bit
    (PS3.5, section 8.1.1 and annex D); only the bytes of the wanted frame are unpacked.

    Raises
    ------
    ReadError
        When pixels are missing, or their form is none of a segmentation.
    """
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    count = int(dataset.get("NumberOfFrames") or 1)
    bits = int(dataset.get("BitsAllocated") or 0)
    if bits not in (1, 8, 16) or int(dataset.get("SamplesPerPixel") or 1) != 1:
        raise ReadError(f"has pixels of {bits} bits, which no segmentation has", source=path)
    if rows * columns * count * max(bits // 8, 1) > MAX_VOLUME_BYTES * 8:
        raise ReadError("its header claims an absurd size", source=path)
    if dataset.get("PixelData") is None:
        raise ReadError("has no pixels", source=path)
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return _compressed(dataset, path, count)
    data = np.frombuffer(dataset.PixelData, dtype=np.uint8)
    if data.size * 8 < rows * columns * count * bits:
        raise ReadError("is truncated: frames are missing", source=path)
    if bits == 1:
        return _one_bit(data, rows, columns)
    return _whole_bytes(data, rows, columns, count, bits, dataset)


def _one_bit(data: npt.NDArray[np.uint8], rows: int, columns: int) -> FrameReader:
    size = rows * columns

    def read(index: int) -> Frame:
        start = index * size
        packed = data[start // 8 : (start + size + 7) // 8]
        bits = np.unpackbits(packed, bitorder="little")
        return bits[start % 8 : start % 8 + size].reshape(rows, columns)

    return read


def _whole_bytes(
    data: npt.NDArray[np.uint8], rows: int, columns: int, count: int, bits: int, dataset: Dataset
) -> FrameReader:
    order = "<" if dataset.original_encoding[1] is not False else ">"
    values = data[: rows * columns * count * bits // 8].view(f"{order}u{bits // 8}")
    frames = values.reshape(count, rows, columns)
    return lambda index: frames[index]


def _compressed(dataset: Dataset, path: Path, count: int) -> FrameReader:
    """Compressed frames are decoded once, in their order, and kept packed where they are masks."""
    from pydicom.pixels.utils import iter_pixels

    binary = dataset.get("SegmentationType") == "BINARY"
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    kept: list[Frame] = []
    with damage_told(path):
        for frame in iter_pixels(dataset, raw=True):
            if frame.shape != (rows, columns):
                raise ReadError("has a frame of another size than its header says", source=path)
            kept.append(np.packbits(frame != 0) if binary else frame)
    if len(kept) != count:
        raise ReadError(f"has {len(kept)} frames and says {count}", source=path)
    if not binary:
        return lambda index: kept[index]
    return lambda index: np.unpackbits(kept[index], count=rows * columns).reshape(rows, columns)
