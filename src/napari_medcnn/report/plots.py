"""Plots of a classification: ROC, precision and recall, confusion, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from napari_medcnn.evaluation.calibration import CalibrationFigures
from napari_medcnn.evaluation.classification import ClassificationFigures
from napari_medcnn.evaluation.confidence import Interval
from napari_medcnn.evaluation.curves import Curve
from napari_medcnn.evaluation.reliability import Reliability
from napari_medcnn.report.plot_style import INK, new_figure, series_style, styled, unit_square

Place: TypeAlias = Literal["lower left", "lower right"]

MOST_BANDS = 4
"""Bands of more classes than these hide each other."""

MULTI_LABEL_COUNTS = ("true\npositive", "false\npositive", "false\nnegative", "true\nnegative")


@styled()
def figure_of_roc(curves: Sequence[Curve], figures: ClassificationFigures | None = None) -> Figure:
    """ROC curves of all classes with the diagonal of chance.

    Parameters
    ----------
    curves : sequence of Curve
        Of :func:`~napari_medcnn.evaluation.curves.roc_curves`; those without points are left out.
    figures : ClassificationFigures, optional
        Gives the intervals of the areas in the legend.
    """
    figure = new_figure()
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.9, linestyle=(0, (4, 3)), alpha=0.6)
    known = {} if figures is None else {one.name: one.auc for one in figures.by_class}
    for number, curve in _drawn(curves):
        title = _title(curve, "AUC", known.get(curve.name))
        axes.plot(curve.x, curve.y, label=title, **series_style(number))
        _band(axes, curve, number, len(curves))
    unit_square(axes, "1 − specificity (false positive rate)", "sensitivity")
    _legend(figure, axes, "lower right")
    return figure


@styled()
def figure_of_pr(curves: Sequence[Curve], figures: ClassificationFigures | None = None) -> Figure:
    """Precision-recall curves as the steps that average precision adds up.

    Parameters
    ----------
    curves : sequence of Curve
        Of :func:`~napari_medcnn.evaluation.curves.pr_curves`; those without points are left out.
    figures : ClassificationFigures, optional
        Gives the intervals of average precision, and dotted lines at each class's share of cases:
        the precision of chance.
    """
    figure = new_figure()
    axes = figure.add_subplot()
    known = {} if figures is None else {one.name: one for one in figures.by_class}
    for number, curve in _drawn(curves):
        of_class = known.get(curve.name)
        title = _title(curve, "AP", of_class.average_precision if of_class else None)
        style = series_style(number)
        x, y = np.append(0.0, curve.x), np.append(curve.y[0], curve.y)
        axes.step(x, y, where="pre", label=title, **style)
        _band(axes, curve, number, len(curves))
        if of_class is not None and figures is not None:
            share = of_class.count / figures.cases
            axes.axhline(share, color=style["color"], linewidth=0.9, linestyle=":", alpha=0.8)
    unit_square(axes, "recall (sensitivity)", "precision (PPV)")
    _legend(figure, axes, "lower left")
    return figure


@styled()
def figure_of_confusion(figures: ClassificationFigures) -> Figure:
    """Counts of true and predicted classes; colour is the share of the true class's cases.

    Of multi-label answers, each class's true and false positives and negatives, coloured by their
    share of all cases.
    """
    table = np.array(figures.confusion, dtype=np.float64)
    names = [one.name for one in figures.by_class]
    rows = table.sum(1, keepdims=True)
    share = np.divide(table, rows, out=np.zeros_like(table), where=rows > 0)
    heads = list(MULTI_LABEL_COUNTS) if figures.multi_label else names
    figure = new_figure(0.62 * len(heads) + 2.4, 0.62 * len(names) + 1.6)
    axes = figure.add_subplot()
    shown = axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    axes.grid(False)
    axes.set_xticks(range(len(heads)), heads)
    axes.set_yticks(range(len(names)), names)
    if not figures.multi_label:
        axes.set(xlabel="predicted class", ylabel="true class")
        if max(map(len, names)) > 6 or len(names) > 5:
            axes.tick_params(axis="x", labelrotation=40)
            for label in axes.get_xticklabels():
                label.set(ha="right", rotation_mode="anchor")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0)
    for row, column in np.ndindex(*table.shape):
        text = f"{table[row, column]:.0f}"
        if rows[row]:
            text += f"\n{share[row, column]:.0%}"
        # White and black here, whatever the page's colours: the cell's colour stays as it is.
        colour = "white" if share[row, column] > 0.55 else "black"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    of = "share of all cases" if figures.multi_label else "share of the true class's cases"
    bar = figure.colorbar(shown, ax=axes, label=of.replace(" of ", "\nof "))
    bar.outline.set_visible(False)
    return figure


@styled()
def figure_of_calibration(
    curves: Sequence[Reliability], calibration: CalibrationFigures | None = None
) -> Figure:
    """How often is true what is said with a certain probability; below, how often that is said.

    Parameters
    ----------
    curves : sequence of Reliability
        Those of equal-width bins are drawn, so that all share an axis; see
        :func:`~napari_medcnn.evaluation.reliability.reliability`.
    calibration : CalibrationFigures, optional
        Written into the plot.
    """
    drawn = [curve for curve in curves if curve.binning == "equal width"]
    figure = new_figure(4.4, 4.9 + 0.09 * len(drawn))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    upper.plot([0, 1], [0, 1], color=INK, linewidth=0.9, linestyle=(0, (4, 3)), alpha=0.6)
    judged = drawn[0].name == "likeliest class"
    for number, curve in enumerate(drawn):
        first = judged and number == 0
        style = {"color": INK} if first else series_style(number - judged)
        there = curve.counts > 0
        width = 2.0 if first else 1.2
        upper.plot(
            curve.said[there], curve.seen[there], marker="o", markersize=3.5, linewidth=width,
            label=curve.name, **style,
        )  # fmt: skip
    # All classes' cases are the same ones: one histogram, of the likeliest class where there is it.
    counts = drawn[0].counts if judged else np.sum([curve.counts for curve in drawn], axis=0)
    lower.stairs(counts, drawn[0].edges, fill=True, color=INK, alpha=0.45)
    lower.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    lower.set(xlim=(-0.01, 1.01), ylabel="cases" if judged else "answers")
    lower.set_xlabel("predicted probability")
    upper.set(ylim=(-0.01, 1.01), ylabel="observed share")
    if calibration is not None:
        text = f"Brier {calibration.brier:.3f}\nECE {calibration.ece:.3f}"
        upper.text(0.98, 0.03, text, transform=upper.transAxes, ha="right", va="bottom")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _drawn(curves: Sequence[Curve]) -> list[tuple[int, Curve]]:
    """Those with points, numbered among all so that a class keeps its colour in every plot."""
    return [(number, curve) for number, curve in enumerate(curves) if len(curve.x)]


def _title(curve: Curve, what: str, interval: Interval | None) -> str:
    title = f"{curve.name}: {what} {curve.area:.3f}"
    if interval is not None and interval.low is not None and interval.high is not None:
        title += f" ({interval.low:.3f} to {interval.high:.3f})"
    return title


def _band(axes: Axes, curve: Curve, number: int, classes: int) -> None:
    if curve.band is None or classes > MOST_BANDS:
        return
    band, colour = curve.band, series_style(number)["color"]
    axes.fill_between(band.x, band.low, band.high, color=colour, alpha=0.16, linewidth=0)


def _legend(figure: Figure, axes: Axes, place: Place) -> None:
    """Within the axes while it is short, below them where it would hide curves."""
    handles, _ = axes.get_legend_handles_labels()
    if len(handles) <= 3:
        axes.legend(loc=place)
        return
    figure.set_figheight(figure.get_figheight() + 0.17 * len(handles))
    figure.legend(loc="outside lower center")
