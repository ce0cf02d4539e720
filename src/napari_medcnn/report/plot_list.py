"""The plots of an evaluation: what each shows, and its picture."""

from __future__ import annotations

from collections.abc import Sequence

from napari_medcnn.evaluation.comparison import Comparison
from napari_medcnn.evaluation.curves import Curve
from napari_medcnn.evaluation.run import ClassificationResult, EvaluationRun, SegmentationResult
from napari_medcnn.report.figure_text import counted
from napari_medcnn.report.plot import Plot
from napari_medcnn.report.plots import (
    MOST_BANDS,
    figure_of_calibration,
    figure_of_confusion,
    figure_of_pr,
    figure_of_roc,
)
from napari_medcnn.report.segmentation_plots import (
    compared_shares,
    dice_by_label,
    figure_of_dice,
    figure_of_differences,
    figure_of_froc,
)


def plots_of(run: EvaluationRun, compared: Comparison | None = None) -> tuple[Plot, ...]:
    """The plots of an evaluation that have something to show.

    Parameters
    ----------
    run : EvaluationRun
        The model's.
    compared : Comparison, optional
        How a second model differs.
    """
    result = run.result
    plots = _of_labels(result) if isinstance(result, SegmentationResult) else _of_classes(result)
    if compared is not None and compared_shares(compared):
        plots.append(_differences(compared))
    return tuple(plots)


def _of_classes(result: ClassificationResult) -> list[Plot]:
    figures, calibration = result.figures, result.calibration
    plots = []
    if any(len(curve.x) for curve in result.roc):
        plots.append(
            Plot(
                "roc",
                "ROC curves",
                f"Each class against all others; in the legend the area under the curve"
                f"{_intervals(result.roc)} The dashed line is chance.",
                lambda: figure_of_roc(result.roc, figures),
            )
        )
    if any(len(curve.x) for curve in result.pr):
        plots.append(
            Plot(
                "precision_recall",
                "Precision-recall curves",
                "Each class against all others; in the legend the average precision"
                f"{_intervals(result.pr)} Dotted lines: the class's share of cases, which is the "
                "precision of chance.",
                lambda: figure_of_pr(result.pr, figures),
            )
        )
    plots += [
        Plot(
            "confusion",
            "Confusion matrix",
            "Numbers of cases, and their shares of the row.",
            lambda: figure_of_confusion(figures),
        ),
        Plot(
            "calibration",
            "Calibration",
            f"How often the answer was right (a class was there), against the probability that was "
            f"given for it, in {calibration.bins} bins of equal width. On the dashed line, "
            "probabilities mean what they say. Below: how many cases a bin holds.",
            lambda: figure_of_calibration(result.reliability, calibration),
        ),
    ]
    return plots


def _of_labels(result: SegmentationResult) -> list[Plot]:
    plots = []
    if any(dice_by_label(result.table).values()):
        plots.append(
            Plot(
                "dice",
                "Dice of each case",
                "A point a case; box: quartiles and median; whiskers: the furthest points within "
                "1.5 times the box's height. Cases without a Dice are left out.",
                lambda: figure_of_dice(result.table),
            )
        )
    if any(len(one.sensitivity) for one in result.froc.values()):
        scans = counted(max(one.scans for one in result.froc.values()), "scan")
        plots.append(
            Plot(
                "froc",
                "FROC curve",
                f"Share of all true lesions that are found, against false alarms a scan, over all "
                f"thresholds on the candidates' scores; {scans}. Points: the seven rates whose "
                "mean sensitivity is the CPM. Dashed: beyond the last candidate.",
                lambda: figure_of_froc(result.froc),
            )
        )
    return plots


def _differences(compared: Comparison) -> Plot:
    return Plot(
        "differences",
        "Differences of the two models",
        "Second model less first, with 95 % intervals of the paired bootstrap.",
        lambda: figure_of_differences(compared),
    )


def _intervals(curves: Sequence[Curve]) -> str:
    """How a legend's sentence about intervals and bands ends."""
    banded = [curve for curve in curves if curve.band is not None]
    if not banded:
        return "."
    bands = " Bands: 95 % of the curves of resamples, point by point."
    return f" with its 95 % interval.{bands if len(curves) <= MOST_BANDS else ''}"
