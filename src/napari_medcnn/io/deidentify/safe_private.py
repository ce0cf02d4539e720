"""Private values that are known to be numbers of the acquisition, written anew and nothing else.

Without them the tiles of a mosaic are no slices any more, and images with diffusion weighting
cannot be told apart. By PS3.15's Retain Safe Private Option: each is known by tag and creator, must
be a number (or three) in the range that it can have, and is written from that number alone, so that
no byte of the original comes along.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_medcnn.io.dicom.frame_order import GE_B_VALUE_MARK
from napari_medcnn.io.dicom.guarded import dicom_failures
from napari_medcnn.io.dicom.mosaic import (
    CSA_CREATOR,
    CSA_IMAGE_HEADER,
    SLICE_NORMAL,
    TILE_COUNT,
    UIH_TILE_COUNT,
    UIH_TILES,
    csa_values,
)
from napari_medcnn.io.dicom.tag_values import floats, number, values

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_MOST_TILES = 1024
_HIGHEST_B_VALUE = 100_000  # s/mm²
_FARTHEST_MM = 10_000.0
_UNIT_LENGTH_TOLERANCE = 0.01
_UIH_CREATOR = "Image Private Header"
_CSA_MARK = 77


@dataclass(frozen=True)
class SafeValue:
    """A private element to write: numbers, or what was made of numbers alone."""

    group: int
    creator: str
    element: int
    vr: str
    value: Any


@dataclass(frozen=True)
class _Known:
    """A private element whose `count` numbers lie between `low` and `high`."""

    group: int
    creator: str
    element: int
    vr: str
    count: int
    low: float
    high: float


_DIFFUSION = (
    _Known(0x0019, "SIEMENS MR HEADER", 0x0C, "IS", 1, 0, _HIGHEST_B_VALUE),
    _Known(0x0019, "SIEMENS MR HEADER", 0x0E, "FD", 3, -1, 1),
    _Known(0x2001, "Philips Imaging DD 001", 0x03, "FL", 1, 0, _HIGHEST_B_VALUE),
    *(_Known(0x2005, "Philips MR Imaging DD 001", e, "FL", 1, -1, 1) for e in (0xB0, 0xB1, 0xB2)),
    *(_Known(0x0019, "GEMS_ACQU_01", e, "DS", 1, -1, 1) for e in (0xBB, 0xBC, 0xBD)),
)
"""b-values and gradient directions, as the loader reads them."""

_PLAIN: dict[str, Callable[[float], float | str]] = {
    "IS": round, "FD": float, "FL": float, "DS": lambda value: f"{value:.8g}",
}  # fmt: skip


def safe_values(dataset: Dataset) -> tuple[SafeValue, ...]:
    """What may stay of a data set's private elements; read before the data set is cleaned."""
    found = [value for known in _DIFFUSION for value in _numbers(dataset, known)]
    return (*found, *_ge_b_value(dataset), *tile_values(dataset))


def tile_values(dataset: Dataset) -> tuple[SafeValue, ...]:
    """How the tiles of a mosaic lie; nothing where that is not told."""
    return _siemens_tiles(dataset) or _uih_tiles(dataset)


def write_safe_values(dataset: Dataset, kept: Sequence[SafeValue]) -> None:
    """Write them into a data set without private elements."""
    for value in kept:
        block = dataset.private_block(value.group, value.creator, create=True)
        block.add_new(value.element, value.vr, value.value)


def _numbers(dataset: Dataset, known: _Known) -> list[SafeValue]:
    found = _finite(_value(dataset, known.group, known.creator, known.element), known.count)
    if found is None or not all(known.low <= v <= known.high for v in found):
        return []
    plain = [_PLAIN[known.vr](v) for v in found]
    value = plain[0] if known.count == 1 else plain
    return [SafeValue(known.group, known.creator, known.element, known.vr, value)]


