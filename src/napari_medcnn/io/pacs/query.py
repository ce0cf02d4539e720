"""What to look for on a server, and what it answered: the same for both protocols."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.io.dicom.guarded import dicom_failures
from napari_medcnn.io.pacs.answers import unquoted
from napari_medcnn.io.pacs.errors import PacsError
from napari_medcnn.io.pacs.uids import checked_uid

if TYPE_CHECKING:
    from pydicom import Dataset

Level: TypeAlias = Literal["study", "series"]

DEFAULT_LIMIT = 200
MAX_LIMIT = 10_000
MAX_TEXT = 64
"""Longest search text: DICOM PS3.5, value representations LO and PN."""

STUDY_KEYS = (
    "PatientName",
    "PatientID",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
    "StudyInstanceUID",
    "ModalitiesInStudy",
    "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances",
)
SERIES_KEYS = (
    "Modality",
    "SeriesDescription",
    "SeriesNumber",
    "SeriesInstanceUID",
    "NumberOfSeriesRelatedInstances",
)


@dataclass(frozen=True)
class Query:
    """What to look for; what is left empty matches everything.

    Parameters
    ----------
    level : {"series", "study"}
        What one match is.
    patient_id : str
        The patient's number; ``*`` and ``?`` stand for any characters.
    first_date, last_date : date, optional
        Days of the study, both included.
    modality : str
        E.g. ``"MR"``.
    description : str
        Part of the description of the series or its study, in any case; ``*`` and ``?`` stand for
        any characters.
    study_uid : str
        Only this study.
    limit : int
        Most matches wanted.
    """

    level: Level = "series"
    patient_id: str = field(default="", repr=False)
    first_date: date | None = None
    last_date: date | None = None
    modality: str = ""
    description: str = ""
    study_uid: str = ""
    limit: int = DEFAULT_LIMIT

    def __post_init__(self) -> None:
        if self.level not in ("study", "series"):
            raise MedcnnError(f"there is no level {self.level!r}", hint="study or series")
        for what, text in (
            ("patient id", self.patient_id),
            ("modality", self.modality),
            ("description", self.description),
        ):
            # A backslash separates values in DICOM and would widen the query.
            if len(text) > MAX_TEXT or "\\" in text or not text.isprintable():
                raise MedcnnError(
                    f"the {what} to look for is impossible",
                    hint=f"at most {MAX_TEXT} characters, no backslash",
                )
        if self.study_uid:
            checked_uid(self.study_uid, "study's identifier")
        if self.first_date and self.last_date and self.first_date > self.last_date:
            raise MedcnnError("the first date is after the last", hint="swap them")
        if not 1 <= self.limit <= MAX_LIMIT:
            raise MedcnnError("this is no number of matches", hint=f"1 to {MAX_LIMIT}")

    def study_filters(self) -> dict[str, str]:
        """Attributes of a study and what they must match, as DICOM PS3.4 C.2.2.2 writes it."""
        filters = {
            "PatientID": self.patient_id.strip(),
            "StudyDate": _date_range(self.first_date, self.last_date),
            "ModalitiesInStudy": self.modality.strip().upper(),
            "StudyInstanceUID": self.study_uid,
        }
        return {key: value for key, value in filters.items() if value}

    def series_filters(self) -> dict[str, str]:
        """Attributes of a series and what they must match."""
        modality = self.modality.strip().upper()
        return {"Modality": modality} if modality else {}

    def describes(self, match: Match) -> bool:
        """Whether a match's description is the one looked for.

        It is compared here: servers tell ``flair`` from ``FLAIR``, and many cannot look for parts.
        """
        part = self.description.strip().lower()
        texts = (match.description.lower(), match.study_description.lower())
        return not part or any(part in text or fnmatchcase(text, part) for text in texts)


@dataclass(frozen=True)
class SeriesKey:
    """Which series: the two identifiers that every protocol asks for.

    Raises
    ------
    PacsError
        When one of them is no valid UID.
    """

    study_uid: str
    series_uid: str

    def __post_init__(self) -> None:
        checked_uid(self.study_uid, "study's identifier")
        checked_uid(self.series_uid, "series' identifier")


@dataclass(frozen=True)
class Match:
    """A study or series that the server has. Who the patient is doesn't show in its repr.

    Parameters
    ----------
    study_uid, series_uid : str
        Valid UIDs; `series_uid` is empty for a study.
    modality : str
        The series' modality, or those of the study with commas.
    instances : int, optional
        Number of images and other objects, where the server tells.
    """

    study_uid: str
    series_uid: str = ""
    study_date: str = ""
    modality: str = ""
    description: str = ""
    study_description: str = ""
    series_number: int | None = None
    instances: int | None = None
    patient_name: str = field(default="", repr=False)
    patient_id: str = field(default="", repr=False)

    @property
    def level(self) -> Level:
        """What this is."""
        return "series" if self.series_uid else "study"

    @property
    def key(self) -> SeriesKey:
        """What to retrieve, for a series."""
        return SeriesKey(self.study_uid, self.series_uid)

    def to_json(self, *, with_identity: bool = False) -> dict[str, Any]:
        """The match as a JSON-able dict; who the patient is only if asked for."""
        record: dict[str, Any] = {
            "level": self.level,
            "study_uid": self.study_uid,
            "series_uid": self.series_uid or None,
            "study_date": self.study_date or None,
            "modality": self.modality or None,
            "description": self.description or None,
            "study_description": self.study_description or None,
            "series_number": self.series_number,
            "instances": self.instances,
        }
        if with_identity:
            record |= {"patient_name": self.patient_name, "patient_id": self.patient_id}
        return record


@dataclass(frozen=True)
class Found:
    """What a query found, and whether there is more than was asked for."""

    matches: tuple[Match, ...]
    has_more: bool = False


def study_match(dataset: Dataset) -> Match:
    """A study from the server's answer.

    Raises
    ------
    PacsError
        When it has no valid UID.
    """
    description = _text(dataset, "StudyDescription")
    return Match(
        study_uid=checked_uid(_text(dataset, "StudyInstanceUID"), "study's identifier"),
        study_date=_iso_date(_text(dataset, "StudyDate")),
        modality=", ".join(_values(dataset, "ModalitiesInStudy")),
        description=description,
        study_description=description,
        instances=_number(dataset, "NumberOfStudyRelatedInstances"),
        patient_name=_text(dataset, "PatientName"),
        patient_id=_text(dataset, "PatientID"),
    )


def series_match(dataset: Dataset, study: Match) -> Match:
    """A series of `study` from the server's answer.

    Raises
    ------
    PacsError
        When it has no valid UID.
    """
    return Match(
        study_uid=study.study_uid,
        series_uid=checked_uid(_text(dataset, "SeriesInstanceUID"), "series' identifier"),
        study_date=study.study_date,
        modality=_text(dataset, "Modality"),
        description=_text(dataset, "SeriesDescription"),
        study_description=study.study_description,
        series_number=_number(dataset, "SeriesNumber"),
        instances=_number(dataset, "NumberOfSeriesRelatedInstances"),
        patient_name=study.patient_name,
        patient_id=study.patient_id,
    )


def known_instances(datasets: Iterable[Dataset]) -> dict[str, str]:
    """SOP instance UIDs of a series with their class, from the server's list.

    Raises
    ------
    PacsError
        When one has no valid UID.
    """
    found: dict[str, str] = {}
    for dataset in datasets:
        uid = checked_uid(_text(dataset, "SOPInstanceUID"), "image's identifier")
        sop_class = _text(dataset, "SOPClassUID")
        found[uid] = checked_uid(sop_class, "image's class") if sop_class else ""
    return found


def _text(dataset: Dataset, keyword: str) -> str:
    """An attribute as one line of text; what cannot be read counts as absent."""
    try:
        with unquoted():
            value = dataset.get(keyword)
    except dicom_failures() as error:
        raise PacsError("the server's answer cannot be read") from error
    if value is None:
        return ""
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return re.sub(r"[\s\x00-\x1f\x7f]+", " ", text).strip()


def _values(dataset: Dataset, keyword: str) -> list[str]:
    return [part for part in re.split(r"[,\\ ]+", _text(dataset, keyword)) if part]


def _number(dataset: Dataset, keyword: str) -> int | None:
    text = _text(dataset, keyword)
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def _date_range(first: date | None, last: date | None) -> str:
    if first is None and last is None:
        return ""
    start = "" if first is None else f"{first:%Y%m%d}"
    end = "" if last is None else f"{last:%Y%m%d}"
    return start if start == end else f"{start}-{end}"


def _iso_date(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if re.fullmatch(r"[0-9]{8}", text) else ""
