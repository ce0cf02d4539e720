from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from napari_medcnn.app.studies import indexing
from napari_medcnn.app.studies.index_child import LOCK_NAME
from napari_medcnn.app.studies.index_file import forget, index_path, known_folders
from napari_medcnn.app.studies.index_reader import IndexReader, IndexSummary, StudyFilter
from napari_medcnn.app.studies.indexing import IndexReport, index_folder
from napari_medcnn.core.errors import Cancelled, MedcnnError, ReadError
from napari_medcnn.core.events import JobControl, Message, Progress, run_to_end
from napari_medcnn.core.volume import Volume
from napari_medcnn.io.write import write_volume
from tests.study_tree import JANE, JOHN, write_series, write_slice

EVERYTHING = StudyFilter()

CRASH = """
import os
from napari_medcnn.app.studies import file_header
real = file_header.read_file_header
def read_file_header(path, relative, secret):
    if path.name.startswith("crash"):
        os.abort()
    return real(path, relative, secret)
file_header.read_file_header = read_file_header
"""

HANG = CRASH.replace("os.abort()", "__import__('time').sleep(60)")


def update(folder: Path, cache: Path) -> IndexReport:
    return run_to_end(index_folder(folder, JobControl(), cache), IndexReport)


def opened(folder: Path, cache: Path) -> IndexReader:
    reader = IndexReader.open(index_path(folder, cache))
    assert reader is not None
    return reader


def all_series(reader: IndexReader) -> dict[str, list[str]]:
    """Files by series UID."""
    return {
        series.uid: [path.as_posix() for path in reader.files(series.id)]
        for patient in reader.patients(EVERYTHING, 100)
        for study in reader.studies(patient.id, EVERYTHING, 100)
        for series in reader.series(study.id, EVERYTHING, 100)
    }


def test_a_folder_is_indexed_by_patient_study_and_series(folder: Path, cache: Path) -> None:
    report = update(folder, cache)
    assert (report.files, report.read, report.problems) == (24, 24, 0)
    reader = opened(folder, cache)
    assert reader.summary() == IndexSummary(patients=2, studies=3, series=4, files=24, problems=0)
    jane, john = reader.patients(EVERYTHING, 10)
    assert (jane.studies, jane.sex, john.sex, john.age) == (2, "F", "M", 90)
    latest, first = reader.studies(jane.id, EVERYTHING, 10)
    assert (first.date, first.description, first.age) == ("20210304", "Brain follow-up", 60)
    assert latest.date == "20220405"
    t1, flair = reader.series(first.id, EVERYTHING, 10)
    assert (t1.description, flair.description, flair.number) == ("T1 axial", "FLAIR", 2)
    assert (t1.images, t1.slices, t1.rows, t1.columns) == (6, 6, 16, 16)
    assert t1.spacing == (2, 1, 1)
    assert reader.files(t1.id) == [Path(f"a/t1/IM{z:04}") for z in range(6)]
    assert reader.middle_file(t1.id) == Path("a/t1/IM0003")


def test_the_cache_holds_nothing_that_says_who_the_patients_are(folder: Path, cache: Path) -> None:
    update(folder, cache)
    kept = b"".join(path.read_bytes() for path in cache.rglob("*") if path.is_file())
    for patient in (JANE, JOHN):
        family, given = patient.name.split("^")
        for secret in (family, given, patient.id, patient.birth_date):
            assert secret.encode() not in kept
    assert all(path.stat().st_mode & 0o077 == 0 for path in cache.rglob("index.sqlite"))


def test_unchanged_files_are_not_read_again(folder: Path, cache: Path) -> None:
    update(folder, cache)
    again = update(folder, cache)
    assert (again.read, again.unchanged) == (0, 24)


def test_a_changed_file_moves_to_the_series_that_it_names_now(folder: Path, cache: Path) -> None:
    update(folder, cache)
    write_slice(folder / "a" / "t1" / "IM0000", series="9.9", SeriesDescription="moved by hand")
    report = update(folder, cache)
    assert (report.read, report.unchanged) == (1, 23)
    found = all_series(opened(folder, cache))
    assert found["9.9"] == ["a/t1/IM0000"]
    assert len(found["1.2.3.4"]) == 5


def test_files_that_have_gone_leave_with_their_empty_patient(folder: Path, cache: Path) -> None:
    update(folder, cache)
    shutil.rmtree(folder / "c")
    (folder / "b" / "IM0005").unlink()
    assert update(folder, cache).removed == 7
    reader = opened(folder, cache)
    assert reader.summary() == IndexSummary(patients=1, studies=2, series=3, files=17, problems=0)
    write_series(folder / "c", JOHN, study="2.3", series="2.3.1")
    update(folder, cache)
    assert opened(folder, cache).summary().patients == 2


