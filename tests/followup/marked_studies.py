"""Studies with lesions drawn as balls or boxes, as the matcher takes them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from napari_medcnn.core.change import Link
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.registration import SpatialTransform
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.followup.placed import PlacedLesions
from napari_medcnn.imaging.lesions import find_lesions

GRID = Geometry.from_spacing((14, 40, 40), (3.0, 1.0, 1.0), (-20.0, 5.0, 100.0))

Ball = tuple[float, float, float, float]
"""Centre in mm from the first voxel along (z, y, x), and radius in mm."""


def balls(drawn: Iterable[Ball], grid: Geometry = GRID) -> np.ndarray:
    """A label map ``(z, y, x)`` of balls."""
    steps = zip(grid.shape, grid.spacing, strict=True)
    places = np.stack(np.meshgrid(*[np.arange(n) * s for n, s in steps], indexing="ij"), -1)
    array = np.zeros(grid.shape, dtype=np.uint8)
    for z, y, x, radius in drawn:
        array[np.linalg.norm(places - (z, y, x), axis=-1) <= radius] = 1
    return array


def study(
    name: str,
    array: np.ndarray,
    grid: Geometry = GRID,
    transform: SpatialTransform | None = None,
) -> PlacedLesions:
    """The lesions of a label map, found and measured as the program does."""
    labels = tuple(Label(int(v), f"kind {v}") for v in np.unique(array[array > 0]))
    image = np.full(grid.shape, 100.0, dtype=np.float32) + 10 * array
    volume = Volume(image, grid, name=name, modality="CT", unit="HU")
    table = find_lesions(Segmentation(array, grid, labels, volume.id), volume)
    return PlacedLesions(name, table, grid, transform or SpatialTransform.identity())


def moved(motion: np.ndarray, grid: Geometry = GRID) -> Geometry:
    """A grid with every voxel moved by a 4x4 matrix."""
    return Geometry(grid.shape, motion @ grid.affine)


def ids(links: Iterable[Link]) -> list[tuple[list[int], list[int]]]:
    """Links by the lesions' ids."""
    return [
        ([key.lesion_id for key in link.before], [key.lesion_id for key in link.after])
        for link in links
    ]
