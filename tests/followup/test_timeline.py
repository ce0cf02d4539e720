"""Any number of studies: what came, went, grew, and came back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_medcnn.core.change import ChangeClass, ChangeRule, TimePoint
from napari_medcnn.core.timeline import Timeline
from napari_medcnn.followup.edit_links import unlink_lesions
from napari_medcnn.followup.placed import PlacedLesions
from napari_medcnn.followup.timeline import build_timeline, match_studies
from tests.followup.marked_studies import GRID, Ball, balls, ids, study

STAYS: Ball = (12, 10, 10, 5)
FLICKERS: Ball = (24, 28, 28, 4)
RADII = (3.5, 5.0, 7.0)


def grower(radius: float) -> Ball:
    return (27, 10, 28, radius)


@pytest.fixture(scope="module")
def studies() -> list[PlacedLesions]:
    scenes = [
        [STAYS, FLICKERS, grower(RADII[0])],
        [STAYS, grower(RADII[1])],
        [STAYS, FLICKERS, grower(RADII[2])],
    ]
    return [study(name, balls(scene)) for name, scene in zip("abc", scenes, strict=True)]


@pytest.fixture(scope="module")
def timeline(studies: list[PlacedLesions]) -> Timeline:
    links = match_studies(studies, [0.0, 1.0, 1.0])
    points = [TimePoint(name, f"study {name}", 100.0 * n) for n, name in enumerate("abc")]
    return build_timeline(points, studies, links)


def test_each_lesion_is_one_row_under_one_uid(timeline: Timeline) -> None:
    seen = [["".join(key.study for key in one.track.keys)] for one in timeline.lesions]
    assert sorted(seen) == [["abc"], ["abc"], ["ac"]]
    assert len({one.track.uid for one in timeline.lesions}) == 3


def test_a_lesion_that_one_study_missed_is_found_again_and_asked_about(
    timeline: Timeline,
) -> None:
    first, second = timeline.changes
    assert first.counts[ChangeClass.RESOLVED] == 1
    assert second.counts[ChangeClass.NEW] == 0
    (asked,) = [one for one in second.lesions if one.kind is ChangeClass.UNSURE]
    assert "missed" in asked.reason
    missed = next(one for one in timeline.lesions if len(one.track.keys) == 2)
    assert missed.volumes_mm3[1].reason == "study b does not show it"
    assert missed.volumes_mm3[0].value == missed.volumes_mm3[2].value


def test_growth_is_fitted_over_all_studies_that_show_the_lesion(timeline: Timeline) -> None:
    grown = max(timeline.lesions, key=lambda one: one.growth.specific_rate_per_day.value)
    true_rate = 3 * np.log(RADII[2] / RADII[0]) / 200
    assert grown.growth.specific_rate_per_day.value == pytest.approx(true_rate, rel=0.25)
    assert grown.growth.doubling_time_days.value == pytest.approx(np.log(2) / true_rate, rel=0.25)
    assert [change.new_and_enlarging for change in timeline.changes] == [1, 1]
    assert timeline.new_and_enlarging == (1, 1)


def test_totals_are_of_each_study(timeline: Timeline, studies: list[PlacedLesions]) -> None:
    assert [total.count for total in timeline.totals] == [3, 2, 3]
    for total, placed in zip(timeline.totals, studies, strict=True):
        assert total.volume_mm3.value == pytest.approx(3.0 * (placed.table.id_map > 0).sum())


def test_a_timeline_can_be_written(timeline: Timeline) -> None:
    written = json.loads(json.dumps(timeline.to_json()))
    assert [one["lesion_count"] for one in written["studies"]] == [3, 2, 3]
    assert len(written["lesions"][0]["volumes_mm3"]) == 3
    assert len(written["changes"]) == 2


def test_a_person_s_word_that_a_lesion_ended_is_not_overruled(
    studies: list[PlacedLesions],
) -> None:
    links = match_studies(studies, [0.0, 1.0, 1.0])
    (gone,) = [link for link in links[0] if link.before and not link.after]
    edited = [unlink_lesions(links[0], gone.before), ()]
    again = match_studies(studies, [0.0, 1.0, 1.0], edited)
    assert all(link.before == () or link.before[0].study == "b" for link in again[1])
    assert sum(not before for before, _ in ids(again[1])) == 1


def test_one_study_alone_has_lesions_and_no_changes(studies: list[PlacedLesions]) -> None:
    alone = build_timeline(
        [TimePoint("a", "study a")], studies[:1], match_studies(studies[:1], [0])
    )
    assert len(alone.lesions) == 3
    assert alone.changes == ()
    assert "date of a study is unknown" in alone.lesions[0].growth.mm3_per_day.reason


def test_what_does_not_fit_together_is_refused(studies: list[PlacedLesions]) -> None:
    with pytest.raises(ValueError, match="2 residuals of 3 studies"):
        match_studies(studies, [0.0, 1.0])
    with pytest.raises(ValueError, match="time points"):
        build_timeline([TimePoint("x", "x")], studies[:1], [])
    empty = study("a", np.zeros(GRID.shape, np.uint8))
    points = [TimePoint("a", "a")]
    assert build_timeline(points, [empty], [], rule=ChangeRule()).lesions == ()
