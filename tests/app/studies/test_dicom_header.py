"""The fast walk over a header finds what pydicom's own reading finds."""

from __future__ import annotations

import warnings
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from napari_medcnn.app.studies.dicom_header import read_dicom_header, read_identity
from napari_medcnn.app.studies.image_header import age_in_years
from napari_medcnn.core.errors import ReadError
from tests.study_tree import JANE, Patient, write_slice

SECRET = bytes(range(32))


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_every_encoding_gives_the_same_header(tmp_path: Path, syntax: str) -> None:
    path = write_slice(tmp_path / "plain.dcm", z=3)
    written = pydicom.dcmread(path)
    dataset = Dataset()
    dataset.update(written)
    dataset.file_meta = written.file_meta
    dataset.file_meta.TransferSyntaxUID = syntax
    pydicom.dcmwrite(
        tmp_path / "other.dcm",
        dataset,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
        enforce_file_format=True,
    )
    expected = read_dicom_header(path, SECRET)
    assert (expected.rows, expected.position, expected.instance_number) == (16, 6.0, 4)
    assert read_dicom_header(tmp_path / "other.dcm", SECRET) == expected


def test_a_file_without_preamble_or_meta_header_is_read(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "plain.dcm")
    dataset = pydicom.dcmread(path)
    del dataset.file_meta
    dataset.save_as(tmp_path / "bare", implicit_vr=True, little_endian=True)
    assert read_dicom_header(tmp_path / "bare", SECRET) == read_dicom_header(path, SECRET)


def test_a_file_written_otherwise_than_it_says_is_read(tmp_path: Path) -> None:
    content = write_slice(tmp_path / "plain.dcm").read_bytes()
    explicit, implicit = b"1.2.840.10008.1.2.1\x00", b"1.2.840.10008.1.2\x00\x00\x00"
    assert explicit in content
    (tmp_path / "lie.dcm").write_bytes(content.replace(explicit, implicit))
    header = read_dicom_header(tmp_path / "lie.dcm", SECRET)
    assert (header.series_uid, header.rows) == ("1.2.3.4", 16)


def test_texts_of_other_scripts_are_decoded(tmp_path: Path) -> None:
    yamada = Patient("Yamada^Tarou=山田^太郎", "1")
    path = write_slice(
        tmp_path / "a.dcm", yamada, SpecificCharacterSet="ISO_IR 192", SeriesDescription="頭部"
    )
    assert read_dicom_header(path, SECRET).series_description == "頭部"
    assert read_identity(path).label == "Yamada, Tarou · ID 1"


def test_patients_are_told_apart_without_being_named(tmp_path: Path) -> None:
    def key(name: str, patient: Patient, **more: object) -> str:
        return read_dicom_header(write_slice(tmp_path / name, patient, **more), SECRET).patient_key  # type: ignore[arg-type]

    jane = key("1", JANE)
    assert key("2", Patient("Doe^J.", JANE.id)) == jane  # the ID decides
    assert key("3", Patient("Doe^Jane", "other")) != jane
    assert key("4", JANE, IssuerOfPatientID="elsewhere") != jane
    nobody = Patient("", "", "")
    assert key("5", nobody, study="1") != key("6", nobody, study="2")
    assert JANE.id not in jane


def test_what_belongs_to_no_series_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no series"):
        read_dicom_header(write_slice(tmp_path / "a.dcm", series="", Rows=0), SECRET)


def test_images_that_lost_their_uids_belong_together_by_folder(tmp_path: Path) -> None:
    nobody = Patient("", "")
    lost = write_slice(tmp_path / "a.dcm", nobody, series="", study="", number=3)
    one, other = (read_dicom_header(lost, SECRET, place) for place in ("ct/1", "ct/2"))
    assert (one.series_uid, one.study_uid, one.rows) == ("ct/1#3", "ct/1", 16)
    assert one.patient_key != other.patient_key


@pytest.mark.parametrize(
    ("age", "birth", "study", "years"),
    [
        ("062Y", "", "", 62),
        ("018M", "", "", 1),
        ("", "19600615", "20210614", 60),
        ("", "19600615", "20210615", 61),
        ("104Y", "", "", 90),
        ("", "", "20210614", None),
        ("", "20300101", "20210614", None),
    ],
)
def test_ages_are_whole_years_and_great_ages_one(
    age: str, birth: str, study: str, years: int | None
) -> None:
    assert age_in_years(age, birth, study) == years


def test_real_headers_say_what_pydicom_reads(shared_data: Path) -> None:
    files = [
        next(path for path in sorted((case / "in").rglob("*")) if path.is_file())
        for case in sorted((shared_data / "dicom").iterdir())
        if (case / "in").is_dir()
    ]
    compared = 0
    for path in files:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                dataset = pydicom.dcmread(path, stop_before_pixels=True)
        except (pydicom.errors.InvalidDicomError, RecursionError):
            continue
        header = read_dicom_header(path, SECRET)
        assert header.series_uid == str(dataset.SeriesInstanceUID)
        assert header.series_description == str(dataset.get("SeriesDescription") or "").strip()
        assert (header.rows, header.columns) == (dataset.get("Rows", 0), dataset.get("Columns", 0))
        assert header.frames == int(dataset.get("NumberOfFrames") or 1)
        if "PixelSpacing" in dataset:
            assert header.spacing == tuple(float(value) for value in dataset.PixelSpacing)
        compared += 1
    assert compared > 50
