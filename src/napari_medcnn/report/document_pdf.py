"""A report as a PDF, typeset by Typst: vector plots, tables over several pages, tags, bookmarks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, cast

import matplotlib as mpl

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.report.document import Document
from napari_medcnn.report.plot import Plot
from napari_medcnn.report.plot_style import svg_of

TEMPLATE = "report.typ"

STANDARD: Final = "ua-1"
"""Readable for screen readers, which Typst checks."""


def pdf_of(document: Document, plots: Sequence[Plot], written: datetime) -> bytes:
    """The whole file.

    Parameters
    ----------
    document : Document
        What it says. Texts are handed over as data: none becomes markup.
    plots : sequence of Plot
        Those that the document's pictures name.
    written : datetime
        Stands in the file as the time of its making.

    Raises
    ------
    MedcnnError
        When it cannot be typeset.
    """
    import typst

    source = files("napari_medcnn.report").joinpath("templates", TEMPLATE)
    parts = {"main.typ": source.read_bytes()}
    parts |= {f"{plot.name}.svg": svg_of(plot.draw()).encode("utf-8") for plot in plots}
    try:
        typeset: bytes = typst.compile(
            cast(Any, parts),  # its types know single files alone
            # Typst has no sans serif of its own; matplotlib brings one.
            font_paths=[Path(mpl.get_data_path()) / "fonts" / "ttf"],
            sys_inputs={"report": json.dumps(asdict(document))},
            pdf_standards=STANDARD,
            timestamp=written.replace(microsecond=0),
        )
        return typeset
    except typst.TypstError as error:
        raise MedcnnError(f"the report cannot be typeset: {error.message}") from error
