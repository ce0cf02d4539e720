"""What became of lesions between two studies: which is which, how sure that is, and how much."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from napari_medcnn.core.lesion import Measurement


@dataclass(frozen=True, order=True)
class LesionKey:
    """One lesion of one study.

    Parameters
    ----------
    study : str
        The identity of the study's result: what its tracking UIDs are made of, see
        :attr:`TimePoint.study`.
    lesion_id : int
        :attr:`~napari_medcnn.core.lesion.Lesion.id`.
    """

    study: str
    lesion_id: int


@dataclass(frozen=True)
class TimePoint:
    """One study of a patient.

    Parameters
    ----------
    study : str
        Its identity, unique among the time points: the id of a session's result, or
        :func:`~napari_medcnn.io.dicom_objects.tracking.content_identity`.
    name : str
        What people call it; never a patient's identity.
    day : float, optional
        Days since any one date that all time points share; None where the date is unknown.
    """

    study: str
    name: str
    day: float | None = None


@dataclass(frozen=True)
class Link:
    """Lesions of two studies that are one lesion; with one side empty, a lesion without partner.

    Parameters
    ----------
    before, after : tuple of LesionKey
        In order. Several before are lesions that merged, several after those that one fell into.
    confidence : float or None
        From 0 to 1: in which part of the registrations that its stated error allows, and of the
        rules that one could have chosen, the very same link comes out; see
        :mod:`napari_medcnn.followup.matching`. None for a link that a person drew or changed.
    overlap : float or None
        Share of the smaller lesion that lies in its partner, of several the least; None without a
        partner.
    distance_mm : float or None
        Gap between partners, between the closest centres of their voxels: 0 where they overlap, of
        several the largest; None without a partner.
    by_user : bool
        Whether a person drew it: matching again does not change it.

    Raises
    ------
    ValueError
        When it links nothing, or a lesion twice.
    """

    before: tuple[LesionKey, ...]
    after: tuple[LesionKey, ...]
    confidence: float | None = None
    overlap: float | None = None
    distance_mm: float | None = None
    by_user: bool = False

    def __post_init__(self) -> None:
        keys = (*self.before, *self.after)
        if not keys or len(set(keys)) != len(keys):
            raise ValueError("a link holds at least one lesion, and none of them twice")

    @property
    def has_partners(self) -> bool:
        """Whether there are lesions on both sides."""
        return bool(self.before and self.after)

    def to_json(self) -> dict[str, Any]:
        """The link as a JSON-able dict; lesions by their ids."""
        return {
            "before": [key.lesion_id for key in self.before],
            "after": [key.lesion_id for key in self.after],
            "confidence": self.confidence,
            "overlap": self.overlap,
            "distance_mm": self.distance_mm,
            "by_user": self.by_user,
        }


class ChangeClass(StrEnum):
    """What became of a lesion."""

    NEW = "new"
    RESOLVED = "resolved"
    ENLARGING = "enlarging"
    SHRINKING = "shrinking"
    STABLE = "stable"
    MERGED = "merged"
    SPLIT = "split"
    UNSURE = "unsure"


@dataclass(frozen=True)
class ChangeRule:
    """When a lesion is said to have changed.

    Parameters
    ----------
    least_percent : float
        A smaller change is none, however exactly it was measured: scans of one day and contours of
        one reader differ too, which the measurement error does not hold. In percent of the smaller
        of both sizes, so that the rule reads the same forwards and backwards in time.
    least_confidence : float
        Below it a lesion is unsure: which lesion it was cannot be said.
    """

    least_percent: float = 20.0
    least_confidence: float = 0.5

    def __post_init__(self) -> None:
        if self.least_percent < 0 or not 0 <= self.least_confidence <= 1:
            raise ValueError("a least change is 0 or more percent, a confidence from 0 to 1")

    @property
    def words(self) -> str:
        """The rule as people read it."""
        return (
            "A lesion is enlarging or shrinking when its volume changed by more than the joint "
            "95 % error of both measurements and by at least "
            f"{self.least_percent:g} % of the smaller one; else it is stable. It is new or "
            "resolved when the other study shows its place and no lesion there, and its volume is "
            "larger than its error. It is unsure where the link's confidence is below "
            f"{self.least_confidence:g}, where it is cut by an image's edge or outside of an "
            "image, where it is too small to tell, or where no size is known."
        )


@dataclass(frozen=True)
class Sizes:
    """What was measured of one side of a link.

    Parameters
    ----------
    volume_mm3 : Measurement
        Of several lesions the sum, with the sum of their errors: where a boundary is counted is
        common to all lesions of a study.
    long_axis_mm, short_axis_mm : Measurement
        Of several lesions those of the one with the longest axis.
    mean : Measurement
        Of the image's values, over all voxels.
    """

    volume_mm3: Measurement
    long_axis_mm: Measurement
    short_axis_mm: Measurement
    mean: Measurement

    def to_json(self) -> dict[str, Any]:
        """The figures as a JSON-able dict."""
        return {name: value.to_json() for name, value in vars(self).items()}


@dataclass(frozen=True)
class Growth:
    """How fast a lesion grows, see :mod:`napari_medcnn.followup.growth`; negative where it shrinks.

    Parameters
    ----------
    mm3_per_day, specific_rate_per_day, doubling_time_days : Measurement
        Each with the half-width of its 95 % interval, or the reason why it is missing.
    """

    mm3_per_day: Measurement
    specific_rate_per_day: Measurement
    doubling_time_days: Measurement

    def to_json(self) -> dict[str, Any]:
        """The figures as a JSON-able dict."""
        return {name: value.to_json() for name, value in vars(self).items()}


@dataclass(frozen=True)
class LesionChange:
    """What became of one lesion, or of those that merged or that one fell into.

    Parameters
    ----------
    tracking_uid : str
        The lesion's UID over all studies; where it merged or fell apart, that of its largest part.
    link : Link
        Which lesions it is in both studies.
    kind : ChangeClass
        The verdict.
    reason : str
        Why, in a sentence: the figures that decided, or what is in the way.
    before, after : Sizes or None
        Measured on each study's own grid; None on a side without a lesion.
    difference_mm3 : Measurement
        Volume after less volume before, with the root of the sum of both squared errors. The
        registration's error is not in it: volumes are not measured on a resampled grid.
    percent : Measurement
        The same in percent of the volume before.
    long_axis_difference_mm : Measurement
        Long axis after less before.
    growth : Growth
        From the one study to the other.
    """

    tracking_uid: str
    link: Link
    kind: ChangeClass
    reason: str
    before: Sizes | None
    after: Sizes | None
    difference_mm3: Measurement
    percent: Measurement
    long_axis_difference_mm: Measurement
    growth: Growth

    def to_json(self) -> dict[str, Any]:
        """The change as a JSON-able dict."""
        figures = {k: v.to_json() for k, v in vars(self).items() if isinstance(v, Measurement)}
        return {
            "tracking_uid": self.tracking_uid,
            "kind": self.kind.value,
            "reason": self.reason,
            "link": self.link.to_json(),
            "before": None if self.before is None else self.before.to_json(),
            "after": None if self.after is None else self.after.to_json(),
            **figures,
            "growth": self.growth.to_json(),
        }


@dataclass(frozen=True)
class Totals:
    """All lesions of two studies together.

    Parameters
    ----------
    count_before, count_after : int
        Lesions of each study.
    volume_before_mm3, volume_after_mm3, difference_mm3 : Measurement
        Sums, with errors as of :class:`Sizes` and :class:`LesionChange`.
    """

    count_before: int
    count_after: int
    volume_before_mm3: Measurement
    volume_after_mm3: Measurement
    difference_mm3: Measurement

    def to_json(self) -> dict[str, Any]:
        """The totals as a JSON-able dict."""
        figures = {k: v.to_json() for k, v in vars(self).items() if isinstance(v, Measurement)}
        counts = {"count_before": self.count_before, "count_after": self.count_after}
        return {**counts, **figures}


@dataclass(frozen=True)
class Change:
    """What became of every lesion from one study to another.

    Parameters
    ----------
    before, after : TimePoint
        The two studies.
    lesions : tuple of LesionChange
        Every lesion of both studies is in one of them.
    totals : Totals
        All of them together.
    rule : ChangeRule
        By which they were classed.
    """

    before: TimePoint
    after: TimePoint
    lesions: tuple[LesionChange, ...]
    totals: Totals
    rule: ChangeRule

    @property
    def counts(self) -> dict[ChangeClass, int]:
        """How many lesions of each class, every class named."""
        found = Counter(lesion.kind for lesion in self.lesions)
        return {kind: found[kind] for kind in ChangeClass}

    @property
    def new_and_enlarging(self) -> int:
        """The count that follows activity in multiple sclerosis; what is unsure is not in it."""
        return self.counts[ChangeClass.NEW] + self.counts[ChangeClass.ENLARGING]

    def to_json(self) -> dict[str, Any]:
        """The change as a JSON-able dict."""
        return {
            "before": {"name": self.before.name, "day": self.before.day},
            "after": {"name": self.after.name, "day": self.after.day},
            "rule": self.rule.words,
            "counts": {kind.value: count for kind, count in self.counts.items()},
            "totals": self.totals.to_json(),
            "lesions": [lesion.to_json() for lesion in self.lesions],
        }
