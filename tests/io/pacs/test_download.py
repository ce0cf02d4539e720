from __future__ import annotations

import io
import os
import time
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import generate_uid

from napari_medcnn.app.studies.indexing import IndexReport, index_folder
from napari_medcnn.core.errors import WriteError
from napari_medcnn.core.events import JobControl, run_to_end
from napari_medcnn.io.pacs import download as module
from napari_medcnn.io.pacs.download import Download
from napari_medcnn.io.pacs.errors import PacsError
from napari_medcnn.io.pacs.query import SeriesKey
from napari_medcnn.io.read import read
from tests.pacs_server import StoredSeries, pixels_in


@pytest.fixture
def key(stored: StoredSeries) -> SeriesKey:
    return SeriesKey(stored.study_uid, stored.series_uid)


@pytest.fixture
def files(stored: StoredSeries) -> list[bytes]:
    return [path.read_bytes() for path in sorted(stored.folder.iterdir())]


def changed(content: bytes, **values: str) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(content))
    for keyword, value in values.items():
        dataset[keyword]._value = value
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def test_a_complete_series_takes_its_place_under_its_uid(tmp_path, key, files, stored) -> None:
    with Download(tmp_path, key) as download:
        for content in files:
            download.add(content)
            download.add(content)  # sent twice, counted once
        assert not (tmp_path / key.series_uid).exists()
        retrieved = download.complete(len(files))
    assert retrieved.folder == tmp_path / key.series_uid
    assert retrieved.instances == len(files)
    assert pixels_in(retrieved.folder) == stored.contents
    assert [path.name for path in tmp_path.iterdir()] == [key.series_uid]
    assert {path.stem for path in retrieved.folder.iterdir()} == set(stored.contents)


@pytest.mark.parametrize("sent, expected", [(0, None), (0, 0), (3, 4), (4, 3)])
def test_a_wrong_count_leaves_nothing(tmp_path, key, files, sent, expected) -> None:
    with pytest.raises(PacsError, match="incomplete"), Download(tmp_path, key) as download:
        for content in files[:sent]:
            download.add(content)
        download.complete(expected)
    assert list(tmp_path.iterdir()) == []


def test_what_a_power_loss_leaves_is_neither_read_nor_indexed(tmp_path, key, files, stored) -> None:
    folder = tmp_path / "fetched"
    with Download(folder, key) as download:
        for content in files:
            download.add(content)
        download.complete(len(files))
    cut_off = Download(folder, key).__enter__()  # never left, as when the power goes
    for content in files[:2]:
        cut_off.add(changed(content, SOPInstanceUID=generate_uid()))
    (left,) = (path for path in folder.iterdir() if path.name != key.series_uid)
    assert len(list(left.iterdir())) == 2
    (volume,) = read(folder)
    assert not volume.findings
    assert volume.array.shape[0] == len(files)
    job = index_folder(folder, JobControl(), tmp_path / "cache")
    assert run_to_end(job, IndexReport).files == len(files)


def test_what_a_power_loss_left_goes_after_a_week(tmp_path, key, files) -> None:
    cut_off = Download(tmp_path, key).__enter__()
    cut_off.add(files[0])
    (left,) = tmp_path.iterdir()
    with Download(tmp_path, key):
        assert left.exists()
    week_ago = time.time() - 8 * 24 * 3600
    os.utime(left, (week_ago, week_ago))
    with Download(tmp_path, key):
        assert not left.exists()
    assert list(tmp_path.iterdir()) == []


def test_an_error_on_the_way_leaves_nothing(tmp_path, key, files) -> None:
    with pytest.raises(KeyboardInterrupt), Download(tmp_path, key) as download:
        download.add(files[0])
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "values",
    [
        {"SOPInstanceUID": "../../../../tmp/escaped"},
        {"SOPInstanceUID": "/etc/passwd"},
        {"SOPInstanceUID": ""},
        {"SeriesInstanceUID": "1.2.3"},
        {"StudyInstanceUID": "1.2.3"},
    ],
)
def test_an_object_that_is_not_of_this_series_is_refused(tmp_path, key, files, values) -> None:
    with pytest.raises(PacsError), Download(tmp_path / "in", key) as download:
        download.add(changed(files[0], **values))
    assert list(tmp_path.rglob("*")) == [tmp_path / "in"]


def test_an_object_that_the_server_had_not_listed_is_refused(tmp_path, key, files) -> None:
    with pytest.raises(PacsError, match="own list"), Download(tmp_path, key, {"1.2"}) as download:
        download.add(files[0])


@pytest.mark.parametrize(
    "content",
    [b"", b"not DICOM", b"\0" * 128 + b"DICM", b"\0" * 128 + b"DICM" + b"\xff" * 4000],
)
def test_what_cannot_be_read_is_refused(tmp_path, key, content) -> None:
    with pytest.raises(PacsError), Download(tmp_path, key) as download:
        download.add(content)


def test_deflated_objects_are_refused_before_they_inflate(tmp_path, key, files) -> None:
    deflated = files[0].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99", 1)
    with pytest.raises(PacsError, match="deflated"), Download(tmp_path, key) as download:
        download.add(deflated)


def test_limits_hold(tmp_path, key, files, monkeypatch) -> None:
    monkeypatch.setattr(module, "MAX_SERIES_BYTES", len(files[0]) + 10)
    with pytest.raises(PacsError, match="more than"), Download(tmp_path, key) as download:
        download.add(files[0])
        download.add(files[1])
    monkeypatch.undo()
    monkeypatch.setattr(module, "MAX_INSTANCES", 1)
    with pytest.raises(PacsError, match="more than"), Download(tmp_path, key) as download:
        download.add(files[0])
        download.add(files[1])
    assert list(tmp_path.iterdir()) == []


def test_a_second_retrieval_takes_the_place_of_the_first(tmp_path, key, files) -> None:
    for count in (3, 5):
        with Download(tmp_path, key) as download:
            for content in files[:count]:
                download.add(content)
            download.complete(count)
    assert len(list((tmp_path / key.series_uid).iterdir())) == 5
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_with_other_files_is_never_replaced(tmp_path, key, files) -> None:
    target = tmp_path / key.series_uid
    target.mkdir()
    (target / "notes.txt").write_text("mine")
    with pytest.raises(WriteError, match="other files"), Download(tmp_path, key) as download:
        download.add(files[0])
        download.complete(1)
    assert (target / "notes.txt").read_text() == "mine"
    assert list(tmp_path.iterdir()) == [target]


def test_a_link_in_the_place_of_the_folder_is_not_followed(tmp_path, key, files) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / key.series_uid).symlink_to(elsewhere)
    with pytest.raises(WriteError), Download(tmp_path / "in", key) as download:
        download.add(files[0])
        download.complete(1)
    assert list(elsewhere.iterdir()) == []


def test_a_file_in_the_place_of_the_parent_is_told(tmp_path, key) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(WriteError, match="file"), Download(Path(tmp_path / "file"), key):
        pass
