"""Which cases are of one patient, by what DICOM files say, without keeping who it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.events import JobControl
from napari_medcnn.io.dicom.guarded import read_dataset
from napari_medcnn.io.formats import Format, format_of
from napari_medcnn.training.manifest import Manifest, TrainCase
from napari_medcnn.training.reading_ahead import in_order

_TAGS = ("PatientID", "IssuerOfPatientID")


def with_dicom_patients(manifest: Manifest, control: JobControl | None = None) -> Manifest:
    """The data set with patients numbered by the IDs in its DICOM headers.

    Nothing is said of cases without an ID, nor of any where all have the same, as after a careless
    anonymisation; a data set that names patients stays as it is.

    Parameters
    ----------
    manifest : Manifest
        The data set.
    control : JobControl, optional
        Cancels while headers are read.

    Raises
    ------
    Cancelled
        When the job was cancelled.
    """
    if any(case.patient is not None for case in manifest.cases):
        return manifest
    found = list(in_order(_identity, manifest.cases, control or JobControl()))
    numbers: dict[tuple[str, str], int] = {}
    for identity in found:
        if identity is not None:
            numbers.setdefault(identity, len(numbers) + 1)
    if len(numbers) < 2 <= len(manifest.cases):
        return manifest
    cases = zip(manifest.cases, found, strict=True)
    return replace(
        manifest,
        cases=tuple(
            replace(case, patient=f"patient {numbers[identity]}") if identity else case
            for case, identity in cases
        ),
    )


def _identity(case: TrainCase) -> tuple[str, str] | None:
    """The patient's ID and who gave it, of the first file of a DICOM image."""
    file = _first_file(case.images[0])
    if file is None or format_of(file) is not Format.DICOM:
        return None
    try:
        header = read_dataset(file, specific_tags=list(_TAGS), stop_before_pixels=True)
        patient, issuer = (str(header.get(tag) or "").strip() for tag in _TAGS)
    except ReadError:
        return None  # the check before training says why it cannot be read
    return (patient, issuer) if patient else None


def _first_file(path: Path) -> Path | None:
    if not path.is_dir():
        return path if path.is_file() else None
    inside = sorted(file for file in path.iterdir() if not file.name.startswith("."))
    return next((file for file in inside if file.is_file()), None)
