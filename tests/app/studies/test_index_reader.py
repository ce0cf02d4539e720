from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from napari_medcnn.app.studies.image_header import ImageHeader
from napari_medcnn.app.studies.index_file import index_path, open_index
from napari_medcnn.app.studies.index_reader import IndexReader, SeriesDetails, StudyFilter
from napari_medcnn.app.studies.index_writer import IndexWriter, Stamp, keep_details
from napari_medcnn.app.studies.patient_key import Identity, id_key, patient_key, secret_in
from napari_medcnn.core.errors import WriteError
from napari_medcnn.core.volume import Finding, Severity

SECRET = bytes(32)
STAMP = Stamp(10, 20)


def header(patient: str = "7", series: str = "1.1", **more: object) -> ImageHeader:
    known = Identity(patient)
    return replace(
        ImageHeader(
            kind="dicom", series_uid=series, study_uid=f"s{patient}",
            patient_key=patient_key(known, "", SECRET), id_key=id_key(patient, SECRET),
            modality="CT", series_description="Thorax 100%", study_date="20200131", rows=4,
            columns=4,
        ),
        **more,
    )  # fmt: skip


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[IndexWriter]:
    database = open_index(index_path(tmp_path, tmp_path / "cache"), tmp_path)
    yield IndexWriter(database)
    database.close()


@pytest.fixture
def reader(tmp_path: Path, writer: IndexWriter) -> Iterator[IndexReader]:
    reader = IndexReader.open(index_path(tmp_path, tmp_path / "cache"))
    assert reader is not None
    yield reader
    reader.close()


def words(*chosen: str) -> StudyFilter:
    return StudyFilter(chosen, tuple(id_key(word, SECRET) for word in chosen))


def test_a_batch_is_seen_at_its_commit(writer: IndexWriter, reader: IndexReader) -> None:
    writer.put(Path("a"), STAMP, header())
    assert reader.summary().files == 0
    before = reader.revision
    writer.commit()
    assert reader.summary().files == 1
    assert reader.revision > before


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        ((), 2), (("ct",), 1), (("mr",), 1), (("ct", "thorax"), 1), (("ct", "mr"), 0),
        (("100%",), 1), (("1__%",), 0), (("2020-01",), 2), (("7",), 1), (("8",), 1), (("77",), 0),
    ],
)  # fmt: skip
def test_the_filter_takes_all_words_and_whole_patient_ids(
    writer: IndexWriter, reader: IndexReader, chosen: tuple[str, ...], found: int
) -> None:
    writer.put(Path("a"), STAMP, header(study_date="20200131"))
    other = header("8", "2.1", modality="MR", series_description="Caput")
    writer.put(Path("b"), STAMP, other)
    writer.commit()
    assert len(reader.patients(words(*chosen), 9)) == found
    assert reader.count_matching(words(*chosen), 9) == found


def test_names_that_are_shown_can_be_searched(writer: IndexWriter, reader: IndexReader) -> None:
    writer.put(Path("a"), STAMP, header())
    writer.commit()
    (patient,) = reader.patients(StudyFilter(), 9)
    assert reader.patients(StudyFilter(("doe",), ("",), (frozenset({patient.id}),)), 9)
    assert not reader.patients(StudyFilter(("doe",), ("",), (frozenset(),)), 9)


def test_files_below_a_folder_that_was_not_reached_are_kept(
    writer: IndexWriter, reader: IndexReader, tmp_path: Path
) -> None:
    for name in ("share/a", "share2/a", "gone"):
        writer.put(Path(name), STAMP, header())
    writer.commit()
    again = IndexWriter(open_index(index_path(tmp_path, tmp_path / "cache"), tmp_path))
    assert again.is_known(Path("share2/a"), STAMP)
    assert not again.is_known(Path("gone"), Stamp(10, 21))
    assert again.remove_unseen([Path("share")]) == 1
    (series,) = reader.series(1, StudyFilter(), 9)
    assert [path.as_posix() for path in reader.files(series.id)] == ["share/a", "share2/a"]


def test_slices_count_once_however_many_images_lie_on_them(
    writer: IndexWriter, reader: IndexReader
) -> None:
    for time in range(3):
        for z in range(4):
            placed = header(position=2.5 * z + 1e-4 * time, slice_step=9.0)
            writer.put(Path(f"{time}-{z}"), STAMP, placed)
    writer.commit()
    (series,) = reader.series(1, StudyFilter(), 9)
    assert (series.images, series.slices) == (12, 4)
    assert series.spacing[0] == pytest.approx(2.5, abs=1e-3)


def test_details_are_kept_with_the_revision_that_they_are_of(
    writer: IndexWriter, reader: IndexReader, tmp_path: Path
) -> None:
    writer.put(Path("a"), STAMP, header())
    writer.commit()
    (series,) = reader.series(1, StudyFilter(), 9)
    assert reader.details(series.id) is None
    finding = Finding("gap", Severity.WARNING, "A slice is missing", (3,))
    database = open_index(index_path(tmp_path, tmp_path / "cache"), tmp_path)
    keep_details(database, series, SeriesDetails(b"png", (finding,)))
    assert reader.details(series.id) == SeriesDetails(b"png", (finding,))
    assert reader.one_series(series.id).details_revision == series.revision


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    secret = secret_in(tmp_path / "cache")
    assert secret_in(tmp_path / "cache") == secret
    assert secret_in(tmp_path / "other") != secret
    (path,) = (tmp_path / "cache").iterdir()
    assert path.stat().st_mode & 0o077 == 0
    path.write_bytes(b"short")
    with pytest.raises(WriteError, match="damaged"):
        secret_in(tmp_path / "cache")
