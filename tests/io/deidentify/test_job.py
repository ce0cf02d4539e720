"""A folder in, a folder out: consistent, complete, nothing copied that was not understood."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage, SecondaryCaptureImageStorage, generate_uid

from napari_medcnn.core.errors import Cancelled, ReadError, WriteError
from napari_medcnn.core.events import JobControl, Progress, run_to_end
from napari_medcnn.io.deidentify.job import deidentify
from napari_medcnn.io.deidentify.options import Dates, Options
from napari_medcnn.io.deidentify.report import Report
from napari_medcnn.io.read import read
from tests.io.io_files import numbers, oblique, save_dicom

SECRETS = (b"Secret", b"Person", b"ID-4711", b"4711")


def run(source: Path, out: Path, **options: object) -> Report:
    return run_to_end(deidentify(source, out, Options(**options)), Report)  # type: ignore[arg-type]


def written(out: Path) -> list[Path]:
    return sorted(out.rglob("*.dcm"))


def everything(out: Path) -> bytes:
    """All names and all bytes below a folder."""
    names = "\n".join(str(path.relative_to(out)) for path in sorted(out.rglob("*")))
    return names.encode() + b"".join(p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file())


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Two series of one patient in folders that are named after the patient."""
    folder = tmp_path / "Secret_Person"
    for name, number in (("ct ID-4711", 1), ("ct again", 2)):
        save_dicom(
            folder / name, numbers(oblique()), oblique(), SeriesNumber=number,
            StudyInstanceUID="1.2.3.4", FrameOfReferenceUID="1.2.3.5", StudyDate="20200315",
            ContentDate="20200316", ContentTime="101500", PatientBirthDate="19500101",
        )  # fmt: skip
    return folder


