"""Reports: every figure stands in them, nothing else does, and they need no other file."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pypdf
import pytest

from napari_medcnn.app.evaluation_files import figures_json, write_evaluation
from napari_medcnn.core.errors import WriteError
from napari_medcnn.evaluation.run import EvaluationRun
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.report.evaluation_report import write_report
from napari_medcnn.report.figure_text import number
from napari_medcnn.report.notice import RESEARCH_USE_NOTICE
from tests.bundle_factory import make_bundle
from tests.report.made_evaluations import CLASSES, classified, compared, multi_label, segmented

AT = datetime(2026, 3, 4, 5, 6, 7, 891, UTC)


def page_of(folder: Path, run: EvaluationRun, **more: Any) -> ElementTree.Element:
    """The page as a tree, which it is only where it is well-formed."""
    html, _ = write_report(folder, run, written=AT, **more)
    return ElementTree.fromstring(html.read_text(encoding="utf-8"))


def text_of(element: ElementTree.Element) -> str:
    return "".join(element.itertext())


def words(text: str) -> str:
    """The text without spaces and breaks, which PDF and page set differently."""
    return re.sub(r"[\s\u200b]+", "", text)


def tables(page: ElementTree.Element) -> list[list[list[str]]]:
    """Every table's rows of cells, the head among them."""
    return [
        [
            [text_of(cell).strip() for cell in row if cell.tag in {"th", "td"}]
            for row in t.iter("tr")
        ]
        for t in page.iter("table")
    ]


def pdf_text(path: Path) -> str:
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages)


