"""``medcnn dataset``: from a folder to a split, with exit codes and JSON for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from napari_medcnn.training.manifest import read_manifest
from napari_medcnn.training.splits import read_splits
from tests.training.made_data_sets import made_manifest, write_image


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    made_manifest(tmp_path / "set", 6)
    return tmp_path / "set"


def test_a_folder_becomes_a_checked_and_divided_data_set(medcnn, pairs: Path) -> None:
    file, split = pairs / "manifest.json", pairs / "split.json"
    made = medcnn(
        "dataset", "make", pairs, "--out", file, "--name", "Boxes", "--modality", "mr",
        "--class", "1=left", "--class", "2=right", "--channel", "T1", "--licence", "CC0",
        "--patients", r"case_(\d)", "--json",
    )  # fmt: skip
    assert made.code == 0, made.err
    said = json.loads(made.out)
    assert (said["cases"], said["classes"], said["patients"]) == (6, ["left", "right"], 6)
    manifest = read_manifest(file)
    assert (manifest.name, manifest.modality, manifest.licence) == ("Boxes", "MR", "CC0")
    assert manifest.channels == ("T1",)
    assert medcnn("dataset", "check", file).code == 0
    drawn = medcnn(
        "dataset", "split", file, "--out", split, "--folds", 3, "--seed", 5, "--json",
    )  # fmt: skip
    assert [fold["validation"] for fold in json.loads(drawn.out)["splits"]] == [2, 2, 2]
    assert len(read_splits(split, manifest)) == 3
    checked = medcnn("dataset", "check", file, "--split", split, "--json")
    assert json.loads(checked.out) == {"cases": 6, "errors": 0, "problems": []}


def test_the_check_lists_each_case_and_fails(medcnn, pairs: Path) -> None:
    file = pairs / "manifest.json"
    medcnn("dataset", "make", pairs, "--out", file)
    (pairs / "labels" / "case_2.nii.gz").unlink()
    (pairs / "images" / "case_4.nii.gz").write_bytes(b"")
    outcome = medcnn("dataset", "check", file)
    assert outcome.code == 1
    assert "case_2" in outcome.out and "case_4" in outcome.out
    assert "6 cases: 2 errors" in outcome.out
    told = json.loads(medcnn("dataset", "check", file, "--json").out)
    assert [problem["code"] for problem in told["problems"]] == [
        "missing-label", "unreadable-image",
    ]  # fmt: skip


def test_patients_that_are_unknown_are_said(medcnn, pairs: Path) -> None:
    file = pairs / "manifest.json"
    write_image(pairs / "images" / "case_5.nii.gz", seed=0)
    medcnn("dataset", "make", pairs, "--out", file)
    outcome = medcnn("dataset", "split", file, "--out", pairs / "s.json", "--test", 0.2)
    assert outcome.code == 0
    assert "patients are unknown" in outcome.err
    (split,) = read_splits(pairs / "s.json", read_manifest(file))
    assert split.groups["case_0"] == split.groups["case_5"]
    assert len(split.test) >= 1


def test_mistakes_are_one_line_and_nothing_is_written_over(medcnn, pairs: Path) -> None:
    file = pairs / "manifest.json"
    assert medcnn("dataset", "make", pairs, "--out", file).code == 0
    for arguments, told in (
        (("make", pairs, "--out", file), "already there"),
        (("make", pairs / "none", "--out", pairs / "b.json"), "does not exist"),
        (("make", pairs, "--out", pairs / "b.json", "--class", "9=x"), "values 1, 2"),
        (("make", pairs, "--out", pairs / "b.json", "--class", "x"), "not like"),
        (("make", pairs, "--out", pairs / "b.json", "--channel", "a", "--channel", "a"), "twice"),
        (("split", file, "--out", file), "already there"),
        (("split", file, "--out", pairs / "b.json", "--validation", 2), "leave nothing"),
        (("check", pairs / "images"), "cannot be opened"),
    ):
        outcome = medcnn("dataset", *arguments)
        assert outcome.code == 1, arguments
        assert told in outcome.err
        assert "Traceback" not in outcome.err
    assert not (pairs / "b.json").exists()
    assert medcnn("dataset", "make", pairs, "--out", file, "--overwrite").code == 0
