"""What every object that this program writes says of itself, its model and its study."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from napari_medcnn.core.segmentation import ModelReference
from napari_medcnn.io.dicom_objects.codes import PRIVATE_SCHEME, PRIVATE_SCHEME_NAME

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MANUFACTURER = "napari-medcnn"
NO_SERIAL = "none"
"""Software has no serial number, and the standard wants one."""

_PATIENT_AND_STUDY = (
    "SpecificCharacterSet", "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate",
    "PatientSex", "PatientAge", "PatientSize", "PatientWeight", "PatientIdentityRemoved",
    "DeidentificationMethod", "DeidentificationMethodCodeSequence", "StudyInstanceUID",
    "StudyDate", "StudyTime", "StudyID", "StudyDescription", "AccessionNumber",
    "ReferringPhysicianName", "LongitudinalTemporalInformationModified",
    "ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName",
    "ClinicalTrialSiteID", "ClinicalTrialSiteName", "ClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID",
)  # fmt: skip

ALWAYS_PRESENT = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
"""Attributes of type 2: present, be it without a value."""

_CODE_LENGTH = 16  # of a Code Value, SH

SERIES_NUMBER = 9900
"""Of what this program adds; above what scanners count, so that it is listed last."""


def software_version() -> str:
    """The version of this program."""
    return version("napari-medcnn")


def copy_patient_and_study(target: Dataset, source: Dataset) -> None:
    """Let an object belong to the patient and study of the images, attribute by attribute."""
    for keyword in _PATIENT_AND_STUDY:
        if keyword in source and not _is_broken(source, keyword):
            target[keyword] = source[keyword]
        elif keyword in ALWAYS_PRESENT:
            setattr(target, keyword, "")
        elif keyword in target:
            delattr(target, keyword)


def _is_broken(source: Dataset, keyword: str) -> bool:
    """Values that the standard does not allow, as real files hold them, are better left out."""
    if keyword == "PatientAge":
        return not re.fullmatch(r"\d{3}[DWMY]", str(source.PatientAge))
    if keyword == "DeidentificationMethodCodeSequence":
        items = source.get(keyword) or []
        return any(len(str(item.get("CodeValue") or "")) > _CODE_LENGTH for item in items)
    pattern = {"DA": r"\d{8}", "TM": r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?"}.get(source[keyword].VR)
    value = str(source.get(keyword) or "").strip()
    return bool(pattern and value and not re.fullmatch(pattern, value))


def algorithm(model: ModelReference | None) -> Any:
    """The model as Algorithm Identification (PS3.3 table 10-19); None where people drew.

    The weights' hash is the algorithm's parameter, so that it can be made again exactly.
    """
    if model is None:
        return None
    import highdicom as hd
    from pydicom.sr.codedict import codes

    return hd.AlgorithmIdentificationSequence(
        name=(model.title or model.id)[:64],
        version=model.version or "unknown",
        family=codes.DCM.ArtificialIntelligence,
        source=MANUFACTURER,
        parameters={"model": model.id, "weights_sha256": model.weights_sha256},
    )


def private_scheme() -> list[Any]:
    """What the private codes' scheme is, as Coding Scheme Identification."""
    from highdicom.coding_schemes import CodingSchemeIdentificationItem

    return [CodingSchemeIdentificationItem(PRIVATE_SCHEME, name=PRIVATE_SCHEME_NAME)]
