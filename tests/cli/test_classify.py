"""``medcnn classify``: images, slices and lesions, their files, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

import napari_medcnn as mc
from tests.bundle_factory import make_bundle
from tests.classification_factory import picture_classifier, volume_classifier


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return picture_classifier(tmp_path_factory.mktemp("flat"))


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    patch = {"size": [6, 8, 8], "spacing_mm": [2.0, 1.0, 1.0]}
    return volume_classifier(
        tmp_path_factory.mktemp("deep"), lambda about: about.update(patch=patch)
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return volume_classifier(tmp_path_factory.mktemp("whole"))


def image(file: Path, array: np.ndarray) -> Path:
    found = sitk.GetImageFromArray(array)
    found.SetSpacing((1.0, 1.0, 2.0)[: array.ndim])
    sitk.WriteImage(found, str(file))
    return file


def scan(folder: Path) -> Path:
    values = np.random.default_rng(0).uniform(0, 255, (11, 30, 26)).astype(np.float32)
    values[4:7, 10:14, 8:12] = 3000  # bright enough for the lesion model of the factory
    return image(folder / "scan.nii.gz", values)


def lesion_map(folder: Path) -> Path:
    drawn = np.zeros((11, 30, 26), np.uint8)
    drawn[4:7, 10:14, 8:12] = drawn[8:10, 20:23, 20:23] = 1
    return image(folder / "labels.nii.gz", drawn)


def test_a_volume_has_one_row_with_a_record(medcnn, tmp_path, whole) -> None:
    out = tmp_path / "out"
    done = medcnn("classify", scan(tmp_path), "--model", whole, "--out", out, "--json")
    assert done.code == 0, done.err
    (case,) = json.loads(done.out)["cases"]
    table = pd.read_csv(out / "classes.csv")
    assert len(table) == len(case["classes"]) == 1
    row = table.iloc[0]
    chances = row[["p bright", "p dark", "p middle"]].astype(float)
    assert chances.sum() == pytest.approx(1, abs=1e-4)
    assert row["class"] == chances.idxmax().removeprefix("p ")
    (volume,) = mc.read(tmp_path / "scan.nii.gz")
    middle = volume.geometry.index_to_lps([5, 14.5, 12.5])
    np.testing.assert_allclose(row[[f"centre_lps_{a}_mm" for a in "xyz"]].astype(float), middle)
    found = mc.classify(volume, whole, device="cpu", threads=1)
    np.testing.assert_allclose(chances, found.probabilities[0], atol=1e-5)
    content = json.loads((out / "classes.json").read_text())
    assert "research" in content["notice"].lower()
    assert content["model"]["id"] == "brightness_3d"
    assert content["calibrated"] is False
    record = json.loads((out / "run.json").read_text())
    assert record["parameters"]["unit"] == "volume"
    assert record["seconds"]["classifying"] > 0


def test_every_slice_along_the_wanted_axis_has_a_row(medcnn, tmp_path, pictures) -> None:
    out = tmp_path / "out"
    options = ("--unit", "slice", "--axis", "y", "--model", pictures, "--out", out)
    done = medcnn("classify", scan(tmp_path), *options)
    assert done.code == 0, done.err
    table = pd.read_csv(out / "classes.csv")
    assert table["number"].tolist() == list(range(30))
    assert (table["centre_lps_y_mm"].diff().dropna() == 1).all()
    assert json.loads((out / "classes.json").read_text())["axis"] == "y"
    assert "not calibrated" in done.out
    assert "research use" in done.err.lower()


def test_lesions_of_a_label_map_have_the_ids_of_the_lesion_table(medcnn, tmp_path, volumes) -> None:
    labels, source, out = lesion_map(tmp_path), scan(tmp_path), tmp_path / "out"
    options = ("--unit", "lesion", "--labels", labels, "--model", volumes, "--out", out)
    done = medcnn("classify", source, *options)
    assert done.code == 0, done.err
    listed = json.loads(medcnn("lesions", labels, source, "--json").out)["lesions"]
    table = pd.read_csv(out / "classes.csv")
    assert table["number"].tolist() == [lesion["id"] for lesion in listed] == [1, 2]
    for row, lesion in zip(table.to_dict("records"), listed, strict=True):
        for axis in "xyz":
            there = row[f"centre_lps_{axis}_mm"]
            assert there == pytest.approx(lesion[f"centroid_lps_{axis}_mm"], abs=1e-3)


def test_lesions_may_be_found_by_a_model_that_segments(medcnn, tmp_path, volumes) -> None:
    finder = make_bundle(tmp_path / "finder")
    out = tmp_path / "out"
    options = ("--unit", "lesion", "--lesion-model", finder, "--model", volumes, "--out", out)
    done = medcnn("classify", scan(tmp_path), *options, "--device", "cpu", "--threads", "1")
    assert done.code == 0, done.err
    listed = medcnn("segment", tmp_path / "scan.nii.gz", "--model", finder, "--out",
                    tmp_path / "segmented", "--device", "cpu", "--json")  # fmt: skip
    (case,) = json.loads(listed.out)["cases"]
    table = pd.read_csv(out / "classes.csv")
    assert table["number"].tolist() == [lesion["id"] for lesion in case["lesions"]]
    assert len(table) > 0
    assert json.loads((out / "run.json").read_text())["parameters"]["lesions_of"] == "finder"


def test_of_many_pictures_one_that_cannot_be_read_stops_no_other(
    medcnn, tmp_path, pictures
) -> None:
    rng = np.random.default_rng(1)
    files = [
        image(tmp_path / f"{name}.png", rng.integers(0, 255, (30, 26), dtype=np.uint8))
        for name in ("a", "b")
    ]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff nothing")
    out = tmp_path / "out"
    done = medcnn("classify", files[0], broken, files[1], "--model", pictures, "--out", out,
                  "--json")  # fmt: skip
    assert done.code == 1
    content = json.loads(done.out)
    assert [case["name"] for case in content["cases"]] == ["a", "b"]
    assert len(content["failures"]) == 1
    assert "broken.jpg" in content["failures"][0]
    assert {path.parent.name for path in out.glob("*/classes.csv")} == {"a.png", "b.png"}


def test_what_does_not_fit_is_told_in_a_line(medcnn, tmp_path, pictures, volumes) -> None:
    source, labels = scan(tmp_path), lesion_map(tmp_path)
    finder = make_bundle(tmp_path / "finder")
    out = ("--out", tmp_path / "out")
    refused = [
        ((source, "--model", pictures, *out), 1, "--unit slice"),
        ((source, "--model", volumes, "--unit", "slice", *out), 1, "not slices"),
        ((source, "--model", volumes, *out), 1, "never saw a whole volume"),
        ((source, "--model", finder, *out), 1, "tells no classes apart"),
        ((source, "--model", volumes, "--unit", "lesion", *out), 1, "lesions come from"),
        ((source, "--model", volumes, "--labels", labels, *out), 1, "mean nothing"),
        ((source, "--model", volumes), 2, "--out"),
        ((source, *out), 2, "--model"),
        ((source, source, "--model", volumes, "--unit", "lesion", "--labels", labels, *out), 2,
         "one image"),
    ]  # fmt: skip
    for arguments, code, words in refused:
        done = medcnn("classify", *arguments)
        assert done.code == code
        assert words in done.err
    assert not (tmp_path / "out" / "run.json").exists()
    segmented = medcnn("segment", source, "--model", volumes, *out)
    assert segmented.code == 1
    assert "medcnn classify" in segmented.err
    detected = medcnn("detect", source, "--model", volumes, *out)
    assert detected.code == 1
    assert "draws no boxes" in detected.err


def test_the_list_of_models_says_what_a_model_does(
    medcnn, tmp_path, pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "brightness").symlink_to(pictures)
    monkeypatch.setenv("MEDCNN_MODELS", str(tmp_path / "models"))
    listed = json.loads(medcnn("models", "--json").out)["models"]
    assert {m["id"]: m["task"] for m in listed}["brightness"] == "classification"
    assert "medcnn classify" in medcnn("models", "show", "brightness").out
    assert medcnn("models", "verify", "brightness").code == 0
