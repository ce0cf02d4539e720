"""Slices of a volume as pictures, the way up in which people look at them.

A network of pictures was trained with files of pictures: rows from top to bottom, columns from left
to right. A slice is handed over as the picture that the package's views show of it, in the
radiological convention:

========  ==========================  ==========================
axis      rows, from the top down     columns, from the left on
========  ==========================  ==========================
z, 0      anterior to posterior       the patient's right to left
y, 1      superior to inferior        the patient's right to left
x, 2      superior to inferior        anterior to posterior
========  ==========================  ==========================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.lesion import Point
from napari_medcnn.core.volume import Volume


class SlicePictures:
    """The slices of an image along one axis.

    Parameters
    ----------
    volumes : sequence of Volume
        One a channel; what is said of the pictures is that of the first.
    channels : sequence of numpy.ndarray
        Their voxels ``(z, y, x)`` on the grid of the first.
    axis : int
        Of ``(z, y, x)``, along which the slices lie.
    """

    def __init__(
        self, volumes: Sequence[Volume], channels: Sequence[npt.NDArray[Any]], axis: int
    ) -> None:
        self._volumes = tuple(volumes)
        self._channels = tuple(channels)
        self._axis = axis
        self._grid = volumes[0].geometry

    def __len__(self) -> int:
        return self._grid.shape[self._axis]

    def through(self, index: Sequence[float]) -> int:
        """The slice that is nearest to a fractional index ``(z, y, x)`` of the volume."""
        return min(max(round(index[self._axis]), 0), len(self) - 1)

    def centre(self, index: int) -> Point:
        """LPS mm of the middle of a slice."""
        middle = [(n - 1) / 2 for n in self._grid.shape]
        middle[self._axis] = index
        x, y, z = (float(v) for v in self._grid.index_to_lps(middle))
        return x, y, z

    def picture(self, index: int) -> tuple[Volume, ...]:
        """A slice as a picture ``(1, row, column)``, one volume a channel.

        Its geometry has the slice's true spacing, and the picture's own axes: it lies nowhere.
        """
        planes = (np.take(channel, index, axis=self._axis) for channel in self._channels)
        # Only z, which grows to superior, runs against the rows of a picture.
        shown = [plane if self._axis == 0 else plane[::-1] for plane in planes]
        grid = Geometry.from_spacing((1, *shown[0].shape), self._spacing())
        return tuple(
            Volume(
                plane[np.newaxis],
                grid,
                name=f"{volume.name}, slice {index}",
                modality=volume.modality,
                unit=volume.unit,
                spacing_known=volume.spacing_known,
            )
            for volume, plane in zip(self._volumes, shown, strict=True)
        )

    def place(self, index: Sequence[float]) -> Point:
        """Where a fractional index ``(z, y, x)`` of the volume lies in its slice's picture.

        In mm of the picture's own geometry, ``(x, y, z)``.
        """
        row, column = (float(v) for axis, v in enumerate(index) if axis != self._axis)
        if self._axis != 0:
            row = self._grid.shape[0] - 1 - row
        _, of_row, of_column = self._spacing()
        return column * of_column, row * of_row, 0.0

    def _spacing(self) -> tuple[float, float, float]:
        thickness = self._grid.spacing[self._axis]
        row, column = (s for axis, s in enumerate(self._grid.spacing) if axis != self._axis)
        return thickness, row, column
