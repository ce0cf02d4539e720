"""Cases from a viewer in a data set: true geometry, classes by name, no other case touched."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_medcnn.app.training_set import Drawn, add_case
from napari_medcnn.core.errors import (
    GeometryError,
    InputMismatch,
    MedcnnError,
    ReadError,
    WriteError,
)
from napari_medcnn.core.events import run_to_end
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import FrameAxis, Volume
from napari_medcnn.io.labels import read_segmentation
from napari_medcnn.io.read import read
from napari_medcnn.training.check import problems
from napari_medcnn.training.manifest import read_manifest
from tests.training.made_data_sets import GRID, made_manifest, noise

NAMES = {1: "tumour", 2: "oedema"}


def drawn(*values: int, names: dict[int, str] = NAMES, geometry: Geometry = GRID) -> Drawn:
    array = np.zeros(geometry.shape, np.uint8)
    for plane, value in enumerate(values):
        array[plane, 3:7, 2:8] = value
    return Drawn(array, geometry, names)


def files(folder: Path) -> set[str]:
    return {p.name for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock"}


def test_a_new_data_set_takes_channels_and_classes_of_its_first_case(tmp_path: Path) -> None:
    channels = {"FLAIR": noise(1), "T1": noise(2)}
    manifest = add_case(tmp_path / "set.json", "ann", channels, drawn(1, 2), patient="P1")
    assert (manifest.channels, manifest.classes) == (("FLAIR", "T1"), ("tumour", "oedema"))
    assert (manifest.modality, manifest.name) == ("MR", tmp_path.name)
    (case,) = manifest.cases
    assert (case.id, case.patient) == ("ann", "P1")
    back = [read(path)[0] for path in case.images]
    for volume, own in zip(back, channels.values(), strict=True):
        assert volume.geometry.is_close(own.geometry)
        np.testing.assert_array_equal(volume.array, own.array)
    assert case.label is not None
    label = read_segmentation(case.label, back[0])
    np.testing.assert_array_equal(label.array, drawn(1, 2).array)
    assert run_to_end(problems(manifest), tuple) == ()


def test_a_real_scan_keeps_its_grid(shared_data: Path, tmp_path: Path) -> None:
    (volume,) = read(shared_data / "ms_flair" / "patient19" / "flair.nii.gz")
    lesions = read_segmentation(shared_data / "ms_flair" / "patient19" / "lesions.nii.gz", volume)
    truth = Drawn(lesions.array, lesions.geometry, {1: "lesion"})
    manifest = add_case(tmp_path / "set.json", "p19", {"FLAIR": volume}, truth)
    (case,) = manifest.cases
    (back,) = read(case.images[0])
    assert back.geometry.max_distance_mm(volume.geometry) < 1e-3
    assert case.label is not None
    np.testing.assert_array_equal(read_segmentation(case.label, back).array, lesions.array)


def test_classes_are_found_by_name_whatever_value_they_have_here(tmp_path: Path) -> None:
    add_case(tmp_path / "set.json", "a", {"x": noise(1)}, drawn(1, 2))
    other = drawn(7, names={7: "oedema", 9: "not marked"})
    manifest = add_case(tmp_path / "set.json", "b", {"x": noise(2)}, other)
    label = manifest.case("b").label
    assert label is not None
    stored = read_segmentation(label, noise(2)).array
    assert set(np.unique(stored)) == {0, 2}
    with pytest.raises(InputMismatch, match="no class cyst"):
        add_case(tmp_path / "set.json", "c", {"x": noise(3)}, drawn(1, names={1: "cyst"}))
    with pytest.raises(InputMismatch, match="value 3, which has no name"):
        add_case(tmp_path / "set.json", "c", {"x": noise(3)}, drawn(3))
    assert [case.id for case in read_manifest(tmp_path / "set.json").cases] == ["a", "b"]


def test_what_does_not_fit_is_refused_and_leaves_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "set.json"
    add_case(file, "a", {"x": noise(1)}, drawn(1))
    before = files(tmp_path)
    moved = Geometry(GRID.shape, GRID.affine + np.array([[0, 0, 0, 2.0]] + [[0] * 4] * 3))
    frames = Volume(np.stack([noise(1).array] * 2), GRID, frames=FrameAxis("time"))
    for channels, truth, error in (
        ({"y": noise(1)}, drawn(1), InputMismatch),
        ({}, drawn(1), InputMismatch),
        ({"x": frames}, drawn(1), InputMismatch),
        ({"x": noise(1)}, drawn(1, geometry=moved), GeometryError),
        ({"x": noise(1), "y": noise(1, moved)}, drawn(1), GeometryError),
        ({"x": noise(1)}, replace(drawn(1), array=np.zeros(GRID.shape)), InputMismatch),
        ({"x": noise(1)}, replace(drawn(1), array=np.full(GRID.shape, -1)), InputMismatch),
    ):
        with pytest.raises(error):
            add_case(file, "b", channels, truth)
    with pytest.raises(MedcnnError, match="cannot name files"):
        add_case(file, "../b", {"x": noise(1)}, drawn(1))
    assert files(tmp_path) == before


def test_a_case_is_replaced_on_request_only_and_others_stay(tmp_path: Path) -> None:
    file = tmp_path / "set.json"
    add_case(file, "a", {"x": noise(1)}, drawn(1))
    kept = add_case(file, "b", {"x": noise(2)}, drawn(2)).case("b")
    stored = {path: path.read_bytes() for path in (*kept.images, kept.label) if path}
    for name in ("a", "A"):
        with pytest.raises(InputMismatch, match="already"):
            add_case(file, name, {"x": noise(3)}, drawn(1, 2))
    with pytest.raises(InputMismatch, match="already"):
        add_case(file, "A", {"x": noise(3)}, drawn(1, 2), replace_case=True)
    manifest = add_case(file, "a", {"x": noise(3)}, drawn(1, 2), replace_case=True)
    assert sorted(case.id for case in manifest.cases) == ["a", "b"]
    np.testing.assert_array_equal(read(manifest.case("a").images[0])[0].array, noise(3).array)
    assert {path: path.read_bytes() for path in stored} == stored
    # The former files of the case are gone, and nothing else is.
    assert len(files(tmp_path)) == 5


def test_images_that_the_data_set_was_made_of_are_never_removed(tmp_path: Path) -> None:
    from napari_medcnn.training.manifest import write_manifest

    manifest = made_manifest(tmp_path, 2)
    write_manifest(manifest, tmp_path / "set.json")
    truth = drawn(1, names={1: "left"})
    add_case(tmp_path / "set.json", "case_0", {"MR": noise(5)}, truth, replace_case=True)
    assert all(path.exists() for case in manifest.cases for path in (*case.images, case.label))


def test_a_folder_that_cannot_be_written_leaves_the_data_set_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "set.json"
    add_case(file, "a", {"x": noise(1)}, drawn(1))
    before = file.read_bytes()
    (tmp_path / "added" / "labels").rename(tmp_path / "elsewhere")
    (tmp_path / "added" / "labels").write_text("in the way")
    with pytest.raises(WriteError):
        add_case(file, "b", {"x": noise(2)}, drawn(1))
    assert file.read_bytes() == before
    assert not list((tmp_path / "added" / "images").glob("b*"))


def test_a_broken_data_set_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "set.json").write_text("{}")
    with pytest.raises(ReadError):
        add_case(tmp_path / "set.json", "a", {"x": noise(1)}, drawn(1))
    assert (tmp_path / "set.json").read_text() == "{}"


def test_cases_added_at_the_same_time_are_all_there(tmp_path: Path) -> None:
    file = tmp_path / "set.json"
    with ThreadPoolExecutor(4) as threads:
        jobs = [
            threads.submit(add_case, file, f"c{n}", {"x": noise(n)}, drawn(1)) for n in range(8)
        ]
        for job in jobs:
            job.result()
    assert sorted(case.id for case in read_manifest(file).cases) == [f"c{n}" for n in range(8)]
