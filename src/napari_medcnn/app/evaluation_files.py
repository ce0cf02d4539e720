"""The files of an evaluation: tables of cases, figures, curves, calibration and comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from napari_medcnn.core.atomic import write_json, write_text
from napari_medcnn.core.errors import WriteError
from napari_medcnn.evaluation.classified_cases import write_answers
from napari_medcnn.evaluation.comparison import Comparison, comparison_records
from napari_medcnn.evaluation.curves import band_records, confusion_records, curve_records
from napari_medcnn.evaluation.froc import RATES, Froc, froc_records
from napari_medcnn.evaluation.reliability import reliability_records
from napari_medcnn.evaluation.run import EvaluationRun, SegmentationResult


def write_evaluation(
    folder: Path, run: EvaluationRun, against: tuple[EvaluationRun, Comparison] | None = None
) -> tuple[Path, ...]:
    """Write an evaluation into a folder, each file atomically.

    ``cases.csv`` has the cases, the worst first, ``figures.json`` all figures with intervals. Of a
    classification there are ``curves.csv``, ``bands.csv``, ``calibration.csv`` and
    ``confusion.csv``, of lesions ``froc.csv``. A second model adds ``against/cases.csv`` and
    ``comparison.csv``.

    Parameters
    ----------
    folder : Path
        Made where it does not exist.
    run : EvaluationRun
        The model's.
    against : (EvaluationRun, Comparison), optional
        The second model's, and how it compares.

    Returns
    -------
    tuple of Path
        What was written.

    Raises
    ------
    WriteError
        When the folder cannot be written to.
    """
    _make(folder)
    written = [folder / "cases.csv", *_write_tables(folder, run)]
    _write_cases(folder / "cases.csv", run)
    content = figures_json(run)
    if against is not None:
        other, comparison = against
        _make(folder / "against")
        _write_cases(folder / "against" / "cases.csv", other)
        _write_csv(folder / "comparison.csv", comparison_records(comparison))
        written += [folder / "against" / "cases.csv", folder / "comparison.csv"]
        content |= {"against": figures_json(other), "comparison": asdict(comparison)}
    write_json(folder / "figures.json", content)
    return (*written, folder / "figures.json")


def figures_json(run: EvaluationRun) -> dict[str, Any]:
    """All figures of a run but curves and cases, JSON-able."""
    content: dict[str, Any] = {
        "model": asdict(run.model),
        "data": run.data,
        "licence": run.licence,
        "part": run.part,
        "cases": run.cases,
        "patients": run.patients,
        "resampled": run.resampled,
        "failed": [{"case": case, "reason": reason} for case, reason in run.failed],
        "seconds": run.seconds,
    }
    if isinstance(run.result, SegmentationResult):
        segmentation = [asdict(one) for one in run.result.summary]
        return content | {
            "rules": asdict(run.result.rules),
            "segmentation": segmentation,
            "froc": {name: froc_json(found) for name, found in run.result.froc.items()},
        }
    return content | {
        "classification": asdict(run.result.figures),
        "calibration": asdict(run.result.calibration),
    }


def froc_json(found: Froc) -> dict[str, Any]:
    """What a FROC curve comes to, JSON-able."""
    return {
        "cpm": asdict(found.score),
        "sensitivity_at": dict(zip(map(str, RATES), found.at_rates, strict=False)),
        "scans": found.scans,
        "lesions": found.lesions,
        "undefined": found.undefined,
    }


def _write_tables(folder: Path, run: EvaluationRun) -> tuple[Path, ...]:
    result = run.result
    if isinstance(result, SegmentationResult):
        if not result.froc:
            return ()
        points = [
            {"label": name, **record}
            for name, found in result.froc.items()
            for record in froc_records(found)
        ]
        _write_csv(folder / "froc.csv", points)
        return (folder / "froc.csv",)
    curves = (*result.roc, *result.pr)
    tables = {
        "curves.csv": curve_records(curves),
        "bands.csv": band_records(curves),
        "calibration.csv": reliability_records(result.reliability),
        "confusion.csv": confusion_records(result.figures),
    }
    for name, records in tables.items():
        _write_csv(folder / name, records)
    return tuple(folder / name for name in tables)


def _write_cases(path: Path, run: EvaluationRun) -> None:
    if isinstance(run.result, SegmentationResult):
        frame = run.result.table.frame()
        write_text(path, frame.to_csv(index=False, lineterminator="\n"))
    else:
        write_answers(path, run.result.cases)


def _write_csv(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    import pandas as pd

    frame = pd.DataFrame([dict(record) for record in records])
    write_text(path, frame.to_csv(index=False, lineterminator="\n"))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"cannot be made: {error.strerror or error}", source=folder) from error
