"""Classifications as flat records, CSV and JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_medcnn.core.atomic import write_json
from napari_medcnn.core.classification import Classification
from napari_medcnn.core.volume import Volume
from napari_medcnn.report.notice import RESEARCH_USE_NOTICE
from napari_medcnn.report.tables import image_record, model_record, write_records

SCHEMA = "napari-medcnn classes"
SCHEMA_VERSION = 1

CONVENTIONS = {
    "points": "LPS mm (x, y, z): x to the patient's left, y to posterior, z to superior",
    "number": "index of the slice along axis (of the canonical array z, y, x), id of the lesion, "
    "or 0 for the whole volume",
    "p": "the model's probability of a class, 0 to 1; held against cases where calibrated is true",
    "multi_label": "true: each probability stands for itself; false: they add up to 1",
}

PLACE_COLUMNS = ("unit", "number", "centre_lps_x_mm", "centre_lps_y_mm", "centre_lps_z_mm")
"""Columns of a record that say what was classified."""

ANSWER_COLUMNS = ("class", "probability")
"""The likeliest class; then follows ``p NAME`` for every class."""


def class_columns(classification: Classification) -> tuple[str, ...]:
    """Every column of a record, in order."""
    each = (f"p {name}" for name in classification.classes)
    return (*PLACE_COLUMNS, *ANSWER_COLUMNS, *each)


def class_records(classification: Classification) -> list[dict[str, Any]]:
    """One flat dict an item, in the order of :func:`class_columns`; None where no place is known.

    The likeliest class is named where several may hold at once, too.
    """
    records = []
    rows = zip(
        classification.items, classification.top(), classification.probabilities, strict=True
    )
    for item, (first,), row in rows:
        x, y, z = item.centre_lps_mm or (None, None, None)
        values = (classification.unit, item.number, x, y, z, first.name, first.probability)
        records.append(
            dict(zip(class_columns(classification), (*values, *row.tolist()), strict=True))
        )
    return records


def write_classes_csv(classification: Classification, path: str | Path) -> None:
    """Write :func:`class_records` as UTF-8 CSV, with cells as those of ``lesions.csv``.

    Raises
    ------
    WriteError
        When `path` cannot be written.
    """
    write_records(class_records(classification), class_columns(classification), path)


def write_classes_json(classification: Classification, path: str | Path, volume: Volume) -> None:
    """Write the probabilities of all items and the image's grid; no patient identity.

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
        "model": model_record(classification.model),
        "unit": classification.unit,
        "axis": None if classification.axis is None else "zyx"[classification.axis],
        "classes": list(classification.classes),
        "multi_label": classification.multi_label,
        "calibrated": classification.calibrated,
        "items": [
            {
                "number": item.number,
                "centre_lps_mm": item.centre_lps_mm,
                "probabilities": dict(zip(classification.classes, row.tolist(), strict=True)),
            }
            for item, row in zip(classification.items, classification.probabilities, strict=True)
        ],
    }
    write_json(path, content)
