"""What the index keeps of one file's header, whatever its format; no name and no identity."""

from __future__ import annotations

from dataclasses import dataclass

OLDEST_AGE = 90
"""Ages above are shown as this one: an exact great age points to a person (HIPAA §164.514)."""


@dataclass(frozen=True)
class ImageHeader:
    """One file of a series; lengths in mm, None where the file does not tell.

    Parameters
    ----------
    kind : str
        ``"dicom"``, ``"nifti"``, ``"nrrd"`` or ``"metaimage"``.
    patient_key, id_key : str
        Opaque, see :mod:`napari_medcnn.app.studies.patient_key`; empty for a file without patient.
    sex : str
        ``"F"``, ``"M"``, ``"O"`` or empty.
    age : int, optional
        At the study, in whole years, at most :data:`OLDEST_AGE`.
    study_uid, study_date, study_description : str
        The date as DICOM writes it, ``YYYYMMDD``.
    series_uid, series_description, modality, body_part : str
        Of the series.
    series_number, instance_number : int, optional
        As in the file.
    rows, columns : int
        Of one image; 0 where the file holds none.
    frames : int
        Images in this file.
    spacing : tuple of float, optional
        Between rows and between columns.
    slice_step : float, optional
        Between slices: a volume's own, or the slice thickness of a single image.
    position : float, optional
        Of the slice along the normal of its plane.
    slices : int, optional
        Of a file that is a whole volume.
    """

    kind: str
    series_uid: str
    study_uid: str = ""
    patient_key: str = ""
    id_key: str = ""
    sex: str = ""
    age: int | None = None
    study_date: str = ""
    study_description: str = ""
    series_number: int | None = None
    series_description: str = ""
    modality: str = ""
    body_part: str = ""
    instance_number: int | None = None
    rows: int = 0
    columns: int = 0
    frames: int = 1
    spacing: tuple[float, float] | None = None
    slice_step: float | None = None
    position: float | None = None
    slices: int | None = None


def age_in_years(age: str, birth_date: str, study_date: str) -> int | None:
    """Age at the study from DICOM's ``PatientAge`` (``062Y``) or from two dates ``YYYYMMDD``."""
    years: int | None = None
    if age[:3].isdigit() and age[3:4] in ("Y", ""):
        years = int(age[:3])
    elif age[:3].isdigit():  # days, weeks or months
        years = int(age[:3]) // {"D": 365, "W": 52, "M": 12}.get(age[3:4], 1)
    elif len(birth_date) == len(study_date) == 8 and (birth_date + study_date).isdigit():
        years = int(study_date[:4]) - int(birth_date[:4]) - (study_date[4:] < birth_date[4:])
    if years is None or not 0 <= years < 150:
        return None
    return min(years, OLDEST_AGE)
