"""The few elements of a DICOM file that the index needs, read as fast as Python can.

pydicom walks the file; only the elements wanted are kept, as raw bytes, and decoded here: turning
every element into pydicom's own value types would take most of the time. What the fast walk does
not understand goes the long way through pydicom.
"""

from __future__ import annotations

import io
import math
import warnings
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pydicom
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import tag_for_keyword
from pydicom.filereader import data_element_generator
from pydicom.tag import BaseTag
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

from napari_medcnn.app.studies.image_header import ImageHeader, age_in_years
from napari_medcnn.app.studies.patient_key import Identity, id_key, patient_key
from napari_medcnn.core.errors import ReadError
from napari_medcnn.io.dicom.guarded import DEFLATED, BoundedReader, read_dataset

_NUMBERS = ("Rows", "Columns")
_TEXTS = (
    "SpecificCharacterSet", "SOPClassUID", "StudyDate", "Modality", "StudyDescription",
    "SeriesDescription", "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate",
    "PatientSex", "PatientAge", "BodyPartExamined", "SliceThickness", "StudyInstanceUID",
    "SeriesInstanceUID", "SeriesNumber", "InstanceNumber", "ImagePositionPatient",
    "ImageOrientationPatient", "ImagerPixelSpacing", "NumberOfFrames", "PixelSpacing",
)  # fmt: skip
_KEYWORD_OF = {BaseTag(tag_for_keyword(keyword) or 0): keyword for keyword in (*_TEXTS, *_NUMBERS)}
_TAGS: list[BaseTag | int] = list(_KEYWORD_OF)
_LAST = max(_KEYWORD_OF)
_TRANSFER_SYNTAX = BaseTag(0x00020010)
_IMPLICIT, _BIG_ENDIAN = (f"1.2.840.10008.1.2{end}" for end in ("", ".2"))
_PREAMBLE = 132
_INFLATED_HEADER_BYTES = 4 * 1024**2
"""A deflated file is inflated so far and no further; the elements wanted come first."""

_Texts = Mapping[str, str]


def read_dicom_header(path: Path, secret: bytes, place: str = "") -> ImageHeader:
    """What the index keeps of a DICOM file.

    Images that lost their UIDs, as some anonymizers leave them, belong together by `place`, the
    folder that they lie in.

    Raises
    ------
    ReadError
        When it belongs to no series and is no image.
    """
    return _image_header(_texts(path), path, secret, place)


def read_identity(path: Path) -> Identity:
    """Who the patient of a DICOM file is, to show it; never to keep it."""
    return _identity(_texts(path))


def _identity(texts: _Texts) -> Identity:
    return Identity(
        texts.get("PatientID", ""),
        texts.get("IssuerOfPatientID", ""),
        texts.get("PatientName", ""),
        texts.get("PatientBirthDate", ""),
    )


def _image_header(texts: _Texts, path: Path, secret: bytes, place: str) -> ImageHeader:
    series_uid, number = texts.get("SeriesInstanceUID", ""), texts.get("SeriesNumber", "")
    rows = _integer(texts.get("Rows", "")) or 0
    if not series_uid and not rows:
        raise ReadError("belongs to no series")
    series_uid = series_uid or f"{place}#{number}"
    study_uid, date = texts.get("StudyInstanceUID", "") or place, _date(texts.get("StudyDate", ""))
    frames = max(_integer(texts.get("NumberOfFrames", "")) or 1, 1)
    spacing = _pair(texts.get("PixelSpacing", "")) or _pair(texts.get("ImagerPixelSpacing", ""))
    step = _positive(texts.get("SliceThickness", ""))
    if frames > 1 and spacing is None:
        spacing, step = _shared_measures(path)
    identity = _identity(texts)
    sex = texts.get("PatientSex", "")[:1].upper()
    return ImageHeader(
        kind="dicom",
        series_uid=series_uid,
        study_uid=study_uid,
        patient_key=patient_key(identity, study_uid, secret),
        id_key=id_key(identity.patient_id, secret),
        sex=sex if sex in ("F", "M", "O") else "",
        age=age_in_years(texts.get("PatientAge", ""), identity.birth_date, date),
        study_date=date,
        study_description=texts.get("StudyDescription", ""),
        series_number=_integer(number),
        series_description=texts.get("SeriesDescription", ""),
        modality=texts.get("Modality", ""),
        body_part=texts.get("BodyPartExamined", ""),
        instance_number=_integer(texts.get("InstanceNumber", "")),
        rows=rows,
        columns=_integer(texts.get("Columns", "")) or 0,
        frames=frames,
        spacing=spacing,
        slice_step=step,
        position=_position(texts),
    )


# From bytes to texts ------------------------------------------------------------------------------


