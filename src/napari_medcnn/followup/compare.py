"""Two studies whose lesions are linked: what became of each lesion, and of all together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from napari_medcnn.core.change import (
    Change,
    ChangeRule,
    Growth,
    LesionChange,
    LesionKey,
    Link,
    Sizes,
    TimePoint,
    Totals,
)
from napari_medcnn.core.lesion import Lesion, Measurement, missing
from napari_medcnn.followup.classify_change import classify, difference, percent_change
from napari_medcnn.followup.growth import growth, no_growth
from napari_medcnn.followup.placed import PlacedLesions

LEAST_VIEW = 0.5
"""A study shows a lesion's place when so much of the lesion lies in its image."""

NOTHING = "there is no lesion"
_DEFAULT_RULE = ChangeRule()


def compare_studies(
    before: TimePoint,
    after: TimePoint,
    studies: Mapping[str, PlacedLesions],
    links: Sequence[Link],
    uids: Mapping[LesionKey, str],
    rule: ChangeRule = _DEFAULT_RULE,
) -> Change:
    """Measure and class what became of every lesion.

    Parameters
    ----------
    before, after : TimePoint
        The two studies.
    studies : mapping of str to PlacedLesions
        By :attr:`~napari_medcnn.core.change.TimePoint.study`. A link may name an earlier study
        than `before`, for a lesion that was not seen in between.
    links : sequence of Link
        Of :func:`~napari_medcnn.followup.matching.match_lesions`, edited or not.
    uids : mapping of LesionKey to str
        Tracking UIDs, of :func:`~napari_medcnn.followup.tracking.track_lesions`.
    rule : ChangeRule
        When a lesion is said to have changed.
    """
    sides = (before, after)
    days = {point.study: point.day for point in sides}
    lesions = tuple(_lesion_change(link, sides, studies, days, uids, rule) for link in links)
    return Change(
        before, after, lesions, _totals(studies[before.study], studies[after.study]), rule
    )


def sizes_of(study: PlacedLesions, keys: Sequence[LesionKey]) -> Sizes:
    """The sizes of some lesions of a study, together."""
    lesions = [study.lesion(key) for key in keys]
    longest = max(lesions, key=lambda le: (le.long_axis_mm.value or 0.0, -le.id))
    return Sizes(
        sum_of([le.volume_mm3 for le in lesions]),
        longest.long_axis_mm,
        longest.short_axis_mm,
        _mean(lesions),
    )


def sum_of(volumes: Sequence[Measurement]) -> Measurement:
    """The sum of volumes of one study, with the sum of their errors.

    Where a boundary is counted is common to all lesions of a study. Nothing at all is 0 mm³ without
    an error; one that is missing makes the sum missing.
    """
    unknown = next((v for v in volumes if v.value is None), None)
    if unknown is not None:
        return unknown
    value = sum(v.value for v in volumes if v.value is not None)
    return Measurement(float(value), "mm3", float(sum(v.error or 0.0 for v in volumes)))


def _lesion_change(
    link: Link,
    sides: tuple[TimePoint, TimePoint],
    studies: Mapping[str, PlacedLesions],
    days: Mapping[str, float | None],
    uids: Mapping[LesionKey, str],
    rule: ChangeRule,
) -> LesionChange:
    first, second = (
        sizes_of(studies[keys[0].study], keys) if keys else None
        for keys in (link.before, link.after)
    )
    kind, reason = classify(link, first, second, _obstacle(link, sides, studies), rule)
    none = missing(NOTHING, "mm3")
    volumes = [none if sizes is None else sizes.volume_mm3 for sizes in (first, second)]
    axes = [
        missing(NOTHING, "mm") if sizes is None else sizes.long_axis_mm for sizes in (first, second)
    ]
    return LesionChange(
        tracking_uid=uids[main_key(link, studies)],
        link=link,
        kind=kind,
        reason=reason,
        before=first,
        after=second,
        difference_mm3=difference(*volumes),
        percent=percent_change(*volumes),
        long_axis_difference_mm=difference(*axes),
        growth=_growth(link, first, second, days),
    )


def main_key(link: Link, studies: Mapping[str, PlacedLesions]) -> LesionKey:
    """The largest of a link's lesions after, else of those before: the one that goes on."""
    keys = link.after or link.before
    return max(keys, key=lambda key: (studies[key.study].lesion(key).voxel_count, -key.lesion_id))


def _obstacle(
    link: Link, sides: tuple[TimePoint, TimePoint], studies: Mapping[str, PlacedLesions]
) -> str:
    """Why two studies cannot be compared at a lesion; empty when they can."""
    for keys, other in ((link.before, sides[1]), (link.after, sides[0])):
        for key in keys:
            study = studies[key.study]
            if study.lesion(key).touches_border:
                return "it is cut by the edge of an image: its size is a lower bound"
            if link.has_partners:
                continue
            points = study.points(study.lesion(key))
            if studies[other.study].share_in_view(points) < LEAST_VIEW:
                return f"its place is outside of the image of {other.name}"
    if link.before and link.before[0].study != sides[0].study:
        return f"it was there earlier, but not in {sides[0].name}: was it missed?"
    return ""


def _growth(
    link: Link, before: Sizes | None, after: Sizes | None, days: Mapping[str, float | None]
) -> Growth:
    if before is None or after is None:
        return no_growth("it was seen in one study only")
    if link.before[0].study not in days:
        return no_growth("it was not seen in the study before")
    when = [days.get(keys[0].study) for keys in (link.before, link.after)]
    return growth([before.volume_mm3, after.volume_mm3], when)


def _totals(before: PlacedLesions, after: PlacedLesions) -> Totals:
    first, second = (sum_of([le.volume_mm3 for le in side.lesions]) for side in (before, after))
    apart = difference(first, second)
    return Totals(len(before.lesions), len(after.lesions), first, second, apart)


def _mean(lesions: Sequence[Lesion]) -> Measurement:
    """Of the image's values over all voxels of some lesions."""
    unknown = next((le.mean for le in lesions if le.mean.value is None), None)
    if unknown is not None:
        return unknown
    values = [le.mean.value for le in lesions if le.mean.value is not None]
    weights = [le.voxel_count for le in lesions]
    return Measurement(float(np.average(values, weights=weights)), lesions[0].mean.unit)
