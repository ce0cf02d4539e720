"""Open a DICOM file of unknown origin: bounded memory, and one kind of error whatever is in it.

pydicom alone reads the file: it is Python all through, so that the worst that a header can do is to
raise. Libraries in C++ crash the process on some headers (thousands of nested sequences).
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from napari_medcnn.core.errors import ReadError
from napari_medcnn.io.limits import MAX_INFLATED_BYTES, MAX_VOLUME_BYTES

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset
    from pydicom.tag import BaseTag

DICOM_FAILURES: tuple[type[Exception], ...] = (
    OSError, EOFError, ValueError, TypeError, AttributeError, KeyError, IndexError, RuntimeError,
    NotImplementedError, ArithmeticError, AssertionError, MemoryError, zlib.error, struct.error,
)  # fmt: skip
"""What pydicom raises on broken files; RecursionError is a RuntimeError.

pydicom's own errors derive from Exception alone and are added where it is imported."""

DEFLATED = "1.2.840.10008.1.2.1.99"
_PREFIX_END = 132
_LOOK = 4096
_CHUNK = 1 << 20
_LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN",
                       b"UR", b"UT", b"UV"})  # fmt: skip
_SHORT_VRS = frozenset({b"AE", b"CS", b"LO", b"SH", b"UI", b"UL", b"US"})


class BoundedReader(io.BufferedReader):
    """A file of which no more is asked than is there.

    pydicom asks for as many bytes as an element's length field says, up to 4 GiB, and Python takes
    that memory before it looks how long the file is.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._length = path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file, and never more memory than the rest of the file."""
        if size is not None and size > _LOOK:
            size = max(0, min(size, self._length - self.tell()))
        return super().read(size)


def dicom_failures() -> tuple[type[Exception], ...]:
    """All exceptions by which pydicom says that a file is broken."""
    from pydicom.errors import BytesLengthException, InvalidDicomError

    return (*DICOM_FAILURES, InvalidDicomError, BytesLengthException)


def read_dataset(path: Path, **options: Any) -> FileDataset:
    """:func:`pydicom.dcmread` for files that nobody vouches for.

    Parameters
    ----------
    path : Path
        The file.
    **options
        As of ``dcmread``; ``force`` is set.

    Raises
    ------
    ReadError
        When it is too large, inflates beyond every image's size, or cannot be parsed.
    """
    import pydicom

    try:
        # pydicom warns of every irregular value; what matters is checked by its meaning.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with BoundedReader(path) as stream:
                if path.stat().st_size > MAX_VOLUME_BYTES:
                    raise ReadError("is larger than every image", source=path)
                check_inflation(stream)
                stream.seek(0)
                return pydicom.dcmread(stream, force=True, **options)
    except RecursionError as error:
        raise ReadError("its header nests too deeply", source=path) from error
    except dicom_failures() as error:
        raise ReadError(
            f"its header cannot be read ({type(error).__name__})", source=path
        ) from error


def check_inflation(stream: BinaryIO) -> None:
    """Refuse a deflated data set that inflates beyond the limit, without keeping any of it.

    pydicom inflates all of such a file for its header. The place where the data set begins is
    found as pydicom finds it, and not by the group length, which a hostile file may choose.

    Raises
    ------
    ReadError
        When more than :data:`MAX_INFLATED_BYTES` come out.
    """
    start = stream.read(_LOOK)
    if start[128:_PREFIX_END] == b"DICM" and _is_plainly_not_deflated(start):
        return
    stream.seek(_PREFIX_END if start[128:_PREFIX_END] == b"DICM" else 0)
    if _transfer_syntax(stream) != DEFLATED:
        return
    inflater, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    pending = stream.read(_CHUNK)
    while pending and not inflater.eof:
        total += len(inflater.decompress(pending, _CHUNK))
        if total > MAX_INFLATED_BYTES:
            raise ReadError("it inflates beyond every image's size")
        pending = inflater.unconsumed_tail or stream.read(_CHUNK)


def _is_plainly_not_deflated(start: bytes) -> bool:
    """Whether a well-formed meta group ends within `start` and names another syntax."""
    place = _PREFIX_END
    while place + 12 <= len(start):
        group, vr = start[place : place + 2], start[place + 4 : place + 6]
        if group != b"\x02\x00":
            return DEFLATED.encode() not in start[:place]
        if vr in _SHORT_VRS:
            place += 8 + int(struct.unpack_from("<H", start, place + 6)[0])
        elif vr in _LONG_VRS:
            place += 12 + int(struct.unpack_from("<L", start, place + 8)[0])
        else:
            return False
    return False


def _transfer_syntax(stream: BinaryIO) -> str:
    """The syntax that pydicom will see; leaves the stream where it will begin to inflate."""
    from pydicom.filereader import read_dataset as parse

    def ends(group: int) -> Any:
        def has_ended(tag: BaseTag, vr: str | None, length: int) -> bool:
            return tag >> 16 != group

        return has_ended

    begin = stream.tell()
    meta = parse(stream, False, True, stop_when=ends(0x0002))
    try:
        syntax = str(meta.get("TransferSyntaxUID", ""))
    except NotImplementedError:
        # As pydicom does: meta elements without a type.
        stream.seek(begin)
        meta = parse(stream, True, True, stop_when=ends(0x0002))
        syntax = str(meta.get("TransferSyntaxUID", ""))
    if syntax == DEFLATED:
        parse(stream, True, True, stop_when=ends(0x0000))
    return syntax
