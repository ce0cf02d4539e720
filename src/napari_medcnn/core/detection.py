"""What a detector found: boxes in space with scores, which are no masks."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.geometry import FloatArray, Geometry, Index
from napari_medcnn.core.lesion import Point, Review
from napari_medcnn.core.segmentation import Label, ModelReference

Corners = tuple[Point, Point, Point, Point, Point, Point, Point, Point]

NO_VOLUME = "a box has no outline: its volume is not that of what lies in it"
"""Why there is no volume, wherever a table of lesions would have one."""


@dataclass(frozen=True)
class Detection:
    """One box around what a detector takes for an object; it marks no voxels.

    Parameters
    ----------
    id : int
        From 1 on, in the order of the scores.
    label, label_name
        Value and name of the class.
    score : float
        The detector's own figure, 0..1; no probability that was held against cases.
    corners_lps_mm : tuple of Point
        Eight corners, LPS mm ``(x, y, z)``. The corner number's bits 4, 2 and 1 tell at which end
        of the box's axes ``(z, y, x)`` it lies; these need not be the patient's.
    review : Review
        What the reader decided.
    """

    id: int
    label: int
    label_name: str
    score: float
    corners_lps_mm: Corners
    review: Review = Review()

    @property
    def centre_lps_mm(self) -> Point:
        """The middle of the box."""
        return _point(np.mean(self.corners_lps_mm, axis=0))

    @property
    def size_mm(self) -> tuple[float, float, float]:
        """Lengths of the box's edges in mm along its axes ``(z, y, x)``."""
        corners = np.asarray(self.corners_lps_mm)
        z, y, x = (float(np.linalg.norm(corners[bit] - corners[0])) for bit in (4, 2, 1))
        return z, y, x

    @property
    def longest_edge_mm(self) -> float:
        """The largest of the box's three edges."""
        return max(self.size_mm)

    def corners_on(self, grid: Geometry) -> FloatArray:
        """The corners ``(8, 3)`` as fractional indices ``(z, y, x)`` of a grid."""
        return grid.lps_to_index(np.asarray(self.corners_lps_mm))

    def anchor_on(self, grid: Geometry) -> Index:
        """The voxel of a grid that holds the middle, or the nearest one to it."""
        index = np.rint(grid.lps_to_index(self.centre_lps_mm)).astype(int)
        z, y, x = (int(v) for v in np.clip(index, 0, np.asarray(grid.shape) - 1))
        return z, y, x


@dataclass(frozen=True, eq=False)
class Detections:
    """The boxes that a model drew in one volume.

    Parameters
    ----------
    boxes : tuple of Detection
        The highest score first.
    volume_id : str
        The volume that they belong to.
    geometry : Geometry
        Equal to that of the volume.
    labels : tuple of Label
        Every class that the model knows.
    model : ModelReference
        Which one.
    parameters : dict
        What the model was run with, JSON-able.
    """

    boxes: tuple[Detection, ...]
    volume_id: str
    geometry: Geometry
    labels: tuple[Label, ...]
    model: ModelReference
    parameters: dict[str, Any] = field(default_factory=dict)

    def by_id(self, box_id: int) -> Detection:
        """The box of an id.

        Raises
        ------
        KeyError
            When there is none.
        """
        for box in self.boxes:
            if box.id == box_id:
                return box
        raise KeyError(box_id)

    def reviewed(self, box_id: int, review: Review) -> Detections:
        """The same with another review of one box."""
        self.by_id(box_id)
        boxes = (replace(b, review=review) if b.id == box_id else b for b in self.boxes)
        return replace(self, boxes=tuple(boxes))

    def label_of(self, value: int) -> Label:
        """The label of a value; one without a name is called after its value."""
        return next((lb for lb in self.labels if lb.value == value), Label(value, f"class {value}"))


def box_corners(grid: Geometry, start: npt.ArrayLike, stop: npt.ArrayLike) -> Corners:
    """The corners in space of a box along the axes of a grid.

    Parameters
    ----------
    grid : Geometry
        Its axes may be oblique or flipped against the patient's: the box then is, too.
    start, stop : array_like
        Fractional indices ``(z, y, x)``; index 0 is a voxel's centre, so that a box around the
        voxels ``a`` to ``b`` reaches from ``a - 0.5`` to ``b + 0.5``.
    """
    ends = np.stack([np.asarray(start, dtype=float), np.asarray(stop, dtype=float)])
    picked = np.array(list(itertools.product((0, 1), repeat=3)))
    points = grid.index_to_lps(ends[picked, np.arange(3)])
    a, b, c, d, e, f, g, h = (_point(point) for point in points)
    return a, b, c, d, e, f, g, h


def _point(values: npt.ArrayLike) -> Point:
    x, y, z = (float(v) for v in np.asarray(values))
    return x, y, z
