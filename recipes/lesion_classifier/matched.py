"""Places without a lesion that match lesions in size: the lesions' own shapes, moved elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_medcnn.imaging.components import Box, Component

Mask = npt.NDArray[np.bool_]

TRIES = 4_000
"""Random places that are tried for a lesion before it counts as one without a match."""

PROBES = 48
"""Voxels of a shape that are looked at before all of them are: most places fail by one of them."""

APART = 2
"""Voxels between two matched places: they must stay two components."""


@dataclass(frozen=True, eq=False)
class Match:
    """A lesion, and the box elsewhere into which its shape was moved; None where no room was."""

    lesion: Component
    moved: Box | None

    @property
    def lesion_voxels(self) -> npt.NDArray[np.intp]:
        """Indices ``(voxel, axis)`` of the lesion."""
        return _voxels(self.lesion.mask, self.lesion.box)

    @property
    def moved_voxels(self) -> npt.NDArray[np.intp]:
        """Indices ``(voxel, axis)`` of its shape elsewhere; without any where no room was."""
        if self.moved is None:
            return np.empty((0, self.lesion.mask.ndim), dtype=np.intp)
        return _voxels(self.lesion.mask, self.moved)


def matched_shapes(
    lesions: Sequence[Component], allowed: Mask, rng: np.random.Generator
) -> list[Match]:
    """Each lesion's own shape at a random place where all of it is allowed.

    Parameters
    ----------
    lesions : sequence of Component
        Cut out of a mask; the first is placed first, while there is most room.
    allowed : numpy.ndarray
        The grid of that mask: where a place without a lesion may lie.
    rng : numpy.random.Generator
        The only source of randomness.

    Returns
    -------
    list of Match
        In the lesions' order.
    """
    free = allowed.copy()
    places = np.argwhere(free)
    found = []
    for lesion in lesions:
        box = _room(lesion.mask, free, places, rng)
        found.append(Match(lesion, box))
        if box is not None:
            _take(free, lesion.mask, box)
    return found


def _room(
    shape: Mask, free: Mask, places: npt.NDArray[np.intp], rng: np.random.Generator
) -> Box | None:
    """A random box in which the shape fits into what is free, some voxel of it at a place."""
    if len(places) < shape.sum():
        return None
    voxels = np.argwhere(shape)
    anchor = voxels[len(voxels) // 2]
    corners = places[rng.integers(len(places), size=TRIES)] - anchor
    within = (corners >= 0).all(axis=1) & (corners + shape.shape <= free.shape).all(axis=1)
    corners = corners[within]
    probes = voxels[rng.integers(len(voxels), size=PROBES)]
    hopeful = free[tuple(np.moveaxis(corners[:, None] + probes, -1, 0))].all(axis=1)
    for corner in corners[hopeful]:
        z, y, x = (slice(int(a), int(a) + n) for a, n in zip(corner, shape.shape, strict=True))
        if free[z, y, x][shape].all():
            return z, y, x
    return None


def _take(free: Mask, shape: Mask, box: Box) -> None:
    """Let nothing else be placed at a shape, or near it."""
    wide = tuple(slice(max(part.start - APART, 0), part.stop + APART) for part in box)
    taken = np.zeros_like(free)
    taken[box] = shape
    reach = ndimage.generate_binary_structure(3, 3)
    free[wide] &= ~ndimage.binary_dilation(taken[wide], reach, iterations=APART)


def _voxels(shape: Mask, box: Box) -> npt.NDArray[np.intp]:
    voxels: npt.NDArray[np.intp] = np.argwhere(shape) + [part.start for part in box]
    return voxels
