"""Detections as flat records, CSV and JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_medcnn.core.atomic import write_json
from napari_medcnn.core.detection import NO_VOLUME, Detection, Detections
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Volume
from napari_medcnn.report.notice import RESEARCH_USE_NOTICE
from napari_medcnn.report.tables import (
    image_record,
    label_records,
    model_record,
    write_records,
)

SCHEMA = "napari-medcnn boxes"
SCHEMA_VERSION = 1

CONVENTIONS = {
    "points": "LPS mm (x, y, z): x to the patient's left, y to posterior, z to superior",
    "indices": "(z, y, x) of the grid under geometry; 0 is a voxel's centre",
    "sizes": "lengths of the box's edges along its own axes, which are those of the image's grid; "
    "of z the one nearest to the image's z",
    "corners": "bits 4, 2, 1 of a corner's number tell at which end of the axes z, y, x it lies",
    "score": "the detector's own figure from 0 to 1; no probability that was held against cases",
    "volume": NO_VOLUME,
}

COLUMNS = (
    "id", "label", "label_name", "score",
    "centre_lps_x_mm", "centre_lps_y_mm", "centre_lps_z_mm",
    "size_x_mm", "size_y_mm", "size_z_mm", "longest_edge_mm",
    "centre_z", "centre_y", "centre_x",
    "verdict", "note",
)  # fmt: skip
"""Every column of a record, in order."""


def box_records(detections: Detections) -> list[dict[str, Any]]:
    """One flat dict a box, in the order of :data:`COLUMNS`."""
    return [_record(box, detections.geometry) for box in detections.boxes]


def write_boxes_csv(detections: Detections, path: str | Path) -> None:
    """Write :func:`box_records` as UTF-8 CSV, with cells as those of ``lesions.csv``.

    Raises
    ------
    WriteError
        When `path` cannot be written.
    """
    write_records(box_records(detections), COLUMNS, path)


def write_boxes_json(detections: Detections, path: str | Path, volume: Volume) -> None:
    """Write boxes with their eight corners and the image's grid; no patient identity.

    Raises
    ------
    WriteError
        When `path` cannot be written.
    """
    content = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "notice": RESEARCH_USE_NOTICE,
        "conventions": CONVENTIONS,
        "image": image_record(volume),
        "labels": label_records(detections.labels),
        "model": model_record(detections.model),
        "score_threshold": detections.parameters.get("score_threshold"),
        "boxes": [
            {
                **_record(box, detections.geometry),
                "corners_lps_mm": [list(corner) for corner in box.corners_lps_mm],
            }
            for box in detections.boxes
        ],
    }
    write_json(path, content)


def _record(box: Detection, geometry: Geometry) -> dict[str, Any]:
    x, y, z = box.centre_lps_mm
    size_z, size_y, size_x = box.size_mm
    index_z, index_y, index_x = (float(v) for v in geometry.lps_to_index(box.centre_lps_mm))
    return {
        "id": box.id,
        "label": box.label,
        "label_name": box.label_name,
        "score": box.score,
        "centre_lps_x_mm": x,
        "centre_lps_y_mm": y,
        "centre_lps_z_mm": z,
        "size_x_mm": size_x,
        "size_y_mm": size_y,
        "size_z_mm": size_z,
        "longest_edge_mm": box.longest_edge_mm,
        "centre_z": index_z,
        "centre_y": index_y,
        "centre_x": index_x,
        "verdict": box.review.verdict.value,
        "note": box.review.note,
    }
