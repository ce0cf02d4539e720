"""Two studies, held against each other: classes, sums, obstacles, and time turned round."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medcnn.core.change import Change, ChangeClass, ChangeRule, LesionKey, Link, TimePoint
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.followup.compare import compare_studies, sizes_of, sum_of
from napari_medcnn.followup.matching import match_lesions
from napari_medcnn.followup.placed import PlacedLesions
from tests.followup.marked_studies import Ball, balls, study

MIRROR = {
    ChangeClass.NEW: ChangeClass.RESOLVED,
    ChangeClass.RESOLVED: ChangeClass.NEW,
    ChangeClass.ENLARGING: ChangeClass.SHRINKING,
    ChangeClass.SHRINKING: ChangeClass.ENLARGING,
    ChangeClass.MERGED: ChangeClass.SPLIT,
    ChangeClass.SPLIT: ChangeClass.MERGED,
    ChangeClass.STABLE: ChangeClass.STABLE,
    ChangeClass.UNSURE: ChangeClass.UNSURE,
}
STAYS: Ball = (12, 10, 10, 5)
GROWS: Ball = (24, 28, 28, 4)
GROWN: Ball = (24, 28, 28, 7)


def compare(before: PlacedLesions, after: PlacedLesions, days: float | None = 100.0) -> Change:
    links = match_lesions(before, after, 1.0)
    uids = {key: f"{key.study}-{key.lesion_id}" for link in links
            for key in (*link.before, *link.after)}  # fmt: skip
    points = TimePoint(before.study, "baseline", 0.0), TimePoint(after.study, "follow-up", days)
    return compare_studies(*points, {before.study: before, after.study: after}, links, uids)


def test_a_grown_and_a_stable_lesion_with_their_figures() -> None:
    change = compare(study("first", balls([STAYS, GROWS])), study("second", balls([STAYS, GROWN])))
    by_kind = {one.kind: one for one in change.lesions}
    assert set(by_kind) == {ChangeClass.STABLE, ChangeClass.ENLARGING}
    grown, stable = by_kind[ChangeClass.ENLARGING], by_kind[ChangeClass.STABLE]
    assert stable.difference_mm3.value == 0
    assert stable.percent.value == 0
    first, second = grown.before.volume_mm3, grown.after.volume_mm3
    assert grown.difference_mm3.value == pytest.approx(second.value - first.value)
    assert grown.difference_mm3.error == pytest.approx(np.hypot(first.error, second.error))
    assert grown.growth.mm3_per_day.value == pytest.approx(grown.difference_mm3.value / 100)
    assert grown.long_axis_difference_mm.value == pytest.approx(6, abs=1.5)
    assert grown.after.mean.value == pytest.approx(110.0)
    assert change.totals.count_before == change.totals.count_after == 2
    assert change.totals.difference_mm3.value == pytest.approx(grown.difference_mm3.value)
    assert change.new_and_enlarging == 1
    assert json.loads(json.dumps(change.to_json()))["counts"]["enlarging"] == 1


def test_without_dates_growth_has_a_reason_and_sizes_remain() -> None:
    change = compare(study("first", balls([GROWS])), study("second", balls([GROWN])), days=None)
    (one,) = change.lesions
    assert one.kind is ChangeClass.ENLARGING
    assert "date" in one.growth.mm3_per_day.reason


def test_merged_lesions_are_measured_together_under_the_uid_that_goes_on() -> None:
    before = study("first", balls([(18, 15, 12, 4), (18, 15, 22, 4)]))
    after = study("second", balls([(18, 15, 13, 6), (18, 15, 21, 6)]))
    (merged,) = compare(before, after).lesions
    assert merged.kind is ChangeClass.MERGED
    volumes = [lesion.volume_mm3 for lesion in before.lesions]
    assert merged.before.volume_mm3.value == sum(v.value for v in volumes)
    assert merged.before.volume_mm3.error == pytest.approx(sum(v.error for v in volumes))
    assert merged.tracking_uid == "second-1"


def test_what_the_other_image_does_not_show_is_neither_new_nor_resolved() -> None:
    before = study("first", balls([STAYS, (24, 20, 30, 4)]))
    half = Geometry.from_spacing((14, 40, 24), (3.0, 1.0, 1.0), (-20.0, 5.0, 100.0))
    after = study("second", balls([STAYS], half), half)
    said = {one.kind: one.reason for one in compare(before, after).lesions}
    assert set(said) == {ChangeClass.STABLE, ChangeClass.UNSURE}
    assert said[ChangeClass.UNSURE] == "its place is outside of the image of follow-up"


def test_a_lesion_that_an_edge_cuts_is_unsure() -> None:
    before, after = (
        study("first", balls([(18, 2, 20, 5)])),
        study("second", balls([(18, 2, 20, 8)])),
    )
    (one,) = compare(before, after).lesions
    assert one.kind is ChangeClass.UNSURE
    assert "edge" in one.reason


def test_a_link_from_an_earlier_study_is_unsure_and_asks() -> None:
    studies = {name: study(name, balls([STAYS])) for name in ("zero", "first", "second")}
    link = Link((LesionKey("zero", 1),), (LesionKey("second", 1),), 0.98)
    points = TimePoint("first", "first study", 0.0), TimePoint("second", "second study", 9.0)
    uids = dict.fromkeys((*link.before, *link.after), "uid")
    (one,) = compare_studies(*points, studies, [link], uids).lesions
    assert one.kind is ChangeClass.UNSURE
    assert "not in first study" in one.reason
    assert one.growth.mm3_per_day.value is None


def test_the_rule_of_the_caller_decides() -> None:
    before, after = study("first", balls([GROWS])), study("second", balls([GROWN]))
    links = match_lesions(before, after, 1.0)
    points = TimePoint("first", "a"), TimePoint("second", "b")
    uids = {LesionKey("first", 1): "1", LesionKey("second", 1): "1"}
    strict = ChangeRule(least_percent=1000.0)
    studies = {"first": before, "second": after}
    (one,) = compare_studies(*points, studies, links, uids, strict).lesions
    assert one.kind is ChangeClass.STABLE


def test_sums_of_nothing_and_of_the_unknown() -> None:
    nothing = sum_of([])
    assert (nothing.value, nothing.error) == (0.0, 0.0)
    placed = study("first", balls([STAYS, GROWS]))
    both = sizes_of(placed, [placed.key(lesion) for lesion in placed.lesions])
    assert both.long_axis_mm == placed.table.by_id(1).long_axis_mm  # of the longest


PLACES = [(12, 10, 10), (12, 30, 12), (24, 10, 30), (27, 29, 29)]


@settings(max_examples=10)
@given(
    first=st.lists(st.sampled_from([0.0, 3.5, 5.5, 7.0]), min_size=4, max_size=4),
    second=st.lists(st.sampled_from([0.0, 3.5, 5.5, 7.0]), min_size=4, max_size=4),
    apart=st.booleans(),
)
def test_time_turned_round_turns_every_class_round(
    first: list[float], second: list[float], apart: bool
) -> None:
    before, after = (
        balls([(*place, r) for place, r in zip(PLACES, radii, strict=True) if r])
        for radii in (first, second)
    )
    if apart:  # and a pair that merges, at a place of its own
        before |= balls([(36, 15, 12, 3.2), (36, 15, 20, 3.2)])
        after |= balls([(36, 15, 12, 4.5), (36, 15, 20, 4.5)])
    there = compare(study("first", before), study("second", after))
    back = compare(study("second", after), study("first", before))
    assert {kind: count for kind, count in there.counts.items() if count} == {
        MIRROR[kind]: count for kind, count in back.counts.items() if count
    }
    assert there.totals.difference_mm3.value == -back.totals.difference_mm3.value
