"""Refuse headers that ask for absurd amounts of memory, before anything is allocated."""

from __future__ import annotations

from pathlib import Path

from napari_medcnn.core.errors import ReadError

MAX_VOLUME_BYTES = 8 * 1024**3
"""Largest image that is read, uncompressed.

Twice a whole-body CT of 512x512x8000 voxels in 16 bits; what claims more is a broken or hostile
header."""

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
