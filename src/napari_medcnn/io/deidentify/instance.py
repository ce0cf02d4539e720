"""One DICOM file to one de-identified file."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_medcnn.core.errors import ReadError
from napari_medcnn.io.deidentify.cleaning import PRIVATE, Changes, Cleaner, Patient
from napari_medcnn.io.deidentify.look import Look, looks
from napari_medcnn.io.deidentify.options import TABLE_EDITION, Dates
from napari_medcnn.io.deidentify.profile import Action, Profile
from napari_medcnn.io.deidentify.pseudonyms import Pseudonyms
from napari_medcnn.io.deidentify.safe_private import safe_values, write_safe_values
from napari_medcnn.io.dicom.guarded import dicom_failures, read_dataset

if TYPE_CHECKING:
    from pydicom.dataset import Dataset, FileDataset

_LEFT_OUT = {
    "1.2.840.10008.1.3.10": "a directory record (DICOMDIR)",
    "1.2.840.10008.5.1.4.1.1.66": "raw data of a manufacturer",
    "1.2.840.10008.5.1.4.1.1.104.": "an encapsulated document",
}
"""SOP classes that are not written at all, since their content may be anything."""


@dataclass(frozen=True, eq=False)
class CleanedInstance:
    """A de-identified file, not yet written.

    `path` is relative to the output folder; `study` and `series` are the old UIDs, which only tell
    them apart; `person` is a hash of name and birth date, for the same end.
    """

    path: Path
    content: bytes
    patient: str
    study: str
    series: str
    looks: tuple[Look, ...]
    changes: Changes
    person: bytes

    @property
    def digest(self) -> bytes:
        """Of the content."""
        return hashlib.sha256(self.content).digest()


def cleaned(path: Path, profile: Profile, pseudonyms: Pseudonyms) -> CleanedInstance:
    """Read a file and take the identity out.

    Parameters
    ----------
    path : Path
        A DICOM file.
    profile : Profile
        The action for each attribute.
    pseudonyms : Pseudonyms
        New names and UIDs.

    Raises
    ------
    ReadError
        With the reason why the file is left out; its text holds nothing of the file's content.
    """
    dataset = read_dataset(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _cleaned(dataset, profile, pseudonyms)
    except RecursionError as error:
        raise ReadError("its header nests too deeply") from error
    except dicom_failures() as error:
        raise ReadError(f"cannot be cleaned ({type(error).__name__})") from error


def _cleaned(dataset: FileDataset, profile: Profile, pseudonyms: Pseudonyms) -> CleanedInstance:
    sop_class, sop_uid = _uid(dataset, "SOPClassUID"), _uid(dataset, "SOPInstanceUID")
    if not sop_class or not sop_uid:
        raise ReadError("is no DICOM object (no SOP class or instance UID)")
    for root, reason in _LEFT_OUT.items():
        if sop_class == root or (root.endswith(".") and sop_class.startswith(root)):
            raise ReadError(f"is {reason}")
    study, series = _uid(dataset, "StudyInstanceUID"), _uid(dataset, "SeriesInstanceUID")
    identity = _identity(dataset, study)
    patient = Patient(pseudonyms.patient(identity), pseudonyms.shift(identity))
    person = hashlib.sha256(_person(dataset).encode()).digest()
    found = looks(dataset)
    cleaner = Cleaner(profile, pseudonyms, patient, sop_class)
    kept = safe_values(dataset)
    cleaner.clean(dataset)
    write_safe_values(dataset, kept)
    if kept:
        cleaner.changes[PRIVATE, str(Action.RENEWED)] += len(kept)
    _say_so(dataset, profile, patient)
    return CleanedInstance(
        path=Path(
            patient.pseudonym,
            f"study-{pseudonyms.folder('study', study)}",
            f"series-{pseudonyms.folder('series', series)}",
            f"{pseudonyms.folder('instance', sop_uid)}.dcm",
        ),
        content=_file_bytes(dataset, sop_class, pseudonyms.uid(sop_uid)),
        patient=patient.pseudonym,
        study=study,
        series=series,
        looks=found,
        changes=cleaner.changes,
        person=person,
    )


def _uid(dataset: Dataset, keyword: str) -> str:
    return str(dataset.get(keyword) or "").strip("\0 ")


def _identity(dataset: Dataset, study: str) -> str:
    """What tells patients apart: their ID; without one their name and birth date; else the study.

    The issuer is no part of it: an archive adds it to some files of a patient and not to others.
    """
    number = str(dataset.get("PatientID") or "").strip("\0 ")
    if number:
        return f"id {number}"
    person = _person(dataset)
    return f"person {person}" if person.strip("^| ") else f"study {study}"


def _person(dataset: Dataset) -> str:
    name = str(dataset.get("PatientName") or "").strip("\0 ^").upper()
    return f"{name}|{str(dataset.get('PatientBirthDate') or '').strip()}"


def _say_so(dataset: Dataset, profile: Profile, patient: Patient) -> None:
    """The attributes by which a file says that and how it was de-identified (PS3.3 C.7.1.1)."""
    from pydicom.dataset import Dataset

    dataset.PatientID = dataset.PatientName = patient.pseudonym
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = ["napari-medcnn", f"PS3.15 {TABLE_EDITION} Annex E"]
    codes = []
    for value, meaning in profile.options.method_codes:
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
        codes.append(code)
    dataset.DeidentificationMethodCodeSequence = codes
    shifted = profile.options.dates is Dates.SHIFT
    dataset.LongitudinalTemporalInformationModified = "MODIFIED" if shifted else "REMOVED"


def _file_bytes(dataset: FileDataset, sop_class: str, sop_uid: str) -> bytes:
    """The file anew, coded as it was: an empty preamble and a meta group of our own."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is None:
        implicit = dataset.original_encoding[0]
        syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    dataset.preamble = bytes(128)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = UID(sop_class)
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(sop_uid)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
