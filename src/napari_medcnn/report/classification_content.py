"""What a report says of a classification."""

from __future__ import annotations

from typing import Any

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.evaluation.answers import Answers, answer_records
from napari_medcnn.evaluation.operating_point import (
    OperatingPoint,
    OperatingPoints,
    operating_points,
)
from napari_medcnn.evaluation.run import ClassificationResult
from napari_medcnn.report.document import Block, Cell, Notes, Paragraph, Section, Table, cells
from napari_medcnn.report.figure_cells import figure_cell, figure_row
from napari_medcnn.report.figure_text import DASH, MACRO, counted, number

OF_CLASS = (
    ("recall", "recall (sensitivity)"),
    ("specificity", "specificity"),
    ("precision", "precision (PPV)"),
    ("f1", "F1"),
    ("auc", "ROC AUC"),
    ("average_precision", "PR AUC"),
)

WANTED = 0.9
"""The sensitivity, and the specificity, of the report's operating points."""

MOST_CASES = 60
"""In the report; the table of cases has all."""


def classification_sections(
    result: ClassificationResult, pictures: dict[str, Block]
) -> tuple[Section, ...]:
    """Figures, curves, calibration, operating points, and the cases that went worst.

    Parameters
    ----------
    result : ClassificationResult
        Of the model.
    pictures : dict
        The plots by their names; those that do not exist are missing.
    """

    def shown(*names: str) -> tuple[Block, ...]:
        return tuple(pictures[name] for name in names if name in pictures)

    answers = result.cases.answers
    sections = [
        Section("Figures", (*_overall(result), _classes(result), *_undefined(result))),
        Section("Curves", (*shown("roc", "precision_recall"), *_curves_missing(result))),
        Section("Confusion matrix", shown("confusion")),
        Section("Calibration", (_calibration(result), *shown("calibration"))),
    ]
    if answers is not None:
        sections += [
            Section("Operating points", _points(answers)),
            Section("Cases, the worst first", _cases(answers, result.cases.seconds)),
        ]
    return tuple(section for section in sections if section.blocks)


def _overall(result: ClassificationResult) -> tuple[Block, ...]:
    figures, notes = result.figures, Notes()
    why = "; ".join(figures.undefined)
    rows = [
        figure_row("accuracy", figures.accuracy, notes, why),
        figure_row("balanced accuracy", figures.balanced_accuracy, notes, why),
        *(
            figure_row(title, getattr(figures.macro, name), notes, why)
            for name, title in MACRO.items()
        ),
    ]
    head = ("figure", "value", "95 % interval")
    return (Table("All classes", head, tuple(rows), notes=notes.notes),)


def _classes(result: ClassificationResult) -> Table:
    notes = Notes()
    why = "; ".join(result.figures.undefined)
    rows = tuple(
        cells(
            one.name,
            one.count,
            one.said,
            *(figure_cell(getattr(one, name), notes, why=why) for name, _ in OF_CLASS),
        )
        for one in result.figures.by_class
    )
    head = ("class", "cases", "said", *(title for _, title in OF_CLASS))
    return Table("Each class against all others", head, rows, notes=notes.notes)


def _undefined(result: ClassificationResult) -> tuple[Block, ...]:
    rule = (
        "Several classes may be true of a case; each is answered yes from 0.5 on."
        if result.figures.multi_label
        else "The likeliest class is the answer."
    )
    return (Paragraph(f"{rule} Said: how many cases the model takes for the class."),)


def _curves_missing(result: ClassificationResult) -> tuple[Block, ...]:
    """Why a curve or a band is missing, each reason once."""
    reasons = [
        f"{curve.kind.upper()} of {curve.name}: {curve.undefined}."
        for curve in (*result.roc, *result.pr)
        if curve.undefined
    ]
    return (Paragraph(" ".join(reasons)),) if reasons else ()


def _calibration(result: ClassificationResult) -> Table:
    found, notes = result.calibration, Notes()
    top = "0 to 1" if result.figures.multi_label else "0 to 2"
    rows = (
        cells("Brier score", f"{top}, 0 is best", number(found.brier)),
        cells("NLL", "natural logarithm", notes.cell(number(found.nll), found.undefined)),
        cells("ECE", f"{found.bins} bins of equal width", number(found.ece)),
        cells("adaptive ECE", f"{found.bins} bins, equally filled", number(found.adaptive_ece)),
    )
    return Table("", ("figure", "how", "value"), rows, texts=2, notes=notes.notes)


def _points(answers: Answers) -> tuple[Block, ...]:
    asked, notes = answers.questions(), Notes()
    rows: list[tuple[Cell, ...]] = []
    for n, name in enumerate(answers.classes):
        points = operating_points(asked.true[:, n], asked.given[:, n])
        try:
            chosen = _chosen(points)
        except InputMismatch as reason:
            rows.append(cells(name, notes.cell(DASH, str(reason)), *[DASH] * 7))
        else:
            rows += [_point_row(name, point) for point in chosen]
    head = (
        "class", "threshold chosen by", "threshold", "sensitivity", "specificity", "PPV", "NPV",
        "F1", "TP / FP / FN / TN",
    )  # fmt: skip
    text = (
        "From the threshold on, a case is said to be of the class. A threshold that was chosen on "
        "the same cases flatters the model on them; PPV and NPV hold where classes are as frequent "
        "as here."
    )
    return Paragraph(text), Table("", head, tuple(rows), texts=2, notes=notes.notes)


def _chosen(points: OperatingPoints) -> tuple[OperatingPoint, ...]:
    return points.youden(), points.at_sensitivity(WANTED), points.at_specificity(WANTED)


def _point_row(name: str, point: OperatingPoint) -> tuple[Cell, ...]:
    shares = (point.sensitivity, point.specificity, point.ppv, point.npv, point.f1)
    counts = (
        point.true_positives, point.false_positives, point.false_negatives, point.true_negatives,
    )  # fmt: skip
    threshold = number(point.threshold) if point.threshold <= 1 else "none reached"
    return cells(
        name, point.rule, threshold, *(number(s) for s in shares), " / ".join(map(str, counts))
    )


def _cases(answers: Answers, seconds: tuple[float, ...]) -> tuple[Block, ...]:
    records = answer_records(answers, seconds)
    wrong = sum(not record["right"] for record in records)
    text = f"{counted(wrong, 'case')} of {len(records)} went wrong."
    if len(records) > MOST_CASES:
        text += f" The first {MOST_CASES} are shown; cases.csv has all."
    rows = tuple(_case_row(record, answers) for record in records[:MOST_CASES])
    last = "right" if answers.multi_label else "probability of the true class"
    return Paragraph(text), Table("", ("case", "truth", "said", last), rows, texts=3)


def _case_row(record: dict[str, Any], answers: Answers) -> tuple[Cell, ...]:
    last = (
        ("yes" if record["right"] else "no")
        if answers.multi_label
        else number(record[f"p {record['truth']}"])
    )
    return cells(record["case"], record["truth"] or "none", record["said"] or "none", last)