def test_a_folder_that_has_gone_is_refused_and_its_index_kept(folder: Path, cache: Path) -> None:
    update(folder, cache)
    folder.rename(folder.with_name("unplugged"))
    with pytest.raises(ReadError, match="still connected"):
        update(folder, cache)
    assert opened(folder, cache).summary().files == 24


def test_indexing_is_cancelled_and_goes_on_where_it_was(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "many"
    for number in range(30):
        first = write_slice(folder / f"{number:03}" / "IM00", series=f"1.2.{number}")
        for copy in range(1, 40):
            shutil.copy(first, first.with_name(f"IM{copy:02}"))
    control = JobControl()
    job = index_folder(folder, control, cache)
    with pytest.raises(Cancelled):
        for event in job:
            if isinstance(event, Progress) and event.done > 0:
                control.cancel()
    kept = opened(folder, cache).summary().files
    assert 0 < kept < 1200
    report = update(folder, cache)
    assert (report.files, report.unchanged, report.read) == (1200, kept, 1200 - kept)
    assert len(all_series(opened(folder, cache))) == 30


def test_what_cannot_be_read_costs_only_itself(folder: Path, cache: Path) -> None:
    whole = (folder / "b" / "IM0000").read_bytes()
    (folder / "b" / "cut.dcm").write_bytes(whole[:150])
    (folder / "b" / "DICOMDIR").write_bytes(whole)
    (folder / "b" / "readme.txt").write_text("no image")
    (folder / "b" / "broken.nii.gz").write_bytes(b"\x1f\x8b" + bytes(50))
    report = update(folder, cache)
    assert report.files == 28
    reader = opened(folder, cache)
    assert reader.summary().files == 24
    assert [path.name for path, _ in reader.problems(9)] == ["broken.nii.gz", "cut.dcm"]
    assert (report.problems, reader.summary().problems) == (2, 2)
    assert update(folder, cache).read <= 1  # one that the system refused may be tried again


def test_a_file_that_crashes_its_reader_is_left_out(
    folder: Path, cache: Path, child_code: Callable[[str], None]
) -> None:
    write_slice(folder / "a" / "crash1.dcm", series="6.6")
    write_slice(folder / "b" / "crash2.dcm", series="6.7")
    child_code(CRASH)
    events = list(index_folder(folder, JobControl(), cache))
    told = [event.text for event in events if isinstance(event, Message)]
    assert len(told) == 2
    assert "crash1.dcm" in told[0]
    assert "its reader crashed" in told[0]
    reader = opened(folder, cache)
    assert [path.name for path, _ in reader.problems(9)] == ["crash1.dcm", "crash2.dcm"]
    assert len(all_series(reader)) == 4
    again = list(index_folder(folder, JobControl(), cache))
    assert not [event for event in again if isinstance(event, Message)]  # it is not tried again


def test_a_reader_that_never_ends_is_ended_and_the_file_tried_again_later(
    folder: Path, cache: Path, child_code: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_slice(folder / "a" / "crash1.dcm", series="6.6")
    monkeypatch.setattr(indexing, "PATIENCE_S", 1.0)
    child_code(HANG)
    update(folder, cache)
    assert "took too long" in opened(folder, cache).problems(9)[0][1]
    child_code("")
    assert update(folder, cache).read == 1
    assert "6.6" in all_series(opened(folder, cache))


def test_two_processes_never_index_one_folder_at_once(folder: Path, cache: Path) -> None:
    update(folder, cache)
    with (
        FileLock(index_path(folder, cache).with_name(LOCK_NAME)),
        pytest.raises(MedcnnError, match="by another napari"),
    ):
        update(folder, cache)


def test_a_damaged_index_is_made_anew(folder: Path, cache: Path) -> None:
    update(folder, cache)
    path = index_path(folder, cache)
    forget(path)
    path.write_bytes(b"no database at all" * 1000)
    assert IndexReader.open(path) is None
    assert update(folder, cache).read == 24
    assert known_folders(cache) == [folder]


def test_volumes_in_files_are_listed_by_folder(
    tmp_path: Path, cache: Path, small_volume: Volume
) -> None:
    folder = tmp_path / "loose"
    for name in ("a/one.nii.gz", "a/two.nrrd", "a/three.mha"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_volume(small_volume, folder / name)
    update(folder, cache)
    reader = opened(folder, cache)
    (nobody,) = reader.patients(EVERYTHING, 9)
    assert nobody.key == ""
    (study,) = reader.studies(nobody.id, EVERYTHING, 9)
    assert study.description == "a"
    for series in reader.series(study.id, EVERYTHING, 9):
        assert (series.columns, series.rows, series.slices) == (16, 20, 12), series.uid
        assert series.spacing == (2, 1, 1)
