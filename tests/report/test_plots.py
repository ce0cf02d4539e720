"""Plots: what they draw is what was measured, and they can be written."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure

from napari_medcnn.evaluation.answers import Answers
from napari_medcnn.evaluation.froc import RATES
from napari_medcnn.evaluation.run import ClassificationResult, EvaluationRun, SegmentationResult
from napari_medcnn.report.plot_list import plots_of
from napari_medcnn.report.plot_style import svg_of
from napari_medcnn.report.plots import (
    figure_of_calibration,
    figure_of_confusion,
    figure_of_pr,
    figure_of_roc,
)
from napari_medcnn.report.segmentation_plots import (
    figure_of_dice,
    figure_of_differences,
    figure_of_froc,
)
from tests.report.made_evaluations import (
    CLASSES,
    classified,
    compared,
    judged,
    multi_label,
    segmented,
)


def of_classes(run: EvaluationRun) -> ClassificationResult:
    assert isinstance(run.result, ClassificationResult)
    return run.result


def of_labels(run: EvaluationRun) -> SegmentationResult:
    assert isinstance(run.result, SegmentationResult)
    return run.result


def legend_of(figure: Figure) -> list[str]:
    legends = [axes.get_legend() for axes in figure.axes] + list(figure.legends)
    return [text.get_text() for legend in legends if legend for text in legend.get_texts()]


def test_roc_has_curves_bands_and_the_diagonal() -> None:
    result = of_classes(classified())
    figure = figure_of_roc(result.roc, result.figures)
    (axes,) = figure.axes
    diagonal, *lines = axes.get_lines()
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    for line, curve in zip(lines, result.roc, strict=True):
        assert np.array_equal(line.get_xydata(), np.stack([curve.x, curve.y], axis=1))
    assert len(axes.collections) == 3
    area = result.figures.by_class[0].auc
    assert legend_of(figure)[0] == (
        f"glioma: AUC {area.estimate:.3f} ({area.low:.3f} to {area.high:.3f})"
    )
    assert (axes.get_xlabel(), axes.get_ylabel()) == (
        "1 − specificity (false positive rate)",
        "sensitivity",
    )


def test_the_area_below_the_steps_is_average_precision() -> None:
    result = of_classes(classified())
    (axes,) = figure_of_pr(result.pr, result.figures).axes
    steps = [line for line in axes.get_lines() if line.get_drawstyle() == "steps-pre"]
    for line, curve in zip(steps, result.pr, strict=True):
        recall, precision = line.get_data()
        assert np.sum(np.diff(recall) * precision[1:]) == pytest.approx(curve.area)
    chance = [line.get_ydata()[0] for line in axes.get_lines() if line.get_linestyle() == ":"]
    assert chance == pytest.approx([1 / 3] * 3)


def test_a_class_without_cases_has_no_curve_and_others_keep_their_colours() -> None:
    whole, part = of_classes(classified()), of_classes(multi_label())
    assert [len(figure_of_roc(r.roc).axes[0].get_lines()) for r in (whole, part)] == [4, 3]
    without_first = [part.roc[2], *part.roc[:2]]
    colours = [
        figure_of_roc(curves).axes[0].get_lines()[-1].get_color()
        for curves in (whole.roc, without_first)
    ]
    assert colours[0] == colours[1]


def test_the_confusion_matrix_has_every_count() -> None:
    for run in (classified(), multi_label()):
        figures = of_classes(run).figures
        axes = figure_of_confusion(figures).axes[0]
        counts = [int(text.get_text().split("\n")[0]) for text in axes.texts]
        assert counts == [count for row in figures.confusion for count in row]


def test_calibration_is_drawn_from_the_bins() -> None:
    result = of_classes(classified())
    figure = figure_of_calibration(result.reliability, result.calibration)
    upper, lower = figure.axes
    _, judged_line, *_ = upper.get_lines()
    first = result.reliability[0]
    there = first.counts > 0
    assert np.array_equal(judged_line.get_xdata(), first.said[there])
    assert np.array_equal(judged_line.get_ydata(), first.seen[there])
    assert lower.patches[0].get_data().values.tolist() == first.counts.tolist()
    assert f"ECE {result.calibration.ece:.3f}" in upper.texts[0].get_text()
    assert legend_of(figure) == ["likeliest class", *CLASSES]


def test_every_case_is_a_point_of_dice() -> None:
    table = of_labels(segmented()).table
    (axes,) = figure_of_dice(table).axes
    core = next(c for n, c in enumerate(axes.collections) if n == 1)
    drawn = sorted(core.get_offsets()[:, 1])
    assert drawn == sorted(case.labels[0].overlap.dice for case in table.measured)
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert names == ["mean of labels\n(n = 8)", "core\n(n = 8)", "oedema\n(n = 7)"]


def test_froc_goes_through_the_seven_rates() -> None:
    found = of_labels(segmented()).froc
    (axes,) = figure_of_froc(found).axes
    points = [line for line in axes.get_lines() if line.get_marker() == "o"]
    assert axes.get_xscale() == "log"
    for line, one in zip(points, found.values(), strict=True):
        assert line.get_xdata() == pytest.approx(RATES)
        assert line.get_ydata() == pytest.approx(one.at_rates)
    core = axes.get_lines()[0].get_xydata().tolist()
    corners = zip(found["core"].false_positives, found["core"].sensitivity, strict=True)
    assert all(list(corner) in core for corner in corners), "a jump is not drawn"


def test_differences_of_shares_have_their_intervals() -> None:
    found = compared(segmented(), segmented(2))
    (axes,) = figure_of_differences(found).axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[:2] == ["Dice, mean of labels", "Dice, core"]
    assert not [name for name in names if "mm" in name or "%" in name]
    interval = axes.get_lines()[1].get_xdata()
    first = found.differences[0].difference
    assert list(interval) == [first.low, first.high]


def test_many_classes_have_a_legend_below_and_no_bands() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(60) % 10
    names = tuple(str(n) for n in range(60))
    chances = rng.dirichlet(np.ones(10), 60)
    run = judged(Answers(names, names, tuple(f"类别 {n}" for n in range(10)), truth, chances))
    result = of_classes(run)
    figure = figure_of_roc(result.roc, result.figures)
    assert not figure.axes[0].collections and figure.axes[0].get_legend() is None
    assert len(legend_of(figure)) == 10


@pytest.mark.parametrize(
    ("made", "names"),
    [
        (classified, ["roc", "precision_recall", "confusion", "calibration"]),
        (segmented, ["dice", "froc"]),
    ],
    ids=["classes", "labels"],
)
def test_an_evaluation_has_the_plots_that_show_something(
    made: Callable[[], EvaluationRun], names: list[str]
) -> None:
    run = made()
    plots = plots_of(run, compared(run, run))
    assert [plot.name for plot in plots] == [*names, "differences"]
    for plot in plots:
        svg = svg_of(plot.draw())
        assert svg.startswith("<svg") and "<text" not in svg and svg.count("<path") > 10