def intervals(content: Any, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every figure of ``figures.json`` that has an interval, by the name that it stands under."""
    if isinstance(content, dict) and "estimate" in content:
        yield name, content
    elif isinstance(content, dict):
        for key, value in content.items():
            yield from intervals(value, key)
    elif isinstance(content, list):
        for value in content:
            yield from intervals(value, name)


def shown(interval: dict[str, Any]) -> str:
    """A figure with its interval as a report shows it."""
    ends = (interval["low"], interval["high"])
    return number(interval["estimate"]) + ("" if None in ends else " to ".join(map(number, ends)))


@pytest.mark.parametrize("made", [classified, segmented], ids=["classes", "labels"])
def test_every_figure_is_that_of_the_figures_file(
    made: Callable[[], EvaluationRun], tmp_path: Path
) -> None:
    run = made()
    page = page_of(tmp_path, run)
    write_evaluation(tmp_path, run)
    content = json.loads((tmp_path / "figures.json").read_text())
    rows = [words("".join(row)) for table in tables(page) for row in table]
    told = list(intervals(content))
    assert len(told) > 20
    for name, interval in told:
        expected = words(shown(interval))
        assert any(expected in row for row in rows), (name, expected)
    for key in ("brier", "nll", "ece", "adaptive_ece"):
        if "calibration" in content:
            assert any(row.endswith(number(content["calibration"][key])) for row in rows), key
    for froc in content.get("froc", {}).values():
        shares = words("".join(number(share) for share in froc["sensitivity_at"].values()))
        assert any(shares in row for row in rows)
    for row in content.get("classification", {}).get("confusion", []):
        drawn = [text_of(text).strip() for text in page.iter("{http://www.w3.org/2000/svg}text")]
        assert {str(count) for count in row} <= set(drawn)
    for value in (content["model"]["weights_sha256"], content["data"], content["licence"]):
        assert value in text_of(page)


def test_figures_stand_under_their_names(tmp_path: Path) -> None:
    run = segmented()
    found = figures_json(run)["segmentation"]
    overlap = tables(page_of(tmp_path, run))[2]
    assert overlap[0][:2] == ["label", "Dice"] and overlap[0][-1] == "HD95 mm"
    by_label = {row[0]: row for row in overlap[1:]}
    for one in found:
        row = by_label[one["name"]]
        assert words(row[1]).startswith(words(shown(one["figures"]["dice"])))
        if "hd95_mm" in one["figures"]:
            assert words(row[-1]).startswith(words(shown(one["figures"]["hd95_mm"])))


@pytest.mark.parametrize("made", [classified, segmented], ids=["classes", "labels"])
def test_the_pdf_says_what_the_page_says(made: Callable[[], EvaluationRun], tmp_path: Path) -> None:
    run = made()
    against = (run, compared(run, run))
    page = page_of(tmp_path, run, against=against)
    reader = pypdf.PdfReader(tmp_path / "report.pdf")
    assert len(reader.pages) >= 3
    assert reader.metadata is not None and reader.metadata.title == "Evaluation of Drawn & <judged>"
    for one in reader.pages:
        assert RESEARCH_USE_NOTICE in one.extract_text()
    whole = words(pdf_text(tmp_path / "report.pdf"))
    for heading in (*page.iter("h1"), *page.iter("h2"), *page.iter("h3"), *page.iter("figcaption")):
        assert words(text_of(heading)) in whole
    cells = {cell for table in tables(page) for row in table for cell in row}
    assert len(cells) > 50
    assert not [cell for cell in cells if words(cell) not in whole]
    drawings = [one for one in reader.pages if "/StructParents" in one]
    assert drawings, "the PDF has no tags for screen readers"


def test_the_page_refers_to_nothing_outside(tmp_path: Path) -> None:
    run = classified()
    page = page_of(tmp_path, run, against=(run, compared(run, run)))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r"<(?:script|link|iframe|object|img)\b", text)
    assert not re.findall(r"@import|url\((?!#)", text)
    links = [a for e in page.iter() for k, a in e.attrib.items() if k.endswith(("href", "src"))]
    inner = [link[1:] for link in links if link.startswith("#")]
    pixels = [link for link in links if link.startswith("data:image/png;base64,")]
    assert inner and len(inner) + len(pixels) == len(links)
    assert set(re.findall(r'(\S+)="https?://', text)) <= {"xmlns", "xmlns:xlink"}
    assert len(re.findall(r"https?://", text)) == len(re.findall(r'xmlns\S*="https?://', text))
    ids = [e.attrib["id"] for e in page.iter() if "id" in e.attrib]
    assert len(ids) == len(set(ids)), "two plots share the id of a part"
    assert set(inner) <= set(ids)
    assert sum(1 for _ in page.iter("{http://www.w3.org/2000/svg}svg")) == 5


def test_cases_are_named_and_neither_files_nor_patients(tmp_path: Path) -> None:
    for run in (classified(), segmented()):
        page = text_of(page_of(tmp_path, run))
        for text in (page, pdf_text(tmp_path / "report.pdf")):
            told = words(text)  # a PDF's lines may break within a sentence
            assert "case_lost" in told and "cannotberead" in told
            for word in ("Doe", "clinic", "scan7", ".nii", "patient_"):
                assert word not in told, word


def test_what_does_not_exist_is_a_dash_with_its_reason(tmp_path: Path) -> None:
    page = page_of(tmp_path, multi_label())
    row = next(r for t in tables(page) for r in t if r[0] == "macro ROC AUC")
    assert row[1:] == ["– a", "–"]
    notes = [text_of(note) for note in page.iter("li") if note.find("sup") is not None]
    assert any("no case of pituitary <tumour>: no recall" in note for note in notes)
    assert "ROC of pituitary <tumour>: no case is of pituitary <tumour>." in text_of(page)
    assert "all cases are negative" in text_of(page)


def test_cards_intervals_and_rules_are_stated(tmp_path: Path) -> None:
    spec = replace(read_bundle(make_bundle(tmp_path / "model")), id="drawn")
    spec = replace(spec, description="word " * 400, intended_use="To try things out.")
    run = replace(segmented(), part="validation", resampled="cases")
    page = text_of(page_of(tmp_path, run, cards=[spec]))
    assert "To try things out." in page and "word word …" in page
    assert "resampled were single cases: patients are not known" in page
    assert "the intervals are too narrow" in page and "figures flatter a model" in page
    assert "at least 0.1 of their union" in page and "below 4 mm³ are no lesions" in page
    assert "NSD at 1 mm" in page
    assert "napari-medcnn" in page and "2026-03-04" in page


def test_two_models_are_compared(tmp_path: Path) -> None:
    run = classified()
    other = classified(1, 2.5)
    other = replace(other, model=replace(other.model, id="other", title="Other model"))
    found = compared(run, other)
    page = page_of(tmp_path, run, against=(other, found))
    assert "First: Drawn & <judged>. Second: Other model." in text_of(page)
    rows = {row[0]: row for table in tables(page) for row in table if len(row) == 6}
    for one in found.differences[:2]:
        values = (one.first, one.second, one.difference.estimate)
        assert rows[one.figure][1:4] == [number(value) for value in values]
    assert found.mcnemar is not None
    assert f"second alone: {found.mcnemar.only_second}" in text_of(page)


@pytest.mark.slow
def test_a_report_takes_the_place_of_an_older_one_or_leaves_it(tmp_path: Path) -> None:
    write_report(tmp_path, classified(), written=AT)
    write_report(tmp_path, multi_label(), written=AT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.pdf"]
    assert CLASSES[0] in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert pypdf.PdfReader(io.BytesIO((tmp_path / "report.pdf").read_bytes())).pages
    with pytest.raises(WriteError):
        write_report(tmp_path / "report.pdf", classified(), written=AT)
