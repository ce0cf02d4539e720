"""A report in a real browser: it asks for nothing, complains of nothing, and all of it is seen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from napari_medcnn.report.document_html import html_of
from napari_medcnn.report.evaluation_content import evaluation_document
from napari_medcnn.report.plot_list import plots_of
from tests.report.browser import Browser, find_browser
from tests.report.made_evaluations import classified, compared, segmented

WIDTH = 1000
AT = datetime(2026, 3, 4, 5, 6, 7, 891, UTC)

SIZES = """[...document.querySelectorAll("svg, img")].map(
    (one) => [one.getBoundingClientRect().width, one.getBoundingClientRect().height])"""

DRAWN = """[...document.querySelectorAll("svg")].map(
    (one) => one.querySelectorAll("path, text, use").length)"""

BEYOND = """[...document.querySelectorAll("body *")].filter((one) => {
    if (one.closest("svg") && one.tagName !== "svg") return false;
    const box = one.getBoundingClientRect();
    return box.width > 0 && (box.right > window.innerWidth + 1 || box.left < -1);
}).map((one) => one.tagName + " " + one.className)"""

CUT = """[...document.querySelectorAll("td, th, p, h1, h2, h3")].filter(
    (one) => one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== "inline"
).map((one) => one.textContent.trim().slice(0, 40))"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        pytest.skip("there is no Chromium on this machine (Debian: apt-get install chromium)")
    with Browser(program, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module", params=["classes", "labels"])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models compared, with cases that failed."""
    if request.param == "classes":
        first, second = classified(), classified(seed=1, skill=0.7)
    else:
        first, second = segmented(), segmented(shift=2)
    comparison = compared(first, second)
    plots = plots_of(first, comparison)
    document = evaluation_document(first, plots, AT, against=(second, comparison))
    return written(html_of(document, plots), tmp_path_factory.mktemp(request.param))


def written(page: str, folder: Path) -> Path:
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def test_it_asks_for_nothing_but_itself_and_complains_of_nothing(
    browser: Browser, report: Path
) -> None:
    browser.resize(WIDTH)
    browser.open(report.as_uri())
    assert asked_besides(browser, report) == []
    assert complaints(browser) == []
    assert browser.evaluate("document.compatMode") == "CSS1Compat", "it has a doctype"


def asked_besides(browser: Browser, page: Path) -> list[str]:
    """What the page asked for besides itself and what it holds."""
    first, *others = [sent["request"]["url"] for sent in browser.of("Network.requestWillBeSent")]
    assert first == page.as_uri()
    return [url for url in others if not url.startswith("data:")]


def complaints(browser: Browser) -> list[dict[str, Any]]:
    """Exceptions, and whatever stands in the console."""
    names = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
    return [told for name in names for told in browser.of(name)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_plots_have_a_size_and_nothing_reaches_beyond_the_window(
    browser: Browser, report: Path, scheme: str
) -> None:
    browser.resize(WIDTH)
    browser.prefer(scheme)
    browser.open(report.as_uri())
    sizes = browser.evaluate(SIZES)
    assert len(sizes) >= 2
    assert all(width > 200 and height > 150 for width, height in sizes), sizes
    assert all(count > 10 for count in browser.evaluate(DRAWN))
    assert browser.evaluate("document.documentElement.scrollWidth") <= WIDTH
    assert browser.evaluate(BEYOND) == []
    assert browser.evaluate(CUT) == []


def test_these_checks_notice_what_they_are_for(browser: Browser, tmp_path: Path) -> None:
    """A page that asks this machine for a picture, throws, and is too wide."""
    page = written(
        """<!DOCTYPE html><body><img src="http://127.0.0.1:9/plot.png"><svg width="9" height="9"/>
        <div style="width: 1400px">wide</div><p style="width: 20px; overflow: hidden">unbreakable
        </p><script>console.error("no"); throw new Error("never");</script></body>""",
        tmp_path,
    )
    browser.resize(WIDTH)
    browser.open(page.as_uri())
    assert asked_besides(browser, page) == ["http://127.0.0.1:9/plot.png"]
    assert len(complaints(browser)) >= 2
    assert browser.evaluate("document.documentElement.scrollWidth") > WIDTH
    assert browser.evaluate(BEYOND)[0].startswith("DIV")
    assert browser.evaluate(CUT) == ["unbreakable"]
    assert [9, 9] in browser.evaluate(SIZES)
    assert browser.evaluate(DRAWN) == [0]


def test_in_the_dark_text_is_bright(browser: Browser, report: Path) -> None:
    browser.open(report.as_uri())
    brightness = {}
    for scheme in ("light", "dark"):
        browser.prefer(scheme)
        text = browser.evaluate("getComputedStyle(document.body).color")
        ground = browser.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness[scheme] = _brightness(text) - _brightness(ground)
    assert brightness["light"] < -100
    assert brightness["dark"] > 100


def _brightness(colour: str) -> float:
    """Of ``rgb(1, 2, 3)``, 0 to 255."""
    numbers = colour[colour.index("(") + 1 : -1].split(",")[:3]
    return sum(float(number) for number in numbers) / 3
