"""A lesion's score stands beside its figures, with what gave it and the operating point."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_medcnn.core.classification import Classification, Item
from napari_medcnn.core.lesion import LesionTable
from napari_medcnn.core.scored import Scored
from napari_medcnn.core.segmentation import ModelReference, Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.report.lesion_scores import SCORE_COLUMNS
from napari_medcnn.report.tables import COLUMNS, write_lesions_csv, write_lesions_json


@pytest.fixture
def scored(table: LesionTable, volume: Volume) -> Scored:
    """Lesion 1 at the operating point, lesion 2 below it, lesion 3 not classified."""
    found = Classification(
        unit="lesion",
        classes=("=lesion", "other"),
        items=(Item(1, None), Item(2, None)),
        probabilities=np.array([[0.75, 0.25], [0.125, 0.875]], np.float32),
        model=ModelReference("second_stage", "2.1", "cd" * 32, "Second stage"),
        volume_id=table.volume_id,
        geometry=volume.geometry,
        calibrated=True,
    )
    return Scored(found, "=lesion", revision=0, threshold=0.75)


def test_csv_has_the_scores_after_the_figures(
    table: LesionTable, scored: Scored, tmp_path: Path
) -> None:
    write_lesions_csv(table, tmp_path / "lesions.csv", scored, "edited since")
    frame = pd.read_csv(tmp_path / "lesions.csv")
    assert tuple(frame.columns) == (*COLUMNS, *SCORE_COLUMNS)
    assert frame["score"].tolist()[:2] == [0.75, 0.125]
    assert frame["at_operating_point"].tolist()[:2] == [True, False]
    assert frame.loc[2, ["score", "at_operating_point"]].isna().all(), "no score is no zero"
    assert set(frame["operating_point"]) == {0.75}
    assert set(frame["classifier"]) == {"second_stage"}
    assert set(frame["classifier_version"]) == {2.1}
    assert set(frame["classifier_sha256"]) == {"cd" * 32}
    assert set(frame["score_note"]) == {"edited since"}
    assert set(frame["score_class"]) == {"'=lesion"}, "no text becomes a formula"


def test_without_a_second_stage_no_column_is_added(table: LesionTable, tmp_path: Path) -> None:
    write_lesions_csv(table, tmp_path / "lesions.csv")
    assert tuple(pd.read_csv(tmp_path / "lesions.csv").columns) == COLUMNS


def test_json_says_the_same(
    table: LesionTable, volume: Volume, segmentation: Segmentation, scored: Scored, tmp_path: Path
) -> None:
    path = tmp_path / "lesions.json"
    write_lesions_json(table, path, volume=volume, segmentation=segmentation, scored=scored)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["second_stage"] == {
        "classifier": {"id": "second_stage", "version": "2.1", "weights_sha256": "cd" * 32},
        "class": "=lesion",
        "operating_point": 0.75,
        "calibrated": True,
        "note": "",
    }
    told = [(le["id"], le["score"], le["at_operating_point"]) for le in content["lesions"]]
    assert told == [(1, 0.75, True), (2, 0.125, False), (3, None, None)]
    write_lesions_json(table, path, volume=volume, segmentation=segmentation)
    assert "second_stage" not in json.loads(path.read_text(encoding="utf-8"))
