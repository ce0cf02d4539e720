"""How plots look, on paper and on dark screens, and how they become pictures."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

INK = "#16181d"
"""Lines and text without a meaning of their own; pages replace it by the colour of their text."""

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's palette, told apart by colour-blind people; no black, which is ink, no yellow,
which nobody sees on white."""

DASHES = ("-", "--", "-.", ":")
"""Beyond the colours, and for print without them."""

_FAMILIES = (
    "DejaVu Sans", "Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", "WenQuanYi Zen Hei",
)  # fmt: skip
"""The first comes with matplotlib; the others write names of classes that it has no letters for."""

_INSTALLED = {font.name for font in fontManager.ttflist}

STYLE: dict[str, Any] = {
    "font.family": [name for name in _FAMILIES if name in _INSTALLED],
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": INK,
    "grid.alpha": 0.13,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.6,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@contextmanager
def styled(**more: Any) -> Iterator[None]:
    """A context, or decorator, in which figures are drawn and written as they should look."""
    with mpl.rc_context(cast(Any, STYLE | more)), warnings.catch_warnings():
        # What no font has is drawn as a box, for the reader to see.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def new_figure(width: float = 4.4, height: float = 4.0) -> Figure:
    """A figure of so many inches that knows nothing of windows: any thread may draw it."""
    return Figure(figsize=(width, height), layout="constrained")


def series_style(number: int) -> dict[str, Any]:
    """Colour and dashes of the n-th of several lines."""
    dashes = DASHES[(number // len(COLOURS) + number) % len(DASHES)]
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": dashes}


def unit_square(axes: Axes, x: str, y: str) -> None:
    """Axes from 0 to 1, equally long, with a hair of room for lines that run along the edge."""
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel=x, ylabel=y, aspect="equal")


def svg_of(figure: Figure, *, text: bool = False) -> str:
    """A figure as SVG without any reference to the outside.

    Parameters
    ----------
    figure : Figure
        Drawn in this module's style.
    text : bool
        Letters as text, which can be searched and needs fonts; else as their outlines.
    """
    how = {"svg.fonttype": "none" if text else "path", "svg.hashsalt": "medcnn"}
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    stream = io.BytesIO()
    with styled(**how):
        figure.savefig(stream, format="svg", metadata=nothing, transparent=True)
    whole = stream.getvalue().decode("utf-8")
    return whole[whole.index("<svg") :]


def inline_svg(figure: Figure, prefix: str, alt: str) -> str:
    """A figure to stand within a page of HTML, in the colour of the page's text.

    Ids get a prefix, so that figures on one page do not take each other's parts.
    """
    svg = svg_of(figure, text=True).replace(INK, "currentColor")
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    svg = re.sub(r'^<svg ([^>]*?)width="[^"]*" height="[^"]*"', r"<svg \1", svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{_attribute(alt)}" ', 1)


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
