"""When a study was acquired, and whether two are of one patient, as far as their files tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.volume import Volume

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_DATES = ("AcquisitionDate", "StudyDate", "SeriesDate")
"""The first that there is; anonymised files often keep one of them only."""


@dataclass(frozen=True)
class StudyOrigin:
    """What the headers of a study tell; of files other than DICOM nothing.

    Parameters
    ----------
    day : float or None
        Of the acquisition, in days since the year 1.
    patient : tuple of str
        Patient ID and its issuer; empty where there is none. It is compared and never shown.
    """

    day: float | None = None
    patient: tuple[str, str] | tuple[()] = field(default=(), repr=False)


def study_origin(volume: Volume) -> StudyOrigin:
    """Where a volume comes from.

    Raises
    ------
    WriteError
        When it came from DICOM files that are no longer there.
    """
    from napari_medcnn.io.dicom_objects.source import source_images, why_no_dicom

    if why_no_dicom(volume):
        return StudyOrigin()
    first = source_images(volume).first
    number = str(first.get("PatientID") or "").strip()
    issuer = str(first.get("IssuerOfPatientID") or "").strip()
    return StudyOrigin(_day(first), (number, issuer) if number else ())


def require_one_patient(before: StudyOrigin, after: StudyOrigin) -> None:
    """Refuse studies whose patient IDs are different.

    Raises
    ------
    InputMismatch
        When they are; the message names no patient.
    """
    if before.patient and after.patient and before.patient != after.patient:
        raise InputMismatch(
            "the patient IDs of both studies differ: they may be of two patients",
            hint="compare studies of one patient; if they are, accept the findings",
        )


def _day(header: Dataset) -> float | None:
    for keyword in _DATES:
        try:
            moment = datetime.strptime(str(header.get(keyword) or ""), "%Y%m%d")
        except ValueError:  # empty or no date: another keyword may hold one
            continue
        return float(moment.toordinal())
    return None
