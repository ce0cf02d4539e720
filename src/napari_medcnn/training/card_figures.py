"""The figures of a trained model's card: tables in Markdown, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

from napari_medcnn.evaluation.case_table import LabelSummary
from napari_medcnn.evaluation.classification import ClassificationFigures
from napari_medcnn.evaluation.confidence import Interval
from napari_medcnn.training.held_out import HeldOut

FIGURES: tuple[tuple[str, str], ...] = (
    ("dice", "Dice"),
    ("hd95_mm", "HD95 mm"),
    ("nsd", "NSD"),
    ("sensitivity", "sensitivity"),
    ("precision", "precision"),
    ("volume_error_percent", "volume error %"),
    ("lesion_sensitivity", "lesions found"),
    ("lesion_false_positives", "false lesions a case"),
)
"""Of a segmentation, as the table shows them; those that nobody measured are left out."""


def figures_text(held_out: HeldOut, noun: str) -> str:
    """The figures, what they were measured on, and by which rule.

    Parameters
    ----------
    held_out : HeldOut
        The figures.
    noun : str
        What was resampled: ``"patient"``, or what stands for one.
    """
    measured = counted(held_out.cases, f"{held_out.part} case")
    intro = (
        f"{measured} of {counted(held_out.patients, noun)}, run as a user runs the model. In "
        f"brackets 95 % bootstrap intervals: {noun}s were resampled."
    )
    if held_out.part == "validation":
        intro += (
            " **There was no test part: these cases chose the state of the weights, so that the "
            "figures flatter the model.**"
        )
    if held_out.failed:
        failed = counted(len(held_out.failed), "case")
        intro += f" {failed} could not be measured and count in no figure."
    if held_out.classification is not None:
        return f"{intro}\n\n{_of_classes(held_out.classification)}"
    rule = (
        f"NSD at {held_out.tolerance_mm:g} mm. Figures are means over the cases that have them; "
        "where a case has neither truth nor prediction of a label, it has none."
    )
    return f"{intro}\n\n{_of_labels(held_out.segmentation)}\n\n{rule}"


def _of_labels(summary: Sequence[LabelSummary]) -> str:
    measured = [
        (name, title) for name, title in FIGURES if any(name in one.figures for one in summary)
    ]
    rows = [
        (one.name, *(_interval(one.figures.get(name)) for name, _ in measured)) for one in summary
    ]
    return table(("", *(title for _, title in measured)), rows)


def _of_classes(figures: ClassificationFigures) -> str:
    overall = [
        ("accuracy", _interval(figures.accuracy)),
        ("balanced accuracy", _interval(figures.balanced_accuracy)),
        ("macro ROC AUC", _interval(figures.macro_auc)),
    ]
    classes = [
        (
            one.name,
            str(one.count),
            _interval(one.recall),
            _interval(one.precision),
            _interval(one.specificity),
            _interval(one.auc),
        )
        for one in figures.by_class
    ]
    confusion = [
        (one.name, *map(str, row))
        for one, row in zip(figures.by_class, figures.confusion, strict=True)
    ]
    names = tuple(one.name for one in figures.by_class)
    tables = [
        table(("figure", "value"), overall),
        table(("class", "cases", "recall", "precision", "specificity", "ROC AUC"), classes),
        "Confusion matrix: true classes in rows, predicted ones in columns.",
        table(("", *names), confusion),
        *figures.undefined,
    ]
    return "\n\n".join(tables)


def _interval(interval: Interval | None) -> str:
    if interval is None or interval.estimate is None:
        return "-"
    if interval.low is None or interval.high is None:
        return f"{_number(interval.estimate)} (no interval)"
    return f"{_number(interval.estimate)} ({_number(interval.low)}–{_number(interval.high)})"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def counted(count: int, noun: str) -> str:
    """``1 case``, ``2 cases``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
