"""Label maps of different makers by one judge."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from benchmarks.label_scores import Scores, difference, disagreements, score
from napari_medcnn.core.errors import GeometryError
from napari_medcnn.training.manifest import Manifest, TrainCase

CLASSES = ("anterior", "posterior")


def write(path: Path, array: np.ndarray) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(array.astype(np.uint8)), path)
    return path


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """One case: 4 voxels of the first class, none of the second."""
    truth = np.zeros((3, 4, 5))
    truth[1, 0:4, 2] = 1
    label = write(tmp_path / "truth.nii.gz", truth)
    case = TrainCase("a", (label,), label=label)
    return Manifest("set", "segmentation", ("MR",), CLASSES, (case,))


def test_each_class_is_judged_by_itself(manifest: Manifest, tmp_path: Path) -> None:
    said = np.zeros((3, 4, 5))
    said[1, 0:2, 2] = 1
    write(tmp_path / "a.nii.gz", said)
    scores = score(manifest, ["a"], tmp_path)
    assert scores.of_class("anterior") == {"a": pytest.approx(2 * 2 / (2 + 4))}
    assert scores.means() == scores.of_class("anterior")
    assert scores.of_class("posterior") == {"a": None}


def test_a_prediction_on_another_grid_is_refused(manifest: Manifest, tmp_path: Path) -> None:
    write(tmp_path / "a.nii.gz", np.zeros((3, 4, 6)))
    with pytest.raises(GeometryError, match=r"a\.nii\.gz"):
        score(manifest, ["a"], tmp_path)


def test_differences_are_of_cases_that_both_have() -> None:
    assert difference({"a": 0.75, "b": None, "c": 0.5}, {"a": 0.5, "b": 0.5, "c": None}) == {
        "a": 0.25,
        "b": None,
        "c": None,
    }


def test_other_figures_of_the_training_are_told(tmp_path: Path) -> None:
    scores = Scores(CLASSES, {"a": (0.5, None), "b": (0.25, 0.75)})
    told = tmp_path / "cases.json"
    records = [
        {"case": "a", "label": "anterior", "dice": 0.5},
        {"case": "a", "label": "posterior", "dice": None},
        {"case": "b", "label": "anterior", "dice": 0.26},
    ]
    told.write_text(json.dumps(records))
    assert list(disagreements(scores, told)) == [
        "b, anterior: Dice 0.25 here, 0.26 in medcnn train",
        "b, posterior: medcnn train has no figure",
    ]
