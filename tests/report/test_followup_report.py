"""The report of a follow-up: what it says, what it shows, and what it keeps to itself."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pypdf import PdfReader

from napari_medcnn.app.followup_run import hold_against
from napari_medcnn.core.followup import FollowUp
from napari_medcnn.report.change_pictures import can_be_shown, figure_of_change
from napari_medcnn.report.change_plots import Series as TimeSeries
from napari_medcnn.report.change_plots import figure_of_timeline, figure_of_volumes, most_changed
from napari_medcnn.report.change_table import COLUMNS, change_records
from napari_medcnn.report.followup_content import in_ml
from napari_medcnn.report.followup_plots import plots_of_change
from napari_medcnn.report.followup_report import write_followup_report
from tests.report.made_followups import both, registered

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def found() -> FollowUp:
    before, after = both()
    return hold_against(before, after, registered(before, after))


def test_the_page_says_what_changed(found: FollowUp, tmp_path: Path) -> None:
    html, pdf = write_followup_report(tmp_path, found, AT)
    page = re.sub(r"<[^>]+>", " ", html.read_text(encoding="utf-8"))
    text = " ".join(page.split())
    assert "new or enlarging 2 lesions" in text
    assert "3 at baseline, 3 at follow-up" in text
    assert "180 days" in text and "For research use only" in text
    assert "Doe^Jane" not in text
    typeset = " ".join(page.extract_text() for page in PdfReader(BytesIO(pdf.read_bytes())).pages)
    assert "new or enlarging" in typeset and "For research use only" in typeset


def test_a_registration_that_looks_wrong_is_said_first(tmp_path: Path) -> None:
    before, after = both()
    doubted = registered(before, after, plausible=False, warnings=("the outlines disagree",))
    html, _ = write_followup_report(tmp_path, hold_against(before, after, doubted), AT)
    page = html.read_text(encoding="utf-8")
    assert "The registration looks wrong" in page and "the outlines disagree" in page
    assert page.index("looks wrong") < page.index("What became of them")


def test_key_images_show_what_changed_most_first(found: FollowUp) -> None:
    volumes, *images = plots_of_change(found)
    assert volumes.name == "volumes"
    assert ["enlarging" in images[0].title, len(images)] == [True, 3]
    assert not any("stable" in image.title for image in images)


def test_a_key_image_shows_the_same_part_of_both_studies(found: FollowUp) -> None:
    for lesion in most_changed(found.change, 4):
        assert can_be_shown(found, lesion)
        left, right = figure_of_change(found, lesion).axes
        assert left.get_xlim() == right.get_xlim() and left.get_ylim() == right.get_ylim()
        assert [left.get_title(), right.get_title()] == ["baseline", "follow-up"]
        # What is new has an outline on the right only, what is gone on the left only.
        outlined = [_is_outlined(axes) for axes in (left, right)]
        assert outlined == [bool(lesion.link.before), bool(lesion.link.after)]


def test_what_came_and_what_went_counts_with_all_of_its_volume(found: FollowUp) -> None:
    ranked = most_changed(found.change, 4)
    assert [lesion.kind.value for lesion in ranked] == ["enlarging", "new", "resolved", "stable"]
    assert most_changed(found.change, 2) == ranked[:2]


def test_volumes_are_drawn_at_their_values(found: FollowUp) -> None:
    (axes,) = figure_of_volumes(found.change, ["a", "b", "c", "d"]).axes
    (largest,) = most_changed(found.change, 1)
    assert largest.before is not None and largest.after is not None
    ends = next(line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 2)
    wanted = [sizes.volume_mm3.value / 1000 for sizes in (largest.before, largest.after)]
    assert np.allclose(ends, wanted)


def test_a_timeline_leaves_out_what_is_missing(found: FollowUp) -> None:
    volume = found.change.totals.volume_before_mm3
    figure = figure_of_timeline([0, 30, 90], [TimeSeries("all", (volume, None, volume))], "mm³")
    (axes,) = figure.axes
    assert axes.lines[0].get_xdata().tolist() == [0, 90]


def test_records_have_every_column_that_is_known(found: FollowUp) -> None:
    for record, lesion in zip(change_records(found.change), found.change.lesions, strict=True):
        assert set(record) <= set(COLUMNS)
        assert record["difference_mm3"] == lesion.difference_mm3.value
        assert bool(record["before_ids"]) == bool(lesion.link.before)
    assert in_ml(found.change.totals.volume_before_mm3).startswith("0.65 ±")


def _is_outlined(axes: object) -> bool:
    from matplotlib.axes import Axes
    from matplotlib.contour import QuadContourSet

    assert isinstance(axes, Axes)
    sets = [one for one in axes.collections if isinstance(one, QuadContourSet)]
    return any(np.allclose(one.get_edgecolor()[0][:3], (1.0, 0.75, 0.1)) for one in sets)
