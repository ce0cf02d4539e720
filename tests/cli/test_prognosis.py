"""``medcnn prognosis``: features, a model, and what it refuses, as the shell sees them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    size = rng.uniform(5, 40, 120)
    times = rng.exponential(20 * np.exp(-0.08 * (size - 20)))
    path = tmp_path / "patients.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["patient", "months", "died", "size_mm"])
        for n in range(120):
            months = min(times[n], 40.0)
            writer.writerow([f"p{n}", f"{months:.4f}", int(times[n] <= 40), f"{size[n]:.4f}"])
    return path


def test_a_model_is_fitted_and_applied(medcnn: Callable, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.json"
    fitted = medcnn(
        *("prognosis", "fit", table, "--time", "months", "--event", "died", "--out", out),
        *("--patient", "patient", "--folds", 3, "--repeats", 2),
    )
    assert fitted.code == 0, fitted.err
    for words in ("120 rows of 120 patients", "size_mm", "C-index", "calibration slope", "seen"):
        assert words in fitted.out, words
    again = medcnn(
        *("prognosis", "fit", table, "--time", "months", "--event", "died", "--out", out)
    )
    assert again.code == 1 and "--overwrite" in again.err

    new = tmp_path / "new.csv"
    new.write_text("who,size_mm\nAnn,20\nBob,90\n", encoding="utf-8")
    applied = medcnn(
        *("prognosis", "apply", out, new, "--row", "who", "--out", tmp_path / "risks.csv"),
        *("--horizon", 12, "--json"),
    )
    assert applied.code == 0, applied.err
    ann, bob = json.loads(applied.out)["predictions"]
    assert 0 < ann["risk"] < 1 and ann["horizon"] == 12
    assert bob["risk"] is None and "Bob: column size_mm: 90, the model knows 5" in bob["refused"]
    assert "Bob: column size_mm" in applied.err
    with (tmp_path / "risks.csv").open(encoding="utf-8") as stream:
        assert [row["risk"] != "" for row in csv.DictReader(stream)] == [True, False]

    new.write_text("who,size_mm\nBob,90\n", encoding="utf-8")
    assert medcnn("prognosis", "apply", out, new, "--row", "who").code == 1


def test_features_of_lesions_become_a_table(medcnn: Callable, tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 300, (8, 12, 12)).astype(np.int16)
    labels = np.zeros(image.shape, np.uint8)
    labels[2:5, 3:7, 3:8] = 1
    for name, array in {"image": image, "labels": labels}.items():
        written = sitk.GetImageFromArray(array)
        written.SetSpacing((1.0, 1.0, 2.0))
        sitk.WriteImage(written, tmp_path / f"{name}.nii.gz")
    out = tmp_path / "features.csv"
    found = medcnn(
        *("prognosis", "features", tmp_path / "labels.nii.gz", tmp_path / "image.nii.gz"),
        *("--out", out),
    )
    assert found.code == 0, found.err
    with out.open(encoding="utf-8") as stream:
        (row,) = csv.DictReader(stream)
    assert float(row["shape_voxel_volume_mm3"]) == 120
    assert float(row["intensity_mean"]) == pytest.approx(image[labels == 1].mean(), rel=1e-5)
