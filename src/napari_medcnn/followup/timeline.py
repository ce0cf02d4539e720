"""Any number of studies of one patient: match, track, measure, and see what came back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import hypot

from napari_medcnn.core.change import ChangeRule, LesionKey, Link, TimePoint
from napari_medcnn.core.lesion import Lesion, Measurement, missing
from napari_medcnn.core.timeline import StudyTotal, Timeline, Track, TrackedLesion
from napari_medcnn.followup.compare import compare_studies, sum_of
from napari_medcnn.followup.growth import growth
from napari_medcnn.followup.matching import in_order, match_lesions
from napari_medcnn.followup.placed import PlacedLesions
from napari_medcnn.followup.tracking import track_lesions, uids_of

_DEFAULT_RULE = ChangeRule()
_NONE_KNOWN: Mapping[LesionKey, str] = {}


def match_studies(
    studies: Sequence[PlacedLesions],
    residuals_mm: Sequence[float],
    given: Sequence[Sequence[Link]] = (),
) -> tuple[tuple[Link, ...], ...]:
    """Link the lesions of each study with those of the next.

    A lesion without partner in the study before is then looked for among those that vanished
    earlier, the latest first: a lesion that one study missed keeps its identity.

    Parameters
    ----------
    studies : sequence of PlacedLesions
        In order of time, all with their transforms from the first.
    residuals_mm : sequence of float
        Root mean square error of each study's registration to the first; 0 for the first itself.
    given : sequence of sequence of Link
        Links between each study and the next that stand already; those with `by_user` are kept.

    Raises
    ------
    ValueError
        When there is not one residual for each study.
    """
    if len(residuals_mm) != len(studies):
        raise ValueError(f"{len(residuals_mm)} residuals of {len(studies)} studies")
    steps: list[tuple[Link, ...]] = []
    for later in range(1, len(studies)):
        held = given[later - 1] if later <= len(given) else ()
        links = match_lesions(
            studies[later - 1], studies[later], _between(residuals_mm, later - 1, later), given=held
        )
        for earlier in range(later - 2, -1, -1):
            residual = _between(residuals_mm, earlier, later)
            lost = _lost(studies[earlier], earlier, steps)
            links = _found_again(studies[earlier].of(lost), studies[later], links, residual)
        steps.append(links)
    return tuple(steps)


def build_timeline(
    points: Sequence[TimePoint],
    studies: Sequence[PlacedLesions],
    links: Sequence[Sequence[Link]],
    *,
    known_uids: Mapping[LesionKey, str] = _NONE_KNOWN,
    rule: ChangeRule = _DEFAULT_RULE,
) -> Timeline:
    """Measure every lesion over time.

    Parameters
    ----------
    points : sequence of TimePoint
        In order of time, one for each study and with its identity.
    studies : sequence of PlacedLesions
        The lesions of each.
    links : sequence of sequence of Link
        Of :func:`match_studies`, edited or not.
    known_uids : mapping of LesionKey to str
        See :func:`~napari_medcnn.followup.tracking.track_lesions`.
    rule : ChangeRule
        When a lesion is said to have changed.

    Raises
    ------
    ValueError
        When the time points are not those of the studies, or links are missing.
    """
    if [point.study for point in points] != [study.study for study in studies]:
        raise ValueError("the time points are not those of the studies")
    tracks = track_lesions(studies, links, known_uids)
    by_name = {study.study: study for study in studies}
    uids = uids_of(tracks)
    return Timeline(
        points=tuple(points),
        lesions=tuple(_tracked(track, points, by_name) for track in tracks),
        totals=tuple(_total(study) for study in studies),
        changes=tuple(
            compare_studies(points[n], points[n + 1], by_name, step, uids, rule)
            for n, step in enumerate(links)
        ),
    )


def _between(residuals_mm: Sequence[float], first: int, second: int) -> float:
    # Both were registered to the baseline, each with an error of its own.
    return hypot(residuals_mm[first], residuals_mm[second])


def _lost(study: PlacedLesions, number: int, steps: Sequence[Sequence[Link]]) -> list[Lesion]:
    """Lesions of a study that have no partner in any later one; people's word on that stands."""
    gone = {
        link.before[0]
        for link in steps[number]
        if link.before and not link.after and not link.by_user
    }
    came_back = {key for step in steps[number + 1 :] for link in step for key in link.before}
    return [lesion for lesion in study.lesions if study.key(lesion) in gone - came_back]


def _found_again(
    lost: PlacedLesions, later: PlacedLesions, links: tuple[Link, ...], residual_mm: float
) -> tuple[Link, ...]:
    """The links, where lesions that seemed new are ones that were lost."""
    new = [link for link in links if not link.before and not link.by_user]
    if not (new and lost.lesions):
        return links
    unplaced = later.of([later.lesion(link.after[0]) for link in new])
    again = [link for link in match_lesions(lost, unplaced, residual_mm) if link.has_partners]
    known = {key for link in again for key in link.after}
    return in_order([*(link for link in links if not known & set(link.after)), *again])


def _tracked(
    track: Track, points: Sequence[TimePoint], studies: Mapping[str, PlacedLesions]
) -> TrackedLesion:
    keys = {key.study: key for key in track.keys}
    lesions = {study: studies[study].lesion(key) for study, key in keys.items()}

    def series(name: str, unit: str) -> tuple[Measurement, ...]:
        return tuple(
            getattr(lesions[point.study], name)
            if point.study in lesions
            else missing(f"{point.name} does not show it", unit)
            for point in points
        )

    volumes = series("volume_mm3", "mm3")
    seen = [n for n, point in enumerate(points) if point.study in lesions]
    return TrackedLesion(
        track=track,
        label_name=lesions[track.keys[0].study].label_name,
        volumes_mm3=volumes,
        long_axes_mm=series("long_axis_mm", "mm"),
        short_axes_mm=series("short_axis_mm", "mm"),
        means=series("mean", ""),
        growth=growth([volumes[n] for n in seen], [points[n].day for n in seen]),
    )


def _total(study: PlacedLesions) -> StudyTotal:
    return StudyTotal(len(study.lesions), sum_of([le.volume_mm3 for le in study.lesions]))
