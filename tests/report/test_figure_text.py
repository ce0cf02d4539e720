"""Figures in words, and reasons without files."""

from __future__ import annotations

import pytest

from napari_medcnn.evaluation.confidence import Interval
from napari_medcnn.report.document import Notes
from napari_medcnn.report.figure_cells import figure_cell
from napari_medcnn.report.figure_text import figure_title, number, without_paths


def test_numbers_are_as_precise_as_they_can_be_read() -> None:
    assert [number(v) for v in (None, 0.12345, -3, 12.34, -250.06)] == [
        "–",
        "0.123",
        "-3.000",
        "12.3",
        "-250.1",
    ]


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("/data/Jane Doe/ct 1.nii.gz: cannot be read (no image)", "a file: cannot be read"),
        (r"C:\scans\Doe^Jane\ct.dcm: no pixels", "a file: no pixels"),
        ("FileNotFoundError: No such file: '/home/me/Doe.nii'", "No such file: 'a file'"),
        ("images/Doe/ct.nii.gz: two grids", "a file: two grids"),
        ("Doe_Jane.nii.gz: two grids", "a file: two grids"),
        ("the voxel size is 0.5 mm and/or unknown", "the voxel size is 0.5 mm and/or unknown"),
    ],
)
def test_reasons_lose_their_files_and_nothing_else(told: str, kept: str) -> None:
    text = without_paths(told)
    assert kept in text
    assert "Doe" not in text and "Jane" not in text


def test_figures_of_comparisons_have_the_names_that_people_use() -> None:
    assert figure_title("hd95_mm, left kidney") == "HD95 mm, left kidney"
    assert figure_title("macro average_precision") == "macro PR AUC"
    assert figure_title("accuracy") == "accuracy"


def test_a_cell_says_what_its_figure_lacks() -> None:
    notes = Notes()
    whole = Interval(0.5, 0.4, 0.6, 9, 9)
    assert figure_cell(whole, notes, cases=9).text == "0.500\n0.400 to 0.600"
    assert figure_cell(whole, notes, cases=10).text.endswith("n = 9")
    few = Interval(0.5, None, None, 3, 3, note="3 patients: too few")
    nothing = Interval(None, None, None, 0, 0)
    cells = [figure_cell(few, notes), figure_cell(nothing, notes, why="empty")]
    assert [(cell.text, cell.mark) for cell in cells] == [("0.500", "a"), ("–", "b")]
    assert figure_cell(few, notes).mark == "a", "a reason has one letter"
    assert [(note.mark, note.text) for note in notes.notes] == [
        ("a", "3 patients: too few"),
        ("b", "empty"),
    ]
    assert figure_cell(None, notes).text == ""
