"""A patient's lesions over any number of studies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from napari_medcnn.core.change import Change, Growth, LesionKey, TimePoint
from napari_medcnn.core.lesion import Measurement


@dataclass(frozen=True)
class Track:
    """One lesion over time, under one tracking UID.

    Parameters
    ----------
    uid : str
        Its tracking UID, the same in every study.
    keys : tuple of LesionKey
        What it is in each study that shows it, in order of time.
    came_from : tuple of str
        UIDs of the lesions that it split off from; empty where it was there at first, or is new.
    went_into : str
        UID of the lesion that it merged into; empty where it did not.
    """

    uid: str
    keys: tuple[LesionKey, ...]
    came_from: tuple[str, ...] = ()
    went_into: str = ""


@dataclass(frozen=True)
class TrackedLesion:
    """The figures of one lesion over time.

    Parameters
    ----------
    track : Track
        Which lesion it is.
    label_name : str
        Of its first study.
    volumes_mm3, long_axes_mm, short_axes_mm, means : tuple of Measurement
        One for each study; missing, with the reason, where the study does not show it.
    growth : Growth
        Over all studies that show it.
    """

    track: Track
    label_name: str
    volumes_mm3: tuple[Measurement, ...]
    long_axes_mm: tuple[Measurement, ...]
    short_axes_mm: tuple[Measurement, ...]
    means: tuple[Measurement, ...]
    growth: Growth

    def to_json(self) -> dict[str, Any]:
        """The lesion as a JSON-able dict."""
        series = {k: [m.to_json() for m in v] for k, v in vars(self).items() if type(v) is tuple}
        return {
            "tracking_uid": self.track.uid,
            "label_name": self.label_name,
            "lesion_ids": {key.study: key.lesion_id for key in self.track.keys},
            "came_from": list(self.track.came_from),
            "went_into": self.track.went_into,
            **series,
            "growth": self.growth.to_json(),
        }


@dataclass(frozen=True)
class StudyTotal:
    """All lesions of one study: how many, and their volume."""

    count: int
    volume_mm3: Measurement


@dataclass(frozen=True)
class Timeline:
    """A patient's lesions over time.

    Parameters
    ----------
    points : tuple of TimePoint
        The studies in order of time, the baseline first.
    lesions : tuple of TrackedLesion
        Every lesion that was ever seen, in the order in which they were first seen.
    totals : tuple of StudyTotal
        One for each study.
    changes : tuple of Change
        From each study to the next: one less than there are studies.
    """

    points: tuple[TimePoint, ...]
    lesions: tuple[TrackedLesion, ...]
    totals: tuple[StudyTotal, ...]
    changes: tuple[Change, ...]

    @property
    def new_and_enlarging(self) -> tuple[int, ...]:
        """How many lesions are new or enlarging in each study but the first."""
        return tuple(change.new_and_enlarging for change in self.changes)

    def to_json(self) -> dict[str, Any]:
        """The timeline as a JSON-able dict."""
        return {
            "studies": [
                {
                    "study": point.study,
                    "name": point.name,
                    "day": point.day,
                    "lesion_count": total.count,
                    "volume_mm3": total.volume_mm3.to_json(),
                }
                for point, total in zip(self.points, self.totals, strict=True)
            ],
            "lesions": [lesion.to_json() for lesion in self.lesions],
            "changes": [change.to_json() for change in self.changes],
        }
