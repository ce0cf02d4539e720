"""Uncompressed 16 bit slices from the file into their place in the volume, without a copy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.io.dicom.encoding import UNCOMPRESSED_LITTLE_ENDIAN
from napari_medcnn.io.dicom.header import FrameHeader
from napari_medcnn.io.voxels import fits_int16


def is_native(header: FrameHeader) -> bool:
    """Whether a frame's file may hold one plain 16 bit slice, to be tried by :func:`read_into`."""
    encoding = header.encoding
    size = header.shape[0] * header.shape[1] * 2
    return (
        encoding.transfer_syntax in UNCOMPRESSED_LITTLE_ENDIAN
        and encoding.start > 0
        and encoding.length in (size, size + 1)
        and encoding.bits_allocated == 16
        and encoding.high_bit == encoding.bits_stored - 1
        and header.frame_count == 1
        and header.tile is None
        and not header.colour
        and header.photometric != "PALETTE COLOR"
        and header.slope == 1
        and float(header.intercept).is_integer()
    )


def read_into(header: FrameHeader, target: npt.NDArray[Any]) -> bool:
    """Fill `target` (int16, ``(y, x)``) with rescaled values.

    Returns
    -------
    bool
        False where the values are no int16 or do not fill the stored bits, or the file is cut
        short; `target` is then to be filled by other means, which also tell what is wrong.
    """
    buffer = target if target.flags.c_contiguous else np.empty(target.shape, dtype=np.int16)
    try:
        with header.path.open("rb", buffering=0) as stream:
            stream.seek(header.encoding.start)
            if stream.readinto(buffer.data) != buffer.nbytes:
                return False
    except OSError:
        return False
    if not np.little_endian:
        buffer.byteswap(inplace=True)
    stored = buffer.view(np.int16 if header.encoding.signed else np.uint16)
    low, high = int(stored.min()), int(stored.max())
    lowest, highest = header.encoding.in_range
    intercept = int(header.intercept)
    if low < lowest or high > highest or not fits_int16(low + intercept, high + intercept):
        return False
    if intercept:
        # Arithmetic modulo 2**16 is exact here, because every result is an int16.
        buffer += np.int64(intercept).astype(np.int16)
    if buffer is not target:
        target[...] = buffer
    return True
