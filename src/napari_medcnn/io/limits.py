"""Refuse headers that ask for absurd amounts of memory, before anything is allocated."""

from __future__ import annotations

from pathlib import Path

from napari_medcnn.core.errors import ReadError

MAX_VOLUME_BYTES = 8 * 1024**3
"""Largest image that is read, uncompressed.

Twice a whole-body CT of 512x512x8000 voxels in 16 bits; what claims more is a broken or hostile
header."""

MAX_INFLATED_BYTES = 1024**3
"""Largest deflated DICOM data set that is inflated: pydicom must inflate all of it for the header.

A hostile file of 600 kB may inflate to a gigabyte; an honest deflated image is far smaller."""

MAX_FRAME_PIXELS = 2**28
"""Most pixels of one image: 16384 x 16384, four times what the largest detectors have."""

MAX_CODEC_RATIO = 10_000
"""No codec of images packs real ones tighter; empty 16 bit slices reach some thousands."""

MIN_FRAGMENT_BYTES = 8
"""Of a compressed frame: the header of its fragment alone (PS3.5 Table A.4-1)."""

FREE_BYTES = 64 * 1024**2
"""What any file may ask for, however small it is: a few empty slices."""

MAX_COMPRESSION_RATIO = 1100
"""No deflate stream expands more (the format's own limit is 1032 to 1)."""

MAX_HEADER_BYTES = 1024 * 1024
"""Longest text header of a NRRD or MetaImage file that is looked at."""

MAX_FILES = 100_000
"""Most files of a folder that are looked at."""


def check_claimed_size(path: Path, claimed: int, stored: int, *, compressed: bool) -> None:
    """Hold what a header claims against the limit and against what the file can contain.

    Parameters
    ----------
    path : Path
        For the message.
    claimed : int
        Bytes of voxels that the header asks for.
    stored : int
        Bytes of voxel data in the file.
    compressed : bool
        Whether the voxels are stored deflated.

    Raises
    ------
    ReadError
        When the image is over :data:`MAX_VOLUME_BYTES` or the file cannot hold it.
    """
    if claimed > MAX_VOLUME_BYTES:
        raise ReadError(
            f"its header claims {claimed / 1024**3:.1f} GiB of voxels; the limit is "
            f"{MAX_VOLUME_BYTES / 1024**3:.0f} GiB",
            source=path,
            hint="the header is broken, or crop the image first",
        )
    if claimed > stored * (MAX_COMPRESSION_RATIO if compressed else 1):
        raise ReadError(
            f"the file is truncated: its header claims {claimed} bytes of voxels, "
            f"{stored} are there",
            source=path,
            hint="copy or export the file again",
        )


def check_frame_size(
    rows: int, columns: int, frames: int, bytes_per_pixel: int, stored: int, *, compressed: bool
) -> None:
    """Hold what a DICOM header claims against the limits and against the bytes that are there.

    Parameters
    ----------
    rows, columns, frames : int
        As the header says.
    bytes_per_pixel : int
        Of all samples of one pixel.
    stored : int
        Bytes of pixel data, or of the whole file.
    compressed : bool
        Whether the frames are compressed, each by itself.

    Raises
    ------
    ReadError
        When no honest file of this size holds so many pixels. It names no file.
    """
    if min(rows, columns, frames) < 1:
        raise ReadError(f"its header claims {frames} frames of {rows} x {columns} pixels")
    claimed = rows * columns * frames * max(1, bytes_per_pixel)
    if rows * columns > MAX_FRAME_PIXELS or claimed > MAX_VOLUME_BYTES:
        raise ReadError(
            f"its header claims an absurd size: {frames} frames of {rows} x {columns} pixels"
        )
    # Uncompressed colour may be stored at two thirds (4:2:2); what is cut off, decoding tells.
    allowed = max(stored * (MAX_CODEC_RATIO if compressed else 2), FREE_BYTES)
    if frames > 1:
        # Each frame becomes an object in memory before a pixel is decoded.
        least = MIN_FRAGMENT_BYTES if compressed else claimed // frames // 2
        allowed = allowed if frames * least <= stored else 0
    if claimed > allowed:
        raise ReadError(f"its header claims {claimed} bytes of pixels in a file of {stored}")