def test_nothing_of_the_identity_is_left_and_everything_loads(series: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = run(series, out)
    assert (report.written, report.patients, report.studies, report.series) == (10, 1, 1, 2)
    found = everything(out)
    assert not [secret for secret in SECRETS if secret in found]
    for before, after in zip(read(series), read(out), strict=True):
        assert np.array_equal(before.array, after.array)
        assert before.geometry.is_close(after.geometry)


def test_uids_and_dates_agree_between_the_files_of_a_run(series: Path, tmp_path: Path) -> None:
    run(series, tmp_path / "out")
    files = [pydicom.dcmread(path) for path in written(tmp_path / "out")]
    assert len({f.StudyInstanceUID for f in files}) == 1
    assert len({f.FrameOfReferenceUID for f in files}) == 1
    assert len({f.SeriesInstanceUID for f in files}) == 2
    assert len({f.SOPInstanceUID for f in files}) == 10
    assert all(f.file_meta.MediaStorageSOPInstanceUID == f.SOPInstanceUID for f in files)
    assert all(str(f.StudyInstanceUID).startswith("2.25.") for f in files)
    study, content = (
        {dt.date.fromisoformat(str(f[keyword].value)) for f in files}
        for keyword in ("StudyDate", "ContentDate")
    )
    assert len(study) == len(content) == 1
    assert content.pop() - study.copy().pop() == dt.timedelta(days=1)
    assert dt.date(2010, 3, 1) < study.pop() < dt.date(2019, 3, 31)
    assert all(f.PatientBirthDate == "" for f in files)
    assert len({f.PatientID for f in files}) == 1


def test_the_same_key_gives_the_same_files_in_every_run(series: Path, tmp_path: Path) -> None:
    key = tmp_path / "secret.key"
    for out in ("first", "second"):
        run(series, tmp_path / out, key_file=key)
    assert key.stat().st_mode & 0o077 == 0
    first, second = (tmp_path / name for name in ("first", "second"))
    assert [p.relative_to(first) for p in written(first)] == [
        p.relative_to(second) for p in written(second)
    ]
    assert [p.read_bytes() for p in written(first)] == [p.read_bytes() for p in written(second)]
    run(series, tmp_path / "third")
    assert {p.name for p in written(tmp_path / "third")}.isdisjoint(p.name for p in written(first))


def test_a_reference_to_another_file_of_the_run_still_leads_to_it(tmp_path: Path) -> None:
    paths = save_dicom(tmp_path / "in", numbers(oblique()), oblique())
    first, second = (pydicom.dcmread(path) for path in paths[:2])
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = (
        second.SOPClassUID, second.SOPInstanceUID)  # fmt: skip
    item.PatientName = "Secret^Person"
    first.SourceImageSequence = [item]
    first.save_as(paths[0])
    run(tmp_path / "in", tmp_path / "out")
    files = [pydicom.dcmread(path) for path in written(tmp_path / "out")]
    (reference,) = [f.SourceImageSequence[0] for f in files if "SourceImageSequence" in f]
    assert reference.ReferencedSOPInstanceUID in {f.SOPInstanceUID for f in files}
    assert reference.ReferencedSOPClassUID == second.SOPClassUID
    assert "PatientName" not in reference


def test_what_is_not_understood_is_never_copied(series: Path, tmp_path: Path) -> None:
    (series / "Secret_Person.txt").write_text("Secret^Person")
    (series / "letter.pdf").write_bytes(b"%PDF Secret")
    (series / "broken.dcm").write_bytes(bytes(128) + b"DICM" + b"Secret" * 40)
    document = pydicom.dcmread(written_first(series))
    document.SOPClassUID = document.file_meta.MediaStorageSOPClassUID = EncapsulatedPDFStorage
    document.SOPInstanceUID = document.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    document.EncapsulatedDocument = b"%PDF Secret Person "
    document.save_as(series / "document.dcm")
    report = run(series, tmp_path / "out")
    assert report.written == 10
    assert report.left_out["not DICOM"] == 2
    assert report.left_out["is an encapsulated document"] == 1
    assert sum(report.left_out.values()) == 4
    found = everything(tmp_path / "out")
    assert not [secret for secret in SECRETS if secret in found]


def written_first(folder: Path) -> Path:
    return next(path for path in sorted(folder.rglob("IM*")))


def test_a_link_that_leads_out_of_the_folder_is_not_followed(series: Path, tmp_path: Path) -> None:
    other = save_dicom(tmp_path / "other", numbers(oblique()), oblique())[0]
    (series / "link.dcm").symlink_to(other)
    (series / "loop.dcm").symlink_to(series / "loop.dcm")
    (series / "inside.dcm").symlink_to(written_first(series))
    report = run(series, tmp_path / "out")
    assert report.written == 10
    assert report.left_out == {
        "a link that leads out of the folder": 1, "repeats another file": 1}  # fmt: skip


def test_output_inside_the_input_is_refused_before_anything_is_written(series: Path) -> None:
    before = sorted(series.rglob("*"))
    for out in (series, series / "out", series / ".." / series.name / "deep" / "out"):
        with pytest.raises(WriteError, match="inside the input"):
            run(series, out)
    with pytest.raises(WriteError, match="holds the input"):
        run(series, series.parent)
    with pytest.raises(WriteError, match="key lies in the output"):
        run(series, series.parent / "out", key_file=series.parent / "out" / "key")
    link = series.parent / "link"
    link.symlink_to(series)
    with pytest.raises(WriteError, match="inside the input"):
        run(series, link / "out")
    assert sorted(series.rglob("*")) == before


def test_files_with_pixels_that_may_show_names_are_listed(tmp_path: Path) -> None:
    paths = save_dicom(tmp_path / "in", numbers(oblique()), oblique())
    for path, change in zip(
        paths, ("burned", "capture", "overlay", "excess", "mosaic"), strict=False
    ):
        dataset = pydicom.dcmread(path)
        if change == "burned":
            dataset.BurnedInAnnotation = "YES"
        elif change == "capture":
            dataset.SOPClassUID = SecondaryCaptureImageStorage
            dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
        elif change == "overlay":
            dataset.add_new(0x60000102, "US", 12)
        elif change == "excess":
            dataset.PixelData += b"Secret^Person!"
        else:
            dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]
        dataset.save_as(path)
    report = run(tmp_path / "in", tmp_path / "out")
    assert {len(files) for files in report.look_at.values()} == {1}
    assert len(report.look_at) == 5
    assert all((tmp_path / "out" / f).is_file() for files in report.look_at.values() for f in files)


def test_different_images_under_one_uid_are_all_kept(tmp_path: Path) -> None:
    paths = save_dicom(tmp_path / "in", numbers(oblique()), oblique(), SOPInstanceUID="1.2.3")
    shutil.copy(paths[0], tmp_path / "in" / "copy")
    report = run(tmp_path / "in", tmp_path / "out")
    assert report.written == 5
    assert report.left_out == {"repeats another file": 1}