def _ge_b_value(dataset: Dataset) -> list[SafeValue]:
    """The first of several numbers, to which GE may have added a mark."""
    marked = _first(_value(dataset, 0x0043, "GEMS_PARM_01", 0x39))
    if marked is None or not 0 <= marked % GE_B_VALUE_MARK <= _HIGHEST_B_VALUE:
        return []
    b_value = round(marked % GE_B_VALUE_MARK)
    return [SafeValue(0x0043, "GEMS_PARM_01", 0x39, "IS", [b_value, 0, 0, 0])]


def _siemens_tiles(dataset: Dataset) -> tuple[SafeValue, ...]:
    """A CSA image header of two values: the number of tiles and the normal of the slices."""
    if "MOSAIC" not in values(dataset.get("ImageType")):
        return ()
    csa = csa_values(dataset)
    count, normal = _first(csa.get(TILE_COUNT)), _finite(csa.get(SLICE_NORMAL), 3)
    if count is None or normal is None or not 1 <= count <= _MOST_TILES:
        return ()
    if abs(math.hypot(*normal) - 1) > _UNIT_LENGTH_TOLERANCE:
        return ()
    texts = {TILE_COUNT: [str(round(count))], SLICE_NORMAL: [f"{v:.8f}" for v in normal]}
    vrs = {TILE_COUNT: "US", SLICE_NORMAL: "FD"}
    header = b"".join(_csa_tag(name, vrs[name], items) for name, items in texts.items())
    content = b"SV10\4\3\2\1" + struct.pack("<2I", len(texts), _CSA_MARK) + header
    return (SafeValue(0x0029, CSA_CREATOR, CSA_IMAGE_HEADER, "OB", content),)


def _csa_tag(name: str, vr: str, items: list[str]) -> bytes:
    """One value of a CSA header of the second version."""
    head = struct.pack(
        "<64si4s3i", name.encode(), len(items), vr.encode(), 0, len(items), _CSA_MARK
    )
    texts = [item.encode() + b"\0" for item in items]
    return head + b"".join(
        struct.pack("<4i", len(text), len(text), _CSA_MARK, len(text))
        + text
        + bytes(-len(text) % 4)
        for text in texts
    )


def _uih_tiles(dataset: Dataset) -> tuple[SafeValue, ...]:
    """The number of a UIH grid's tiles and their positions in mm."""
    from pydicom.dataset import Dataset as Item
    from pydicom.sequence import Sequence as Items

    count = _first(_value(dataset, 0x0065, _UIH_CREATOR, UIH_TILE_COUNT & 0xFF))
    tiles = _value(dataset, 0x0065, _UIH_CREATOR, UIH_TILES & 0xFF)
    if count is None or not isinstance(tiles, Items) or not 1 < count <= _MOST_TILES:
        return ()
    items = []
    for tile in tiles:
        position = _finite(tile.get("ImagePositionPatient"), 3)
        if position is None or max(map(abs, position)) > _FARTHEST_MM:
            return ()
        item = Item()
        item.ImagePositionPatient = [f"{v:.10g}" for v in position]
        items.append(item)
    return (
        SafeValue(0x0065, _UIH_CREATOR, UIH_TILE_COUNT & 0xFF, "DS", round(count)),
        SafeValue(0x0065, _UIH_CREATOR, UIH_TILES & 0xFF, "SQ", Items(items)),
    )


def _value(dataset: Dataset, group: int, creator: str, element: int) -> Any:
    """A private value under exactly this creator's name; None where there is no sound one."""
    try:
        return dataset.private_block(group, creator)[element].value
    except dicom_failures():
        return None


def _finite(value: Any, count: int) -> tuple[float, ...] | None:
    """Exactly so many finite numbers; None where there are others, or anything but numbers."""
    try:
        return floats(value, count)
    except (TypeError, ValueError):
        return None


def _first(value: Any) -> float | None:
    """The first number of a value; None where there is none."""
    try:
        found = number(value)
    except (TypeError, ValueError):
        return None
    return found if found is not None and math.isfinite(found) else None
