"""What a report says of a segmentation."""

from __future__ import annotations

from collections.abc import Sequence

from napari_medcnn.evaluation.case_table import CaseFigures, LabelFigures, LabelSummary
from napari_medcnn.evaluation.froc import RATES
from napari_medcnn.evaluation.run import SegmentationResult
from napari_medcnn.report.document import Block, Cell, Notes, Paragraph, Section, Table, cells
from napari_medcnn.report.figure_cells import figure_cell
from napari_medcnn.report.figure_text import DASH, counted, number

OVERLAP = (
    ("dice", "Dice"),
    ("jaccard", "IoU"),
    ("sensitivity", "sensitivity"),
    ("precision", "precision"),
    ("nsd", "NSD"),
    ("hd95_mm", "HD95 mm"),
)

VOLUMES = (
    ("truth_ml", "true volume ml"),
    ("predicted_ml", "predicted ml"),
    ("volume_error_ml", "error ml"),
    ("volume_error_percent", "error %"),
)

LESIONS = (
    ("lesion_sensitivity", "lesions found"),
    ("lesion_precision", "lesion precision"),
    ("lesion_f1", "lesion F1"),
    ("lesion_false_positives", "false lesions a case"),
    ("lesion_truths", "true lesions a case"),
    ("lesion_predictions", "predicted a case"),
    ("lesion_matched", "partners a case"),
)

OF_CASE = ("dice", "jaccard", "nsd", "hd95_mm", "truth_ml", "volume_error_ml")

MOST_ROWS = 300
"""Of cases in the report; the table of cases has all."""


def segmentation_sections(
    result: SegmentationResult, pictures: dict[str, Block]
) -> tuple[Section, ...]:
    """Figures of each label, lesions, FROC, and every case, the worst first.

    Parameters
    ----------
    result : SegmentationResult
        Of the model.
    pictures : dict
        The plots by their names; those that do not exist are missing.
    """
    summary, measured = result.summary, len(result.table.measured)
    figures: list[Block] = [
        _labels("Overlap and surfaces, means over the cases", OVERLAP, result),
        _labels("Volumes, means over the cases", VOLUMES, result),
        Paragraph(_rule(result)),
    ]
    if "dice" in pictures:
        figures.append(pictures["dice"])
    sections = [Section("Figures", tuple(figures))]
    if any("lesion_f1" in one.figures for one in summary):
        lesions: list[Block] = [
            _labels("Whole lesions, means over the cases", LESIONS, result),
            Paragraph(_matching(result)),
        ]
        if result.froc:
            lesions.append(_froc(result))
        lesions += [pictures["froc"]] if "froc" in pictures else []
        sections.append(Section("Lesions", tuple(lesions)))
    if measured:
        sections.append(Section("Cases, the worst first", _cases(result)))
    return tuple(sections)


def _labels(
    title: str,
    figures: Sequence[tuple[str, str]],
    result: SegmentationResult,
) -> Table:
    """A table of labels; labels without any of the figures are left out, as are such figures."""
    notes, measured = Notes(), len(result.table.measured)
    rows = [one for one in result.summary if any(name in one.figures for name, _ in figures)]
    shown = [(n, t) for n, t in figures if any(n in one.figures for one in rows)]
    body = tuple(
        cells(
            one.name,
            *(
                figure_cell(one.figures.get(name), notes, why=_missing(one, result), cases=measured)
                for name, _ in shown
            ),
        )
        for one in rows
    )
    return Table(title, ("label", *(t for _, t in shown)), body, notes=notes.notes)


def _missing(summary: LabelSummary, result: SegmentationResult) -> str:
    """Why figures of a label exist in no case: what its cases say of it."""
    of_label = (
        label.overlap.undefined
        for case in result.table.measured
        for label in case.labels
        if label.name == summary.name and label.overlap.undefined
    )
    told = "; ".join(dict.fromkeys(of_label))
    return f"exists in no case: {told}" if told else ""


def _rule(result: SegmentationResult) -> str:
    return (
        f"NSD at {result.rules.tolerance_mm:g} mm; HD95: the larger of the two 95th percentiles of "
        "surface distances. Each mean is over the cases that have the figure, n where not all "
        "have it: a case without truth and prediction of a label has no ratio, one with nothing "
        "predicted no HD95."
    )


def _matching(result: SegmentationResult) -> str:
    found = (lb.lesions for case in result.table.measured for lb in case.labels if lb.lesions)
    least = next((one.min_volume_mm3 for one in found), 0.0)
    small = (
        f"Components below {least:g} mm³ are no lesions, on neither side."
        if least
        else "Components of any size are lesions."
    )
    return (
        "A lesion is a component of voxels that share a face, an edge or a corner. A predicted and "
        f"a true lesion are partners when they share at least {result.rules.min_iou:g} of their "
        "union; each has one partner at most, by the assignment with the largest sum. "
        f"{small} Lesions found: share of the true ones with a partner; lesion precision: share of "
        "the predicted ones with a partner."
    )


def _froc(result: SegmentationResult) -> Table:
    notes, rows = Notes(), []
    for name, one in result.froc.items():
        shares = [number(share) for share in one.at_rates] or [DASH] * len(RATES)
        score = figure_cell(one.score, notes, why=one.undefined)
        rows.append(cells(name, one.lesions, *shares, score))
    head = ("label", "lesions", *(f"{rate:g}" for rate in RATES), "mean (CPM)")
    title = "Lesions found at so many false alarms a scan (FROC)"
    return Table(title, head, tuple(rows), notes=notes.notes)


def _cases(result: SegmentationResult) -> tuple[Block, ...]:
    notes = Notes()
    lesions = any(label.lesions for case in result.table.measured for label in case.labels)
    pairs = [(case, label) for case in result.table.measured for label in case.labels]
    rows = tuple(_case_row(case, label, notes, lesions) for case, label in pairs[:MOST_ROWS])
    titles = dict((*OVERLAP, *VOLUMES))
    head = ("case", "label", *(titles[name] for name in OF_CASE))
    if lesions:
        head = (*head, "lesions found", "false lesions")
    table = Table("", head, rows, texts=2, notes=notes.notes)
    if len(pairs) <= MOST_ROWS:
        return (table,)
    more = f"The first {MOST_ROWS} of {counted(len(pairs), 'row')}; cases.csv has all."
    return Paragraph(more), table


def _case_row(
    case: CaseFigures, label: LabelFigures, notes: Notes, lesions: bool
) -> tuple[Cell, ...]:
    figures = label.figures()
    values = [
        notes.cell(DASH, label.overlap.undefined) if figures[name] is None else figures[name]
        for name in OF_CASE
    ]
    shown = [v if isinstance(v, Cell) else Cell(number(v)) for v in values]
    if lesions:
        one = label.lesions
        shown += cells(
            f"{one.matched} of {one.truths}" if one else DASH,
            one.false_positives if one else DASH,
        )
    return (*cells(case.case, label.name), *shown)
