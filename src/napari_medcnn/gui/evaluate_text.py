"""Figures of an evaluation in words, as rows of tables: headlines, comparison, cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from napari_medcnn.gui.study_text import counted
from napari_medcnn.report.figure_text import (
    MACRO,
    TITLES,
    chance,
    ends,
    figure_title,
    number,
)

if TYPE_CHECKING:
    from napari_medcnn.evaluation.comparison import Comparison
    from napari_medcnn.evaluation.confidence import Interval
    from napari_medcnn.evaluation.run import EvaluationRun

Cell: TypeAlias = str | float | None
Row: TypeAlias = tuple[str, ...]

SEGMENTATION = (
    "dice",
    "nsd",
    "hd95_mm",
    "volume_error_percent",
    "lesion_sensitivity",
    "lesion_false_positives",
)
OF_CLASS = {"auc": "AUC", "recall": "sensitivity", "specificity": "specificity"}
CASE_COLUMNS = {
    "case": "Case",
    "label": "Label",
    "truth": "Truth",
    "said": "Said",
    "chance": "p true",
    "dice": "Dice",
    "hd95_mm": "HD95 mm",
    "nsd": "NSD",
    "lesion_sensitivity": "Lesions found",
    "lesion_false_positives": "False lesions",
    "note": "Note",
}
"""Columns of the table of cases, where any case has something in them."""


@dataclass(frozen=True)
class CaseRows:
    """The table of cases, the worst first; `ids` are the cases of the rows."""

    columns: tuple[str, ...]
    ids: tuple[str, ...]
    cells: tuple[tuple[Cell, ...], ...]


def is_classification(run: EvaluationRun) -> bool:
    """Whether the model classifies."""
    return hasattr(run.result, "calibration")


def about(run: EvaluationRun) -> str:
    """What was measured on what, and what was resampled."""
    whose = {
        "patients": f"of {counted(run.patients, 'patient')}; patients were drawn",
        "groups": f"in {counted(run.patients, 'group')} of the split; patients are not known, "
        "groups were drawn",
        "cases": "; patients are not known, cases were drawn: if several are of one patient, the "
        "intervals are too narrow",
    }[run.resampled]
    part = "" if run.part == "all" else f", part {run.part}"
    text = f"{run.model.title or run.model.id} on {run.data}{part}: {counted(run.cases, 'case')} "
    text = f"{text}{whose}".replace(" ;", ";") + " for the 95 % intervals."
    if run.failed:
        text += f" {counted(len(run.failed), 'case')} failed and count in nothing."
    if run.part == "validation":
        text += " Validation cases chose the state of the weights of a model that was trained with"
        text += " them, and flatter it."
    return text


def headlines(run: EvaluationRun) -> tuple[Row, ...]:
    """Rows ``(figure, value, 95 % interval)``."""
    result: Any = run.result
    if is_classification(run):
        figures, calibration = result.figures, result.calibration
        rows = [_row("accuracy", figures.accuracy)]
        rows.append(_row("balanced accuracy", figures.balanced_accuracy))
        rows += [_row(title, getattr(figures.macro, name)) for name, title in MACRO.items()]
        rows.append(("Brier score", number(calibration.brier), ""))
        rows.append(("ECE", number(calibration.ece), ""))
        rows += [
            _row(f"{title}, {one.name}", getattr(one, name))
            for one in figures.by_class
            for name, title in OF_CLASS.items()
        ]
        return tuple(rows)
    is_one = len(result.summary) == 2
    rows = [
        _row(f"{TITLES[name]}, {summary.name}", summary.figures[name])
        for summary in _without_repeated_mean(result.summary)
        for name in SEGMENTATION
        if name in summary.figures
    ]
    rows += [_row(f"FROC score, {name}", froc.score) for name, froc in result.froc.items()]
    # A single label need not be named in every row.
    return tuple((row[0].partition(", ")[0], *row[1:]) for row in rows) if is_one else tuple(rows)


def missing(run: EvaluationRun) -> tuple[str, ...]:
    """Why figures do not exist."""
    return run.result.figures.undefined if is_classification(run) else ()  # type: ignore[union-attr]


def compared(comparison: Comparison) -> tuple[Row, ...]:
    """Rows ``(figure, first, second, difference with interval, p, p of ranks)``."""
    return tuple(
        (
            figure_title(one.figure),
            number(one.first),
            number(one.second),
            _with_ends(one.difference),
            chance(one.p_value),
            chance(one.wilcoxon_p),
        )
        for one in comparison.differences
    )


def about_comparison(comparison: Comparison) -> str:
    """How the comparison was made."""
    text = (
        f"On {counted(comparison.cases, 'case')} of both models; second less first. "
        "p: paired bootstrap; ranks p: Wilcoxon's signed ranks."
    )
    if comparison.mcnemar is not None:
        test = comparison.mcnemar
        text = (
            f"On {counted(comparison.cases, 'case')} of both models; second less first. p: paired "
            f"bootstrap. Right with the first alone: {test.only_first}, with the second alone: "
            f"{test.only_second}; McNemar's exact test: p = {chance(test.p_value)}"
            f"{f' ({test.note})' if test.note else ''}."
        )
    if comparison.left_out:
        text += f" Left out, as they failed: {', '.join(comparison.left_out)}."
    return text


def case_rows(run: EvaluationRun) -> CaseRows:
    """The table of cases: those that failed, then the worst first."""
    records = _records(run)
    labels = {record.get("label") for record in records} - {None}
    columns = tuple(
        name
        for name in CASE_COLUMNS
        if any(record.get(name) not in (None, "") for record in records)
        and (name != "label" or len(labels) > 1)
    )
    return CaseRows(
        columns,
        tuple(record["case"] for record in records),
        tuple(tuple(record.get(name) for name in columns) for record in records),
    )


def caption(run: EvaluationRun, case_id: str) -> str:
    """What a classifier said of a case, and what is true."""
    for record in _records(run):
        if record["case"] == case_id and record.get("truth"):
            said, true = record["said"] or "nothing", record["truth"]
            text = f"{case_id}: said {said}{_in_brackets(record.get(f'p {said}'))}, true: {true}"
            return text if said == true else f"{text}{_in_brackets(record['chance'])}"
    return case_id


def _row(title: str, interval: Interval) -> Row:
    return (
        title,
        number(interval.estimate),
        interval.note if interval.low is None else ends(interval),
    )


def _with_ends(interval: Interval) -> str:
    text = number(interval.estimate)
    return text if interval.low is None else f"{text} ({ends(interval)})"


def _without_repeated_mean(summary: Sequence[Any]) -> Sequence[Any]:
    """Of a single label, the mean of labels is that label's."""
    return summary[1:] if len(summary) == 2 else summary


def _records(run: EvaluationRun) -> list[dict[str, Any]]:
    result: Any = run.result
    if not is_classification(run):
        found: list[dict[str, Any]] = result.table.records()
        return found
    from napari_medcnn.evaluation.answers import answer_records

    cases = result.cases
    failed = [(one.case, one.group, one.reason) for one in cases.failed]
    return [_with_chance(r) for r in answer_records(cases.answers, cases.seconds, failed)]


def _with_chance(record: Mapping[str, Any]) -> dict[str, Any]:
    """With the probability of what is true; of several true classes the smallest."""
    names = [name for name in record if name.startswith("p ")]
    true = set((record["truth"] or "").split(", "))
    chances = [record[name] for name in names if name.removeprefix("p ") in true]
    return {**record, "chance": min(chances, default=None)}


def _in_brackets(probability: float | None) -> str:
    return "" if probability is None else f" ({probability:.2f})"
