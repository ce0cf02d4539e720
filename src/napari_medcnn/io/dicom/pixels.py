"""Stored values of one file: read straight from the file, by imagecodecs, or by pydicom.

The first two are taken only where they give what pydicom gives: stored values that fill the bits
that the header says. Everything else, and every doubt, goes to pydicom, whose errors are final.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import ReadError
from napari_medcnn.io.dicom.codestream import check_codestream
from napari_medcnn.io.dicom.encoding import (
    UNCOMPRESSED_LITTLE_ENDIAN,
    UNDEFINED_LENGTH,
)
from napari_medcnn.io.dicom.fragments import joined_fragments
from napari_medcnn.io.dicom.guarded import BoundedReader, dicom_failures
from napari_medcnn.io.dicom.header import FrameHeader

_JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")
_JPEG_LS = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81")


def file_pixels(header: FrameHeader) -> npt.NDArray[Any]:
    """Stored values ``(picture, y, x)`` or ``(picture, y, x, channel)`` of a frame's file.

    Raises
    ------
    ReadError
        Naming the file, when its pixels cannot be decoded.
    """
    encoding = header.encoding
    plain = not header.colour and header.photometric != "PALETTE COLOR" and header.tile is None
    if not encoding.start or not plain:
        return _by_pydicom(header)
    if encoding.high_bit != encoding.bits_stored - 1 or encoding.bits_allocated not in (8, 16):
        return _by_pydicom(header)
    found = None
    if encoding.transfer_syntax in UNCOMPRESSED_LITTLE_ENDIAN:
        found = _as_stored(header)
    elif encoding.transfer_syntax in (*_JPEG_2000, *_JPEG_LS):
        found = _by_imagecodecs(header)
    if found is None or not _fills_its_bits(found, header):
        return _by_pydicom(header)
    return found


def _fills_its_bits(pixels: npt.NDArray[Any], header: FrameHeader) -> bool:
    encoding = header.encoding
    if encoding.bits_stored == encoding.bits_allocated:
        return True
    low, high = encoding.in_range
    return bool(low <= pixels.min() and pixels.max() <= high)


def _as_stored(header: FrameHeader) -> npt.NDArray[Any] | None:
    """Uncompressed pixels without a copy; None where the file holds another number of bytes."""
    encoding = header.encoding
    shape = (header.frame_count, *header.shape)
    count = int(np.prod(shape))
    if encoding.length not in (
        count * encoding.dtype.itemsize,
        count * encoding.dtype.itemsize + 1,
    ):
        return None
    try:
        pixels = np.fromfile(header.path, encoding.dtype, count, offset=encoding.start)
    except OSError:
        return None
    return pixels.reshape(shape) if pixels.size == count else None


def _by_imagecodecs(header: FrameHeader) -> npt.NDArray[Any] | None:
    """Compressed pixels by decoders that leave Python's lock; None where pydicom must look."""
    import imagecodecs

    encoding = header.encoding
    decoder = (
        imagecodecs.jpeg2k_decode
        if encoding.transfer_syntax in _JPEG_2000
        else imagecodecs.jpegls_decode
    )
    if encoding.length != UNDEFINED_LENGTH:
        return None
    try:
        with BoundedReader(header.path) as stream:
            stream.seek(encoding.start)
            streams = _codestreams(stream, header.frame_count)
        for one in streams:
            check_codestream(one, *header.shape)
        pictures = [decoder(one) for one in streams]
    except ReadError as error:
        raise ReadError(f"{header.path.name}: {error.what}") from error
    except (OSError, EOFError, ValueError, RuntimeError, MemoryError):
        return None
    wanted = encoding.dtype
    for picture in pictures:
        # JPEG-LS knows no sign; J2K streams may contradict the header.
        if picture.shape != header.shape or picture.dtype != wanted:
            return None
    if len(pictures) != header.frame_count:
        return None
    return pictures[0][np.newaxis] if len(pictures) == 1 else np.stack(pictures)


def _codestreams(stream: BinaryIO, count: int) -> list[bytes]:
    if count == 1:
        single = joined_fragments(stream)
        return [] if single is None else [single]
    from pydicom.encaps import generate_frames

    return list(generate_frames(stream, number_of_frames=count))


def _by_pydicom(header: FrameHeader) -> npt.NDArray[Any]:
    import pydicom
    from pydicom.encaps import generate_frames
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    path = header.path
    try:
        with BoundedReader(path) as stream:
            dataset = pydicom.dcmread(stream, force=True)
        if "TransferSyntaxUID" not in dataset.file_meta:
            # A file without a meta header is little endian; which of two, reading has shown.
            implicit = dataset.original_encoding[0]
            syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
            dataset.file_meta.TransferSyntaxUID = syntax
        elif dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            for one in generate_frames(dataset.PixelData, number_of_frames=header.frame_count):
                check_codestream(one, int(dataset.Rows), int(dataset.Columns))
        pixels: npt.NDArray[Any] = dataset.pixel_array
        if header.photometric == "PALETTE COLOR":
            from pydicom.pixels.processing import apply_color_lut

            pixels = apply_color_lut(pixels, dataset)
    except dicom_failures() as error:
        raise _undecodable(path, error) from error
    except BaseException as error:
        # A panic of a decoder written in Rust is no Exception to Python.
        if type(error).__name__ != "PanicException":
            raise
        raise _undecodable(path, error) from error
    pixels = pixels if header.frame_count > 1 else pixels[np.newaxis]
    channels = pixels.shape[3:] or (3,)
    if pixels.ndim not in (3, 4) or len(pixels) != header.frame_count or channels[0] not in (3, 4):
        raise ReadError(f"the pixels of {path.name} have another shape than its header says")
    return pixels


def _undecodable(path: Path, error: BaseException) -> ReadError:
    reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    return ReadError(f"the pixels of {path.name} cannot be decoded: {reason}")
