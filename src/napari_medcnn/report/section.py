"""Plane sections of a volume as a reader sees them, with what is where on the page."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.geometry import Index

Positions = TypeVar("Positions", float, npt.NDArray[np.float64])

_NEXT_TO_NOTHING = 0.003
_MARGIN_MM = 5.0


class Plane(Enum):
    """A plane in radiological convention: the letters at its left, right, top and bottom edge.

    Axial and coronal sections are seen with the patient's right on the left of the page, axial
    ones with the front up; the others with the head up, sagittal ones with the face to the left.
    """

    AXIAL = ("axial", 0, "RLAP")
    CORONAL = ("coronal", 1, "RLSI")
    SAGITTAL = ("sagittal", 2, "APSI")

    def __init__(self, title: str, axis: int, letters: str) -> None:
        self.title = title
        self.axis = axis
        self.letters = letters


@dataclass(frozen=True, eq=False)
class Section:
    """One section: rows go down the page, columns to the right; lengths in the grid's unit.

    Parameters
    ----------
    plane : Plane
        Which one.
    index : int
        The slice of the canonical array.
    image, labels, ids : numpy.ndarray
        ``(row, column)``: values, label map and lesion ids.
    spacing : tuple of float
        Between rows and between columns.
    rows, columns : slice
        The part worth showing.
    """

    plane: Plane
    index: int
    image: npt.NDArray[Any]
    labels: npt.NDArray[Any]
    ids: npt.NDArray[np.uint32]
    spacing: tuple[float, float]
    rows: slice
    columns: slice

    @property
    def size(self) -> tuple[float, float]:
        """Height and width of the part worth showing."""
        height = (self.rows.stop - self.rows.start) * self.spacing[0]
        width = (self.columns.stop - self.columns.start) * self.spacing[1]
        return height, width

    def right(self, columns: Positions) -> Positions:
        """Distances of fractional column indices from the left edge of the image."""
        return (columns + 0.5) * self.spacing[1]

    def down(self, rows: Positions) -> Positions:
        """Distances of fractional row indices from its top edge."""
        return (rows + 0.5) * self.spacing[0]


@dataclass(frozen=True, eq=False)
class Stack:
    """A canonical volume with its label map and lesion ids: z, y, x grow to S, P and L.

    `box` is the part ``(z, y, x)`` worth showing, see :func:`body_box`.
    """

    image: npt.NDArray[Any]
    labels: npt.NDArray[Any]
    ids: npt.NDArray[np.uint32]
    spacing: tuple[float, float, float]
    box: tuple[slice, slice, slice]

    def section(self, plane: Plane, index: int) -> Section:
        """The section at a slice index, the right way up."""
        axis = plane.axis
        cut = [np.take(a, index, axis=axis) for a in (self.image, self.labels, self.ids)]
        # Rows of coronal and sagittal sections are z, which grows upwards; the page goes down.
        image, labels, ids = cut if plane is Plane.AXIAL else (a[::-1] for a in cut)
        down, right = (a for a in range(3) if a != axis)
        rows = self.box[down]
        if plane is not Plane.AXIAL:
            rows = slice(len(image) - rows.stop, len(image) - rows.start)
        spacing = (self.spacing[down], self.spacing[right])
        return Section(plane, index, image, labels, ids, spacing, rows, self.box[right])

    def on_section(self, section: Section, point: Index) -> tuple[float, float]:
        """Where the voxel `point` (z, y, x) projects on the page (right, down)."""
        row, column = (point[a] for a in range(3) if a != section.plane.axis)
        if section.plane is not Plane.AXIAL:
            row = section.image.shape[0] - 1 - row
        return section.right(float(column)), section.down(float(row))


def body_box(
    image: npt.NDArray[Any],
    ids: npt.NDArray[np.uint32],
    spacing: tuple[float, float, float],
    above: float,
) -> tuple[slice, slice, slice]:
    """The box ``(z, y, x)`` of what is brighter than `above`, and of every lesion, with a margin.

    Planes where next to nothing is bright are left out: noise and the table of the scanner.
    """
    shown = (image > above) | (ids > 0)
    z, y, x = (_extent(shown, axis, spacing[axis]) for axis in range(3))
    return z, y, x


def _extent(shown: npt.NDArray[np.bool_], axis: int, spacing: float) -> slice:
    others = tuple(a for a in range(3) if a != axis)
    filled = shown.mean(axis=others)
    where = np.flatnonzero(filled > _NEXT_TO_NOTHING)
    if not len(where):
        return slice(0, shown.shape[axis])
    margin = round(_MARGIN_MM / spacing)
    return slice(max(0, int(where[0]) - margin), min(len(filled), int(where[-1]) + 1 + margin))
