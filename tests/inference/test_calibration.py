"""What was measured is remembered for exactly that model and machine, and damage costs nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from napari_medcnn.inference import calibration
from napari_medcnn.inference.calibration import Calibration, Measurement, recall, remember
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.spec import ModelSpec
from tests.bundle_factory import make_bundle

ROI = (16, 16, 16)
KNOWN = Calibration(
    "cpu",
    "openvino",
    (
        Measurement("openvino", "float32", 1, 0.25, 30e6, 200e6),
        Measurement("torch", "float32", 1, 0.5, 20e6, 300e6, channels_last=True),
    ),
    (("torch", "a reason"),),
)


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelSpec:
    monkeypatch.setenv("MEDCNN_CACHE", str(tmp_path / "cache"))
    return read_bundle(make_bundle(tmp_path / "a"))


def only_file(tmp_path: Path) -> Path:
    (found,) = (tmp_path / "cache" / "calibration").iterdir()
    return found


def test_what_was_measured_is_remembered(spec: ModelSpec) -> None:
    assert recall(spec, "cpu", ROI, RunOptions()) is None
    assert remember(spec, "cpu", ROI, RunOptions(), KNOWN)
    assert recall(spec, "cpu", ROI, RunOptions()) == KNOWN


def test_another_model_window_device_or_thread_number_is_another_measurement(
    spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(spec, "cpu", ROI, RunOptions(), KNOWN)
    other = tmp_path / "other.pt"
    torch.save({"a": torch.zeros(2)}, other)
    assert recall(replace(spec, weights=other), "cpu", ROI, RunOptions()) is None
    assert recall(spec, "cpu", (16, 16, 32), RunOptions()) is None
    assert recall(spec, "cuda", ROI, RunOptions()) is None
    assert recall(spec, "cpu", ROI, RunOptions(threads=7)) is None
    assert recall(spec, "cpu", ROI, RunOptions(batch=3)) is None
    monkeypatch.setattr(calibration, "processor", lambda: "another one, 64 cores")
    assert recall(spec, "cpu", ROI, RunOptions()) is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null", '{"of": {}}'])
def test_a_damaged_file_counts_as_none_and_is_replaced(
    spec: ModelSpec, tmp_path: Path, content: str
) -> None:
    remember(spec, "cpu", ROI, RunOptions(), KNOWN)
    only_file(tmp_path).write_text(content)
    assert recall(spec, "cpu", ROI, RunOptions()) is None
    assert remember(spec, "cpu", ROI, RunOptions(), KNOWN)
    assert recall(spec, "cpu", ROI, RunOptions()) == KNOWN


def test_a_file_of_another_machine_under_the_same_name_counts_as_none(
    spec: ModelSpec, tmp_path: Path
) -> None:
    remember(spec, "cpu", ROI, RunOptions(), KNOWN)
    content = json.loads(only_file(tmp_path).read_text())
    content["of"]["processor"] = "another one"
    only_file(tmp_path).write_text(json.dumps(content))
    assert recall(spec, "cpu", ROI, RunOptions()) is None


@pytest.mark.parametrize("seconds", [-1, 1e30, "fast", None])
def test_impossible_measurements_count_as_none(
    spec: ModelSpec, tmp_path: Path, seconds: object
) -> None:
    remember(spec, "cpu", ROI, RunOptions(), KNOWN)
    content = json.loads(only_file(tmp_path).read_text())
    content["measurements"][0]["seconds"] = seconds
    only_file(tmp_path).write_text(json.dumps(content))
    assert recall(spec, "cpu", ROI, RunOptions()) is None


def test_a_folder_that_cannot_be_written_is_no_error(
    spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MEDCNN_CACHE", str(tmp_path / "file"))
    assert not remember(spec, "cpu", ROI, RunOptions(), KNOWN)
    assert recall(spec, "cpu", ROI, RunOptions()) is None
