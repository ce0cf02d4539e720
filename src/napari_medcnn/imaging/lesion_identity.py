"""Which lesion is which after an edit, and who drew it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_medcnn.core.lesion import LesionTable, Origin
from napari_medcnn.imaging.components import Component

_WITH_DIAGONALS = np.ones((3, 3, 3), dtype=bool)


def assign_ids(
    components: Sequence[Component], previous: LesionTable | None
) -> tuple[dict[int, int], int]:
    """An id for every component's number, and the highest id ever given.

    Former lesions and components of the same label are paired one to one, the largest overlap in
    voxels first (at a tie the lower id). What is left gets new ids in the order of `components`.
    """
    ids: dict[int, int] = {}
    last = 0
    if previous is not None:
        last = max([previous.last_id, *(lesion.id for lesion in previous.lesions)])
        taken: set[int] = set()
        for _, former, number in sorted(_overlaps(components, previous)):
            if former not in taken and number not in ids:
                ids[number] = former
                taken.add(former)
    for component in components:
        if component.number not in ids:
            last += 1
            ids[component.number] = last
    return ids, last


def _overlaps(components: Sequence[Component], previous: LesionTable) -> list[tuple[int, int, int]]:
    """Minus the overlap in voxels, the former id, and the component's number."""
    labels = {lesion.id: lesion.label for lesion in previous.lesions}
    pairs = []
    for component in components:
        formerly = previous.id_map[component.box][component.mask]
        for former, count in zip(*np.unique(formerly, return_counts=True), strict=True):
            if labels.get(int(former)) == component.label:
                pairs.append((-int(count), int(former), component.number))
    return pairs


def origin_of(component: Component, predicted: npt.NDArray[Any]) -> Origin:
    """Who drew a component.

    Parameters
    ----------
    component : Component
        A component of the label map as it is now.
    predicted : numpy.ndarray
        ``(z, y, x)``: the model's label map before any edit.

    Returns
    -------
    Origin
        PREDICTED when the same voxels are a whole component of the prediction with the same
        label, ADDED when none of them was predicted as any label, else EDITED.
    """
    there = predicted[component.box][component.mask]
    if not there.any():
        return Origin.ADDED
    if (there == component.label).all() and not _went_on(component, predicted):
        return Origin.PREDICTED
    return Origin.EDITED


def _went_on(component: Component, predicted: npt.NDArray[Any]) -> bool:
    """Whether the predicted lesion had voxels next to the component that were erased since."""
    outer, margins = [], []
    for part, size in zip(component.box, predicted.shape, strict=True):
        start, stop = max(part.start - 1, 0), min(part.stop + 1, size)
        outer.append(slice(start, stop))
        margins.append((part.start - start, stop - part.stop))
    mask = np.pad(component.mask, margins)
    rim = ndimage.binary_dilation(mask, _WITH_DIAGONALS) & ~mask
    return bool((predicted[tuple(outer)][rim] == component.label).any())
