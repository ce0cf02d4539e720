"""Figures of an evaluation as tables on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from napari_medcnn.evaluation.froc import RATES
from napari_medcnn.report.figure_text import DASH, MACRO, TITLES, chance, ends, number

if TYPE_CHECKING:
    from napari_medcnn.evaluation.case_table import CaseTable, LabelSummary
    from napari_medcnn.evaluation.classification import ClassificationFigures
    from napari_medcnn.evaluation.comparison import Comparison
    from napari_medcnn.evaluation.confidence import Interval
    from napari_medcnn.evaluation.froc import Froc
    from napari_medcnn.evaluation.run import ClassificationResult

WORST = 5
"""Cases on the terminal; the file has all."""


def overall_table(result: ClassificationResult) -> Table:
    """Figures of a classification as a whole."""
    figures, calibration = result.figures, result.calibration
    view = _table("figure", "value", "95 % interval")
    _row(view, "accuracy", figures.accuracy)
    _row(view, "balanced accuracy", figures.balanced_accuracy)
    for name, title in MACRO.items():
        _row(view, title, getattr(figures.macro, name))
    for name, title in (("brier", "Brier score"), ("nll", "NLL"), ("ece", "ECE")):
        view.add_row(title, number(getattr(calibration, name)), "")
    return view


def classes_table(figures: ClassificationFigures) -> Table:
    """Figures of each class, and how many of its cases were said to be of which."""
    view = _table(
        "class", "cases", "recall", "precision", "specificity", "F1", "ROC\nAUC", "PR\nAUC"
    )
    for one in figures.by_class:
        values = (one.recall, one.precision, one.specificity, one.f1, one.auc)
        cells = [number(value.estimate) for value in (*values, one.average_precision)]
        view.add_row(escape(one.name), str(one.count), *cells)
    return view


def segmentation_table(summary: Sequence[LabelSummary]) -> Table:
    """Means over the cases, label by label."""
    view = _table("label", "figure", "mean", "95 % interval", "cases")
    for one in summary:
        for name, title in TITLES.items():
            if name in one.figures:
                interval = one.figures[name]
                figures = number(interval.estimate), ends(interval), str(interval.cases)
                view.add_row(escape(one.name), title, *figures)
    return view


def froc_table(found: Mapping[str, Froc]) -> Table:
    """Lesions found at each number of false alarms a scan."""
    view = _table("label", *(f"{rate:g}" for rate in RATES), "mean (CPM)", "95 % interval")
    view.title, view.title_justify = "lesions found at so many false alarms a scan", "left"
    for name, one in found.items():
        shares = [number(share) for share in one.at_rates] or [DASH] * len(RATES)
        view.add_row(escape(name), *shares, number(one.score.estimate), ends(one.score))
    return view


def worst_table(table: CaseTable) -> Table:
    """The worst cases."""
    view = _table("worst cases", "Dice", "note")
    for case in table.cases[:WORST]:
        notes = [label.overlap.undefined for label in case.labels if label.overlap.undefined]
        view.add_row(escape(case.case), number(case.dice), escape(case.error or "; ".join(notes)))
    return view


def comparison_table(compared: Comparison, first: str, second: str) -> Table:
    """Two models beside each other, in 80 columns; titles and terms are told below."""
    view = _table("figure", "first", "second", "difference", "95 % interval", "p", "ranks p")
    view.caption = (
        f"first: {escape(first)}; second: {escape(second)}; difference: second less first; p: "
        "paired bootstrap; ranks p: Wilcoxon's signed ranks"
    )
    view.caption_justify = "left"
    for one in compared.differences:
        p_values = [chance(one.p_value), chance(one.wilcoxon_p)]
        values = (one.first, one.second, one.difference.estimate)
        cells = [number(value) for value in values]
        view.add_row(escape(one.figure), *cells, ends(one.difference), *p_values)
    return view


def _table(*headings: str) -> Table:
    view = Table(box=SIMPLE_HEAD, header_style="bold", collapse_padding=True, pad_edge=False)
    for place, heading in enumerate(headings):
        view.add_column(escape(heading), justify="right" if place else "left")
    return view


def _row(view: Table, title: str, interval: Interval) -> None:
    view.add_row(title, number(interval.estimate), ends(interval))
