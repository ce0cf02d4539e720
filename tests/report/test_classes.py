"""Classifications as records: a row an item, the same in CSV and JSON, None where no place is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from napari_medcnn.core.classification import Classification, Item
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import ModelReference
from napari_medcnn.core.volume import Volume
from napari_medcnn.report.classes import (
    class_columns,
    class_records,
    write_classes_csv,
    write_classes_json,
)

VOLUME = Volume(np.zeros((2, 3, 3)), Geometry.from_spacing((2, 3, 3), (2.0, 1.0, 1.0)))


def made(*centres: tuple[float, float, float] | None) -> Classification:
    return Classification(
        unit="slice",
        classes=("no", "=yes"),
        items=tuple(Item(n, centre) for n, centre in enumerate(centres)),
        probabilities=np.array([[0.25, 0.75]] * len(centres), np.float32).reshape(-1, 2),
        model=ModelReference("m", "1", "abc"),
        volume_id=VOLUME.id,
        geometry=VOLUME.geometry,
        axis=0,
    )


def test_a_record_says_where_it_is_what_is_likeliest_and_every_probability() -> None:
    (record,) = class_records(made((1.0, 2.0, 3.0)))
    assert record == {
        "unit": "slice", "number": 0,
        "centre_lps_x_mm": 1.0, "centre_lps_y_mm": 2.0, "centre_lps_z_mm": 3.0,
        "class": "=yes", "probability": 0.75, "p no": 0.25, "p =yes": 0.75,
    }  # fmt: skip


def test_csv_has_the_columns_empty_places_and_no_formulas(tmp_path: Path) -> None:
    found = made(None, (0.0, 0.0, 2.0))
    write_classes_csv(found, tmp_path / "classes.csv")
    table = pd.read_csv(tmp_path / "classes.csv")
    assert tuple(table.columns) == class_columns(found)
    assert table["centre_lps_z_mm"].isna().tolist() == [True, False]
    assert table["class"].tolist() == ["'=yes", "'=yes"]


def test_a_table_without_items_has_its_columns(tmp_path: Path) -> None:
    write_classes_csv(made(), tmp_path / "classes.csv")
    assert tuple(pd.read_csv(tmp_path / "classes.csv").columns) == class_columns(made())


def test_json_names_model_axis_and_notice(tmp_path: Path) -> None:
    write_classes_json(made((0.0, 0.0, 2.0)), tmp_path / "classes.json", VOLUME)
    content = json.loads((tmp_path / "classes.json").read_text())
    assert "research" in content["notice"].lower()
    assert content["model"] == {"id": "m", "version": "1", "weights_sha256": "abc"}
    assert (content["axis"], content["classes"]) == ("z", ["no", "=yes"])
    assert content["items"][0]["probabilities"] == {"no": 0.25, "=yes": 0.75}
    assert content["items"][0]["centre_lps_mm"] == [0.0, 0.0, 2.0]
    assert content["image"]["geometry"]["spacing_mm"] == [2.0, 1.0, 1.0]
