"""A data set's file: what is written is read, paths travel with it, and every fault is named."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from napari_medcnn.core.errors import MedcnnError, ReadError
from napari_medcnn.training.manifest import Manifest, TrainCase, read_manifest, write_manifest

CASE = TrainCase("a", (Path("images/a.nii.gz"),), patient="P", label=Path("labels/a.nii.gz"))
MANIFEST = Manifest("set", "segmentation", ("MR",), ("one", "two"), (CASE,), values=(3, 7))


def written(folder: Path, **changes: Any) -> Path:
    """A sound data set's file with some top-level fields replaced."""
    path = folder / "set.json"
    write_manifest(MANIFEST, path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return path


def test_what_is_written_is_read_with_absolute_paths(tmp_path: Path) -> None:
    far = (tmp_path.parent / "elsewhere" / "b.nii.gz").absolute()
    inside = replace(CASE, images=(tmp_path / "images" / "a.nii.gz",), label=None)
    outside = TrainCase("b", (far,), target=None, part="test")
    manifest = replace(MANIFEST, cases=(inside, outside), licence="CC BY 4.0", description="ü")
    write_manifest(manifest, tmp_path / "set.json")
    assert read_manifest(tmp_path / "set.json") == manifest


def test_files_below_the_folder_are_named_from_there_so_that_it_can_be_moved(
    tmp_path: Path,
) -> None:
    here = tmp_path / "here"
    inside = replace(CASE, images=(here / "images" / "a.nii.gz",), label=here / "a.nii.gz")
    write_manifest(replace(MANIFEST, cases=(inside,)), here / "set.json")
    stored = json.loads((here / "set.json").read_text())["cases"][0]
    assert (stored["images"], stored["label"]) == (["images/a.nii.gz"], "a.nii.gz")
    shutil.move(here, tmp_path / "there")
    moved = read_manifest(tmp_path / "there" / "set.json")
    assert moved.cases[0].images == (tmp_path / "there" / "images" / "a.nii.gz",)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"foo": 1}, "foo: no such field"),
        ({"name": 3}, "name"),
        ({"schema": 2}, "schema 2"),
        ({"format": "other"}, "no data set"),
        ({"task": "detection"}, "task"),
        ({"cases": []}, "cases: there is none"),
        ({"cases": [{"id": "a", "images": ["a.nii"], "age": 3}]}, "cases.0.age"),
        ({"cases": [{"id": "a", "images": ["a.nii"], "part": "dev"}]}, "cases.0.part"),
        ({"cases": [{"id": "a", "images": []}]}, "cases.0.images"),
        ({"cases": [{"id": " ", "images": ["a.nii"]}]}, "cases.0.id"),
        (
            {"cases": [{"id": "a", "images": ["a.nii"]}, {"id": "A", "images": ["b.nii"]}]},
            "'a' is there twice",
        ),
        ({"channels": []}, "channels"),
        ({"classes": ["one", "one"]}, "'one' is there twice"),
        ({"values": [3]}, "1 values for 2 classes"),
        ({"values": [0, 1]}, "background"),
        ({"values": [2, 2]}, "2 is there twice"),
        ({"task": "classification"}, "only label maps have values"),
        ({"task": "classification", "values": [], "classes": ["one"]}, "at least two"),
        (
            {
                "task": "classification",
                "values": [],
                "cases": [{"id": "a", "images": ["a.png"], "target": "three"}],
            },
            "cases.0.target: 'three'",
        ),
    ],
)
def test_a_fault_is_told_with_file_and_field(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    path = written(tmp_path, **changes)
    with pytest.raises(ReadError) as caught:
        read_manifest(path)
    assert told in str(caught.value)
    assert caught.value.source == str(path)


@pytest.mark.parametrize("content", ["", "[]", "{", '"text"', "[" * 100_000])
def test_what_is_no_data_set_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "set.json").write_text(content)
    with pytest.raises(ReadError):
        read_manifest(tmp_path / "set.json")
    with pytest.raises(ReadError, match="cannot be opened"):
        read_manifest(tmp_path / "none.json")


def test_a_data_set_that_contradicts_itself_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="values"):
        write_manifest(replace(MANIFEST, values=(1,)), tmp_path / "set.json")
    assert not (tmp_path / "set.json").exists()


def test_values_are_1_2_unless_told_and_truth_is_the_tasks_own() -> None:
    assert MANIFEST.label_values == (3, 7)
    assert replace(MANIFEST, values=()).label_values == (1, 2)
    assert MANIFEST.case("a") is CASE
    assert MANIFEST.has_truth(CASE)
    assert not replace(MANIFEST, task="classification").has_truth(CASE)
    with pytest.raises(MedcnnError, match="no such case"):
        MANIFEST.case("b")
