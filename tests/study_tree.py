"""Folders of small DICOM studies, with names that must not be seen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

MR = "1.2.840.10008.5.1.4.1.1.4"
SIDE = 16


@dataclass(frozen=True)
class Patient:
    """Who must not be seen."""

    name: str
    id: str
    birth_date: str = "19600615"
    sex: str = "F"


JANE = Patient("Doe^Jane", "HOSP-4711")
JOHN = Patient("Roe^John", "HOSP-0815", "19300101", "M")


def write_slice(
    path: Path,
    patient: Patient = JANE,
    *,
    study: str = "1.2.3",
    series: str = "1.2.3.4",
    number: int = 1,
    z: int = 0,
    **more: object,
) -> Path:
    """One MR slice of 16 x 16 pixels, 1 x 1 x 2 mm, at 2 z mm."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = MR
    uid = generate_uid()
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    values: dict[str, object] = {
        "PatientName": patient.name, "PatientID": patient.id, "PatientSex": patient.sex,
        "PatientBirthDate": patient.birth_date, "StudyInstanceUID": study,
        "StudyDate": "20210304", "StudyDescription": "Brain follow-up",
        "SeriesInstanceUID": series, "SeriesNumber": number, "SeriesDescription": "T1 axial",
        "Modality": "MR", "BodyPartExamined": "BRAIN", "InstanceNumber": z + 1,
        "ImageType": ["ORIGINAL", "PRIMARY"], "Rows": SIDE, "Columns": SIDE,
        "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15, "PixelRepresentation": 0,
        "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
        "PixelSpacing": [1, 1], "SliceThickness": 2, "ImagePositionPatient": [0, 0, 2 * z],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    }  # fmt: skip
    for keyword, value in (values | more).items():
        setattr(dataset, keyword, value)
    pixels = np.add.outer(np.arange(SIDE), np.arange(SIDE)) * (z + 1)
    dataset.PixelData = pixels.astype(np.uint16).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_series(folder: Path, patient: Patient = JANE, count: int = 6, **more: object) -> Path:
    """A series of `count` slices in a folder of its own."""
    for z in range(count):
        write_slice(folder / f"IM{z:04}", patient, z=z, **more)  # type: ignore[arg-type]
    return folder


def write_studies(folder: Path) -> Path:
    """Two patients, three studies, four series: a T1 and a FLAIR, a follow-up, and a T2."""
    write_series(folder / "a" / "t1")
    write_series(folder / "a" / "flair", series="1.2.3.5", number=2, SeriesDescription="FLAIR")
    write_series(folder / "b", study="1.2.4", series="1.2.4.1", StudyDate="20220405")
    write_series(folder / "c", JOHN, study="2.3", series="2.3.1", SeriesDescription="T2 sagittal")
    return folder
