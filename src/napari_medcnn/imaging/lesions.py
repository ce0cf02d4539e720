"""From a label map to located, measured lesions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import GeometryError, InputMismatch
from napari_medcnn.core.lesion import Lesion, LesionTable, Origin, Review
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.imaging.components import Component, cut_out_components
from napari_medcnn.imaging.lesion_identity import assign_ids, origin_of
from napari_medcnn.imaging.lesion_measures import intensities, location, sizes, why_not_measured

_TIE = 1 - 1e-9
"""Volumes are products of rounded spacings: one of the smallest volume must not fall out."""


def find_lesions(
    segmentation: Segmentation,
    volume: Volume,
    *,
    min_volume_mm3: float = 0.0,
    previous: LesionTable | None = None,
    predicted: npt.NDArray[Any] | None = None,
    accept_blocking: bool = False,
) -> LesionTable:
    """Every connected component (26 neighbours) of every label as a measured lesion.

    Parameters
    ----------
    segmentation : Segmentation
        The label map.
    volume : Volume
        What it was drawn on: one frame, on the same grid.
    min_volume_mm3 : float
        Components below it are left out and counted in ``dropped_count``; one of exactly this
        volume stays. Without a volume in mm³ (see Notes) nothing is left out, and the table's
        ``min_volume_mm3`` is 0.
    previous : LesionTable, optional
        The lesions of this segmentation before an edit. A component keeps the id of the former
        lesion of its label that it overlaps most, one to one, largest overlap first; others get
        ids that were never used. Reviews stay with their ids.
    predicted : numpy.ndarray, optional
        ``(z, y, x)``: the model's label map before any edit. It decides each lesion's origin.
        Without it, everything is PREDICTED where ``segmentation.model`` is known, else ADDED.
    accept_blocking : bool
        The user's yes to measuring in spite of the volume's blocking findings.

    Returns
    -------
    LesionTable
        Lesions in order of their ids; new ids are given by falling size.

    Raises
    ------
    InputMismatch
        When the volume has several frames: measure ``volume.frame(i)``; or when there are so many
        components that it is no label map of lesions.
    GeometryError
        When the grids differ, or `previous` or `predicted` has another shape.

    Notes
    -----
    Volume is the voxel count times the affine's determinant, right for oblique and sheared grids.
    Figures in millimetres are missing, with the reason, where the spacing is unknown or a
    blocking finding stands; volume and 3D diameter also for a single picture, which has no depth.
    """
    _check(segmentation, volume, previous, predicted)
    has_volume = not (volume.is_2d or why_not_measured(volume, accept_blocking))
    smallest = min_volume_mm3 if has_volume else 0.0
    kept, dropped_count = cut_out_components(
        segmentation.array, smallest * _TIE / volume.geometry.voxel_volume_mm3
    )
    ids, last_id = assign_ids(kept, previous)
    reviews = {} if previous is None else {lesion.id: lesion.review for lesion in previous.lesions}
    lesions = [
        _lesion(c, ids, reviews, segmentation, volume, predicted, accept_blocking) for c in kept
    ]
    id_map = np.zeros(volume.geometry.shape, dtype=np.uint32)
    for component in kept:
        id_map[component.box][component.mask] = ids[component.number]
    return LesionTable(
        lesions=tuple(sorted(lesions, key=lambda lesion: lesion.id)),
        id_map=id_map,
        volume_id=volume.id,
        min_volume_mm3=smallest,
        dropped_count=dropped_count,
        last_id=last_id,
    )


def _lesion(
    component: Component,
    ids: Mapping[int, int],
    reviews: Mapping[int, Review],
    segmentation: Segmentation,
    volume: Volume,
    predicted: npt.NDArray[Any] | None,
    accept_blocking: bool,
) -> Lesion:
    lesion_id = ids[component.number]
    return Lesion(
        id=lesion_id,
        label=component.label,
        label_name=segmentation.label_of(component.label).name,
        voxel_count=component.voxel_count,
        bbox_start=component.start,
        bbox_stop=component.stop,
        touches_border=_touches_border(component, volume),
        origin=_origin(component, segmentation, predicted),
        review=reviews.get(lesion_id, Review()),
        **location(component, volume, accept_blocking),
        **sizes(component, volume, accept_blocking),
        **intensities(component, volume, segmentation.probability),
    )


def _origin(
    component: Component, segmentation: Segmentation, predicted: npt.NDArray[Any] | None
) -> Origin:
    if predicted is not None:
        return origin_of(component, predicted)
    return Origin.ADDED if segmentation.model is None else Origin.PREDICTED


def _touches_border(component: Component, volume: Volume) -> bool:
    # The only slice of a single picture is no edge of what was seen.
    axes = (1, 2) if volume.is_2d else (0, 1, 2)
    shape = volume.geometry.shape
    return any(component.start[a] == 0 or component.stop[a] == shape[a] for a in axes)


def _check(
    segmentation: Segmentation,
    volume: Volume,
    previous: LesionTable | None,
    predicted: npt.NDArray[Any] | None,
) -> None:
    if volume.frames is not None:
        raise InputMismatch(
            f"lesions are measured on one frame, not on {volume.frame_count}",
            source=volume.name,
            hint=f"choose a frame of its axis {volume.frames.name!r}",
        )
    if not segmentation.geometry.is_close(volume.geometry):
        raise GeometryError(
            "the label map lies on another grid than the image",
            source=volume.name,
            hint="resample the label map to the image first",
        )
    earlier = {
        "the former lesions": None if previous is None else previous.id_map,
        "the prediction": predicted,
    }
    for what, array in earlier.items():
        if array is not None and array.shape != volume.geometry.shape:
            raise GeometryError(
                f"{what} of shape {array.shape} do not fit the image's {volume.geometry.shape}",
                source=volume.name,
            )
