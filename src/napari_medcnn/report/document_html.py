"""A report as one HTML file that needs nothing else: no network, no scripts, no other file."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from itertools import groupby

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from napari_medcnn.report.document import Block, Document
from napari_medcnn.report.plot import Plot
from napari_medcnn.report.plot_style import inline_svg

TEMPLATE = "report.html.jinja"


def html_of(document: Document, plots: Sequence[Plot]) -> str:
    """The whole page.

    Parameters
    ----------
    document : Document
        What it says. All texts are escaped: none becomes markup.
    plots : sequence of Plot
        Those that the document's pictures name.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["runs_of_kind"] = _runs_of_kind
    source = files("napari_medcnn.report").joinpath("templates", TEMPLATE)
    template = environment.from_string(source.read_text(encoding="utf-8"))
    # Our own drawing, with names of classes in it that matplotlib has escaped.
    drawn = {plot.name: Markup(inline_svg(plot.draw(), plot.name, plot.title)) for plot in plots}
    return template.render(document=document, drawn=drawn)


def _runs_of_kind(blocks: Sequence[Block]) -> list[tuple[str, list[Block]]]:
    """Neighbours of one kind together: plots in a row stand beside each other."""
    return [(kind, list(run)) for kind, run in groupby(blocks, key=lambda block: block.kind)]
