"""What a batch leaves beside its cases' folders: tables of cases and of all their lesions."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from napari_medcnn.app.batch_outcome import BatchResult, CaseOutcome
from napari_medcnn.app.case_folder import LESIONS_CSV
from napari_medcnn.core.atomic import replacing, write_json
from napari_medcnn.core.errors import ReadError
from napari_medcnn.report.notice import RESEARCH_USE_NOTICE
from napari_medcnn.report.tables import COLUMNS, csv_cell

SUMMARY_CSV, SUMMARY_JSON, ALL_LESIONS = "summary.csv", "summary.json", "all_lesions.csv"
SCHEMA, SCHEMA_VERSION = "napari-medcnn batch", 1

CASE_COLUMNS = ("case", "state", "lesion_count", "volume_ml", "longest_mm", "dropped_count",
                "seconds", "text", "findings", "folder")  # fmt: skip


def write_summary(result: BatchResult) -> None:
    """Write ``summary.csv``, ``all_lesions.csv`` and, last, ``summary.json``, each atomically.

    The folders in them are relative to the batch's own, so that it can be moved.

    Raises
    ------
    WriteError
        When they cannot be written.
    """
    with (
        replacing(result.out_dir / SUMMARY_CSV) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as stream,
    ):
        table = csv.DictWriter(stream, CASE_COLUMNS, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        for outcome in result.cases:
            record = _record(outcome) | {"findings": " ".join(outcome.findings)}
            table.writerow({name: csv_cell(value) for name, value in record.items()})
    _write_lesions(result)
    content = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "notice": RESEARCH_USE_NOTICE,
        "model": result.model,
        "seconds": result.seconds,
        "counts": result.counts,
        "lesion_count": result.lesions,
        "cases": [_record(outcome) for outcome in result.cases],
    }
    write_json(result.out_dir / SUMMARY_JSON, content)


def failed_ids(out_dir: str | Path) -> frozenset[str]:
    """The cases that failed when a batch was last run into a folder.

    Raises
    ------
    ReadError
        When the folder has no summary of a batch.
    """
    path = Path(out_dir) / SUMMARY_JSON
    try:
        cases = json.loads(path.read_text(encoding="utf-8"))["cases"]
        return frozenset(case["case"] for case in cases if case["state"] == "failed")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReadError(
            "holds no summary of a batch", source=out_dir, hint="run the whole batch first"
        ) from error


def _record(outcome: CaseOutcome) -> dict[str, Any]:
    return outcome.to_json() | {"folder": outcome.folder.name}


def _write_lesions(result: BatchResult) -> None:
    """Put the lesions of all cases into one table, as the cases' own tables have them."""
    with (
        replacing(result.out_dir / ALL_LESIONS) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as stream,
    ):
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(("case", *COLUMNS))
        for outcome in result.cases:
            path = outcome.folder / LESIONS_CSV
            if not outcome.has_result or not path.is_file():
                continue
            with path.open(encoding="utf-8", newline="") as source:
                for row in csv.DictReader(source):
                    table.writerow((csv_cell(outcome.case), *(row[name] for name in COLUMNS)))
