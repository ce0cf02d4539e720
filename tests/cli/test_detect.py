"""``medcnn detect``: boxes, their files, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from napari_medcnn.core.geometry import Geometry
from napari_medcnn.report.boxes import COLUMNS
from tests.bundle_factory import make_bundle
from tests.detection_factory import make_detector
from tests.inference.conftest import from_file, smooth_image, write_nifti


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def change(content: dict[str, Any]) -> None:
        content["preprocessing"]["transforms"][-2].update(a_min=0.0, a_max=1.0)

    folder = tmp_path_factory.mktemp("models") / "boxes"
    return make_detector(folder, spacing=None, change=change)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    geometry = Geometry.from_spacing((16, 32, 32), (2.0, 1.0, 1.0), (5.0, -7.0, 60.0))
    volume = from_file(smooth_image(geometry.shape), geometry, modality="CT")
    return write_nifti(volume, tmp_path_factory.mktemp("images") / "blobs.nii.gz")


def test_boxes_are_listed_and_written_with_a_record(medcnn, tmp_path, model, image) -> None:
    out = tmp_path / "out"
    done = medcnn("detect", image, "--model", model, "--out", out, "--device", "cpu", "--json")
    assert done.code == 0, done.err
    (case,) = json.loads(done.out)["cases"]
    table = pd.read_csv(out / "boxes.csv")
    assert tuple(table.columns) == COLUMNS
    assert len(table) == len(case["boxes"]) > 0
    assert (table["score"].diff().dropna() <= 0).all()
    assert not any("volume" in column for column in table.columns)
    content = json.loads((out / "boxes.json").read_text())
    first = content["boxes"][0]
    corners = np.array(first["corners_lps_mm"])
    np.testing.assert_allclose(corners.mean(axis=0), [first[f"centre_lps_{a}_mm"] for a in "xyz"])
    assert "research" in content["notice"].lower()
    assert "no outline" in content["conventions"]["volume"]
    record = json.loads((out / "run.json").read_text())
    assert record["parameters"]["score_threshold"] == 0.3
    assert record["seconds"]["network"] > 0
    with Image.open(out / "overlay.png") as picture:
        assert picture.width > 1000
        assert np.asarray(picture.convert("RGB")).std() > 10


def test_a_threshold_on_the_score_keeps_fewer_boxes(medcnn, tmp_path, model, image) -> None:
    arguments = ("detect", image, "--model", model, "--out", tmp_path / "out", "--device", "cpu")
    done = medcnn(*arguments, "--threshold", "0.999")
    assert done.code == 0, done.err
    assert "0 boxes" in done.out
    assert "esearch use only" in done.err
    assert len(pd.read_csv(tmp_path / "out" / "boxes.csv")) == 0
    again = medcnn(*arguments, "--plan")
    assert "windows" in again.out.lower()


def test_a_model_that_segments_is_refused_and_the_other_way_round(
    medcnn, tmp_path, model, image
) -> None:
    labels = make_bundle(tmp_path / "labels")
    refused = medcnn("detect", image, "--model", labels, "--out", tmp_path / "out")
    assert (refused.code, "draws no boxes" in refused.err) == (1, True)
    refused = medcnn("segment", image, "--model", model, "--out", tmp_path / "out")
    assert (refused.code, "medcnn detect" in refused.err) == (1, True)
    shown = medcnn("models", "show", model)
    assert "boxes with scores" in shown.out
