"""What may be said of a lesion, at the boundaries of the rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medcnn.core.change import ChangeClass, ChangeRule, LesionKey, Link, Sizes
from napari_medcnn.core.lesion import Measurement, missing
from napari_medcnn.followup.classify_change import classify, difference, percent_change

RULE = ChangeRule(least_percent=20.0)
BEFORE = tuple(LesionKey("first", n) for n in (1, 2))
AFTER = tuple(LesionKey("second", n) for n in (1, 2))


def link(before: int, after: int, confidence: float | None = 0.98) -> Link:
    return Link(BEFORE[:before], AFTER[:after], confidence)


def sizes(volume: float, error: float, axis: float = 10.0) -> Sizes:
    return Sizes(
        Measurement(volume, "mm3", error),
        Measurement(axis, "mm", 1.0),
        Measurement(axis / 2, "mm", 1.0),
        Measurement(50.0, "HU"),
    )


def picture(axis: float) -> Sizes:
    """Of a single picture, which has no depth."""
    return Sizes(
        missing("no depth", "mm3"),
        Measurement(axis, "mm", 1.0),
        missing("no short axis", "mm"),
        missing("no value"),
    )


def kind(
    before: Sizes | None, after: Sizes | None, count_before: int = 1, count_after: int = 1
) -> ChangeClass:
    lesions = link(count_before * (before is not None), count_after * (after is not None))
    return classify(lesions, before, after, "", RULE)[0]


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (sizes(1050, 30), "stable"),  # 50 > hypot(30, 30), but less than 20 %
        (sizes(1199, 30), "stable"),
        (sizes(1200, 30), "enlarging"),  # exactly 20 %
        (sizes(1300, 300), "stable"),  # 300 < hypot(30, 300)
        (sizes(1400, 300), "enlarging"),
        (sizes(834, 30), "stable"),  # 19.9 % of the smaller
        (sizes(833, 30), "shrinking"),
    ],
)
def test_a_change_is_beyond_its_error_and_at_least_the_stated_one(after: Sizes, said: str) -> None:
    assert kind(sizes(1000, 30), after) == said


def test_lesions_without_partner_are_new_or_resolved_unless_too_small_to_tell() -> None:
    assert kind(None, sizes(100, 80)) is ChangeClass.NEW
    assert kind(sizes(100, 80), None) is ChangeClass.RESOLVED
    assert kind(None, sizes(80, 80)) is ChangeClass.UNSURE
    assert kind(sizes(80, 80), None) is ChangeClass.UNSURE


def test_several_are_merged_or_split_and_both_at_once_unsure() -> None:
    both = sizes(900, 30), sizes(1000, 30)
    assert kind(*both, 2, 1) is ChangeClass.MERGED
    assert kind(*both, 1, 2) is ChangeClass.SPLIT
    assert kind(*both, 2, 2) is ChangeClass.UNSURE


def test_obstacles_and_low_confidence_leave_it_unsure_with_a_reason() -> None:
    both = sizes(100, 1), sizes(900, 1)
    assert classify(link(1, 1), *both, "cut by the edge", RULE) == ("unsure", "cut by the edge")
    said, reason = classify(link(1, 1, confidence=0.49), *both, "", RULE)
    assert said is ChangeClass.UNSURE
    assert "0.49" in reason
    assert classify(link(1, 1, confidence=0.5), *both, "", RULE)[0] is ChangeClass.ENLARGING
    assert classify(link(1, 1, confidence=None), *both, "", RULE)[0] is ChangeClass.ENLARGING


def test_without_volumes_the_long_axis_decides() -> None:
    said, reason = classify(link(1, 1), picture(10), picture(14), "", RULE)
    assert said is ChangeClass.ENLARGING
    assert "long axis" in reason
    assert kind(picture(10), picture(11)) is ChangeClass.STABLE


def test_without_any_size_nothing_is_said() -> None:
    none = missing("the image does not tell its voxel size", "mm")
    unknown = Sizes(none, none, none, none)
    said, reason = classify(link(1, 1), unknown, unknown, "", RULE)
    assert said is ChangeClass.UNSURE
    assert "voxel size" in reason


def test_sizes_belong_to_the_link() -> None:
    with pytest.raises(ValueError, match="sides that hold lesions"):
        classify(link(1, 0), None, sizes(1, 1), "", RULE)


@given(
    first=st.floats(1, 1e5), second=st.floats(1, 1e5), share=st.floats(0.01, 1.5),
    other=st.floats(0.01, 1.5),
)  # fmt: skip
def test_backwards_in_time_growth_is_shrinkage(
    first: float, second: float, share: float, other: float
) -> None:
    before, after = sizes(first, share * first), sizes(second, other * second)
    mirror = {
        ChangeClass.ENLARGING: ChangeClass.SHRINKING,
        ChangeClass.SHRINKING: ChangeClass.ENLARGING,
        ChangeClass.STABLE: ChangeClass.STABLE,
    }
    assert kind(after, before) is mirror[kind(before, after)]


def test_a_difference_has_the_root_of_both_squared_errors() -> None:
    apart = difference(Measurement(100.0, "mm3", 3.0), Measurement(80.0, "mm3", 4.0))
    assert (apart.value, apart.unit, apart.error) == (-20.0, "mm3", 5.0)
    assert difference(missing("why", "mm3"), Measurement(1.0, "mm3", 1.0)).reason == "why"
    assert difference(Measurement(1.0, "mm3", 1.0), missing("why", "mm3")).reason == "why"


def test_a_percentage_is_of_the_volume_before() -> None:
    change = percent_change(Measurement(100.0, "mm3", 6.0), Measurement(200.0, "mm3", 16.0))
    assert change.value == pytest.approx(100.0)
    assert change.error == pytest.approx(20.0)  # 200 % of hypot(6 %, 8 %)
    assert percent_change(Measurement(0.0, "mm3", 0.0), Measurement(2.0, "mm3", 1.0)).value is None
