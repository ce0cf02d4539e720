"""Pixels of frames, rescaled each by its own slope and intercept, into one array."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.volume import Finding
from napari_medcnn.io.dicom.header import FrameHeader
from napari_medcnn.io.limits import MAX_VOLUME_BYTES
from napari_medcnn.io.voxels import grey, rescaled

Slot = tuple[int, int]
"""Where a frame goes: (frame, slice)."""


def decode(
    frames: list[list[FrameHeader]],
) -> tuple[npt.NDArray[Any], tuple[Finding, ...]]:
    """Decode ``[frame][slice]`` into an array ``(frame, z, y, x)``.

    int16 as long as every slice is exact in it, float32 from the first that is not.

    Raises
    ------
    ReadError
        Naming the file, when a slice cannot be decoded; none is ever left out.
    """
    rows, columns = frames[0][0].shape
    shape = (len(frames), len(frames[0]), rows, columns)
    if int(np.prod(shape, dtype=object)) * 2 > MAX_VOLUME_BYTES:
        raise ReadError(f"its {shape} voxels are over the size limit")
    array: npt.NDArray[Any] = np.empty(shape, dtype=np.int16)
    findings: tuple[Finding, ...] = ()
    for (time, z), header, stored in _stored_pixels(frames):
        if header.colour:
            stored, colour_findings = grey(stored)
            findings = findings or colour_findings
        values = rescaled(stored, header.slope, header.intercept)
        if values.shape != (rows, columns):
            raise ReadError(f"slice {header.path.name} has another size than its header says")
        if values.dtype != np.int16 and array.dtype == np.int16:
            array = array.astype(np.float32)
        array[time, z] = values
    return array, findings


def same_pixels(first: FrameHeader, second: FrameHeader) -> bool:
    """Whether two frames at one position hold the same values."""
    one, two = (decode([[frame]])[0] for frame in (first, second))
    return bool(np.array_equal(one, two))


def _stored_pixels(
    frames: list[list[FrameHeader]],
) -> Iterator[tuple[Slot, FrameHeader, npt.NDArray[Any]]]:
    by_path: dict[Path, list[tuple[Slot, FrameHeader]]] = defaultdict(list)
    for time, stack in enumerate(frames):
        for z, header in enumerate(stack):
            by_path[header.path].append(((time, z), header))
    for path, members in by_path.items():
        pixels = _file_pixels(path, members[0][1])
        for slot, header in members:
            yield slot, header, pixels[header.index]


def _file_pixels(path: Path, header: FrameHeader) -> npt.NDArray[Any]:
    """Stored values ``(frame, y, x)`` or ``(frame, y, x, channel)`` of one file."""
    import pydicom
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    try:
        with warnings.catch_warnings():
            # pydicom warns of padding and excess bytes; missing ones are errors.
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path, force=True)
            if "TransferSyntaxUID" not in dataset.file_meta:
                # A file without a meta header is little endian; which of two, reading has shown.
                implicit = dataset.original_encoding[0]
                syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
                dataset.file_meta.TransferSyntaxUID = syntax
            pixels = dataset.pixel_array
    except (OSError, EOFError, ValueError, TypeError, AttributeError, KeyError, IndexError,
            RuntimeError, NotImplementedError, MemoryError) as error:  # fmt: skip
        raise ReadError(
            f"the pixels of {path.name} cannot be decoded: {str(error).splitlines()[0][:200]}"
            if str(error)
            else f"the pixels of {path.name} cannot be decoded ({type(error).__name__})"
        ) from error
    return pixels if header.frame_count > 1 else pixels[np.newaxis]
