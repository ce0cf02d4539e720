"""Day and patient of a study, as DICOM headers tell them and other files do not."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file

from napari_medcnn.app.study_origin import StudyOrigin, require_one_patient, study_origin
from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.volume import Volume
from napari_medcnn.io.read import read


def ct(folder: Path, **tags: str) -> StudyOrigin:
    """The origin of one slice with other tags."""
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    folder.mkdir(parents=True)
    dataset.save_as(folder / "slice.dcm")
    (volume,) = read(folder)
    return study_origin(volume)


def test_the_first_date_that_is_one_counts(tmp_path: Path) -> None:
    day = float(date(2020, 2, 29).toordinal())
    acquired = {"AcquisitionDate": "20200229", "StudyDate": "20200301"}
    assert ct(tmp_path / "a", **acquired).day == day
    assert ct(tmp_path / "b", AcquisitionDate="", StudyDate="20200229").day == day
    none = dict.fromkeys(("AcquisitionDate", "StudyDate", "SeriesDate"), "")
    assert ct(tmp_path / "c", **none).day is None


def test_other_files_tell_nothing(small_volume: Volume) -> None:
    assert study_origin(small_volume) == StudyOrigin(None, ())


def test_two_patients_are_refused_and_not_named(tmp_path: Path) -> None:
    first = ct(tmp_path / "a", PatientID="SECRET1")
    second = ct(tmp_path / "b", PatientID="SECRET2")
    require_one_patient(first, first)
    require_one_patient(first, ct(tmp_path / "c", PatientID=""))
    with pytest.raises(InputMismatch, match="two patients") as refused:
        require_one_patient(first, second)
    assert "SECRET" not in str(refused.value) + repr(first)
