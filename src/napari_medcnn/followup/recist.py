"""RECIST 1.1 for a patient: every time point's response with its rules, and the best of them.

The figures decide where the guideline lets figures decide. What it leaves to a reader is input:
whether a lesion is unequivocally new, whether non-target disease grows unequivocally, whether
lesions have coalesced. Nothing is taken for granted: a lesion without a finding is an error.

Examples
--------
>>> from napari_medcnn.core.lesion import Measurement
>>> from napari_medcnn.core.recist import BaselineLesion, TargetFinding, TimePoint
>>> from napari_medcnn.followup.recist_baseline import make_baseline
>>> lesion = BaselineLesion("a", "lung", Measurement(40.0, "mm"), slice_mm=3.0)
>>> now = TargetFinding("a", diameters_mm=(Measurement(26.0, "mm"),))
>>> found = assess(make_baseline([lesion]), [TimePoint(56, (now,))])
>>> found.time_points[0].target.category.value, found.time_points[0].target.section
('PR', '4.3.1')
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from napari_medcnn.core.lesion import Measurement
from napari_medcnn.core.recist import (
    Baseline,
    NewLesion,
    RecistAssessment,
    Response,
    TimePoint,
    TimePointResponse,
)
from napari_medcnn.followup.recist_baseline import InvalidRecist
from napari_medcnn.followup.recist_best import TrialRules, best_overall_response
from napari_medcnn.followup.recist_response import (
    new_lesion_ruling,
    non_target_response,
    overall_response,
    persisting,
)
from napari_medcnn.followup.recist_target import (
    baseline_sum,
    percent_change,
    sum_of_diameters,
    target_response,
)

DEFAULT_RULES = TrialRules()


def assess(
    baseline: Baseline, time_points: Sequence[TimePoint], rules: TrialRules = DEFAULT_RULES
) -> RecistAssessment:
    """Rule every time point and the whole course.

    Parameters
    ----------
    baseline : Baseline
        Of :func:`~napari_medcnn.followup.recist_baseline.make_baseline`.
    time_points : sequence of TimePoint
        In order of time, any number.
    rules : TrialRules
        What the guideline leaves to a trial's protocol.

    Raises
    ------
    InvalidRecist
        When days do not rise from 1 on, or findings are missing or contradict each other.
    """
    _require_order(time_points)
    at_start = baseline_sum(baseline.targets)
    nadir, before = at_start, Response.NE
    ruled: list[TimePointResponse] = []
    for time_point in time_points:
        one = _rule(baseline, time_point, at_start, nadir, after_cr=before is Response.CR)
        ruled.append(one)
        nadir = _smaller(nadir, one.sum_mm)
        before = before if one.overall.category is Response.NE else one.overall.category
    progression = _progression_day(time_points, ruled)
    course = [(one.day, one.overall.category) for one in ruled]
    best = best_overall_response(course, rules, progression)
    return RecistAssessment(baseline, at_start, tuple(ruled), best, progression)


def _rule(
    baseline: Baseline,
    time_point: TimePoint,
    at_start: Measurement,
    nadir: Measurement,
    *,
    after_cr: bool,
) -> TimePointResponse:
    found = sum_of_diameters(baseline, time_point)
    target = target_response(found, at_start, nadir)
    non_target = non_target_response(baseline, time_point)
    new = new_lesion_ruling(time_point)
    back = (*found.disease_ids, *persisting(baseline, time_point)) if after_cr else ()
    total = found.whole_mm if baseline.targets else at_start
    return TimePointResponse(
        day=time_point.day,
        sum_mm=total,
        from_baseline_percent=percent_change(total, at_start),
        nadir_mm=nadir,
        from_nadir_percent=percent_change(total, nadir),
        target=target,
        non_target=non_target,
        new_lesions=new,
        overall=overall_response(target, non_target, new, back),
    )


def _smaller(nadir: Measurement, total: Measurement) -> Measurement:
    if nadir.value is None or total.value is None or nadir.value <= total.value:
        return nadir
    return total


def _progression_day(
    time_points: Sequence[TimePoint], ruled: Sequence[TimePointResponse]
) -> int | None:
    """The day of the first progression; a new lesion's is that of its first sight (4.3.5)."""
    for time_point, one in zip(time_points, ruled, strict=True):
        if one.overall.category is Response.PD:
            certain = [new for new in time_point.new_lesions if new.unequivocal]
            return min([one.day, *(_first_sight(new, time_points) for new in certain)])
    return None


def _first_sight(lesion: NewLesion, time_points: Sequence[TimePoint]) -> int:
    return min(
        time_point.day
        for time_point in time_points
        if any(seen.id == lesion.id for seen in time_point.new_lesions)
    )


def _require_order(time_points: Sequence[TimePoint]) -> None:
    days = [0, *(time_point.day for time_point in time_points)]
    for earlier, later in pairwise(days):
        if later <= earlier:
            raise InvalidRecist(
                f"day {later} does not come after day {earlier}",
                hint="days count from the baseline, which is day 0",
            )
