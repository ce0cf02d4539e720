"""The report of an evaluation as files: ``report.html`` and ``report.pdf``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from napari_medcnn.evaluation.comparison import Comparison
from napari_medcnn.evaluation.run import EvaluationRun
from napari_medcnn.models.spec import ModelSpec
from napari_medcnn.report.document_files import write_document
from napari_medcnn.report.evaluation_content import evaluation_document
from napari_medcnn.report.plot_list import plots_of


def write_report(
    folder: Path,
    run: EvaluationRun,
    *,
    cards: Sequence[ModelSpec] = (),
    against: tuple[EvaluationRun, Comparison] | None = None,
    written: datetime | None = None,
) -> tuple[Path, Path]:
    """Write an evaluation as a page and as a document with the same content, each atomically.

    Parameters
    ----------
    folder : Path
        Where to; made where it does not exist.
    run : EvaluationRun
        The model's.
    cards : sequence of ModelSpec
        What is known of the models.
    against : (EvaluationRun, Comparison), optional
        A second model, and how it compares.
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
    plots = plots_of(run, None if against is None else against[1])
    document = evaluation_document(run, plots, at, cards=cards, against=against)
    return write_document(folder, document, plots, at)
