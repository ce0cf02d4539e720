"""Lesions as flat records, CSV and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_medcnn.core.atomic import replacing, write_json
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.lesion import Lesion, LesionTable, Measurement, Verdict, missing
from napari_medcnn.core.scored import Scored
from napari_medcnn.core.segmentation import Label, ModelReference, Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.report.lesion_scores import SCORE_COLUMNS, score_cells, score_record
from napari_medcnn.report.notice import RESEARCH_USE_NOTICE

SCHEMA = "napari-medcnn lesions"
SCHEMA_VERSION = 1

CONVENTIONS = {
    "points": "LPS mm (x, y, z): x to the patient's left, y to posterior, z to superior",
    "indices": "(z, y, x) of the grid under geometry; boxes are half-open",
    "error": "half-width of the interval that holds the true value in about 95 % of cases, from "
    "voxel size and partial volume alone",
    "long_axis": "longest diameter in any one axial slice (RECIST)",
    "short_axis": "longest diameter perpendicular to the long axis in the same slice",
}

NO_LESION = "there is no lesion"

COLUMNS = (
    "id", "label", "label_name", "voxel_count",
    "volume_mm3", "volume_mm3_error", "volume_ml", "volume_ml_error",
    "centroid_lps_x_mm", "centroid_lps_y_mm", "centroid_lps_z_mm",
    "centroid_z", "centroid_y", "centroid_x",
    "bbox_z_start", "bbox_z_stop", "bbox_y_start", "bbox_y_stop", "bbox_x_start", "bbox_x_stop",
    "long_axis_mm", "long_axis_mm_error", "short_axis_mm", "short_axis_mm_error",
    "max_diameter_3d_mm", "max_diameter_3d_mm_error",
    "mean", "sd", "minimum", "maximum", "intensity_unit", "mean_probability",
    "touches_border", "origin", "verdict", "note", "reasons",
)  # fmt: skip
"""Every column of a record, in order."""

CSV_DIGITS = 6
"""Significant digits in CSV: a thousandth of a voxel, and no figure looks better than it is."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\n")
"""A cell that begins so is a formula to spreadsheets: names and notes must not become one."""


def lesion_records(table: LesionTable) -> list[dict[str, Any]]:
    """One flat dict a lesion, in the order of :data:`COLUMNS`; None where a value is missing.

    Units are in the names; intensities are in ``intensity_unit``, which is empty for arbitrary
    units. ``reasons`` tells for every missing figure why: ``"volume_mm3: …; mean: …"``. Indices are
    of the volume's array; those of centroids are fractions of voxels.
    """
    return [_record(lesion) for lesion in table.lesions]


def write_lesions_csv(
    table: LesionTable, path: str | Path, scored: Scored | None = None, score_note: str = ""
) -> None:
    """Write :func:`lesion_records` as UTF-8 CSV; missing values are empty cells.

    Where a classifier `scored` the lesions, its columns follow, see
    :data:`~napari_medcnn.report.lesion_scores.SCORE_COLUMNS`; `score_note` is what to know of them.

    Numbers have at most :data:`CSV_DIGITS` significant digits. A text that a spreadsheet would run
    as a formula, or that begins with an apostrophe itself, gets one apostrophe in front: who takes
    one off again has the text as it was. JSON holds everything as it is.

    Raises
    ------
    WriteError
        When `path` cannot be written.
    """
    records = lesion_records(table)
    if scored is None:
        write_records(records, COLUMNS, path)
        return
    both = [{**record, **score_cells(record["id"], scored, score_note)} for record in records]
    write_records(both, (*COLUMNS, *SCORE_COLUMNS), path)


def write_lesions_json(
    table: LesionTable,
    path: str | Path,
    *,
    volume: Volume,
    segmentation: Segmentation,
    scored: Scored | None = None,
    score_note: str = "",
) -> None:
    """Write lesions with their measurements, the image's grid and totals; no patient identity.

    `scored` and `score_note` are as for :func:`write_lesions_csv`.

    Raises
    ------
    WriteError
        When `path` cannot be written.
    """
    model = segmentation.model
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "notice": RESEARCH_USE_NOTICE,
        "conventions": CONVENTIONS,
        "image": image_record(volume),
        "labels": label_records(segmentation.labels),
        "model": None if model is None else model_record(model),
        "min_volume_mm3": table.min_volume_mm3,
        "dropped_count": table.dropped_count,
        "totals": totals(table),
        "lesions": [_full_record(lesion) for lesion in table.lesions],
    }
    if scored is not None:
        content["second_stage"] = score_record(scored, score_note)
        for record in content["lesions"]:
            cells = score_cells(record["id"], scored, score_note)
            record |= {name: cells[name] for name in ("score", "at_operating_point")}
    write_json(path, content)


def write_records(
    records: Sequence[Mapping[str, Any]], columns: Sequence[str], path: str | Path
) -> None:
    """Write flat records as UTF-8 CSV, a column each of `columns`.

    Raises
    ------
    WriteError
        When `path` cannot be written.
    """
    cells = [{k: csv_cell(v) for k, v in record.items()} for record in records]
    frame = pd.DataFrame(cells, columns=list(columns))
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


