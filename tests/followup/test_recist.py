"""RECIST 1.1 against cases that were worked out by hand from the guideline's text."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from napari_medcnn.core.lesion import Measurement
from napari_medcnn.core.recist import BaselineLesion, Response, TargetFinding, TimePoint
from napari_medcnn.followup.recist import assess
from napari_medcnn.followup.recist_baseline import (
    InvalidRecist,
    make_baseline,
    measurability,
    propose_targets,
)
from napari_medcnn.followup.recist_best import TrialRules
from tests.followup.recist_notation import lesions, mm, time_points

with (Path(__file__).parent / "recist_cases.csv").open(encoding="utf-8") as _stream:
    CASES = list(csv.DictReader(_stream))


def asking(*kinds: str) -> pytest.MarkDecorator:
    chosen = [case for case in CASES if case["ask"] in kinds]
    return pytest.mark.parametrize("case", chosen, ids=lambda case: case["case"])


def assessed(case: dict[str, str]):
    targets, non_targets, raised = lesions(case["baseline"])
    # Slices are no matter of these cases.
    targets = [replace(lesion, slice_mm=lesion.slice_mm or 3.0) for lesion in targets]
    baseline = make_baseline(targets, non_targets, markers_raised=raised)
    visits = time_points(case["visits"], {lesion.id for lesion in non_targets})
    return assess(baseline, visits, TrialRules(confirm=case["rules"] == "confirm"))


def test_there_are_enough_cases_and_each_is_asked_once() -> None:
    assert len(CASES) >= 40
    assert len({case["case"] for case in CASES}) == len(CASES)
    assert all(case["section"] and case["why"] for case in CASES)
    asks = {"role", "targets", "refused", "sum", "target", "non-target", "new", "overall", "best"}
    assert {case["ask"] for case in CASES} == {*asks, "progression"}


@asking("role")
def test_what_a_lesion_may_become(case: dict[str, str]) -> None:
    (lesion,) = lesions(case["baseline"])[0]
    judged = measurability(lesion)
    assert judged.role == case["expected"], case["why"]
    assert case["section"] in judged.section


@asking("targets")
def test_which_targets_are_proposed(case: dict[str, str]) -> None:
    found, _, _ = lesions(case["baseline"])
    choice = propose_targets(found)
    assert " ".join(lesion.id for lesion in choice.targets) == case["expected"], case["why"]
    assert choice.reasons.keys() == {lesion.id for lesion in found}
    if choice.targets:
        make_baseline(choice.targets, choice.non_targets)


@asking("refused")
def test_a_choice_against_the_rules_is_refused(case: dict[str, str]) -> None:
    targets, non_targets, _ = lesions(case["baseline"])
    with pytest.raises(InvalidRecist) as refused:
        make_baseline(targets, non_targets)
    assert case["expected"] in str(refused.value), case["why"]
    assert case["section"] in str(refused.value)


@asking("sum")
def test_the_sum_of_diameters(case: dict[str, str]) -> None:
    assert assessed(case).time_points[-1].sum_mm.value == float(case["expected"]), case["why"]


@asking("target", "non-target", "new", "overall")
def test_the_category_of_a_time_point(case: dict[str, str]) -> None:
    last = assessed(case).time_points[-1]
    ruling = {
        "target": last.target,
        "non-target": last.non_target,
        "new": last.new_lesions,
        "overall": last.overall,
    }[case["ask"]]
    assert ruling.category == case["expected"], case["why"]
    assert case["section"] in ruling.section
    assert ruling.rule


@asking("best")
def test_the_best_overall_response(case: dict[str, str]) -> None:
    best = assessed(case).best_overall
    assert best.category == case["expected"], case["why"]
    assert case["section"] in best.section


@asking("progression")
def test_the_day_of_progression(case: dict[str, str]) -> None:
    expected = int(case["expected"]) if case["expected"] else None
    assert assessed(case).progression_day == expected, case["why"]


LESION = BaselineLesion("A", "lung", mm(30), slice_mm=3.0)


def test_a_lesion_without_a_finding_is_an_error() -> None:
    with pytest.raises(InvalidRecist, match="one finding for each target"):
        assess(make_baseline([LESION]), [TimePoint(56)])


def test_days_must_rise() -> None:
    point = TimePoint(56, (TargetFinding("A", diameters_mm=(mm(30),)),))
    with pytest.raises(InvalidRecist, match="does not come after"):
        assess(make_baseline([LESION]), [point, point])


def test_a_limit_within_the_error_of_the_sum_is_told() -> None:
    near = TargetFinding("A", diameters_mm=(Measurement(22.0, "mm", 1.5),))
    (one,) = assess(make_baseline([LESION]), [TimePoint(56, (near,))]).time_points
    assert one.target.category is Response.SD
    assert any("the limit of PR, 21.0 mm" in note for note in one.overall.notes)


def test_sums_of_decimal_figures_meet_their_limits() -> None:
    sizes = (10.1, 10.2, 10.3)
    targets = [
        BaselineLesion(name, name, mm(size), slice_mm=3.0)
        for name, size in zip("abc", sizes, strict=True)
    ]
    found = tuple(
        TargetFinding(name, diameters_mm=(mm(size * 0.7),))
        for name, size in zip("abc", sizes, strict=True)
    )
    (one,) = assess(make_baseline(targets), [TimePoint(56, found)]).time_points
    assert one.target.category is Response.PR


def test_normal_nodes_that_grow_are_told() -> None:
    (case,) = [case for case in CASES if case["case"] == "t24"]
    assert assessed(case).time_points[-1].overall.notes


def test_coalescing_with_a_lesion_that_was_not_measured_is_refused() -> None:
    case = {
        "baseline": "A lung 30; B lung 20",
        "visits": "56: A absent, B in A",
        "rules": "",
    }
    with pytest.raises(InvalidRecist, match="coalesced with A"):
        assessed(case)


def test_a_node_that_is_present_needs_its_short_axis() -> None:
    case = {
        "baseline": "A lung 30; n node 12 nt",
        "visits": "56: A 30, n present",
        "rules": "",
    }
    with pytest.raises(InvalidRecist, match="short axis is not told"):
        assessed(case)
