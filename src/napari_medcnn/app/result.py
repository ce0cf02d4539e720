"""A segmentation that a reader works on: what the model said, what it became, what was measured."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.classification import Classification
from napari_medcnn.core.lesion import LesionTable, Verdict
from napari_medcnn.core.scored import Scored
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume


@dataclass(eq=False)
class Result:
    """One segmentation of one volume in a session. Only the session changes it.

    Parameters
    ----------
    id : str
        Unique in the session.
    volume_id : str
        The volume that was segmented.
    name : str
        For people; never a patient's identity.
    segmentation : Segmentation
        As it is now. Its array ``(z, y, x)`` is the one that a napari Labels layer shares: painting
        changes it in place.
    predicted : numpy.ndarray
        ``(z, y, x)``, read-only: the label map as it came, in the smallest unsigned type.
    table : LesionTable
        The lesions as of `table_revision`.
    revision : int
        Grows with every change of the array.
    table_revision : int
        The revision that `table` was made from.
    min_volume_mm3 : float
        Smaller components are no lesions.
    accept_blocking : bool
        Whether the reader said yes to measuring in spite of the volume's blocking findings.
    scored : Scored, optional
        What a classifier said of its lesions last.
    """

    id: str
    volume_id: str
    name: str
    segmentation: Segmentation
    predicted: npt.NDArray[Any]
    table: LesionTable
    min_volume_mm3: float
    revision: int = 0
    table_revision: int = 0
    accept_blocking: bool = False
    scored: Scored | None = None

    @property
    def is_stale(self) -> bool:
        """Whether the array changed since the table was made."""
        return self.table_revision != self.revision


def new_result(
    segmentation: Segmentation,
    volume: Volume,
    min_volume_mm3: float,
    *,
    accept_blocking: bool = False,
    name: str | None = None,
    table: LesionTable | None = None,
) -> Result:
    """A result of a segmentation as it came; its lesions are measured unless `table` is given.

    The segmentation's array is shared, and copied only if it is read-only.
    """
    if not segmentation.array.flags.writeable:
        segmentation = replace(segmentation, array=segmentation.array.copy())
    predicted = read_only_copy(segmentation.array)
    if table is None:
        table = _find_lesions(
            segmentation, volume, min_volume_mm3, None, predicted, accept_blocking
        )
    model = segmentation.model
    maker = "drawn" if model is None else model.title or model.id
    return Result(
        id=uuid.uuid4().hex,
        volume_id=volume.id,
        name=name or f"{volume.name}: {maker}",
        segmentation=segmentation,
        predicted=predicted,
        table=table,
        min_volume_mm3=min_volume_mm3,
        accept_blocking=accept_blocking,
    )


def measure(result: Result, volume: Volume) -> LesionTable:
    """The lesions of a result as it is now; ids and reviews stay with lesions that still overlap.

    The label map is copied first, so that painting meanwhile cannot tear the measurement.
    """
    frozen = replace(result.segmentation, array=result.segmentation.array.copy())
    return _find_lesions(
        frozen,
        volume,
        result.min_volume_mm3,
        result.table,
        result.predicted,
        result.accept_blocking,
    )


def scored_anew(result: Result, classification: Classification, revision: int) -> Scored:
    """A classification of the result's lesions as of `revision`; what the reader chose stays.

    A class that was looked at, or that is called like one of the result's labels, is looked at
    first, else the last.
    """
    before, classes = result.scored, classification.classes
    labels = {label.name.casefold() for label in result.segmentation.labels}
    wanted = {before.class_name} if before is not None else set()
    wanted |= {name for name in classes if name.casefold() in labels}
    name = next((name for name in classes if name in wanted), classes[-1])
    scored = Scored(classification, name, revision)
    if before is None:
        return scored
    return replace(scored, threshold=before.threshold, hide_below=before.hide_below)


def with_reviews_of(current: LesionTable, table: LesionTable) -> LesionTable:
    """`table` with the reviews that `current` has for the same ids."""
    reviews = {lesion.id: lesion.review for lesion in current.lesions}
    lesions = tuple(replace(le, review=reviews.get(le.id, le.review)) for le in table.lesions)
    return replace(table, lesions=lesions)


def without_rejected(result: Result) -> Segmentation:
    """The result's segmentation without its rejected lesions, on an array of its own."""
    rejected = [le.id for le in result.table.lesions if le.review.verdict is Verdict.REJECTED]
    array = result.segmentation.array.copy()
    array[np.isin(result.table.id_map, rejected)] = 0
    return replace(result.segmentation, array=array)


def read_only_copy(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A copy of a label map in the smallest unsigned type that holds its values, read-only."""
    copy = array.astype(np.min_scalar_type(int(array.max(initial=0))), copy=True)
    copy.setflags(write=False)
    return copy


def _find_lesions(
    segmentation: Segmentation,
    volume: Volume,
    min_volume_mm3: float,
    previous: LesionTable | None,
    predicted: npt.NDArray[Any],
    accept_blocking: bool,
) -> LesionTable:
    # Labels that no model made hold nothing predicted: their first state counts for edits only.
    made_by_model = None if segmentation.model is None else predicted
    # Imported here because opening a viewer must not wait for cc3d and SimpleITK.
    from napari_medcnn.imaging.lesions import find_lesions

    return find_lesions(
        segmentation,
        volume,
        min_volume_mm3=min_volume_mm3,
        previous=previous,
        predicted=made_by_model,
        accept_blocking=accept_blocking,
    )
