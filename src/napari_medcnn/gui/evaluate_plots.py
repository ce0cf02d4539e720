"""What an evaluation's plots show, without Qt: curves, calibration, confusion, Dice by label."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from napari_medcnn.gui.evaluate_text import is_classification
from napari_medcnn.report.figure_text import number

if TYPE_CHECKING:
    from napari_medcnn.evaluation.confidence import Interval
    from napari_medcnn.evaluation.curves import Band, Curve
    from napari_medcnn.evaluation.run import ClassificationResult, SegmentationResult
    from napari_medcnn.gui.evaluate_jobs import Evaluated

Look: TypeAlias = Literal["main", "second", "faint", "guide", "dots"]
Corner: TypeAlias = Literal["lower right", "lower left"]
Floats: TypeAlias = npt.NDArray[np.float64]
Range: TypeAlias = tuple[float, float]

UNIT: Range = (0.0, 1.0)
DIAGONAL = np.array([0.0, 1.0])
LIKELIEST = "likeliest class"
SPREAD = 0.3
"""How far the dots of a label spread to both sides, of the distance between labels."""


@dataclass(frozen=True, eq=False)
class Line:
    """A line ``(point,)`` of a plot, or its dots; lines without a name are not in the legend.

    `has_points` is for lines of so few points that each matters.
    """

    name: str
    x: Floats
    y: Floats
    look: Look
    band: Band | None = None
    has_points: bool = False


@dataclass(frozen=True, eq=False)
class Grid:
    """Numbers of cases ``(row, column)`` with the names of both."""

    counts: npt.NDArray[np.int64]
    rows: tuple[str, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Plot:
    """One plot.

    Parameters
    ----------
    title, x_label, y_label : str
        In words.
    lines : tuple of Line
        The later ones on top.
    grid : Grid, optional
        In place of lines.
    x_range, y_range : tuple of float
        What is seen.
    x_ticks : tuple of (position, text)
        Where these are no numbers.
    legend : {"lower right", "lower left"}
        Where the curve leaves room.
    note : str
        Figures, and why something is missing.
    records : tuple of dict
        What a table of it holds.
    """

    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...] = ()
    grid: Grid | None = None
    x_range: Range = UNIT
    y_range: Range = UNIT
    x_ticks: tuple[tuple[float, str], ...] = ()
    legend: Corner = "lower right"
    note: str = ""
    records: tuple[dict[str, Any], ...] = ()


def subjects_of(evaluated: Evaluated) -> tuple[str, ...]:
    """The classes of a classification, or the labels that have a FROC curve."""
    result: Any = evaluated.run.result
    if is_classification(evaluated.run):
        return tuple(one.name for one in result.figures.by_class)
    return tuple(result.froc)


def plots_of(evaluated: Evaluated, subject: str) -> tuple[Plot, ...]:
    """Every plot of an evaluation, with the curves of one class or label in front."""
    result: Any = evaluated.run.result
    second: Any = None if evaluated.against is None else evaluated.against.result
    if is_classification(evaluated.run):
        return (
            _curves(result, second, subject, "roc"),
            _curves(result, second, subject, "pr"),
            _calibration(result, subject),
            _confusion(result),
        )
    strip = _strip(result)
    return (strip, _froc(result, second, subject)) if subject in result.froc else (strip,)


def _curves(
    result: ClassificationResult, second: ClassificationResult | None, subject: str, kind: str
) -> Plot:
    from napari_medcnn.evaluation.curves import curve_records

    curves: tuple[Curve, ...] = getattr(result, kind)
    others = () if second is None else getattr(second, kind)
    chosen = next(curve for curve in curves if curve.name == subject)
    area = "AUC" if kind == "roc" else "average precision"
    lines = [_guide(result, subject, kind)]
    lines += [Line("", c.x, c.y, "faint") for c in curves if c is not chosen]
    lines += [
        Line(f"second model: {number(c.area)}", c.x, c.y, "second")
        for c in others
        if c.name == subject
    ]
    lines.append(Line(f"{area} {number(chosen.area)}", chosen.x, chosen.y, "main", chosen.band))
    lines = [line for line in lines if len(line.x)]
    faint = "Faint: the other classes. " if len(curves) > 1 else ""
    band = "Band: 95 % of resampled curves, point by point. " if chosen.band else ""
    is_roc = kind == "roc"
    return Plot(
        "ROC" if is_roc else "Precision-recall",
        "1 − specificity" if is_roc else "sensitivity (recall)",
        "sensitivity" if is_roc else "PPV (precision)",
        tuple(lines),
        legend="lower right" if is_roc else "lower left",
        note=f"{subject} against all others. {faint}{band}{_sentence(chosen.undefined)}".strip(),
        records=tuple(curve_records(curves)),
    )


def _guide(result: ClassificationResult, subject: str, kind: str) -> Line:
    """What a model that knows nothing does."""
    if kind == "roc":
        return Line("", DIAGONAL, DIAGONAL, "guide")
    count = next(one.count for one in result.figures.by_class if one.name == subject)
    return Line("", DIAGONAL, np.full(2, count / result.figures.cases), "guide")


def _calibration(result: ClassificationResult, subject: str) -> Plot:
    from napari_medcnn.evaluation.reliability import reliability_records

    lines = [Line("", DIAGONAL, DIAGONAL, "guide")]
    for curve in result.reliability:
        if curve.binning != "equal width" or curve.name not in (LIKELIEST, subject):
            continue
        there = curve.counts > 0
        look: Look = "main" if curve.name == subject else "second"
        said, seen = curve.said[there], curve.seen[there]
        lines.append(Line(curve.name, said, seen, look, has_points=True))
    figures = result.calibration
    note = f"Brier score {number(figures.brier)}, ECE {number(figures.ece)}, adaptive ECE "
    note += f"{number(figures.adaptive_ece)}, NLL {number(figures.nll)}. "
    return Plot(
        "Calibration",
        "mean probability",
        "share that is true",
        tuple(lines),
        note=f"{note}{_sentence(figures.undefined)}".strip(),
        records=tuple(reliability_records(result.reliability)),
    )


def _confusion(result: ClassificationResult) -> Plot:
    from napari_medcnn.evaluation.curves import confusion_records

    figures = result.figures
    rows = tuple(one.name for one in figures.by_class)
    columns = ("TP", "FP", "FN", "TN") if figures.multi_label else rows
    return Plot(
        "Confusion matrix",
        "counts of each class" if figures.multi_label else "said",
        "class" if figures.multi_label else "true",
        grid=Grid(np.array(figures.confusion), rows, columns),
        x_range=(0, len(columns)),
        y_range=(0, len(rows)),
        note="Colours: share of the row.",
        records=tuple(confusion_records(figures)),
    )


def _strip(result: SegmentationResult) -> Plot:
    names = list(dict.fromkeys(lb.name for case in result.table.measured for lb in case.labels))
    means = {one.name: one.figures["dice"] for one in result.summary if "dice" in one.figures}
    lines: list[Line] = []
    records: list[dict[str, Any]] = []
    for place, name in enumerate(names):
        found = [
            (case.case, label.overlap.dice)
            for case in result.table.measured
            for label in case.labels
            if label.name == name and label.overlap.dice is not None
        ]
        values = np.array([dice for _, dice in found], dtype=np.float64)
        lines += _mean(place, means.get(name))
        lines.append(Line("", place + _spread(len(values)), values, "dots"))
        records += [{"case": case, "label": name, "dice": dice} for case, dice in found]
    return Plot(
        "Dice by label",
        "",
        "Dice",
        tuple(lines),
        x_range=(-0.6, len(names) - 0.4),
        x_ticks=tuple((float(place), name) for place, name in enumerate(names)),
        note="A dot is a case; the bars are the mean and its 95 % interval.",
        records=tuple(records),
    )


def _mean(place: int, interval: Interval | None) -> Iterable[Line]:
    if interval is None or interval.estimate is None:
        return
    across = np.array([place - SPREAD, place + SPREAD])
    yield Line("", across, np.full(2, interval.estimate), "main")
    if interval.low is not None and interval.high is not None:
        ends = np.array([interval.low, interval.high])
        yield Line("", np.full(2, float(place)), ends, "main")


def _spread(count: int) -> Floats:
    """Places beside each other without chance: the golden ratio's multiples fill evenly."""
    return SPREAD * (2 * np.modf(np.arange(count) * 0.6180339887)[0] - 1)


def _froc(result: SegmentationResult, second: SegmentationResult | None, subject: str) -> Plot:
    from napari_medcnn.evaluation.froc import froc_records

    chosen = result.froc[subject]
    lines = [
        Line("", one.false_positives, one.sensitivity, "faint")
        for name, one in result.froc.items()
        if name != subject
    ]
    other = None if second is None else second.froc.get(subject)
    if other is not None:
        title = f"second model: CPM {number(other.score.estimate)}"
        lines.append(Line(title, other.false_positives, other.sensitivity, "second"))
    title = f"CPM {number(chosen.score.estimate)}"
    lines.append(Line(title, chosen.false_positives, chosen.sensitivity, "main"))
    lines = [line for line in lines if len(line.x)]
    records = [
        {"label": name, **record}
        for name, one in result.froc.items()
        for record in froc_records(one)
    ]
    text = f"{subject}: {chosen.lesions} lesions in {chosen.scans} scans. "
    return Plot(
        "FROC",
        "false lesions a scan",
        "lesions found",
        tuple(lines),
        x_range=(0.0, max([1.0, *(float(line.x.max()) for line in lines)])),
        note=f"{text}{_sentence(chosen.undefined)}".strip(),
        records=tuple(records),
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""
