"""Read the headers of many files, each in its own right: one bad file never stops the others."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.volume import Finding, Severity
from napari_medcnn.io.dicom.encoding import UNDEFINED_LENGTH, Encoding, encoding_of
from napari_medcnn.io.dicom.guarded import (
    DEFLATED,
    DICOM_FAILURES,
    BoundedReader,
    check_inflation,
    dicom_failures,
)
from napari_medcnn.io.dicom.header import TAGS, FrameHeader, frame_headers
from napari_medcnn.io.dicom.mosaic import is_mosaic, tiles
from napari_medcnn.io.dicom.quick_header import quick_header
from napari_medcnn.io.dicom.tag_values import integer
from napari_medcnn.io.limits import check_frame_size

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from napari_medcnn.io.dicom.tag_values import Values

_PREAMBLE = 132
# Files from before the preamble begin with a tag of group 0002 or 0008, little endian.
_BARE_STARTS = (b"\x02\x00\x00\x00", b"\x08\x00\x00\x00", b"\x08\x00\x01\x00", b"\x08\x00\x05\x00",
                b"\x08\x00\x08\x00", b"\x08\x00\x16\x00")  # fmt: skip


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
    if path.name.upper() == "DICOMDIR":
        raise ReadError("a directory record")
    return _plain_header(path) or _general_header(path)


def _plain_header(path: Path) -> list[FrameHeader]:
    """The frames of a plain file; none where pydicom must look, also at what is wrong."""
    try:
        # Opening a pipe or a device may wait forever.
        if not path.is_file():
            return []
        with path.open("rb") as stream:
            header = quick_header(stream)
            if header is None:
                return []
            stream.seek(header.pixel_element)
            encoding = encoding_of(header, stream)
            if _absurd_claim(header, encoding, path.stat().st_size):
                return []
        frames = frame_headers(header, path, encoding)
        return tiles(frames[0], header) if is_mosaic(frames[0], header) else frames
    except DICOM_FAILURES:
        return []


def _general_header(path: Path) -> list[FrameHeader]:
    import pydicom

    if not looks_like_dicom(path):
        raise ReadError("not DICOM")
    try:
        # pydicom warns of every irregular value; what matters is checked here by its meaning.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with BoundedReader(path) as stream:
                check_inflation(stream)
                stream.seek(0)
                dataset = pydicom.dcmread(
                    stream, stop_before_pixels=True, specific_tags=list(TAGS), force=True
                )
                encoding = encoding_of(dataset, stream)
                refusal = _absurd_claim(dataset, encoding, path.stat().st_size)
                if refusal:
                    return [_refused(dataset, path, encoding, refusal)]
                frames = frame_headers(dataset, path, encoding)
                if is_mosaic(frames[0], dataset):
                    frames = tiles(frames[0], dataset) if len(frames) == 1 else frames
    except RecursionError as error:
        raise ReadError("its header nests too deeply") from error
    except dicom_failures() as error:
        raise ReadError(f"its header cannot be read ({type(error).__name__})") from error
    return frames


def _absurd_claim(dataset: Values, encoding: Encoding, stored: int) -> str:
    """Why no file of this size holds the pixels that its header claims, or an empty text."""
    rows, columns = integer(dataset.get("Rows")) or 0, integer(dataset.get("Columns")) or 0
    if not rows or not columns:
        return ""  # no image at all, which is told as such
    samples = integer(dataset.get("SamplesPerPixel")) or 1
    compressed = encoding.length == UNDEFINED_LENGTH or encoding.transfer_syntax == DEFLATED
    try:
        check_frame_size(
            rows,
            columns,
            integer(dataset.get("NumberOfFrames")) or 1,
            max(1, encoding.bits_allocated // 8) * samples,
            # Pixels of one bit fill an eighth of what is counted here.
            stored * 8 if encoding.bits_allocated == 1 else stored,
            compressed=compressed,
        )
    except ReadError as error:
        return error.what
    return ""


def _refused(dataset: Dataset, path: Path, encoding: Encoding, refusal: str) -> FrameHeader:
    """One frame in place of many: its series is refused, and not loaded without it."""
    dataset.NumberOfFrames = 1
    if "PerFrameFunctionalGroupsSequence" in dataset:
        del dataset.PerFrameFunctionalGroupsSequence
    (frame,) = frame_headers(dataset, path, encoding)
    return replace(frame, refusal=refusal)


def series_title(frame: FrameHeader) -> str:
    """A name for people from description and number, without any patient identity."""
    description = re.sub(r"\s+", " ", frame.series_description) or frame.modality or "image"
    return description if frame.series_number is None else f"{description} ({frame.series_number})"