def image_record(volume: Volume) -> dict[str, Any]:
    """What a result says of its image; no patient identity."""
    return {
        "name": volume.name,
        "modality": volume.modality,
        "unit": volume.unit,
        "spacing_known": volume.spacing_known,
        "resampled": volume.resampled,
        "geometry": geometry_record(volume.geometry),
        "findings": [finding.to_json() for finding in volume.findings],
    }


def label_records(labels: Sequence[Label]) -> list[dict[str, Any]]:
    """What the values of a label map mean."""
    return [
        {"value": label.value, "name": label.name, "colour": list(label.colour)} for label in labels
    ]


def model_record(model: ModelReference) -> dict[str, Any]:
    """Which model made a result."""
    return {"id": model.id, "version": model.version, "weights_sha256": model.weights_sha256}


def csv_cell(value: Any) -> Any:
    """A value as a cell: rounded, and no text that a spreadsheet would run as a formula."""
    if isinstance(value, float):
        return float(f"{value:.{CSV_DIGITS}g}")
    if isinstance(value, str):
        text = value.replace("\r\n", "\n").replace("\r", "\n")  # a bare \r would end the row
        return f"'{text}" if text.startswith((*FORMULA_STARTS, "'")) else text
    return value


def totals(table: LesionTable) -> list[dict[str, Any]]:
    """Count and total volume of each label that occurs, rejected lesions left out.

    The errors of a sum add linearly: where the boundary is counted is common to all lesions.
    """
    labels = sorted({(lesion.label, lesion.label_name) for lesion in table.lesions})
    return [_total(value, name, table.lesions) for value, name in labels]


def _total(value: int, name: str, lesions: Sequence[Lesion]) -> dict[str, Any]:
    of_label = [lesion for lesion in lesions if lesion.label == value]
    counted = [lesion for lesion in of_label if lesion.review.verdict is not Verdict.REJECTED]
    return {
        "label": value,
        "label_name": name,
        "lesion_count": len(counted),
        "rejected_count": len(of_label) - len(counted),
        "volume_mm3": _sum([lesion.volume_mm3 for lesion in counted]).to_json(),
    }


def _sum(volumes: Sequence[Measurement]) -> Measurement:
    if not volumes:
        return missing(NO_LESION, "mm3")
    unknown = next((v for v in volumes if v.value is None), None)
    if unknown is not None:
        return unknown
    error = sum(v.error for v in volumes if v.error is not None)
    return Measurement(sum(v.value for v in volumes if v.value is not None), "mm3", error)


def _measurements(lesion: Lesion) -> dict[str, Measurement]:
    return {
        "volume_mm3": lesion.volume_mm3,
        "volume_ml": lesion.volume_ml,
        "long_axis_mm": lesion.long_axis_mm,
        "short_axis_mm": lesion.short_axis_mm,
        "max_diameter_3d_mm": lesion.max_diameter_3d_mm,
        "mean": lesion.mean,
        "sd": lesion.sd,
        "minimum": lesion.minimum,
        "maximum": lesion.maximum,
        "mean_probability": lesion.mean_probability,
    }


def _record(lesion: Lesion) -> dict[str, Any]:
    measurements = _measurements(lesion)
    x, y, z = lesion.centroid_lps_mm or (None, None, None)
    record: dict[str, Any] = {
        "id": lesion.id,
        "label": lesion.label,
        "label_name": lesion.label_name,
        "voxel_count": lesion.voxel_count,
        "centroid_lps_x_mm": x,
        "centroid_lps_y_mm": y,
        "centroid_lps_z_mm": z,
        "intensity_unit": lesion.mean.unit,
        "touches_border": lesion.touches_border,
        "origin": lesion.origin.value,
        "verdict": lesion.review.verdict.value,
        "note": lesion.review.note,
        "reasons": "; ".join(f"{k}: {m.reason}" for k, m in measurements.items() if m.reason),
    }
    for axis, name in enumerate("zyx"):
        record[f"centroid_{name}"] = lesion.centroid_index[axis]
        record[f"bbox_{name}_start"] = lesion.bbox_start[axis]
        record[f"bbox_{name}_stop"] = lesion.bbox_stop[axis]
    for name, measurement in measurements.items():
        record[name] = measurement.value
        record[f"{name}_error"] = measurement.error
    return {column: record[column] for column in COLUMNS}


def _full_record(lesion: Lesion) -> dict[str, Any]:
    return {
        "id": lesion.id,
        "label": lesion.label,
        "label_name": lesion.label_name,
        "voxel_count": lesion.voxel_count,
        "centroid_lps_mm": lesion.centroid_lps_mm,
        "centroid_index": lesion.centroid_index,
        "anchor_index": lesion.anchor_index,
        "bbox_start": lesion.bbox_start,
        "bbox_stop": lesion.bbox_stop,
        **{name: m.to_json() for name, m in _measurements(lesion).items()},
        "long_axis_lps_mm": lesion.long_axis_lps_mm,
        "short_axis_lps_mm": lesion.short_axis_lps_mm,
        "touches_border": lesion.touches_border,
        "origin": lesion.origin.value,
        "verdict": lesion.review.verdict.value,
        "note": lesion.review.note,
    }


def geometry_record(geometry: Geometry) -> dict[str, Any]:
    """A grid, JSON-able."""
    return {
        "shape": list(geometry.shape),
        "spacing_mm": list(geometry.spacing),
        "orientation": geometry.orientation,
        "index_to_lps": np.asarray(geometry.affine).tolist(),
    }
