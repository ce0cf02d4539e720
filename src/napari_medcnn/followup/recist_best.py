"""RECIST 1.1 over all time points: the best overall response, confirmed where a trial wants it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from napari_medcnn.core.recist import Response, Ruling

Course = Sequence[tuple[int, Response]]
"""Day and overall response of each time point, in order of time."""

_STABLE_OR_BETTER = (Response.CR, Response.PR, Response.SD, Response.NON_CR_NON_PD)


@dataclass(frozen=True)
class TrialRules:
    """What a trial's protocol says, and the guideline leaves to it.

    Parameters
    ----------
    confirm : bool
        Whether CR and PR count only if seen again: in trials without randomisation whose end point
        is response (4.6.1).
    confirm_after_days : int
        Least time from a response to its confirmation; four weeks as a rule (4.4.3).
    stable_after_days : int
        Least time from baseline to stable disease; six to eight weeks as a rule (4.4.3, 4.6.3).
    """

    confirm: bool = False
    confirm_after_days: int = 28
    stable_after_days: int = 42


def best_overall_response(
    course: Course, rules: TrialRules, progression_day: int | None = None
) -> Ruling:
    """The best response from the start to progression (4.4.3, table 3).

    Parameters
    ----------
    course : sequence of (int, Response)
        Day and overall response of each time point, in order of time.
    rules : TrialRules
        Of the protocol.
    progression_day : int, optional
        What was found from that day on does not count.
    """
    before = [(d, one) for d, one in course if progression_day is None or d < progression_day]
    for wanted in (Response.CR, Response.PR):
        found = _confirmed(before, wanted, rules) if rules.confirm else _seen(before, wanted)
        if found is not None:
            return found
    section = "4.4.3, table 3" if rules.confirm else "4.4.3"
    notes = _unconfirmed(before)
    for day, category in before:
        if category in _STABLE_OR_BETTER and day >= rules.stable_after_days:
            best = category if category is Response.NON_CR_NON_PD else Response.SD
            rule = f"{category} at day {day}: no growth for at least {rules.stable_after_days} days"
            return Ruling(best, rule, section, notes)
    none = f"no response, and no time point without growth from day {rules.stable_after_days} on"
    if progression_day is not None:
        rule = f"{none}; progression at day {progression_day}"
        return Ruling(Response.PD, rule, section, notes)
    return Ruling(Response.NE, none, section, notes)


def _seen(before: Course, wanted: Response) -> Ruling | None:
    for day, category in before:
        if category is wanted:
            rule = f"{wanted} at day {day}; no confirmation asked for"
            return Ruling(wanted, rule, "4.4.3 and 4.6.1")
    return None


def _confirmed(before: Course, wanted: Response, rules: TrialRules) -> Ruling | None:
    """A response that is seen again after the time asked for, with no lesser one in between."""
    holding = (Response.CR,) if wanted is Response.CR else (Response.CR, Response.PR)
    for number, (first, category) in enumerate(before):
        if category is not wanted:
            continue
        for day, later in before[number + 1 :]:
            if later not in (*holding, Response.NE):
                break
            if later in holding and day - first >= rules.confirm_after_days:
                rule = f"{wanted} at day {first}, confirmed by {later} at day {day}"
                return Ruling(wanted, rule, "4.4.3, table 3")
    return None


def _unconfirmed(before: Course) -> tuple[str, ...]:
    """Responses that did not become the best one, which a reader should know of."""
    return tuple(
        f"{category} at day {day} was not confirmed"
        for day, category in before
        if category in (Response.CR, Response.PR)
    )
