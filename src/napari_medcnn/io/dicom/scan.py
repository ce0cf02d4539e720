"""Read the headers of many files, each in its own right: one bad file never stops the others."""

from __future__ import annotations

import re
import warnings
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.volume import Finding, Severity
from napari_medcnn.io.dicom.encoding import encoding_of
from napari_medcnn.io.dicom.header import TAGS, FrameHeader, frame_headers
from napari_medcnn.io.dicom.mosaic import is_mosaic, tiles
from napari_medcnn.io.limits import MAX_VOLUME_BYTES

MAX_INFLATED_BYTES = 1024**3
"""Largest deflated data set that is inflated: pydicom must inflate all of it for the header.

A hostile file of 600 kB may inflate to a gigabyte; an honest deflated image is far smaller."""

_PREAMBLE = 132
_DEFLATED = "1.2.840.10008.1.2.1.99"
# Files from before the preamble begin with a tag of group 0002 or 0008, little endian.
_BARE_STARTS = (b"\x02\x00\x00\x00", b"\x08\x00\x00\x00", b"\x08\x00\x01\x00", b"\x08\x00\x05\x00",
                b"\x08\x00\x08\x00", b"\x08\x00\x16\x00")  # fmt: skip
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Scan:
    """The frames that were found, and how many files were left out for which reason."""

    frames: tuple[FrameHeader, ...]
    skipped: Counter[str]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was left out, as a finding."""
        if not self.skipped:
            return ()
        reasons = "; ".join(f"{count}: {reason}" for reason, count in self.skipped.most_common(5))
        text = f"{sum(self.skipped.values())} files beside the images were left out ({reasons})."
        return (Finding("files-ignored", Severity.INFO, text),)


def looks_like_dicom(path: Path) -> bool:
    """Whether the first bytes are DICOM's, with or without a preamble; False if unreadable."""
    try:
        # Opening a pipe or a device may wait forever.
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            start = stream.read(_PREAMBLE)
    except OSError:
        return False
    return start[128:132] == b"DICM" or start.startswith(_BARE_STARTS)


def scan(paths: Iterable[Path]) -> Scan:
    """Read the header of every file; what is no image is counted with its reason."""
    frames: list[FrameHeader] = []
    skipped: Counter[str] = Counter()
    for path in paths:
        try:
            frames.extend(_read_header(path))
        except ReadError as error:
            skipped[error.what] += 1
    return Scan(tuple(frames), skipped)


def _read_header(path: Path) -> list[FrameHeader]:
    import pydicom
    from pydicom.errors import BytesLengthException, InvalidDicomError

    if path.name.upper() == "DICOMDIR":
        raise ReadError("a directory record")
    if not looks_like_dicom(path):
        raise ReadError("not DICOM")
    try:
        # pydicom warns of every irregular value; what matters is checked here by its meaning.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with path.open("rb") as stream:
                _check_inflation(stream)
                stream.seek(0)
                dataset = pydicom.dcmread(
                    stream, stop_before_pixels=True, specific_tags=list(TAGS), force=True
                )
                frames = frame_headers(dataset, path, encoding_of(dataset, stream))
                if is_mosaic(frames[0], dataset):
                    frames = tiles(frames[0], dataset) if len(frames) == 1 else frames
    except (OSError, EOFError, ValueError, TypeError, AttributeError, KeyError, IndexError,
            NotImplementedError, OverflowError, zlib.error, InvalidDicomError,
            BytesLengthException) as error:  # fmt: skip
        raise ReadError(f"its header cannot be read ({type(error).__name__})") from error
    except RecursionError as error:
        raise ReadError("its header nests too deeply") from error
    rows, columns = frames[0].shape
    if rows * columns * len(frames) > MAX_VOLUME_BYTES:
        raise ReadError("its header claims an absurd size")
    return frames


def _check_inflation(stream: BinaryIO) -> None:
    """Refuse a deflated data set that inflates beyond the limit, without keeping it."""
    from pydicom.filereader import read_file_meta_info

    start = stream.read(4096)
    # Only where the text of the meta group names the deflated syntax is a closer look needed.
    if _DEFLATED.encode() not in start:
        return
    meta = read_file_meta_info(stream.name)
    if str(meta.get("TransferSyntaxUID", "")) != _DEFLATED:
        return
    # The meta group begins with its own 12 byte length element.
    stream.seek(_PREAMBLE + 12 + int(meta.FileMetaInformationGroupLength))
    inflater, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    pending = stream.read(_CHUNK)
    while pending and not inflater.eof:
        total += len(inflater.decompress(pending, _CHUNK))
        if total > MAX_INFLATED_BYTES:
            raise ReadError("it inflates beyond every image's size")
        pending = inflater.unconsumed_tail or stream.read(_CHUNK)


def series_title(frame: FrameHeader) -> str:
    """A name for people from description and number, without any patient identity."""
    description = re.sub(r"\s+", " ", frame.series_description) or frame.modality or "image"
    return description if frame.series_number is None else f"{description} ({frame.series_number})"
