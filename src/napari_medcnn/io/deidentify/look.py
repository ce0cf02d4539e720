"""What a profile of attributes cannot clean: files that a person must look at."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from napari_medcnn.io.deidentify.safe_private import tile_values
from napari_medcnn.io.dicom.mosaic import UIH_TILE_COUNT

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


class Look(StrEnum):
    """Why a file should be looked at before it is given away."""

    BURNED_IN = "says that its pixels hold annotations"
    SCREEN = "is a capture, a photograph or ultrasound: its pixels may show names"
    OVERLAY_BITS = "has overlays in unused bits of its pixels, which were left as they are"
    REST_OF_PIXELS = "has bytes after its last pixel, which were left as they are"
    COMMENT = "has a comment inside its compressed pixels, which were left as they are"
    FACE = "says that its pixels show recognizable features"
    DOCUMENT = "is a report or presentation: its content was removed"
    MOSAIC = "is a mosaic whose tiles could not be described anew: convert it before"


_SCREEN_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.7",  # secondary capture
    "1.2.840.10008.5.1.4.1.1.6",  # ultrasound
    "1.2.840.10008.5.1.4.1.1.3",  # ultrasound multi-frame
    "1.2.840.10008.5.1.4.1.1.77.1",  # visible light
)
_DOCUMENT_CLASSES = ("1.2.840.10008.5.1.4.1.1.88", "1.2.840.10008.5.1.4.1.1.11")
_SCREEN_MODALITIES = frozenset({"SC", "OT", "US", "XC", "ES", "GM", "DOC", "SR"})
_SCREEN_TYPES = frozenset({"SCREEN SAVE", "SCREENSHOT", "SCREEN_SAVE", "CAPTURE", "DOSE_INFO",
                           "SECONDARY CAPTURE"})  # fmt: skip
_JPEG_START, _JPEG2000_START = b"\xff\xd8", b"\xff\x4f\xff\x51"
_JPEG_TEXTS = (0xFE, 0xE1, 0xED)  # comment, Exif or XMP, Photoshop's
_JPEG2000_COMMENT = 0x64
_SCANNED = 64 * 1024


def looks(dataset: Dataset) -> tuple[Look, ...]:
    """What is suspicious in a data set that was not cleaned yet."""
    checks = {
        Look.BURNED_IN: _text(dataset, "BurnedInAnnotation") == "YES",
        Look.SCREEN: _is_screen(dataset),
        Look.OVERLAY_BITS: _has_overlay_bits(dataset),
        Look.REST_OF_PIXELS: _has_more_than_pixels(dataset),
        Look.COMMENT: _has_comment(dataset),
        Look.FACE: _text(dataset, "RecognizableVisualFeatures") == "YES",
        Look.DOCUMENT: _text(dataset, "SOPClassUID").startswith(_DOCUMENT_CLASSES),
        Look.MOSAIC: _is_mosaic(dataset) and not tile_values(dataset),
    }
    return tuple(look for look, found in checks.items() if found)


def _is_mosaic(dataset: Dataset) -> bool:
    return "MOSAIC" in _text(dataset, "ImageType").upper() or UIH_TILE_COUNT in dataset


def _is_screen(dataset: Dataset) -> bool:
    if "PixelData" not in dataset or _text(dataset, "BurnedInAnnotation") == "NO":
        return False
    sop_class = _text(dataset, "SOPClassUID")
    # "1.2.…1.1.7" is a class and the root of others, "…1.1.77" another family.
    family = any(sop_class == root or sop_class.startswith(f"{root}.") for root in _SCREEN_CLASSES)
    types = {part.strip().upper() for part in _text(dataset, "ImageType").split("\\")}
    return (
        family
        or _text(dataset, "Modality").upper() in _SCREEN_MODALITIES
        or bool(types & _SCREEN_TYPES)
        or "ConversionType" in dataset
    )


def _has_overlay_bits(dataset: Dataset) -> bool:
    """Whether an overlay lies in the pixels' own words (PS3.3 C.9.2, retired)."""
    return any(
        (group << 16) + 0x0102 in dataset and (group << 16) + 0x3000 not in dataset
        for group in range(0x6000, 0x6020, 2)
    )


def _has_more_than_pixels(dataset: Dataset) -> bool:
    element = dataset.get("PixelData")
    if element is None or _is_compressed(dataset):
        return False
    sizes = [dataset.get(name) for name in ("Rows", "Columns", "BitsAllocated")]
    try:
        rows, columns, bits = (int(size or 0) for size in sizes)
        samples, frames = int(dataset.get("SamplesPerPixel") or 1), _frames(dataset)
    except (TypeError, ValueError):
        return True
    expected = (rows * columns * samples * frames * bits + 7) // 8
    return len(element) > expected + expected % 2


def _frames(dataset: Dataset) -> int:
    return int(dataset.get("NumberOfFrames") or 1)


def _is_compressed(dataset: Dataset) -> bool:
    from pydicom.uid import UID

    syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))
    return bool(syntax.is_transfer_syntax and syntax.is_compressed)


def _has_comment(dataset: Dataset) -> bool:
    element = dataset.get("PixelData")
    if not isinstance(element, bytes) or not _is_compressed(dataset):
        return False
    start = element.find(_JPEG2000_START, 0, _SCANNED)
    if start >= 0:
        return _has_marker(element, start + 2, (_JPEG2000_COMMENT,), ends=0x90, wordy=True)
    start = element.find(_JPEG_START, 0, _SCANNED)
    return start >= 0 and _has_marker(element, start + 2, _JPEG_TEXTS, ends=0xDA, wordy=False)


def _has_marker(
    stream: bytes, place: int, markers: tuple[int, ...], *, ends: int, wordy: bool
) -> bool:
    """Whether one of the markers occurs in a codestream's header, before the image itself."""
    while place + 4 <= len(stream) and stream[place] == 0xFF:
        marker, length = stream[place + 1], int.from_bytes(stream[place + 2 : place + 4], "big")
        if marker in markers:
            text = stream[place + 4 : place + 2 + length]
            # Every JPEG 2000 encoder signs its streams with its own name.
            return not wordy or not _is_signature(text)
        if marker == ends:
            return False
        place += 2 + max(length, 2)
    return False


def _is_signature(text: bytes) -> bool:
    words = (b"Created by", b"Kakadu", b"OpenJPEG", b"JasPer", b"LEADTOOLS", b"Pegasus", b"Aware")
    return any(word.lower() in text.lower() for word in words)


def _text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    if value is None:
        return ""
    return "\\".join(str(v) for v in value) if not isinstance(value, str) else value.strip("\0 ")
