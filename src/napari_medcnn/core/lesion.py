"""A lesion: where it is, how large, and how far to trust the figures."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.geometry import Index

Point = tuple[float, float, float]

DOUBTFUL_PROBABILITY = 0.7
"""A lesion whose mean probability is lower is a candidate that someone should look at."""


@dataclass(frozen=True)
class Measurement:
    """A value with the error to expect, or the reason why there is none.

    Parameters
    ----------
    value : float or None
        In `unit`; None is never a silent zero, `reason` tells why.
    unit : str
        ``"mm"``, ``"mm3"``, ``"mL"``, ``"HU"``, ...; ``""`` for a bare number.
    error : float or None
        Half-width of the interval to expect from voxel size and partial volume, in `unit`.
    reason : str
        Why the value is missing; empty otherwise.
    """

    value: float | None
    unit: str = ""
    error: float | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        if (self.value is None) != bool(self.reason):
            raise ValueError("a missing value has a reason, and only a missing value has one")

    def to_json(self) -> dict[str, Any]:
        """Value, unit, and error or reason where there is one."""
        known: dict[str, Any] = {"value": self.value, "unit": self.unit}
        if self.error is not None:
            known["error"] = self.error
        if self.reason:
            known["reason"] = self.reason
        return known


def missing(reason: str, unit: str = "") -> Measurement:
    """A measurement that could not be made."""
    return Measurement(None, unit, reason=reason)


class Origin(StrEnum):
    """Who drew a lesion."""

    PREDICTED = "predicted"
    EDITED = "edited"
    ADDED = "added"


class Verdict(StrEnum):
    """What the reader decided about a lesion."""

    UNREVIEWED = "unreviewed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Review:
    """A reader's decision about one lesion, with a note."""

    verdict: Verdict = Verdict.UNREVIEWED
    note: str = ""


@dataclass(frozen=True)
class Lesion:
    """One connected component of one label, measured.

    Indices are ``(z, y, x)`` of the volume's array; points are LPS mm ``(x, y, z)``.

    Parameters
    ----------
    id : int
        Stable within a segmentation while the lesion keeps overlapping its former self.
    label, label_name
        Value and name of the label.
    voxel_count : int
        Number of voxels.
    volume_mm3 : Measurement
        Voxel count times voxel volume.
    centroid_lps_mm, centroid_index
        Mean of the voxel centres. It may lie outside a curved lesion; `anchor_index` never does.
    anchor_index : tuple of int
        The lesion's voxel closest to the centroid: where a click should lead.
    bbox_start, bbox_stop : tuple of int
        Half-open bounding box.
    long_axis_mm : Measurement
        Longest diameter in any one axial slice (RECIST 1.1, section 3.1, the longest diameter in
        the plane of measurement).
    short_axis_mm : Measurement
        Longest diameter perpendicular to it in the same slice.
    long_axis_lps_mm, short_axis_lps_mm
        Both end points of each axis, or None.
    max_diameter_3d_mm : Measurement
        Largest distance of two points of the lesion in any direction.
    mean, sd, minimum, maximum : Measurement
        Of the image's values in the lesion.
    mean_probability : Measurement
        Of the model's probability in the lesion.
    touches_border : bool
        Whether a voxel lies on the edge of the image: the figures are then lower bounds.
    origin, review
        Who drew it, and what the reader decided.
    """

    id: int
    label: int
    label_name: str
    voxel_count: int
    volume_mm3: Measurement
    centroid_lps_mm: Point | None
    centroid_index: Point
    anchor_index: Index
    bbox_start: Index
    bbox_stop: Index
    long_axis_mm: Measurement
    short_axis_mm: Measurement
    long_axis_lps_mm: tuple[Point, Point] | None
    short_axis_lps_mm: tuple[Point, Point] | None
    max_diameter_3d_mm: Measurement
    mean: Measurement
    sd: Measurement
    minimum: Measurement
    maximum: Measurement
    mean_probability: Measurement
    touches_border: bool
    origin: Origin = Origin.PREDICTED
    review: Review = Review()

    @property
    def is_doubtful(self) -> bool:
        """Whether the model's mean probability is known and below `DOUBTFUL_PROBABILITY`."""
        probability = self.mean_probability.value
        return probability is not None and probability < DOUBTFUL_PROBABILITY

    @property
    def volume_ml(self) -> Measurement:
        """The volume in millilitres."""
        v = self.volume_mm3
        if v.value is None:
            return missing(v.reason, "mL")
        return Measurement(v.value / 1000, "mL", None if v.error is None else v.error / 1000)


@dataclass(frozen=True, eq=False)
class LesionTable:
    """The lesions of one segmentation.

    Parameters
    ----------
    lesions : tuple of Lesion
        In order of their ids.
    id_map : numpy.ndarray
        ``(z, y, x)`` uint32: the lesion's id at each of its voxels, 0 elsewhere.
    volume_id : str
        The volume that was measured.
    min_volume_mm3 : float
        Smaller components were left out.
    dropped_count : int
        How many were.
    last_id : int
        The highest id ever given in this segmentation: a deleted lesion's id is not used again.
    """

    lesions: tuple[Lesion, ...]
    id_map: npt.NDArray[np.uint32]
    volume_id: str
    min_volume_mm3: float = 0.0
    dropped_count: int = 0
    last_id: int = 0

    def by_id(self, lesion_id: int) -> Lesion:
        """The lesion of an id.

        Raises
        ------
        KeyError
            When there is none.
        """
        for lesion in self.lesions:
            if lesion.id == lesion_id:
                return lesion
        raise KeyError(lesion_id)