def test_the_report_tells_changes_without_values(series: Path, tmp_path: Path) -> None:
    run(series, tmp_path / "out")
    run(series, tmp_path / "out")
    report = json.loads((tmp_path / "out" / "deidentification.json").read_text())
    assert (tmp_path / "out" / "deidentification_2.json").is_file()
    changes = {change["tag"]: change for change in report["changes"]}
    assert changes["(0010,0010)"]["action"] == "replaced by the pseudonym"
    assert changes["(0010,0010)"]["count"] == 10
    assert changes["(0008,103E)"]["action"] == "removed"
    assert report["codes"][0]["value"] == "113100"
    text = (tmp_path / "out" / "deidentification.txt").read_text()
    assert "Series Description: removed, 10 times" in text


def test_one_id_for_two_people_is_told(tmp_path: Path) -> None:
    save_dicom(tmp_path / "in" / "a", numbers(oblique()), oblique())
    save_dicom(tmp_path / "in" / "b", numbers(oblique()), oblique(), PatientName="Other")
    assert (
        "1 patient IDs came with different names" in run(tmp_path / "in", tmp_path / "o").notes[0]
    )


def test_patients_without_an_id_are_told_apart_by_their_name(tmp_path: Path) -> None:
    for name in ("One", "Two"):
        save_dicom(
            tmp_path / "in" / name, numbers(oblique()), oblique(), PatientName=name, PatientID=""
        )
    assert run(tmp_path / "in", tmp_path / "out").patients == 2


def test_cancelling_leaves_whole_files_only(series: Path, tmp_path: Path) -> None:
    control = JobControl()
    job = deidentify(series, tmp_path / "out", control=control)
    with pytest.raises(Cancelled):
        for event in job:
            if isinstance(event, Progress) and event.done == 4:
                control.cancel()
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(files) == 5
    assert all(pydicom.dcmread(path).pixel_array.size for path in files)


def test_a_folder_without_dicom_is_told(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("text")
    with pytest.raises(ReadError, match="no DICOM file"):
        run(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ReadError, match="does not exist"):
        run(tmp_path / "nothing", tmp_path / "out")


def test_a_file_that_is_no_key_is_refused(series: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("not a key")
    with pytest.raises(ReadError, match="no de-identification key"):
        run(series, tmp_path / "out", key_file=tmp_path / "key")
    assert (tmp_path / "key").read_text() == "not a key"


PYDICOM_FILES = ("CT_small.dcm", "MR_small.dcm", "MR_small_bigendian.dcm", "JPEG2000.dcm",
                 "image_dfl.dcm", "rtplan.dcm", "waveform_ecg.dcm", "SC_rgb_jpeg.dcm")  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
@pytest.mark.parametrize("dates", list(Dates))
@pytest.mark.parametrize("name", PYDICOM_FILES)
def test_pixels_stay_bit_for_bit_and_dciodvfy_finds_no_new_error(
    name: str, dates: Dates, tmp_path: Path
) -> None:
    source = Path(str(get_testdata_file(name, download=False)))
    run(source, tmp_path / "out", dates=dates)
    (result,) = written(tmp_path / "out")
    before, after = pydicom.dcmread(source), pydicom.dcmread(result)
    assert before.get("PixelData") == after.get("PixelData")
    assert before.file_meta.TransferSyntaxUID == after.file_meta.TransferSyntaxUID
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (dicom3tools) is not installed")
    assert not errors(result) - errors(source)


def test_a_real_ct_has_no_new_error(shared_data: Path, tmp_path: Path) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (dicom3tools) is not installed")
    source = next(path for path in sorted((shared_data / "chest_ct").rglob("*")) if path.is_file())
    for dates in Dates:
        out = tmp_path / dates
        run(source, out, dates=dates)
        (result,) = written(out)
        assert pydicom.dcmread(source).PixelData == pydicom.dcmread(result).PixelData
        assert not errors(result) - errors(source)


def errors(path: Path) -> set[str]:
    """What dciodvfy calls an error."""
    outcome = subprocess.run(
        ["dciodvfy", str(path)], capture_output=True, text=True, errors="replace", check=False
    )
    return {line.strip() for line in outcome.stderr.splitlines() if line.startswith("Error")}
