"""``medcnn segment``: its files, its grid, and every kind of bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from tests.bundle_factory import make_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A model that marks bright voxels: its answer is known exactly."""
    return make_bundle(tmp_path / "bright")


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """An oblique scan with one bright block, as NIfTI."""
    array = np.zeros((12, 20, 24), dtype=np.float32)
    array[4:8, 6:12, 10:16] = 100
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((1.0, 1.5, 3.0))
    image.SetOrigin((-20.0, 31.0, 7.5))
    image.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, 1))
    path = tmp_path / "scan.nii.gz"
    sitk.WriteImage(image, str(path))
    return path


def test_a_case_gives_labels_tables_picture_and_a_record(
    medcnn: Callable, bundle: Path, scan: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    outcome = medcnn("segment", scan, "--model", bundle, "--out", out)
    assert outcome.code == 0, outcome.err
    written = {path.name for path in out.iterdir()}
    assert {"labels.nii.gz", "lesions.csv", "lesions.json", "overlay.png", "run.json"} <= written
    source, labels = sitk.ReadImage(str(scan)), sitk.ReadImage(str(out / "labels.nii.gz"))
    assert labels.GetSize() == source.GetSize()
    np.testing.assert_allclose(labels.GetSpacing(), source.GetSpacing(), rtol=1e-6)
    np.testing.assert_allclose(labels.GetOrigin(), source.GetOrigin(), atol=1e-4)
    np.testing.assert_allclose(labels.GetDirection(), source.GetDirection(), atol=1e-6)
    table = pd.read_csv(out / "lesions.csv")
    assert len(table) == 1
    record = json.loads((out / "run.json").read_text())
    assert len(record["model"]["weights_sha256"]) == 64
    assert "Research use" in outcome.err or "research" in outcome.err.lower()


def test_several_cases_go_on_after_a_bad_one(
    medcnn: Callable, bundle: Path, scan: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.nii.gz"
    bad.write_bytes(b"not an image")
    out = tmp_path / "out"
    outcome = medcnn("segment", bad, scan, "--model", bundle, "--out", out)
    assert outcome.code == 1
    assert "bad.nii.gz" in outcome.err
    assert (out / "scan" / "run.json").is_file()


def test_several_cases_go_on_after_one_that_nobody_expected(
    medcnn: Callable, bundle: Path, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch says with a RuntimeError that a case is too large for the memory."""
    from napari_medcnn.inference import preprocess

    large = tmp_path / "large.nii.gz"
    large.write_bytes(scan.read_bytes())
    real, calls = preprocess.prepare, []

    def prepare(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("not enough memory: you tried to allocate 99 GB")
        return (yield from real(*arguments, **options))

    monkeypatch.setattr(preprocess, "prepare", prepare)
    out = tmp_path / "out"
    outcome = medcnn("segment", large, scan, "--model", bundle, "--out", out, "--json")
    assert outcome.code == 1
    (failure,) = json.loads(outcome.out)["failures"]
    assert "large: RuntimeError: not enough memory" in failure
    assert (out / "scan" / "run.json").is_file()
    assert not (out / "large" / "run.json").exists()


def test_an_error_of_the_model_names_its_case(medcnn: Callable, scan: Path, tmp_path: Path) -> None:
    """Of twenty cases, someone must know which one it was."""
    other = tmp_path / "other.nii.gz"
    other.write_bytes(scan.read_bytes())
    two = make_bundle(tmp_path / "two", channels=2)
    outcome = medcnn("segment", scan, other, "--model", two, "--out", tmp_path / "out")
    first, second = (line for line in outcome.err.splitlines() if "error:" in line)
    assert "scan:" in first and "other:" in second


def test_machines_read_json_from_stdout_alone(
    medcnn: Callable, bundle: Path, scan: Path, tmp_path: Path
) -> None:
    outcome = medcnn("segment", scan, "--model", bundle, "--out", tmp_path / "out", "--json")
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    assert len(document["cases"]) == 1 and document["failures"] == []


def test_results_of_another_case_are_replaced_only_when_told(
    medcnn: Callable, bundle: Path, scan: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert medcnn("segment", scan, "--model", bundle, "--out", out).code == 0
    other = sitk.ReadImage(str(scan))
    other[0, 0, 0] = 7
    sitk.WriteImage(other, str(scan))
    refused = medcnn("segment", scan, "--model", bundle, "--out", out)
    assert refused.code == 1 and "--overwrite" in refused.err
    assert medcnn("segment", scan, "--model", bundle, "--out", out, "--overwrite").code == 0


def _bad_input(kind: str, tmp_path: Path, scan: Path) -> Path:
    path = tmp_path / f"{kind}.nii.gz"
    if kind == "not-an-image":
        path.write_bytes(b"hello")
    elif kind == "truncated":
        content = scan.read_bytes()
        path.write_bytes(content[: len(content) // 2])
    elif kind == "empty-folder":
        path = tmp_path / "empty"
        path.mkdir()
    elif kind == "missing":
        path = tmp_path / "nowhere.nii.gz"
    elif kind == "two-dimensional":
        picture = sitk.GetImageFromArray(np.zeros((32, 32), np.uint8))
        path = tmp_path / "picture.png"
        sitk.WriteImage(picture, str(path))
    return path


@pytest.mark.parametrize(
    "kind", ["not-an-image", "truncated", "empty-folder", "missing", "two-dimensional"]
)
def test_bad_input_is_one_clear_line_that_names_it(
    medcnn: Callable, bundle: Path, scan: Path, tmp_path: Path, kind: str
) -> None:
    bad = _bad_input(kind, tmp_path, scan)
    out = tmp_path / "out"
    outcome = medcnn("segment", bad, "--model", bundle, "--out", out)
    assert outcome.code == 1
    assert "error:" in outcome.err and "Traceback" not in outcome.err
    assert bad.name.split(".")[0] in outcome.err
    assert not (out / "run.json").exists()


def test_wrong_number_of_channels_is_refused(medcnn: Callable, scan: Path, tmp_path: Path) -> None:
    two = make_bundle(tmp_path / "two", channels=2)
    outcome = medcnn("segment", scan, "--model", two, "--out", tmp_path / "out")
    assert outcome.code == 1
    assert "channel" in outcome.err


def test_a_model_folder_without_weights_is_refused(
    medcnn: Callable, bundle: Path, scan: Path, tmp_path: Path
) -> None:
    for weights in (bundle / "models").iterdir():
        weights.unlink()
    outcome = medcnn("segment", scan, "--model", bundle, "--out", tmp_path / "out")
    assert outcome.code == 1
    assert "weights" in outcome.err


def test_an_unknown_model_is_answered_with_the_known_ones(
    medcnn: Callable, scan: Path, tmp_path: Path
) -> None:
    outcome = medcnn("segment", scan, "--model", "flair_lesion", "--out", tmp_path / "out")
    assert outcome.code == 1
    assert "flair_lesions" in outcome.err


def test_an_unwritable_output_is_refused(
    medcnn: Callable, bundle: Path, scan: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    outcome = medcnn("segment", scan, "--model", bundle, "--out", tmp_path / "file" / "out")
    assert outcome.code == 1
    assert "file" in outcome.err


def test_bad_usage_is_exit_code_2(medcnn: Callable) -> None:
    assert medcnn("segment").code == 2
    assert medcnn("no-such-command").code == 2
