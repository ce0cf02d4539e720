"""Lesions of a study in the space of the baseline, without resampling anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.change import LesionKey
from napari_medcnn.core.errors import GeometryError
from napari_medcnn.core.geometry import FloatArray, Geometry
from napari_medcnn.core.lesion import Lesion, LesionTable, Verdict
from napari_medcnn.core.registration import SpatialTransform
from napari_medcnn.followup.spatial_transform import map_points, map_points_back

Mask: TypeAlias = npt.NDArray[np.bool_]

MAX_POINTS = 500
"""Voxels by which a larger lesion is represented: shares are then known to some 2 %."""


@dataclass(frozen=True, eq=False)
class PlacedLesions:
    """The lesions of one study, and where that study lies beside the baseline.

    Parameters
    ----------
    study : str
        The study's identity, see :class:`~napari_medcnn.core.change.TimePoint`.
    table : LesionTable
        Its lesions. Those that a reader rejected take no part.
    geometry : Geometry
        The study's own grid, that of ``table.id_map``.
    transform : SpatialTransform
        From a point of the baseline to one of this study, LPS mm: that of a
        :class:`~napari_medcnn.core.registration.Registration` whose moving image is this one;
        the identity for the baseline itself.

    Raises
    ------
    GeometryError
        When the table's lesions lie on another grid.
    """

    study: str
    table: LesionTable
    geometry: Geometry
    transform: SpatialTransform = field(default_factory=SpatialTransform.identity)

    def __post_init__(self) -> None:
        if self.table.id_map.shape != self.geometry.shape:
            raise GeometryError(
                f"lesions on {self.table.id_map.shape} voxels do not fit a grid of "
                f"{self.geometry.shape}",
                source=self.study,
            )

    @cached_property
    def lesions(self) -> tuple[Lesion, ...]:
        """Those that take part, in order of their ids."""
        return tuple(le for le in self.table.lesions if le.review.verdict is not Verdict.REJECTED)

    def of(self, lesions: Sequence[Lesion]) -> PlacedLesions:
        """Some of the lesions alone."""
        return replace(self, table=replace(self.table, lesions=tuple(lesions)))

    def key(self, lesion: Lesion) -> LesionKey:
        """What the lesion is called beyond its study."""
        return LesionKey(self.study, lesion.id)

    def lesion(self, key: LesionKey) -> Lesion:
        """The lesion of a key.

        Raises
        ------
        KeyError
            When it is of another study, or there is no such lesion.
        """
        if key.study != self.study:
            raise KeyError(key)
        return self.table.by_id(key.lesion_id)

    def mask(self, lesion: Lesion) -> Mask:
        """The lesion's voxels ``(z, y, x)`` within its bounding box."""
        box = tuple(slice(a, b) for a, b in zip(lesion.bbox_start, lesion.bbox_stop, strict=True))
        inside: Mask = self.table.id_map[box] == lesion.id
        return inside

    def points(self, lesion: Lesion) -> FloatArray:
        """Centres of its voxels ``(n, 3)`` in the baseline's space, LPS mm; of many, a sample."""
        index = np.argwhere(self.mask(lesion))
        if len(index) > MAX_POINTS:
            # Every n-th voxel would follow the grid's rows; a drawn sample does not.
            chosen = np.random.default_rng(0).choice(len(index), MAX_POINTS, replace=False)
            index = index[np.sort(chosen)]
        return self.to_baseline(self.geometry.index_to_lps(index + np.array(lesion.bbox_start)))

    def holds(self, lesion: Lesion, points: npt.ArrayLike) -> Mask:
        """Which of the points ``(n, 3)`` of the baseline's space lie in one of its voxels."""
        index = np.rint(self.to_index(points)).astype(np.intp) - np.array(lesion.bbox_start)
        mask = self.mask(lesion)
        within: Mask = ((index >= 0) & (index < np.array(mask.shape))).all(axis=1)
        within[within] = mask[tuple(index[within].T)]
        return within

    def to_baseline(self, points: npt.ArrayLike) -> FloatArray:
        """From this study's space to the baseline's, ``(..., 3)`` LPS mm."""
        return map_points_back(self.transform, points)

    def to_index(self, points: npt.ArrayLike) -> FloatArray:
        """Fractional indices ``(..., 3)`` as (z, y, x) of points ``(..., 3)`` of the baseline."""
        return self.geometry.lps_to_index(map_points(self.transform, points))

    def shift_of_index(self, shift_mm: FloatArray) -> FloatArray:
        """How far indices move when points of the baseline are moved by ``(..., 3)`` mm.

        A deformation hardly changes over so small a way; its matrix alone is used.
        """
        linear: Any = np.linalg.inv(self.geometry.affine[:3, :3]) @ self.transform.matrix[:3, :3]
        moved: FloatArray = shift_mm @ linear.T
        return moved

    def share_in_view(self, points: npt.ArrayLike) -> float:
        """Which part of points ``(n, 3)`` of the baseline this study's image shows."""
        index = self.to_index(points)
        inside = (index >= -0.5) & (index <= np.array(self.geometry.shape) - 0.5)
        return float(inside.all(axis=-1).mean())