def _texts(path: Path) -> dict[str, str]:
    with BoundedReader(path) as stream:
        texts = _walked(stream) if stream.read(_PREAMBLE)[128:] == b"DICM" else {}
    # A file may be written otherwise than it says, and very old ones have no preamble.
    understood = texts.get("SeriesInstanceUID") or texts.get("Rows")
    return texts if understood else _the_long_way(path)


def _walked(stream: BinaryIO) -> dict[str, str]:
    try:
        syntax = ""
        for element in data_element_generator(
            stream, False, True, _beyond(0x0002FFFF), specific_tags=[_TRANSFER_SYNTAX]
        ):
            syntax = _plain(element.value)
        if syntax == DEFLATED:
            inflater = zlib.decompressobj(-zlib.MAX_WBITS)
            stream = io.BytesIO(inflater.decompress(stream.read(), _INFLATED_HEADER_BYTES))
        little = syntax != _BIG_ENDIAN
        found = data_element_generator(
            stream, syntax == _IMPLICIT, little, _beyond(_LAST), specific_tags=_TAGS
        )
        raw = {_KEYWORD_OF[e.tag]: e.value for e in found if e.tag in _KEYWORD_OF}
    except (EOFError, ValueError, NotImplementedError, zlib.error):
        return {}
    encodings = convert_encodings(_plain(raw.pop("SpecificCharacterSet", b"")).split("\\"))
    return {name: _decoded(name, value, encodings, little) for name, value in raw.items()}


def _beyond(last: int) -> Callable[[BaseTag, str | None, int], bool]:
    return lambda tag, _representation, _length: tag > last


def _decoded(keyword: str, value: Any, encodings: list[str], little: bool) -> str:
    if not isinstance(value, bytes):
        return ""
    if keyword in _NUMBERS:
        return str(int.from_bytes(value[:2], "little" if little else "big"))
    if value.isascii() and b"\x1b" not in value:
        return _plain(value)
    delimiters = PN_DELIMS if keyword == "PatientName" else TEXT_VR_DELIMS
    return decode_bytes(value, encodings, delimiters).strip(" \0")


def _plain(value: Any) -> str:
    return value.decode("ascii", "replace").strip(" \0") if isinstance(value, bytes) else ""


def _the_long_way(path: Path) -> dict[str, str]:
    texts = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = read_dataset(path, stop_before_pixels=True, specific_tags=_TAGS)
        for keyword in _KEYWORD_OF.values():
            value = dataset.get(keyword)
            many = isinstance(value, list | pydicom.multival.MultiValue)
            texts[keyword] = "\\".join(map(str, value)) if many else str(value or "").strip()
    return texts


# From texts to values -----------------------------------------------------------------------------


def _shared_measures(path: Path) -> tuple[tuple[float, float] | None, float | None]:
    """Spacing and slice distance of an enhanced object whose frames share them."""
    groups = "SharedFunctionalGroupsSequence"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = read_dataset(path, stop_before_pixels=True, specific_tags=[groups])
        shared = dataset.get(groups) or []
        measures = (shared[0].get("PixelMeasuresSequence") or []) if shared else []
        if not measures:
            return None, None
        spacing = _pair("\\".join(map(str, measures[0].get("PixelSpacing") or ())))
        step = measures[0].get("SpacingBetweenSlices") or measures[0].get("SliceThickness")
    return spacing, _positive(str(step or ""))


def _position(texts: _Texts) -> float | None:
    """Of the slice along its own normal, in mm (PS3.3 C.7.6.2.1.1)."""
    place = _floats(texts.get("ImagePositionPatient", ""))
    turn = _floats(texts.get("ImageOrientationPatient", ""))
    if len(place) != 3 or len(turn) != 6:
        return None
    (a, b, c), (d, e, f) = turn[:3], turn[3:]
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    return sum(n * p for n, p in zip(normal, place, strict=True))


def _floats(text: str) -> list[float]:
    try:
        values = [float(part) for part in text.split("\\") if part.strip()]
    except ValueError:
        return []
    return values if all(map(math.isfinite, values)) else []


def _pair(text: str) -> tuple[float, float] | None:
    values = _floats(text)
    return (values[0], values[1]) if len(values) == 2 and min(values) > 0 else None


def _positive(text: str) -> float | None:
    values = _floats(text)
    return values[0] if len(values) == 1 and values[0] > 0 else None


def _integer(text: str) -> int | None:
    try:
        value = int(float(text))
    except (ValueError, OverflowError):
        return None
    return value if abs(value) < 2**31 else None


def _date(text: str) -> str:
    digits = text.replace(".", "").replace("-", "")[:8]
    return digits if len(digits) == 8 and digits.isdigit() else ""
