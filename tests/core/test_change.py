"""Links and rules refuse nonsense, and every class is counted."""

from __future__ import annotations

import json

import pytest

from napari_medcnn.core.change import ChangeClass, ChangeRule, LesionKey, Link

A, B = LesionKey("first", 1), LesionKey("second", 1)


def test_a_link_holds_something_and_nothing_twice() -> None:
    with pytest.raises(ValueError, match="at least one lesion"):
        Link((), ())
    with pytest.raises(ValueError, match="twice"):
        Link((A, A), (B,))


def test_a_link_has_partners_where_both_sides_hold_lesions() -> None:
    assert Link((A,), (B,)).has_partners
    assert not Link((A,), ()).has_partners
    assert not Link((), (B,)).has_partners


def test_a_link_is_written_by_ids() -> None:
    written = json.loads(json.dumps(Link((A,), (B,), 0.9, 0.8, 0.0).to_json()))
    assert written == {
        "before": [1],
        "after": [1],
        "confidence": 0.9,
        "overlap": 0.8,
        "distance_mm": 0.0,
        "by_user": False,
    }


@pytest.mark.parametrize("wrong", [{"least_percent": -1.0}, {"least_confidence": 1.1}])
def test_an_impossible_rule_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="0 or more percent"):
        ChangeRule(**wrong)


def test_the_rule_says_its_own_figures() -> None:
    words = ChangeRule(least_percent=33, least_confidence=0.7).words
    assert "at least 33 %" in words
    assert "below 0.7" in words
    assert all(kind in words for kind in ("enlarging", "shrinking", "stable", "unsure"))
    assert len(ChangeClass) == 8
