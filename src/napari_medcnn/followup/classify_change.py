"""New, resolved, enlarging, stable, merged, ...: what may be said of a lesion, by a stated rule."""

from __future__ import annotations

from math import hypot

from napari_medcnn.core.change import ChangeClass, ChangeRule, Link, Sizes
from napari_medcnn.core.lesion import Measurement, missing

Verdict = tuple[ChangeClass, str]
"""The class, and why in a sentence."""


def classify(
    link: Link, before: Sizes | None, after: Sizes | None, obstacle: str, rule: ChangeRule
) -> Verdict:
    """What became of the lesions of a link.

    Parameters
    ----------
    link : Link
        Which lesions it is.
    before, after : Sizes or None
        Their sizes; None on an empty side.
    obstacle : str
        What is in the way of comparing the studies here, e.g. that one does not show the place;
        empty where nothing is.
    rule : ChangeRule
        When a change is one.

    Raises
    ------
    ValueError
        When there are sizes of an empty side, or none of the other.
    """
    if (before is None) == bool(link.before) or (after is None) == bool(link.after):
        raise ValueError("there are sizes of those sides that hold lesions")
    if obstacle:
        return ChangeClass.UNSURE, obstacle
    if link.confidence is not None and link.confidence < rule.least_confidence:
        return ChangeClass.UNSURE, (
            f"its link has a confidence of {link.confidence:.2f}: which lesion it is cannot be said"
        )
    if before is None or after is None:
        return _alone(before, after)
    if len(link.before) > 1 and len(link.after) > 1:
        return ChangeClass.UNSURE, (
            f"{len(link.before)} lesions became {len(link.after)}: they merged and split at once"
        )
    told = _size_change(before, after, rule)
    if len(link.before) > 1:
        return ChangeClass.MERGED, f"{len(link.before)} lesions became one; {told[1]}"
    if len(link.after) > 1:
        return ChangeClass.SPLIT, f"it fell into {len(link.after)} lesions; {told[1]}"
    return told


def difference(before: Measurement, after: Measurement) -> Measurement:
    """After less before; its error is the root of the sum of both squared errors (GUM, 5.1.2)."""
    if before.value is None:
        return missing(before.reason, before.unit)
    if after.value is None:
        return missing(after.reason, after.unit)
    known = None
    if before.error is not None and after.error is not None:
        known = hypot(before.error, after.error)
    return Measurement(after.value - before.value, after.unit, known)


def percent_change(before: Measurement, after: Measurement) -> Measurement:
    """After less before in percent of before; its error is of first order in both errors."""
    apart = difference(before, after)
    if apart.value is None:
        return missing(apart.reason, "%")
    if not before.value or after.value is None:
        return missing("there was nothing before", "%")
    ratio = after.value / before.value
    error = None
    if before.error is not None and after.error is not None:
        error = 100 * hypot(after.error / before.value, ratio * before.error / before.value)
    return Measurement(100 * (ratio - 1), "%", error)


def _alone(before: Sizes | None, after: Sizes | None) -> Verdict:
    sizes = after or before
    assert sizes is not None  # a link is never empty
    volume = sizes.volume_mm3
    there, elsewhere = ("after", "before") if before is None else ("before", "after")
    if volume.value is not None and volume.error is not None and volume.value <= volume.error:
        return ChangeClass.UNSURE, (
            f"so small for the voxels of the study {there} that it may be there {elsewhere}, unseen"
        )
    if before is None:
        return ChangeClass.NEW, "the study before shows its place, and no lesion there"
    return ChangeClass.RESOLVED, "the study after shows its place, and no lesion there"


def _size_change(before: Sizes, after: Sizes, rule: ChangeRule) -> Verdict:
    """Whether it grew or shrank: by its volume, or by its long axis where there is no volume."""
    name, first, second = "volume", before.volume_mm3, after.volume_mm3
    if first.value is None or second.value is None:
        name, first, second = "long axis", before.long_axis_mm, after.long_axis_mm
    if first.value is None or second.value is None:
        return ChangeClass.UNSURE, f"no size is known: {first.reason or second.reason}"
    apart = difference(first, second)
    if apart.value is None or apart.error is None:
        return ChangeClass.UNSURE, f"the error of its {name} is unknown"
    smaller = min(first.value, second.value)
    unit = {"mm3": "mm³"}.get(first.unit, first.unit)
    told = f"its {name} changed by {apart.value:+.3g} ± {apart.error:.2g} {unit}"
    if abs(apart.value) <= apart.error:
        return ChangeClass.STABLE, f"{told}: within the measurement error"
    if 100 * abs(apart.value) < rule.least_percent * smaller:
        return ChangeClass.STABLE, f"{told}: less than {rule.least_percent:g} % of the smaller one"
    kind = ChangeClass.ENLARGING if apart.value > 0 else ChangeClass.SHRINKING
    return kind, f"{told}: more than the measurement error"
