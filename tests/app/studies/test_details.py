from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_medcnn.app.studies.details import DetailsMaker
from napari_medcnn.app.studies.index_file import index_path
from napari_medcnn.app.studies.index_reader import IndexReader, SeriesRow, StudyFilter
from napari_medcnn.app.studies.indexing import IndexReport, index_folder
from napari_medcnn.app.studies.patient_key import Identity
from napari_medcnn.app.studies.thumbnail import dicom_thumbnail, volume_thumbnail
from napari_medcnn.core.errors import Cancelled, ReadError
from napari_medcnn.core.events import Done, JobControl, Preview, run_to_end
from napari_medcnn.core.volume import Volume
from napari_medcnn.io.write import write_volume
from tests.study_tree import write_series, write_slice

CRASH = """
import os
from napari_medcnn.app.studies import thumbnail
real = thumbnail.dicom_thumbnail
def dicom_thumbnail(path):
    if path.parent.name == "flair":
        os.abort()
    return real(path)
thumbnail.dicom_thumbnail = dicom_thumbnail
"""


@pytest.fixture
def maker(folder: Path, cache: Path) -> Iterator[DetailsMaker]:
    run_to_end(index_folder(folder, JobControl(), cache), IndexReport)
    maker = DetailsMaker(folder, cache)
    yield maker
    maker.close()


def series_of(folder: Path, cache: Path) -> tuple[IndexReader, dict[str, SeriesRow]]:
    reader = IndexReader.open(index_path(folder, cache))
    assert reader is not None
    rows = [
        series
        for patient in reader.patients(StudyFilter(), 9)
        for study in reader.studies(patient.id, StudyFilter(), 9)
        for series in reader.series(study.id, StudyFilter(), 9)
    ]
    return reader, {series.uid: series for series in rows}


def picture(png: bytes | None) -> np.ndarray:
    assert png is not None
    return np.asarray(Image.open(io.BytesIO(png)))


def test_details_of_a_series_are_put_into_the_index(
    folder: Path, cache: Path, maker: DetailsMaker
) -> None:
    (folder / "b" / "IM0002").unlink()
    reader, series = series_of(folder, cache)
    ids = [series["1.2.3.4"].id, series["1.2.4.1"].id]
    events = list(maker.details(ids, JobControl()))
    assert [e.volume_id for e in events if isinstance(e, Preview)] == [str(i) for i in ids]
    whole, gapped = (reader.details(number) for number in ids)
    assert whole is not None
    assert picture(whole.picture).shape == (96, 96)
    assert gapped is not None  # the file is gone since the folder was indexed
    assert any("slice" in finding.text for finding in gapped.findings)


def test_a_file_that_crashes_the_process_costs_its_series_the_picture(
    folder: Path, cache: Path, maker: DetailsMaker, child_code: Callable[[str], None]
) -> None:
    child_code(CRASH)
    reader, series = series_of(folder, cache)
    ids = [row.id for row in series.values()]
    assert len([e for e in maker.details(ids, JobControl()) if isinstance(e, Preview)]) == 4
    without = [uid for uid, row in series.items() if not reader.details(row.id).picture]
    assert without == ["1.2.3.5"]


def test_a_cancelled_job_ends_at_once_and_the_next_one_works(
    folder: Path, cache: Path, maker: DetailsMaker
) -> None:
    _, series = series_of(folder, cache)
    ids = [row.id for row in series.values()]
    control = JobControl()
    with pytest.raises(Cancelled):
        for _ in maker.details(ids, control):
            control.cancel()
    assert isinstance(list(maker.details(ids[-1:], JobControl()))[-1], Done)


def test_who_patients_are_is_read_and_kept_nowhere(
    folder: Path, cache: Path, maker: DetailsMaker
) -> None:
    reader, _ = series_of(folder, cache)
    found = list(maker.identities(reader.all_patients(), JobControl()))[-1].result
    assert found[1] == Identity("HOSP-4711", "", "Doe^Jane", "19600615")
    assert found[2].label == "Roe, John · ID HOSP-0815"
    kept = b"".join(path.read_bytes() for path in cache.rglob("*") if path.is_file())
    assert b"HOSP-4711" not in kept


def test_a_thumbnail_lies_as_its_slice_with_its_proportions(tmp_path: Path) -> None:
    wide = write_slice(tmp_path / "wide.dcm", PixelSpacing=[1, 2])
    grey = picture(dicom_thumbnail(wide))
    assert grey.shape == (48, 96)
    assert grey[0, 0] < grey[-1, -1]
    inverted = write_slice(tmp_path / "inv.dcm", PhotometricInterpretation="MONOCHROME1")
    grey = picture(dicom_thumbnail(inverted))
    assert grey[0, 0] > grey[-1, -1]
    with pytest.raises(ReadError):
        dicom_thumbnail(write_slice(tmp_path / "none.dcm", Rows=0))


def test_a_volume_file_shows_its_middle_slice(tmp_path: Path, small_volume: Volume) -> None:
    write_volume(small_volume, tmp_path / "v.nii.gz")
    grey = picture(volume_thumbnail(tmp_path / "v.nii.gz"))
    assert grey.shape == (96, 77)
    assert grey[0, 0] < grey[-1, -1]


def test_objects_about_images_have_no_findings_of_a_stack(tmp_path: Path, cache: Path) -> None:
    folder = write_series(tmp_path / "seg", Modality="SEG", count=1)
    run_to_end(index_folder(folder, JobControl(), cache), IndexReport)
    reader, series = series_of(folder, cache)
    maker = DetailsMaker(folder, cache)
    (row,) = series.values()
    list(maker.details([row.id], JobControl()))
    maker.close()
    assert reader.details(row.id).findings == ()
