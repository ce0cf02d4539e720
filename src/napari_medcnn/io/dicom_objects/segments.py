"""What a result is written as: one segment a label, or one a lesion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import WriteError
from napari_medcnn.core.lesion import LesionTable
from napari_medcnn.core.segmentation import Colour, Segmentation
from napari_medcnn.io.dicom_objects.tracking import tracking_identifier, tracking_uid

MAX_SEGMENTS = 65_535
"""Segment numbers are unsigned shorts."""


@dataclass(frozen=True)
class PlannedSegment:
    """One segment to write.

    `name` is its label's, `title` what people read; `tracking_uid` and `lesion_id` are a lesion's.
    """

    number: int
    value: int
    name: str
    title: str
    colour: Colour
    tracking_uid: str = ""
    tracking_id: str = ""
    lesion_id: int = 0


@dataclass(frozen=True, eq=False)
class SegmentPlan:
    """Segments, and an array ``(z, y, x)`` on the volume's grid that holds their numbers."""

    segments: tuple[PlannedSegment, ...]
    array: npt.NDArray[Any]


def segments_by_label(segmentation: Segmentation, *, keep_values: bool) -> SegmentPlan:
    """One segment for each label that the segmentation names or holds.

    Parameters
    ----------
    segmentation : Segmentation
        The label map.
    keep_values : bool
        Number the segments by their labels' values, as a LABELMAP may; else from 1 without gaps,
        as BINARY must (PS3.3 C.8.20.4).

    Raises
    ------
    WriteError
        When a value is above 65,535.
    """
    there = {int(value) for value in np.unique(segmentation.array) if value}
    values = sorted(there | {label.value for label in segmentation.labels})
    if not values:
        raise WriteError("there is no label to write", hint="segment or draw something first")
    if values[-1] > MAX_SEGMENTS and keep_values:
        raise WriteError(f"a label of value {values[-1]} does not fit; DICOM counts to 65535")
    labels = [segmentation.label_of(value) for value in values]
    numbers = values if keep_values else range(1, len(values) + 1)
    segments = tuple(
        PlannedSegment(number, label.value, label.name, label.name, label.colour)
        for number, label in zip(numbers, labels, strict=True)
    )
    if list(numbers) == values:
        array = segmentation.array.astype(np.min_scalar_type(values[-1]), copy=False)
        return SegmentPlan(segments, array)
    number_of = np.zeros(values[-1] + 1, dtype=np.min_scalar_type(len(values)))
    number_of[values] = list(numbers)
    return SegmentPlan(segments, number_of[segmentation.array])


def segments_by_lesion(
    segmentation: Segmentation,
    table: LesionTable,
    identity: str,
    uids: Mapping[int, str] | None = None,
) -> SegmentPlan:
    """One segment for each lesion of a table, with its tracking identifiers.

    Voxels of the label map that belong to no lesion of the table are left out.

    Parameters
    ----------
    segmentation : Segmentation
        Labels' colours.
    table : LesionTable
        Lesions and the map of their ids.
    identity : str
        See :func:`~napari_medcnn.io.dicom_objects.tracking.tracking_uid`.
    uids : mapping of int to str, optional
        Tracking UIDs that lesions have from earlier studies, by their ids; the others get their
        own.
    """
    known = uids or {}
    if not table.lesions:
        raise WriteError("there is no lesion to write")
    if len(table.lesions) > MAX_SEGMENTS:
        raise WriteError(f"{len(table.lesions)} lesions are more than DICOM's 65535 segments")
    segments = tuple(
        PlannedSegment(
            number,
            lesion.label,
            lesion.label_name,
            tracking_identifier(lesion),
            segmentation.label_of(lesion.label).colour,
            known.get(lesion.id) or tracking_uid(identity, lesion.id),
            tracking_identifier(lesion),
            lesion.id,
        )
        for number, lesion in enumerate(table.lesions, 1)
    )
    highest = max(int(table.id_map.max(initial=0)), *(lesion.id for lesion in table.lesions))
    number_of = np.zeros(highest + 1, dtype=np.min_scalar_type(len(segments)))
    number_of[[lesion.id for lesion in table.lesions]] = [s.number for s in segments]
    return SegmentPlan(segments, number_of[table.id_map])


def titles_fit(segments: Sequence[PlannedSegment], length: int = 64) -> dict[int, str]:
    """Each segment's title on one line of at most `length` characters (LO), by its number."""
    return {s.number: " ".join(s.title.split())[:length] or f"{s.number}" for s in segments}
