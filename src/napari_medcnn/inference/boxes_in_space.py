"""Boxes of a network's grid brought to the patient: eight corners each, in LPS mm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.detection import Detection, box_corners
from napari_medcnn.core.geometry import Geometry, Index
from napari_medcnn.core.segmentation import Label
from napari_medcnn.models.detector import BoxCoordinates

_BEFORE_CENTRE = {"centres": 0.0, "edges": 0.5}
"""How many voxels the number 0 of a box's coordinate lies before the first voxel's centre."""


def boxes_in_space(
    boxes: npt.NDArray[np.float64],
    scores: Sequence[float] | npt.NDArray[np.float64],
    classes: Sequence[int] | npt.NDArray[np.int64],
    grid: Geometry,
    labels: Sequence[Label],
    coordinates: BoxCoordinates,
) -> tuple[Detection, ...]:
    """Detections with ids from 1 on, in the order given.

    A box along the axes of an oblique grid is oblique in the patient: it keeps its eight corners,
    where MONAI's ``AffineBoxToWorldCoordinate`` moves two of them and draws a box along the
    patient's axes through these.

    Parameters
    ----------
    boxes : numpy.ndarray
        ``(n, 6)``, x, y, z of one corner and of the opposite one.
    grid : Geometry
        Of the network's tensor, its axes in reverse ``(z, y, x)``.
    labels : sequence of Label
        One a class, in their order.
    coordinates : {"centres", "edges"}
        What 0 means in `boxes`.
    """
    shift = _BEFORE_CENTRE[coordinates]
    found = []
    for number, (box, score, of) in enumerate(zip(boxes, scores, classes, strict=True), start=1):
        start, stop = box[2::-1] - shift, box[:2:-1] - shift
        label = labels[int(of)]
        corners = box_corners(grid, start, stop)
        found.append(Detection(number, label.value, label.name, float(score), corners))
    return tuple(found)


def part_of_grid(
    region: tuple[Index, Index] | None, image: Geometry, grid: Geometry, margin: float
) -> list[tuple[int, int]] | None:
    """First and last + 1 voxel along ``(x, y, z)`` of a grid that a region of an image reaches.

    Parameters
    ----------
    region : tuple of (start, stop), optional
        In voxels ``(z, y, x)`` of `image`; None stays None.
    margin : float
        Voxels of `grid` around it.
    """
    if region is None:
        return None
    start, stop = (np.asarray(corner, dtype=float) - 0.5 for corner in region)
    index = grid.lps_to_index(np.asarray(box_corners(image, start, stop)))
    low = np.floor(index.min(axis=0) - margin).astype(int)
    high = np.ceil(index.max(axis=0) + margin).astype(int) + 1
    return [(max(0, int(a)), max(0, int(z))) for a, z in zip(low[::-1], high[::-1], strict=True)]


def within(
    found: Sequence[Detection], region: tuple[Index, Index] | None, image: Geometry
) -> tuple[Detection, ...]:
    """Those whose middle lies in a region of the image, in voxels ``(z, y, x)``; all without."""
    if region is None:
        return tuple(found)
    start, stop = (np.asarray(corner) - 0.5 for corner in region)

    def inside(detection: Detection) -> Any:
        index = image.lps_to_index(detection.centre_lps_mm)
        return (index >= start).all() and (index < stop).all()

    return tuple(detection for detection in found if inside(detection))
