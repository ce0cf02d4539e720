"""Plots of a segmentation and of two models: Dice of each case, FROC, differences."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from napari_medcnn.evaluation.case_table import MEAN, CaseTable
from napari_medcnn.evaluation.comparison import Comparison
from napari_medcnn.evaluation.froc import RATES, Froc
from napari_medcnn.evaluation.paired import Difference
from napari_medcnn.report.figure_text import figure_title
from napari_medcnn.report.plot_style import COLOURS, INK, new_figure, series_style, styled

JITTER = 0.16

OTHER_UNITS = ("hd95_mm", "volume_error_percent")
"""Compared figures that are no shares, and would need another axis."""


def dice_by_label(table: CaseTable) -> dict[str, list[float]]:
    """The Dice that exist, of each label, in the order of the labels; of several also the means."""
    found: dict[str, list[float]] = {}
    for case in table.measured:
        for label in case.labels:
            of_label = found.setdefault(label.name, [])
            if label.overlap.dice is not None:
                of_label.append(label.overlap.dice)
    if len(found) > 1:
        found = {MEAN: [c.dice for c in table.measured if c.dice is not None], **found}
    return found


@styled()
def figure_of_dice(table: CaseTable) -> Figure:
    """Every case's Dice as a point, with quartiles, and whiskers to 1.5 times their range."""
    values = dice_by_label(table)
    figure = new_figure(max(3.2, 1.1 * len(values) + 1.4), 3.8)
    axes = figure.add_subplot()
    rng = np.random.default_rng(0)  # points keep their places from one drawing to the next
    for place, of_label in enumerate(values.values()):
        line = {"color": INK, "linewidth": 0.9}
        axes.boxplot(
            of_label, positions=[place], widths=0.5, showfliers=False, boxprops=line,
            whiskerprops=line, capprops=line, medianprops={"color": INK, "linewidth": 1.8},
        )  # fmt: skip
        beside = place + rng.uniform(-JITTER, JITTER, len(of_label))
        axes.scatter(beside, of_label, s=16, color=COLOURS[0], alpha=0.6, linewidth=0, zorder=3)
    names = [f"{name}\n(n = {len(of_label)})" for name, of_label in values.items()]
    axes.set_xticks(range(len(values)), names)
    if len(values) > 3:
        axes.tick_params(axis="x", labelrotation=40)
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    axes.grid(False, axis="x")
    axes.set(xlim=(-0.6, len(values) - 0.4), ylim=(-0.02, 1.02), ylabel="Dice")
    return figure


@styled()
def figure_of_froc(found: Mapping[str, Froc]) -> Figure:
    """Lesions found against false alarms a scan, in LUNA16's form: 1/8 to 8, doubling.

    Between points of the curve by straight lines, as the score is defined; dashed beyond the last
    point, where the model has no more candidates. Labels without lesions are left out.
    """
    figure = new_figure(4.6, 3.8)
    axes = figure.add_subplot()
    for number, (name, curve) in enumerate(found.items()):
        if not len(curve.sensitivity):
            continue
        colour = series_style(number)["color"]
        title = f"{name}: CPM {curve.score.estimate:.3f}"
        if curve.score.low is not None and curve.score.high is not None:
            title += f" ({curve.score.low:.3f} to {curve.score.high:.3f})"
        axes.plot(*_line(curve), color=colour, label=title)
        end = curve.false_positives[-1], curve.sensitivity[-1]
        if end[0] < RATES[-1]:
            axes.plot([end[0], RATES[-1]], [end[1]] * 2, color=colour, linestyle="--", linewidth=1)
        axes.plot(RATES, curve.at_rates, "o", color=colour, markersize=4)
    axes.set_xscale("log", base=2)
    axes.set_xticks(RATES, [f"1/{round(1 / rate)}" if rate < 1 else f"{rate:g}" for rate in RATES])
    axes.minorticks_off()
    axes.set(
        xlim=(0.11, 9.1), xlabel="false positives a scan", ylabel="sensitivity", ylim=(-0.02, 1.02)
    )
    axes.legend(loc="lower right")
    return figure


def compared_shares(compared: Comparison) -> tuple[Difference, ...]:
    """The differences that can stand on one axis: of shares, where both models have them."""
    return tuple(
        one
        for one in compared.differences
        if one.difference.estimate is not None and one.figure.split(",")[0] not in OTHER_UNITS
    )


@styled()
def figure_of_differences(compared: Comparison) -> Figure:
    """Second model less first, with paired intervals; the line at 0 is no difference."""
    shown = compared_shares(compared)
    figure = new_figure(5.6, 0.34 * len(shown) + 1.1)
    axes = figure.add_subplot()
    axes.axvline(0, color=INK, linewidth=0.9)
    for place, one in enumerate(shown):
        difference = one.difference
        if difference.low is not None and difference.high is not None:
            axes.plot([difference.low, difference.high], [place, place], color=COLOURS[0])
        if difference.estimate is not None:
            axes.plot(difference.estimate, place, "o", color=COLOURS[0], markersize=5)
    axes.set_yticks(range(len(shown)), [figure_title(one.figure) for one in shown])
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.set_xlabel("difference (second model less first)")
    return figure


def _line(curve: Froc) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The curve's points, its jumps among them, and between them what is straight on even axes."""
    between = np.geomspace(RATES[0], RATES[-1], 400)
    between = between[between < curve.false_positives[-1]]
    x = np.append(between, curve.false_positives)
    y = np.append(np.interp(between, curve.false_positives, curve.sensitivity), curve.sensitivity)
    order = np.lexsort((y, x))
    return x[order], y[order]
