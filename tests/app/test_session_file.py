"""A session file brings everything back exactly, and a lost image costs no labels."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from napari_medcnn.app.result import Result
from napari_medcnn.app.session import Session
from napari_medcnn.app.session_file import load_session, save_session
from napari_medcnn.core.errors import MedcnnError, ReadError
from napari_medcnn.core.lesion import Review, Verdict
from napari_medcnn.core.volume import Finding, FrameAxis, Severity, Volume
from napari_medcnn.io.read import read
from tests.app.conftest import oblique_volume, two_lesions


def write_image(path: Path, array: np.ndarray, turned: bool = True) -> Path:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.9, 1.1, 2.5))
    image.SetOrigin((-12.0, 30.5, 7.25))
    if turned:  # stored right to left and back to front: the reader reorders it
        image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    sitk.WriteImage(image, str(path))
    return path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "scans").mkdir()
    array = np.arange(12 * 20 * 16, dtype=np.int16).reshape(12, 20, 16)
    return write_image(tmp_path / "scans" / "flair.nii.gz", array)


@pytest.fixture
def painted(image: Path) -> tuple[Session, Result]:
    session = Session()
    (volume,) = read(image)
    session.add_volume(volume)
    result = session.add_segmentation(two_lesions(volume), min_volume_mm3=1.0)
    session.review(result.id, 2, Review(Verdict.REJECTED, "vessel — flow"))
    result.segmentation.array[5, 5, 5] = 2
    session.touch(result.id)
    return session, result


def assert_same(one: Result, other: Result) -> None:
    assert np.array_equal(one.segmentation.array, other.segmentation.array)
    assert one.segmentation.array.dtype == other.segmentation.array.dtype
    assert np.array_equal(one.predicted, other.predicted)
    assert np.array_equal(one.table.id_map, other.table.id_map)
    assert one.table.lesions == other.table.lesions
    assert one.segmentation.geometry == other.segmentation.geometry
    assert one.segmentation.labels == other.segmentation.labels
    assert one.segmentation.model == other.segmentation.model
    assert one.segmentation.parameters == other.segmentation.parameters
    assert np.array_equal(one.segmentation.probability, other.segmentation.probability)
    assert (one.name, one.min_volume_mm3, one.revision, one.table_revision) == (
        other.name,
        other.min_volume_mm3,
        other.revision,
        other.table_revision,
    )


def test_a_session_comes_back_with_its_edits_reviews_and_volume(
    painted: tuple[Session, Result], tmp_path: Path
) -> None:
    session, result = painted
    save_session(session, tmp_path / "case.medcnn")
    assert not session.is_dirty

    loaded = load_session(tmp_path / "case.medcnn")
    assert loaded.problems == ()
    assert not loaded.is_dirty
    assert loaded.id == session.id
    (before,), (after,) = session.volumes.values(), loaded.volumes.values()
    assert np.array_equal(before.array, after.array)
    assert after.id == before.id
    assert_same(loaded.results[result.id], result)
    assert loaded.results[result.id].is_stale
    assert loaded.recompute(result.id).lesions == session.recompute(result.id).lesions
    assert loaded.results[result.id].table.by_id(2).review.note == "vessel — flow"


def test_a_reopened_session_can_be_painted_on(
    painted: tuple[Session, Result], tmp_path: Path
) -> None:
    session, result = painted
    save_session(session, tmp_path / "case.medcnn")
    loaded = load_session(tmp_path / "case.medcnn")
    loaded.add_lesion_ball(result.id, (9.0, 3.0, 12.0), 3.0, 1)
    assert len(loaded.recompute(result.id).lesions) == 4


def test_voxels_of_a_file_are_not_stored(painted: tuple[Session, Result], tmp_path: Path) -> None:
    save_session(painted[0], tmp_path / "case.medcnn")
    with zipfile.ZipFile(tmp_path / "case.medcnn") as archive:
        names = archive.namelist()
    assert len(names) == 5  # label map, prediction, lesion ids, probability, manifest


def test_a_volume_without_a_file_is_stored_inside(tmp_path: Path) -> None:
    session = Session()
    flat = oblique_volume()
    finding = Finding("assumed-orientation", Severity.WARNING, "no header", (1, 2))
    frames = FrameAxis("time", (0.0, 1.5), "s")
    volume = replace(
        flat,
        array=np.stack([flat.array, flat.array + 1]),
        frames=frames,
        findings=(finding,),
        unit="HU",
        spacing_known=False,
    )
    session.add_volume(volume)
    save_session(session, tmp_path / "case.medcnn")
    (loaded,) = load_session(tmp_path / "case.medcnn").volumes.values()
    assert np.array_equal(loaded.array, volume.array)
    assert loaded.geometry == volume.geometry
    for name in ("id", "name", "modality", "unit", "frames", "findings", "spacing_known"):
        assert getattr(loaded, name) == getattr(volume, name), name


def test_a_lost_image_is_named_and_its_labels_stay(
    painted: tuple[Session, Result], image: Path, tmp_path: Path
) -> None:
    session, result = painted
    save_session(session, tmp_path / "case.medcnn")
    image.rename(image.with_name("moved.nii.gz"))
    loaded = load_session(tmp_path / "case.medcnn")
    (problem,) = loaded.problems
    assert problem.code == "source-missing"
    assert str(image) in problem.text
    assert_same(loaded.results[result.id], result)
    assert list(loaded.missing_volumes) == [result.volume_id]
    with pytest.raises(MedcnnError, match="not open"):
        loaded.recompute(result.id)

    save_session(loaded, tmp_path / "again.medcnn")
    again = load_session(
        tmp_path / "again.medcnn", relocate={image: image.with_name("moved.nii.gz")}
    )
    assert again.problems == ()
    assert_same(again.results[result.id], result)

    (found,) = read(image.with_name("moved.nii.gz"))
    loaded.supply_volume(result.volume_id, found)
    assert not loaded.missing_volumes
    assert len(loaded.recompute(result.id).lesions) == 3


def test_a_folder_of_images_can_be_relocated(
    painted: tuple[Session, Result], image: Path, tmp_path: Path
) -> None:
    save_session(painted[0], tmp_path / "case.medcnn")
    image.parent.rename(tmp_path / "archive")
    loaded = load_session(tmp_path / "case.medcnn", relocate={image.parent: tmp_path / "archive"})
    assert loaded.problems == ()


def test_session_and_images_can_move_together(
    painted: tuple[Session, Result], image: Path, tmp_path: Path
) -> None:
    save_session(painted[0], tmp_path / "case.medcnn")
    (tmp_path / "elsewhere").mkdir()
    shutil.move(image.parent, tmp_path / "elsewhere" / "scans")
    shutil.move(tmp_path / "case.medcnn", tmp_path / "elsewhere" / "case.medcnn")
    assert load_session(tmp_path / "elsewhere" / "case.medcnn").problems == ()


def test_changed_voxels_block_measuring_until_the_reader_says_yes(
    painted: tuple[Session, Result], image: Path, tmp_path: Path
) -> None:
    session, result = painted
    save_session(session, tmp_path / "case.medcnn")
    write_image(image, np.zeros((12, 20, 16), np.int16))
    loaded = load_session(tmp_path / "case.medcnn")
    (problem,) = loaded.problems
    assert problem.severity is Severity.BLOCKING
    assert str(image) in problem.text
    assert loaded.volume(result.volume_id).blocking_findings == (problem,)
    assert loaded.recompute(result.id).lesions[0].volume_mm3.value is None
    loaded.accept_blocking(result.id)
    assert loaded.recompute(result.id).lesions[0].volume_mm3.value is not None


def test_an_image_on_another_grid_is_not_taken(
    painted: tuple[Session, Result], image: Path, tmp_path: Path
) -> None:
    session, result = painted
    save_session(session, tmp_path / "case.medcnn")
    write_image(image, np.zeros((12, 20, 15), np.int16))
    loaded = load_session(tmp_path / "case.medcnn")
    assert "another grid" in loaded.problems[0].text
    assert_same(loaded.results[result.id], result)
    (wrong,) = read(image)
    with pytest.raises(MedcnnError, match="grid"):
        loaded.supply_volume(result.volume_id, wrong)


def test_a_failed_save_leaves_the_old_file(painted: tuple[Session, Result], tmp_path: Path) -> None:
    session, result = painted
    path = tmp_path / "case.medcnn"
    save_session(session, path)
    before = path.read_bytes()
    session.touch(result.id)
    result.segmentation.parameters["callable"] = print
    with pytest.raises(MedcnnError, match="cannot be saved"):
        save_session(session, path)
    assert path.read_bytes() == before
    assert session.is_dirty
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def rewritten(path: Path, change: dict[str, bytes | None]) -> Path:
    """The session file with some members replaced or, for None, left out."""
    target = path.with_name("changed.medcnn")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = change.get(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return target


@pytest.fixture
def saved(painted: tuple[Session, Result], tmp_path: Path) -> Path:
    save_session(painted[0], tmp_path / "case.medcnn")
    return tmp_path / "case.medcnn"


def npy(array: np.ndarray, pickled: bool = False) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=pickled)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "has no arrays/0.npy"),
        (b"no array", "is no array"),
        (npy(np.zeros((2, 2, 2), np.uint8)), "not of"),
        (npy(np.full((12, 20, 16), None), pickled=True), "not of"),
        (npy(np.zeros((12, 20, 16), np.uint8))[:-50], "is damaged"),
    ],
)
def test_a_bad_array_is_refused(saved: Path, content: bytes | None, message: str) -> None:
    with pytest.raises(ReadError, match=message):
        load_session(rewritten(saved, {"arrays/0.npy": content}))


def test_an_array_that_claims_more_than_it_can_hold_is_refused(saved: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    manifest["results"][0]["grid"]["shape"] = [4000, 4000, 200]
    header = io.BytesIO()
    claim = {"descr": "|u1", "fortran_order": False, "shape": (4000, 4000, 200)}
    np.lib.format.write_array_header_1_0(header, claim)
    bomb = {f"arrays/{n}.npy": header.getvalue() for n in range(4)}
    change = {"manifest.json": json.dumps(manifest).encode()} | bomb
    with pytest.raises(ReadError, match="claims a size"):
        load_session(rewritten(saved, change))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"format": "other"}, "no session"),
        ({"schema": 99}, "schema 99"),
        ({"results": [{"id": 3}]}, "wrong at results"),
    ],
)
def test_a_wrong_manifest_is_refused(saved: Path, edit: dict[str, object], message: str) -> None:
    with zipfile.ZipFile(saved) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    changed = rewritten(saved, {"manifest.json": json.dumps(manifest | edit).encode()})
    with pytest.raises(ReadError, match=message):
        load_session(changed)


def test_a_file_that_is_no_zip_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.medcnn").write_text("hello")
    with pytest.raises(ReadError, match="no session file"):
        load_session(tmp_path / "text.medcnn")
    with pytest.raises(ReadError, match="No such file"):
        load_session(tmp_path / "none.medcnn")


def test_a_frame_of_a_series_in_time_is_found_again(tmp_path: Path) -> None:
    frames = [np.full((6, 8, 7), value, np.int16) for value in (3, 4, 5)]
    image = sitk.JoinSeries([sitk.GetImageFromArray(frame) for frame in frames])
    sitk.WriteImage(image, str(tmp_path / "bold.nii.gz"))
    session = Session()
    (whole,) = read(tmp_path / "bold.nii.gz")
    session.add_volume(whole.frame(1))
    save_session(session, tmp_path / "case.medcnn")
    loaded = load_session(tmp_path / "case.medcnn")
    assert loaded.problems == ()
    assert loaded.volume(f"{whole.id}-1").array[0, 0, 0] == 4
    assert isinstance(loaded.volume(f"{whole.id}-1"), Volume)
