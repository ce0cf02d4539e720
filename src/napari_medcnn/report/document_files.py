"""A report as files with the same content: ``report.html`` and ``report.pdf``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from napari_medcnn.core.atomic import write_bytes, write_text
from napari_medcnn.report.document import Document
from napari_medcnn.report.document_html import html_of
from napari_medcnn.report.document_pdf import pdf_of
from napari_medcnn.report.plot import Plot

NAMES = ("report.html", "report.pdf")


def write_document(
    folder: Path, document: Document, plots: Sequence[Plot], written: datetime
) -> tuple[Path, Path]:
    """Write a report as a page and as a document to print, each atomically.

    Parameters
    ----------
    folder : Path
        Where to; made where it does not exist.
    document : Document
        What it says.
    plots : sequence of Plot
        Those that the document's pictures name.
    written : datetime
        Stands in the PDF as the time of its making.

    Returns
    -------
    tuple of Path
        The HTML file and the PDF.

    Raises
    ------
    WriteError
        When the folder cannot be written to.
    MedcnnError
        When the PDF cannot be typeset; then neither is written.
    """
    page, typeset = html_of(document, plots), pdf_of(document, plots, written)
    html, pdf = (folder / name for name in NAMES)
    write_text(html, page)
    write_bytes(pdf, typeset)
    return html, pdf
