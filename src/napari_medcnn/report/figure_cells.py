"""Figures with their intervals as cells of a report's tables, and why one is missing."""

from __future__ import annotations

from napari_medcnn.evaluation.confidence import Interval
from napari_medcnn.report.document import Cell, Notes, cells
from napari_medcnn.report.figure_text import DASH, ends, number

NO_FIGURE = "the figure does not exist in these cases"


def figure_cell(
    interval: Interval | None, notes: Notes, *, why: str = "", cases: int | None = None
) -> Cell:
    """A figure above its interval.

    Parameters
    ----------
    interval : Interval, optional
        None where there is no such figure, as of the mean of labels: the cell stays empty.
    notes : Notes
        Takes the reason of what is missing.
    why : str
        The reason where the figure does not exist.
    cases : int, optional
        How many there are: a figure of fewer says of how many it is.
    """
    if interval is None:
        return Cell("")
    if interval.estimate is None:
        return notes.cell(DASH, why or NO_FIGURE)
    lines = [number(interval.estimate)]
    if interval.low is not None:
        lines.append(ends(interval))
    if cases is not None and interval.cases < cases:
        lines.append(f"n = {interval.cases}")
    return notes.cell("\n".join(lines), interval.note)


def figure_row(title: str, interval: Interval, notes: Notes, why: str = "") -> tuple[Cell, ...]:
    """A figure's name, value and interval in three cells."""
    if interval.estimate is None:
        return cells(title, notes.cell(DASH, why or NO_FIGURE), DASH)
    return cells(title, number(interval.estimate), notes.cell(ends(interval), interval.note))
