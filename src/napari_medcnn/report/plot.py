"""A plot of a report: what it shows, and how to draw it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Plot:
    """A plot that can be drawn and explained.

    Parameters
    ----------
    name : str
        By which a :class:`~napari_medcnn.report.document.Picture` names it; letters, digits and
        underscores.
    title, caption : str
        What it is, and how it is read.
    draw : callable
        Gives the figure.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[], Figure]
