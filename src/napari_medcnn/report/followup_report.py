"""The report of a follow-up as files: ``report.html`` and ``report.pdf``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from napari_medcnn.core.followup import FollowUp
from napari_medcnn.report.document_files import write_document
from napari_medcnn.report.followup_content import followup_document
from napari_medcnn.report.followup_plots import plots_of_change


def write_followup_report(
    folder: Path, found: FollowUp, written: datetime | None = None
) -> tuple[Path, Path]:
    """Write a follow-up as a page and as a document with the same content, each atomically.

    Parameters
    ----------
    folder : Path
        Where to; made where it does not exist.
    found : FollowUp
        Both studies, and what became of the lesions.
    written : datetime, optional
        With its time zone; now, if left out.

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
    at = written or datetime.now(UTC)
    plots = plots_of_change(found)
    return write_document(folder, followup_document(found, plots, at), plots, at)
