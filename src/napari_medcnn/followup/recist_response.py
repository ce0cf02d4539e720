"""RECIST 1.1 at one time point: non-target lesions, new lesions, and the overall response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from napari_medcnn.core.recist import (
    Baseline,
    BaselineLesion,
    NonTargetFinding,
    NonTargetState,
    Response,
    Ruling,
    TimePoint,
)
from napari_medcnn.followup.recist_baseline import InvalidRecist, is_normal_node

EQUIVOCAL = (
    "{ids}: new, but not unequivocally; treatment may go on until the next time point. If it is "
    "new then, progression is dated to the first sight (4.3.5)"
)

WAS_IT_CR = (
    "look at the earlier images again: where the lesion was there all the time, the response was "
    "PR and not CR (note to table 3); a node that grew from just below 10 mm need not be disease"
)

_NO_GROWTH = (Response.CR, Response.NONE, Response.NON_CR_NON_PD, Response.NE)

_TABLE_1: Mapping[Response, Mapping[Response, Response]] = {
    Response.CR: {
        Response.CR: Response.CR,
        Response.NONE: Response.CR,
        Response.NON_CR_NON_PD: Response.PR,
        Response.NE: Response.PR,
    },
    Response.PR: dict.fromkeys(_NO_GROWTH, Response.PR),
    Response.SD: dict.fromkeys(_NO_GROWTH, Response.SD),
    Response.NE: dict.fromkeys(_NO_GROWTH, Response.NE),
}
"""Targets, then non-targets, without new lesions and without progression (table 1)."""


def non_target_response(baseline: Baseline, time_point: TimePoint) -> Ruling:
    """The category of the non-target lesions and tumour markers (4.3.3, 4.3.4).

    Raises
    ------
    InvalidRecist
        When a non-target lesion has no finding or two, or a node that is present has no short axis.
    """
    findings = _by_lesion(baseline, time_point)
    if not findings and not baseline.markers_raised:
        return Ruling(Response.NONE, "there is no non-target lesion", "4.4.1")
    growing = _in_state(findings, NonTargetState.UNEQUIVOCAL_PROGRESSION)
    if growing:
        rule = f"unequivocal progression by the reader's judgement: {growing}"
        return Ruling(Response.PD, rule, "4.3.3 and 4.3.4")
    unknown = _in_state(findings, NonTargetState.NOT_EVALUATED)
    if unknown:
        return Ruling(Response.NE, f"not evaluated: {unknown}", "4.4.1, tables 1 and 2")
    there = persisting(baseline, time_point)
    if there:
        rule = f"still there: {', '.join(there)}"
        return Ruling(Response.NON_CR_NON_PD, rule, "4.3.3")
    return _by_markers(baseline, time_point)


def persisting(baseline: Baseline, time_point: TimePoint) -> tuple[str, ...]:
    """Non-target lesions that are seen, but for nodes of normal size (4.3.3).

    Raises
    ------
    InvalidRecist
        As of :func:`non_target_response`.
    """
    lesions = {lesion.id: lesion for lesion in baseline.non_targets}
    findings = _by_lesion(baseline, time_point)
    return tuple(id_ for id_, finding in findings.items() if _persists(lesions[id_], finding))


def new_lesion_ruling(time_point: TimePoint) -> Ruling:
    """PD where a lesion is unequivocally new, else NONE; doubtful ones are in the notes (4.3.5)."""
    certain = [lesion.id for lesion in time_point.new_lesions if lesion.unequivocal]
    doubtful = [lesion.id for lesion in time_point.new_lesions if not lesion.unequivocal]
    notes = (EQUIVOCAL.format(ids=", ".join(doubtful)),) if doubtful else ()
    if certain:
        rule = f"new, unequivocally: {', '.join(certain)}"
        return Ruling(Response.PD, rule, "4.3.5", notes)
    return Ruling(Response.NONE, "no lesion is unequivocally new", "4.3.5", notes)


def overall_response(
    target: Ruling, non_target: Ruling, new: Ruling, back_after_cr: Sequence[str] = ()
) -> Ruling:
    """The overall response at a time point: table 1, or table 2 without target lesions (4.4.1).

    Parameters
    ----------
    target, non_target, new : Ruling
        Of the parts.
    back_after_cr : sequence of str
        Lesions of the baseline that are seen although the response was CR before.
    """
    table = "table 2" if target.category is Response.NONE else "table 1"
    section = f"4.4.1, {table}"
    notes = (*target.notes, *non_target.notes, *new.notes)
    parts = {"targets": target, "non-targets": non_target, "new lesions": new}
    growing = [f"{name} PD" for name, part in parts.items() if part.category is Response.PD]
    if growing:
        return Ruling(Response.PD, " and ".join(growing), section, notes)
    if back_after_cr:
        rule = f"disease is seen again after CR: {', '.join(back_after_cr)}"
        return Ruling(
            Response.PD, rule, "appendix III, and the note to table 3", (*notes, WAS_IT_CR)
        )
    rule = f"targets {target.category}, non-targets {non_target.category}, no new lesion"
    if target.category is Response.NONE:
        # Table 2 names the non-targets' own category.
        return Ruling(non_target.category, rule, section, notes)
    return Ruling(_TABLE_1[target.category][non_target.category], rule, section, notes)


def _by_markers(baseline: Baseline, time_point: TimePoint) -> Ruling:
    """All non-target lesions are gone: markers that were raised must be normal, too (4.3.3)."""
    gone = "no non-target lesion is left" if baseline.non_targets else "no non-target lesion"
    if not baseline.markers_raised:
        return Ruling(Response.CR, gone, "4.3.3")
    if time_point.markers_normal is None:
        rule = f"{gone}, but whether tumour markers are normal again is not known"
        return Ruling(Response.NE, rule, "4.3.3")
    if time_point.markers_normal:
        return Ruling(Response.CR, f"{gone}, and tumour markers are normal again", "4.3.3")
    rule = f"{gone}, but tumour markers are above normal"
    return Ruling(Response.NON_CR_NON_PD, rule, "4.3.3")


def _persists(lesion: BaselineLesion, finding: NonTargetFinding) -> bool:
    if finding.state is not NonTargetState.PRESENT:
        return False
    if lesion.is_node and finding.short_axis_mm.value is None:
        raise InvalidRecist(
            "is a node that is present, and its short axis is not told: below 10 mm it would be "
            "normal (4.3.3)",
            source=lesion.id,
        )
    return not (lesion.is_node and is_normal_node(finding.short_axis_mm))


def _by_lesion(baseline: Baseline, time_point: TimePoint) -> dict[str, NonTargetFinding]:
    findings = {finding.lesion_id: finding for finding in time_point.non_targets}
    wanted = {lesion.id for lesion in baseline.non_targets}
    if len(findings) < len(time_point.non_targets) or findings.keys() != wanted:
        raise InvalidRecist(
            f"day {time_point.day} needs one finding for each non-target lesion "
            f"({', '.join(sorted(wanted)) or 'there are none'})",
            hint="a lesion that nobody looked at is 'not evaluated'",
        )
    return findings


def _in_state(findings: Mapping[str, NonTargetFinding], state: NonTargetState) -> str:
    return ", ".join(id_ for id_, finding in findings.items() if finding.state is state)
