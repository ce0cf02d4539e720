"""Tables say the same as the lesions, in plain columns, and leave no zero for the unknown."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_medcnn.core.errors import WriteError
from napari_medcnn.core.lesion import LesionTable, Measurement, Review
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.imaging.lesions import find_lesions
from napari_medcnn.report.notice import RESEARCH_USE_NOTICE
from napari_medcnn.report.tables import (
    COLUMNS,
    lesion_records,
    totals,
    write_lesions_csv,
    write_lesions_json,
)


def test_a_csv_reads_back_as_the_records(table: LesionTable, tmp_path: Path) -> None:
    write_lesions_csv(table, tmp_path / "lesions.csv")
    frame = pd.read_csv(
        tmp_path / "lesions.csv", keep_default_na=False, na_values={"volume_mm3": [""]}
    )
    records = lesion_records(table)
    assert tuple(frame.columns) == COLUMNS == tuple(records[0])
    assert list(frame["id"]) == [1, 2, 3]
    assert frame["volume_mm3"].tolist() == pytest.approx([r["volume_mm3"] for r in records])
    assert frame["volume_mm3"].tolist() == pytest.approx([960, 288, 144])
    assert frame["label_name"][1] == "oedema, „left“"
    assert frame["note"][2] == 'an "artefact", sure'
    assert list(frame["verdict"]) == ["unreviewed", "unreviewed", "rejected"]


def test_records_place_the_lesion(table: LesionTable, volume: Volume) -> None:
    record = lesion_records(table)[0]
    centroid = [record[f"centroid_{axis}"] for axis in "zyx"]
    position = [record[f"centroid_lps_{axis}_mm"] for axis in "xyz"]
    np.testing.assert_allclose(position, volume.geometry.index_to_lps(centroid))
    assert (record["bbox_z_start"], record["bbox_z_stop"]) == (5, 9)
    assert record["volume_ml"] == pytest.approx(0.96)
    assert record["volume_ml_error"] == pytest.approx(record["volume_mm3_error"] / 1000)


def test_missing_values_are_empty_cells_with_a_reason(
    segmentation: Segmentation, volume: Volume, tmp_path: Path
) -> None:
    unscaled = find_lesions(segmentation, replace(volume, spacing_known=False))
    write_lesions_csv(unscaled, tmp_path / "lesions.csv")
    frame = pd.read_csv(tmp_path / "lesions.csv")
    unknown = ["volume_mm3", "long_axis_mm", "centroid_lps_x_mm", "mean_probability"]
    assert frame[unknown].isna().all().all()
    assert frame["mean"].notna().all()
    assert "volume_mm3: the image does not tell its voxel size" in frame["reasons"][0]
    assert "mean_probability: there is no probability map" in frame["reasons"][0]


@pytest.mark.parametrize(
    "note", ["=1+1", "+49", "-", "@SUM(A1)", "\tx", "\nx", "'quoted'", "plain = text"]
)
def test_no_text_becomes_a_formula_and_each_comes_back(
    table: LesionTable, tmp_path: Path, note: str
) -> None:
    noted = replace(table.lesions[0], review=Review(note=note))
    write_lesions_csv(replace(table, lesions=(noted,)), tmp_path / "lesions.csv")
    with (tmp_path / "lesions.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["note"][0] not in "=+-@\t\n"
    assert row["note"].removeprefix("'") == note


def test_numbers_have_at_most_six_significant_digits(table: LesionTable, tmp_path: Path) -> None:
    long = replace(table.lesions[0], volume_mm3=Measurement(1234567.891, "mm3", 1 / 3))
    write_lesions_csv(replace(table, lesions=(long,)), tmp_path / "lesions.csv")
    with (tmp_path / "lesions.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["volume_mm3"] == "1234570.0"
    assert row["volume_mm3_error"] == "0.333333"
    assert row["volume_ml"] == "1234.57"
    assert row["voxel_count"] == str(long.voxel_count)


def test_an_empty_table_has_a_header(table: LesionTable, tmp_path: Path) -> None:
    write_lesions_csv(replace(table, lesions=()), tmp_path / "lesions.csv")
    frame = pd.read_csv(tmp_path / "lesions.csv")
    assert tuple(frame.columns) == COLUMNS and len(frame) == 0


def test_json_holds_grid_lesions_and_notice_but_no_path(
    table: LesionTable, volume: Volume, segmentation: Segmentation, tmp_path: Path
) -> None:
    path = tmp_path / "lesions.json"
    source = replace(volume.source, path=Path("/archive/DOE^JANE/scan.nii"), header={"id": "4711"})
    write_lesions_json(
        table, path, volume=replace(volume, source=source), segmentation=segmentation
    )
    text = path.read_text(encoding="utf-8")
    assert "DOE" not in text and "4711" not in text
    content = json.loads(text)
    assert content["notice"] == RESEARCH_USE_NOTICE and content["schema_version"] == 1
    assert content["image"]["geometry"]["shape"] == [20, 40, 48]
    np.testing.assert_array_equal(
        content["image"]["geometry"]["index_to_lps"], volume.geometry.affine
    )
    assert content["image"]["findings"][0]["code"] == "sheared-grid"
    assert content["model"]["weights_sha256"] == "ab" * 32
    first = content["lesions"][0]
    assert first["volume_mm3"]["value"] == pytest.approx(960) and first["volume_mm3"]["error"] > 0
    assert first["mean_probability"] == {
        "value": None,
        "unit": "",
        "reason": "there is no probability map",
    }


def test_totals_by_label_leave_rejected_lesions_out(table: LesionTable) -> None:
    lesion, oedema = totals(table)
    assert (lesion["lesion_count"], lesion["rejected_count"]) == (1, 1)
    assert lesion["volume_mm3"]["value"] == pytest.approx(960)
    assert oedema["volume_mm3"]["value"] == pytest.approx(288)
    only_rejected = replace(table, lesions=table.lesions[2:])
    assert totals(only_rejected)[0]["volume_mm3"]["reason"] == "there is no lesion"
    assert totals(replace(table, lesions=())) == []


def test_a_table_that_cannot_be_written_says_so(table: LesionTable, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError):
        write_lesions_csv(table, tmp_path / "file" / "lesions.csv")
