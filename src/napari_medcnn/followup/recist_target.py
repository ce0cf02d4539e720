"""RECIST 1.1 of target lesions: the sum of diameters, and CR, PR, SD or PD by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_medcnn.core.lesion import Measurement, missing
from napari_medcnn.core.recist import (
    Baseline,
    BaselineLesion,
    Response,
    Ruling,
    TargetFinding,
    TargetState,
    TimePoint,
)
from napari_medcnn.followup.recist_baseline import TOLERANCE_MM, InvalidRecist, is_normal_node

TOO_SMALL_MM = 5.0
"""Of a lesion that is there and too small to measure (4.3.2)."""

PARTIAL_RESPONSE = 0.3
"""Least decrease of the sum from baseline (4.3.1)."""

PROGRESSION = 0.2
"""Least increase of the sum from the nadir (4.3.1)."""

PROGRESSION_MM = 5.0
"""Least increase of the sum from the nadir in mm (4.3.1)."""

NO_TARGETS = Ruling(Response.NONE, "there is no target lesion", "4.4.1")

NORMAL_NODES_GROW = (
    "the sum of normal nodes grew as it would in progression: nodes below 10 mm are no disease"
)


@dataclass(frozen=True)
class TargetSum:
    """The sum of the target lesions' diameters.

    Parameters
    ----------
    known_mm : Measurement
        Of those that were evaluated; its error is the root of the sum of squares.
    missing_ids : tuple of str
        Targets that were not evaluated: the sum lacks them.
    disease_ids : tuple of str
        Targets that are neither absent nor a normal node (4.3.1).
    """

    known_mm: Measurement
    missing_ids: tuple[str, ...]
    disease_ids: tuple[str, ...]

    @property
    def whole_mm(self) -> Measurement:
        """The sum, missing where a target was not evaluated (4.4.2)."""
        if not self.missing_ids:
            return self.known_mm
        return missing(f"not evaluated: {', '.join(self.missing_ids)}", "mm")


def baseline_sum(targets: Sequence[BaselineLesion]) -> Measurement:
    """The sum that responses refer to (4.2); missing where there are no targets."""
    if not targets:
        return missing("there is no target lesion", "mm")
    return _total([lesion.diameter_mm for lesion in targets])


def sum_of_diameters(baseline: Baseline, time_point: TimePoint) -> TargetSum:
    """The sum at a time point, by the notes of 4.3.2.

    An absent lesion counts 0, one too small to measure 5 mm, and parts of one that split are
    added. Of lesions that coalesced one has the diameter of both, the others count nothing.

    Raises
    ------
    InvalidRecist
        When a target has no finding or two, a diameter is missing or negative, or a lesion has
        coalesced with one that was not measured.
    """
    findings = _by_target(baseline, time_point)
    sizes: list[Measurement] = []
    disease: list[str] = []
    unknown: list[str] = []
    for lesion in baseline.targets:
        finding = findings[lesion.id]
        place = f"{lesion.id} at day {time_point.day}"
        _check(finding, findings, place)
        match finding.state:
            case TargetState.NOT_EVALUATED:
                unknown.append(lesion.id)
            case TargetState.TOO_SMALL:
                sizes.append(Measurement(TOO_SMALL_MM, "mm"))
                disease += [] if lesion.is_node else [lesion.id]
            case TargetState.MEASURED:
                size = _total(finding.diameters_mm)
                sizes.append(size)
                gone = size.value == 0 or (lesion.is_node and is_normal_node(size))
                disease += [] if gone else [lesion.id]
    return TargetSum(_total(sizes), tuple(unknown), tuple(disease))


def target_response(found: TargetSum, baseline_mm: Measurement, nadir_mm: Measurement) -> Ruling:
    """The category of the target lesions (4.3.1, 4.4.2).

    Parameters
    ----------
    found : TargetSum
        At this time point.
    baseline_mm, nadir_mm : Measurement
        The sum at baseline, and the smallest one before this time point, baseline included.
    """
    if baseline_mm.value is None:
        return NO_TARGETS
    if found.missing_ids:
        return _incomplete(found, nadir_mm)
    if not found.disease_ids:
        notes = (NORMAL_NODES_GROW,) if _progressed(found.known_mm, nadir_mm) else ()
        rule = f"every target is absent or a node below 10 mm; sum {_mm(found.known_mm)}"
        return Ruling(Response.CR, rule, "4.3.1", notes)
    doubt = _doubt(found.known_mm, nadir_mm, baseline_mm)
    against_nadir = _against(found.known_mm, nadir_mm, "nadir")
    if _progressed(found.known_mm, nadir_mm):
        rule = f"{against_nadir}: at least 20 % and 5 mm"
        return Ruling(Response.PD, rule, "4.3.1", doubt)
    against_baseline = _against(found.known_mm, baseline_mm, "baseline")
    if _responded(found.known_mm, baseline_mm):
        rule = f"{against_baseline}: at least 30 % less"
        return Ruling(Response.PR, rule, "4.3.1", doubt)
    rule = (
        f"{against_baseline}, less than a decrease of 30 %; {against_nadir}, "
        f"less than an increase of 20 % and 5 mm"
    )
    return Ruling(Response.SD, rule, "4.3.1", doubt)


def percent_change(now: Measurement, then: Measurement) -> Measurement:
    """Change from `then` in percent; missing where either is, or `then` is 0."""
    if now.value is None or then.value is None:
        return missing(now.reason or then.reason, "%")
    if then.value == 0:
        return missing("the sum was 0 mm: a percentage of it does not exist", "%")
    return Measurement(100 * (now.value - then.value) / then.value, "%")


def _incomplete(found: TargetSum, nadir_mm: Measurement) -> Ruling:
    """Targets were not evaluated: progression may be certain all the same (4.4.2)."""
    lacking = ", ".join(found.missing_ids)
    if _progressed(found.known_mm, nadir_mm):
        rule = (
            f"{_against(found.known_mm, nadir_mm, 'nadir')}: at least 20 % and 5 mm, "
            f"whatever the size of {lacking}, which was not evaluated"
        )
        return Ruling(Response.PD, rule, "4.4.2")
    return Ruling(Response.NE, f"not evaluated: {lacking}", "4.4.2")


def _progressed(now: Measurement, nadir: Measurement) -> bool:
    assert now.value is not None and nadir.value is not None
    rise = now.value - nadir.value
    return rise >= max(PROGRESSION_MM, PROGRESSION * nadir.value) - TOLERANCE_MM


def _responded(now: Measurement, baseline: Measurement) -> bool:
    assert now.value is not None and baseline.value is not None
    return baseline.value - now.value >= PARTIAL_RESPONSE * baseline.value - TOLERANCE_MM


def _doubt(now: Measurement, nadir: Measurement, baseline: Measurement) -> tuple[str, ...]:
    """Which limits lie within the error of the sum: another category would be as likely."""
    if now.value is None or now.error is None:
        return ()
    limits = {
        "PR": (1 - PARTIAL_RESPONSE) * (baseline.value or 0),
        "PD": max((nadir.value or 0) + PROGRESSION_MM, (1 + PROGRESSION) * (nadir.value or 0)),
    }
    return tuple(
        f"the limit of {name}, {limit:.1f} mm, lies within the error of the sum, "
        f"{now.value:.1f} ± {now.error:.1f} mm"
        for name, limit in limits.items()
        if abs(now.value - limit) <= now.error
    )


def _against(now: Measurement, then: Measurement, name: str) -> str:
    change = percent_change(now, then).value
    share = "" if change is None else f", {change:+.1f} %"
    assert now.value is not None and then.value is not None
    return f"sum {_mm(now)} against {name} {_mm(then)} ({now.value - then.value:+.1f} mm{share})"


def _mm(size: Measurement) -> str:
    return f"{size.value:.1f} mm"


def _total(sizes: Sequence[Measurement]) -> Measurement:
    """The sum; its error where every part has one."""
    values = [size.value for size in sizes]
    if any(value is None for value in values):
        raise InvalidRecist("a diameter is missing", hint="call the lesion 'not evaluated'")
    errors = [size.error for size in sizes if size.error is not None]
    error = float(np.hypot.reduce(errors)) if errors and len(errors) == len(sizes) else None
    return Measurement(float(sum(value for value in values if value is not None)), "mm", error)


def _by_target(baseline: Baseline, time_point: TimePoint) -> dict[str, TargetFinding]:
    findings = {finding.lesion_id: finding for finding in time_point.targets}
    wanted = {lesion.id for lesion in baseline.targets}
    if len(findings) < len(time_point.targets) or findings.keys() != wanted:
        raise InvalidRecist(
            f"day {time_point.day} needs one finding for each target "
            f"({', '.join(sorted(wanted)) or 'there are none'})",
            hint="a lesion that nobody looked at is 'not evaluated'",
        )
    return findings


def _check(finding: TargetFinding, findings: dict[str, TargetFinding], place: str) -> None:
    """Refuse a finding that contradicts itself or another one."""
    measured = finding.state is TargetState.MEASURED
    if measured != bool(finding.diameters_mm):
        raise InvalidRecist(
            f"is {finding.state.value} with {len(finding.diameters_mm)} diameters", source=place
        )
    for size in finding.diameters_mm:
        if size.value is None or not np.isfinite(size.value) or size.value < 0:
            raise InvalidRecist(
                f"has no diameter: {size.reason or size.value}",
                source=place,
                hint="call the lesion 'not evaluated' or 'too small to measure'",
            )
    if finding.state is TargetState.COALESCED:
        other = findings.get(finding.coalesced_with)
        if other is None or other is finding or other.state is not TargetState.MEASURED:
            raise InvalidRecist(
                f"coalesced with {finding.coalesced_with or 'nothing'}: no measured target",
                source=place,
            )
