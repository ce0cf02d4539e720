"""What a report says of two models on the same cases."""

from __future__ import annotations

from napari_medcnn.evaluation.comparison import Comparison
from napari_medcnn.report.document import Block, Cell, Notes, Paragraph, Section, Table, cells
from napari_medcnn.report.figure_cells import NO_FIGURE
from napari_medcnn.report.figure_text import chance, counted, ends, figure_title, number


def comparison_section(
    compared: Comparison, first: str, second: str, picture: Block | None
) -> Section:
    """Differences with intervals and tests.

    Parameters
    ----------
    compared : Comparison
        Of the two.
    first, second : str
        What the models are called.
    picture : Block, optional
        The differences as a plot.
    """
    blocks: list[Block] = [Paragraph(_intro(compared, first, second)), _differences(compared)]
    if picture is not None:
        blocks.append(picture)
    if compared.mcnemar is not None:
        blocks.append(Paragraph(_mcnemar(compared)))
    wilcoxon = ""
    if _has_ranks(compared):
        wilcoxon = "; signed ranks: Wilcoxon's signed-rank test of the differences"
    blocks.append(
        Paragraph(
            f"p: two-sided, of the paired bootstrap{wilcoxon}. The tests know nothing of how many "
            "figures were looked at: decide beforehand which one counts."
        )
    )
    return Section("Two models", tuple(blocks))


def _intro(compared: Comparison, first: str, second: str) -> str:
    text = (
        f"First: {first}. Second: {second}. Both were measured on the same "
        f"{counted(compared.cases, 'case')}. Differences are second less first; their 95 % "
        "intervals come from a paired bootstrap."
    )
    if compared.left_out:
        text += f" Failed with one of the models and left out: {', '.join(compared.left_out)}."
    return text


def _differences(compared: Comparison) -> Table:
    notes, rows = Notes(), []
    ranks = _has_ranks(compared)
    for one in compared.differences:
        difference = one.difference
        why = NO_FIGURE if difference.estimate is None else difference.note
        note = "; ".join(dict.fromkeys(text for text in (why, one.note) if text))
        row = cells(
            figure_title(one.figure),
            number(one.first),
            number(one.second),
            notes.cell(number(difference.estimate), note),
            ends(difference),
            chance(one.p_value),
        )
        rows.append((*row, Cell(chance(one.wilcoxon_p))) if ranks else row)
    head = ["figure", "first", "second", "difference", "95 % interval", "p"]
    head += ["signed ranks p"] if ranks else []
    return Table("", tuple(head), tuple(rows), notes=notes.notes)


def _has_ranks(compared: Comparison) -> bool:
    return any(one.wilcoxon_p is not None for one in compared.differences)


def _mcnemar(compared: Comparison) -> str:
    test = compared.mcnemar
    if test is None:
        return ""
    note = f" The test {test.note}." if test.note else ""
    return (
        f"Cases that both models got right: {test.both}; the first alone: {test.only_first}; the "
        f"second alone: {test.only_second}; neither: {test.neither}. McNemar's exact test: "
        f"p = {chance(test.p_value)}.{note}"
    )
