"""Plots of change: every lesion's volume before and after, and volumes over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from napari_medcnn.core.change import Change, ChangeClass, LesionChange
from napari_medcnn.core.lesion import Measurement
from napari_medcnn.report.plot_style import COLOURS, INK, new_figure, series_style, styled

MOST_LESIONS = 30
"""Of one plot: those that changed most."""

COLOUR_OF = {
    ChangeClass.NEW: COLOURS[1],
    ChangeClass.ENLARGING: COLOURS[1],
    ChangeClass.RESOLVED: COLOURS[2],
    ChangeClass.SHRINKING: COLOURS[2],
    ChangeClass.MERGED: COLOURS[3],
    ChangeClass.SPLIT: COLOURS[3],
    ChangeClass.STABLE: COLOURS[0],
    ChangeClass.UNSURE: COLOURS[4],
}

MM3_PER_ML = 1000.0


@dataclass(frozen=True)
class Series:
    """A quantity over time: one value a time point, None where there is none."""

    name: str
    values: tuple[Measurement | None, ...]


def most_changed(change: Change, count: int) -> tuple[LesionChange, ...]:
    """The lesions whose volume changed most, the largest change first."""
    return tuple(sorted(change.lesions, key=amount_mm3, reverse=True)[:count])


def amount_mm3(lesion: LesionChange) -> float:
    """By how much its volume changed: of a lesion that came or went, all of it; 0 if unknown."""
    if lesion.before is not None and lesion.after is not None:
        return abs(lesion.difference_mm3.value or 0.0)
    there = lesion.before or lesion.after
    return 0.0 if there is None else there.volume_mm3.value or 0.0


@styled()
def figure_of_volumes(change: Change, names: Sequence[str]) -> Figure:
    """Volume of each lesion at baseline (hollow) and at follow-up (full), with its 95 % error.

    Parameters
    ----------
    change : Change
        Of two studies.
    names : sequence of str
        What :func:`most_changed` lesions are called, in its order.
    """
    lesions = most_changed(change, len(names))
    figure = new_figure(5.6, 0.24 * len(lesions) + 1.1)
    axes = figure.add_subplot()
    for row, lesion in enumerate(lesions):
        _draw_pair(axes, row, lesion)
    axes.set_yticks(range(len(lesions)), [_shortened(name) for name in names])
    axes.set(ylim=(len(lesions) - 0.4, -0.6), xlabel="volume, mL", xlim=(0, None))
    axes.grid(False, axis="y")
    return figure


@styled()
def figure_of_timeline(days: Sequence[float] | None, series: Sequence[Series], unit: str) -> Figure:
    """Quantities over time with their 95 % errors, a line each.

    Parameters
    ----------
    days : sequence of float, optional
        Of each time point; without them, time points stand at equal distances.
    series : sequence of Series
        Each with a value for every time point.
    unit : str
        Of all values.
    """
    figure = new_figure(5.6, 3.4)
    axes = figure.add_subplot()
    for number, one in enumerate(series):
        points = [
            (days[place] if days is not None else place + 1, found.value, found.error or 0.0)
            for place, found in enumerate(one.values)
            if found is not None and found.value is not None
        ]
        if points:
            x, y, errors = zip(*points, strict=True)
            style = series_style(number)
            axes.errorbar(x, y, errors, label=one.name, marker="o", ms=4, capsize=2, **style)
    axes.set(xlabel="days" if days is not None else "study", ylabel=unit, ylim=(0, None))
    if days is None:
        axes.set_xticks(range(1, max(len(one.values) for one in series) + 1))
    figure.legend(loc="outside right upper")
    return figure


def _draw_pair(axes: Axes, row: int, lesion: LesionChange) -> None:
    colour = COLOUR_OF[lesion.kind]
    ends = []
    for sizes, face in ((lesion.before, "none"), (lesion.after, colour)):
        volume = None if sizes is None else sizes.volume_mm3
        value = 0.0 if volume is None else volume.value
        if value is None:
            continue
        error = 0.0 if volume is None or volume.error is None else volume.error / MM3_PER_ML
        ends.append(value / MM3_PER_ML)
        axes.errorbar(
            ends[-1], row, xerr=[[min(error, ends[-1])], [error]], marker="o", ms=5,
            color=colour, mfc=face, elinewidth=0.9, capsize=2, zorder=3,
        )  # fmt: skip
    axes.plot(ends, [row] * len(ends), color=INK, linewidth=0.8, alpha=0.5)


def _shortened(name: str, most: int = 36) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
