"""``medcnn evaluate``: tables on the terminal, files in the folder, errors in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from napari_medcnn.training.manifest import write_manifest
from tests.app.evaluation_sets import cubes, step_model
from tests.classification_factory import picture_classifier
from tests.training.made_run import picture_job

QUICK = ("--device", "cpu", "--threads", 1)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "cubes" / "manifest.json"
    write_manifest(cubes(tmp_path / "cubes"), path)
    return path


def test_a_segmentation_model_is_measured_and_compared(
    medcnn: Callable, data: Path, tmp_path: Path
) -> None:
    models = [step_model(tmp_path, "one"), step_model(tmp_path, "other", 0.69)]
    out = tmp_path / "out"
    found = medcnn(
        "evaluate", models[0], "--data", data, "--out", out, "--against", models[1], *QUICK
    )
    assert found.code == 0, found.err
    for words in ("8 cases of 8 patients", "IoU", "lesions found", "CPM", "case_0", "Wilcoxon"):
        assert words in found.out, words
    assert (out / "cases.csv").is_file() and (out / "comparison.csv").is_file()
    assert "Two models" in (out / "report.html").read_text(encoding="utf-8")
    assert (out / "report.pdf").read_bytes().startswith(b"%PDF")
    again = medcnn("evaluate", models[0], "--data", data, "--out", out, *QUICK)
    assert again.code == 1 and "--overwrite" in again.err


def test_json_is_what_was_written_and_failures_are_told(
    medcnn: Callable, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "cubes" / "image_1.nii.gz").unlink()
    model, out = step_model(tmp_path), tmp_path / "out"
    options = ("--manifest", data, "--part", "test", "--out", out, "--json", "--no-report", *QUICK)
    found = medcnn("evaluate", model, *options)
    assert found.code == 0, found.err
    content = json.loads(found.out)
    assert (content["cases"], content["part"]) == (3, "test")
    assert content["failed"][0]["case"] == "case_1"
    assert "case_1" in found.err
    written = json.loads((out / "figures.json").read_text())
    assert {"out": str(out), **written} == content
    assert not list(out.glob("report.*"))


def test_a_classifier_is_measured(medcnn: Callable, tmp_path: Path) -> None:
    model = picture_classifier(tmp_path / "model")
    manifest = tmp_path / "data" / "manifest.json"
    write_manifest(picture_job(tmp_path / "data").manifest, manifest)
    out = tmp_path / "out"
    found = medcnn("evaluate", model, "--data", manifest, "--out", out, *QUICK)
    assert found.code == 0, found.err
    for words in ("balanced accuracy", "macro ROC AUC", "Brier score", "ECE", "middle"):
        assert words in found.out, words
    for name in ("cases", "curves", "calibration", "confusion"):
        assert (out / f"{name}.csv").is_file()


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--part", "some"), 2, "no part"),
        (("--part", "validation"), 1, "no labelled case of the part validation"),
    ],
)
def test_what_cannot_be_measured_is_said(
    medcnn: Callable, data: Path, tmp_path: Path, options: tuple[str, ...], code: int, words: str
) -> None:
    arguments = ("--data", data, "--out", tmp_path / "out", *options, *QUICK)
    found = medcnn("evaluate", step_model(tmp_path), *arguments)
    assert found.code == code
    assert words in found.err
    assert not (tmp_path / "out").exists()
