"""Two studies of one patient side by side: what each shows, and what became of its lesions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.change import Change, LesionKey, TimePoint
from napari_medcnn.core.errors import GeometryError
from napari_medcnn.core.lesion import LesionTable
from napari_medcnn.core.registration import Registration
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume


@dataclass(frozen=True, eq=False)
class Study:
    """One study, measured on its own grid.

    Parameters
    ----------
    point : TimePoint
        Which one it is.
    volume : Volume
        Its image.
    segmentation : Segmentation
        What was marked in it.
    table : LesionTable
        The lesions of that, and where they lie.
    """

    point: TimePoint
    volume: Volume
    segmentation: Segmentation
    table: LesionTable


@dataclass(frozen=True, eq=False)
class FollowUp:
    """A follow-up held against its baseline.

    Parameters
    ----------
    before, after : Study
        The baseline and the follow-up, each as it was acquired.
    registration : Registration
        From points of the baseline to points of the follow-up.
    after_image : Volume
        The follow-up's image on the baseline's grid, to look at; nothing is measured on it.
    after_ids : numpy.ndarray
        ``(z, y, x)`` uint32: ids of the follow-up's lesions on the baseline's grid.
    uids : mapping of LesionKey to str
        Tracking UIDs of all lesions of both studies: one that is linked has the same in both.
    change : Change
        What became of every lesion.

    Raises
    ------
    GeometryError
        When what should lie on the baseline's grid does not.
    """

    before: Study
    after: Study
    registration: Registration
    after_image: Volume
    after_ids: npt.NDArray[np.uint32]
    uids: Mapping[LesionKey, str]
    change: Change

    def __post_init__(self) -> None:
        grid = self.before.volume.geometry
        if not self.after_image.geometry.is_close(grid) or self.after_ids.shape != grid.shape:
            raise GeometryError("a follow-up is shown on the grid of its baseline")
