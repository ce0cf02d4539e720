"""Pixels of frames, rescaled each by its own slope and intercept, into one array."""

from __future__ import annotations

import math
import os
import warnings
from collections import defaultdict, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.geometry import AxisMap
from napari_medcnn.core.volume import Finding
from napari_medcnn.io.dicom.header import FrameHeader
from napari_medcnn.io.dicom.native import is_native, read_into
from napari_medcnn.io.dicom.pixels import file_pixels
from napari_medcnn.io.limits import MAX_VOLUME_BYTES
from napari_medcnn.io.voxels import grey, rescaled

MOST_THREADS = 8
"""Decoders leave Python's lock, so that more threads than this wait for the disk only."""

Member = tuple[tuple[int, int], FrameHeader]
"""Where a frame goes (frame, slice), and the frame."""


def decode(
    frames: list[list[FrameHeader]], axes: AxisMap = AxisMap()
) -> tuple[npt.NDArray[Any], tuple[Finding, ...]]:
    """Decode ``[frame][slice]`` into an array ``(frame, z, y, x)``.

    int16 as long as every slice is exact in it, float32 from the first that is not. The array is
    laid out in memory so that ``axes.apply(array)`` is contiguous: reordering then copies nothing.

    Raises
    ------
    ReadError
        Naming the file, when a slice cannot be decoded; none is ever left out.
    """
    rows, columns = frames[0][0].shape
    shape = (len(frames), len(frames[0]), rows, columns)
    if int(np.prod(shape, dtype=object)) * 2 > MAX_VOLUME_BYTES:
        raise ReadError(f"its {shape} voxels are over the size limit")
    array = _empty(shape, axes, np.int16 if _whole_numbers(frames) else np.float32)
    findings: tuple[Finding, ...] = ()
    with warnings.catch_warnings():
        # pydicom warns of padding and excess bytes; missing ones are errors.
        warnings.simplefilter("ignore")
        left = _read_native(frames, array)
        for (time, z), values, notes in _values(left):
            findings = findings or notes
            if values.dtype.itemsize > array.dtype.itemsize:
                array = array.astype(values.dtype)
            array[time, z] = values
    return array, findings


def same_pixels(first: FrameHeader, second: FrameHeader) -> bool:
    """Whether two frames at one position hold the same values."""
    one, two = (decode([[frame]])[0] for frame in (first, second))
    return bool(np.array_equal(one, two))


def _empty(shape: tuple[int, ...], axes: AxisMap, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    if axes.is_identity:
        return np.empty(shape, dtype=dtype)
    reordered = np.empty((shape[0], *(shape[1 + axis] for axis in axes.order)), dtype=dtype)
    return axes.inverse().apply(reordered)


def _whole_numbers(frames: list[list[FrameHeader]]) -> bool:
    return all(
        float(frame.slope).is_integer() and float(frame.intercept).is_integer()
        for stack in frames
        for frame in stack
    )


def _read_native(
    frames: list[list[FrameHeader]], array: npt.NDArray[Any]
) -> dict[Path, list[Member]]:
    """Read the plain slices into their places; what is left to decode, by file."""
    by_path: dict[Path, list[Member]] = defaultdict(list)
    for time, stack in enumerate(frames):
        for z, header in enumerate(stack):
            by_path[header.path].append(((time, z), header))
    if array.dtype != np.int16:
        return by_path
    plain = [members[0] for members in by_path.values() if is_native(members[0][1])]
    if not plain:
        return by_path
    with ThreadPoolExecutor(_threads(len(plain))) as pool:
        done = pool.map(lambda member: read_into(member[1], array[member[0]]), plain)
        for (_, header), read in zip(plain, done, strict=True):
            if read:
                del by_path[header.path]
    return by_path


def _threads(files: int) -> int:
    return max(1, min(MOST_THREADS, os.cpu_count() or 1, files))


def _values(
    by_path: dict[Path, list[Member]],
) -> Iterator[tuple[tuple[int, int], npt.NDArray[Any], tuple[Finding, ...]]]:
    """Rescaled slices in any order, decoded by a few threads that keep close to the reader."""
    threads = _threads(len(by_path))
    if threads == 1:
        for members in by_path.values():
            yield from _file_values(members)
        return
    waiting: deque[Future[Any]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for members in by_path.values():
                waiting.append(pool.submit(_file_values, members))
                # Decoded slices that wait are memory beside the array.
                if len(waiting) > 2 * threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _file_values(
    members: list[Member],
) -> list[tuple[tuple[int, int], npt.NDArray[Any], tuple[Finding, ...]]]:
    pixels = file_pixels(members[0][1])
    found = []
    for slot, header in members:
        stored = _own_part(pixels[header.stored_index], header)
        notes: tuple[Finding, ...] = ()
        if stored.ndim == 3:
            stored, notes = grey(stored)
        _check_scale(stored, header)
        values = rescaled(stored, header.slope, header.intercept)
        if values.shape != header.shape:
            raise ReadError(f"slice {header.path.name} has another size than its header says")
        found.append((slot, values, notes))
    return found


def _check_scale(stored: npt.NDArray[Any], header: FrameHeader) -> None:
    """Refuse a scale by which the values would be lost; a blank slice may well have slope 0."""
    lost = header.slope == 0 and stored.any()
    if lost or not (math.isfinite(header.slope) and math.isfinite(header.intercept)):
        raise ReadError(
            f"the rescaling of {header.path.name} ({header.slope:g}, {header.intercept:g}) would "
            "lose its values"
        )


def _own_part(picture: npt.NDArray[Any], header: FrameHeader) -> npt.NDArray[Any]:
    if header.tile is None:
        return picture
    (row, column), (rows, columns) = header.tile, header.shape
    return picture[row : row + rows, column : column + columns]
