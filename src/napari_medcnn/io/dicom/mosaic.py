"""Pictures whose tiles are slices: Siemens mosaics and UIH grids, each tile put in its own place.

A Siemens mosaic's Image Position (Patient) is the corner that one slice of the whole mosaic's size
would have around the same centre; a tile's corner lies half the difference further in. Direction
and order of the slices are those of the CSA header's slice normal, which may point against the
normal of rows and columns. A UIH grid gives each tile's position in a private sequence.
"""

from __future__ import annotations

import math
import struct
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_medcnn.io.dicom.guarded import BoundedReader
from napari_medcnn.io.dicom.header import FrameHeader
from napari_medcnn.io.dicom.tag_values import floats, integer, private

if TYPE_CHECKING:
    from napari_medcnn.io.dicom.tag_values import Values

CSA_CREATOR, CSA_IMAGE_HEADER = "SIEMENS CSA HEADER", 0x10
TILE_COUNT, SLICE_NORMAL = "NumberOfImagesInMosaic", "SliceNormalVector"
"""Values of the CSA image header."""

_CSA_TAGS = [*((0x0029 << 16) + slot for slot in range(0x10, 0x20)),
             *((0x0029 << 16) + slot * 0x100 + 0x10 for slot in range(0x10, 0x20))]  # fmt: skip
UIH_TILE_COUNT, UIH_TILES = 0x00651050, 0x00651051
_NORMAL_TOLERANCE = 0.01
"""By how much the CSA header's normal may differ from that of rows and columns, cosines."""


def is_mosaic(frame: FrameHeader, dataset: Values) -> bool:
    """Whether the picture holds the slices of a volume as tiles."""
    return "MOSAIC" in frame.image_type or _uih_count(dataset) > 1


def tiles(frame: FrameHeader, dataset: Values) -> list[FrameHeader]:
    """One header a slice, in the order of the tiles; the frame with a refusal where unknown."""
    if _uih_count(dataset) > 1:
        return _uih_tiles(frame, dataset)
    return _siemens_tiles(frame, dataset)


def _siemens_tiles(frame: FrameHeader, dataset: Values) -> list[FrameHeader]:
    csa = _csa_header(frame)
    count = integer(csa.get(TILE_COUNT)) or 0
    if count < 1:
        return [_refused(frame, "and the number of its slices is not told")]
    normal = floats(csa.get(SLICE_NORMAL), 3)
    if normal is None:
        return [_refused(frame, "and the order of its slices is not told")]
    step = _slice_step(dataset)
    if step is None or frame.pixel_spacing is None:
        return [_refused(frame, "and the distance of its slices is not told")]
    if frame.position is None or frame.orientation is None:
        return [_refused(frame, "and their place is not told")]
    rows, columns = _tile_shape(frame, count)
    if rows == 0:
        return [_refused(frame, "that do not fill the picture")]
    along_row, along_column = np.reshape(frame.orientation, (2, 3))
    cosine = float(np.dot(np.cross(along_row, along_column), normal))
    if abs(abs(cosine) - 1) > _NORMAL_TOLERANCE:
        return [_refused(frame, "and its header contradicts itself on their direction")]
    # The exact normal of rows and columns, in the direction that the CSA header gives.
    direction = np.cross(along_row, along_column) * math.copysign(1.0, cosine)
    first = (
        np.asarray(frame.position)
        + along_row * frame.pixel_spacing[1] * (frame.shape[1] - columns) / 2
        + along_column * frame.pixel_spacing[0] * (frame.shape[0] - rows) / 2
    )
    positions = [tuple(map(float, first + direction * step * k)) for k in range(count)]
    return _placed(frame, positions, (rows, columns))


def _uih_tiles(frame: FrameHeader, dataset: Values) -> list[FrameHeader]:
    sequence = dataset.get(UIH_TILES)
    items = [] if sequence is None else sequence.value
    count = _uih_count(dataset)
    positions = [floats(item.get("ImagePositionPatient"), 3) for item in items]
    known = [position for position in positions if position is not None]
    if len(positions) != count or len(known) != count:
        return [_refused(frame, "and their places are not told")]
    shape = _tile_shape(frame, count)
    if shape[0] == 0:
        return [_refused(frame, "that do not fill the picture")]
    return _placed(frame, known, shape)


def _placed(
    frame: FrameHeader, positions: list[tuple[float, ...]], shape: tuple[int, int]
) -> list[FrameHeader]:
    across = frame.shape[1] // shape[1]
    return [
        replace(
            frame,
            index=number,
            shape=shape,
            position=position,
            tile=(number // across * shape[0], number % across * shape[1]),
        )
        for number, position in enumerate(positions)
    ]


def _tile_shape(frame: FrameHeader, count: int) -> tuple[int, int]:
    """Rows and columns of a tile; the mosaic is a square of tiles, the last ones empty."""
    across = math.ceil(math.sqrt(count))
    rows, columns = frame.shape
    return (0, 0) if rows % across or columns % across else (rows // across, columns // across)


def _uih_count(dataset: Values) -> int:
    found = dataset.get(UIH_TILE_COUNT)
    return 0 if found is None else integer(found.value) or 0


def _slice_step(dataset: Values) -> float | None:
    """Spacing Between Slices in mm where it is a positive number."""
    step = floats(dataset.get("SpacingBetweenSlices"), 1)
    return step[0] if step is not None and step[0] > 0 else None


def _csa_header(frame: FrameHeader) -> dict[str, Any]:
    """The CSA image header; read only of mosaics, because every Siemens file has a large one."""
    import pydicom

    with warnings.catch_warnings(), BoundedReader(frame.path) as stream:
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(
            stream, stop_before_pixels=True, specific_tags=_CSA_TAGS, force=True
        )
        return csa_values(dataset)


def csa_values(dataset: Values) -> dict[str, Any]:
    """The values of a Siemens CSA image header by name; none where there is no sound one."""
    content = private(dataset, 0x0029, CSA_CREATOR, CSA_IMAGE_HEADER)
    if not isinstance(content, bytes):
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from nibabel.nicom import csareader

    try:
        tags = csareader.read(content)["tags"]
    except (csareader.CSAReadError, struct.error, ValueError, KeyError, UnicodeError):
        return {}
    return {name: tag["items"] for name, tag in tags.items()}


def _refused(frame: FrameHeader, reason: str) -> FrameHeader:
    return replace(frame, refusal=f"its slices are tiles of a mosaic, {reason}")
