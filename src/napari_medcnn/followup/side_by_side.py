"""Two registered images in one: a checkerboard and a swipe, as plain arrays to be shown."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import GeometryError

FloatImage = npt.NDArray[np.float32]

SQUARE_MM = 20.0
"""Side of a checkerboard's squares: several across a brain, each large enough to see edges in."""

_WINDOW = (1.0, 99.5)


def shown(array: npt.NDArray[Any], mask: npt.NDArray[np.bool_]) -> FloatImage:
    """An image ``(z, y, x)`` on 0 to 1, by percentiles within the mask; sequences become alike.

    Raises
    ------
    GeometryError
        When the mask has another shape or is empty.
    """
    if mask.shape != array.shape or not mask.any():
        raise GeometryError("a window needs a mask on the image's grid with at least one voxel")
    low, high = np.percentile(array[mask], _WINDOW)
    scaled = (np.asarray(array, dtype=np.float32) - low) / max(float(high - low), 1e-12)
    return np.asarray(np.clip(scaled, 0, 1), dtype=np.float32)


def checkerboard(
    fixed: FloatImage,
    moved: FloatImage,
    spacing_mm: tuple[float, float, float],
    square_mm: float = SQUARE_MM,
) -> FloatImage:
    """Cubes of both images in turn; edges that go on across them are registered.

    Parameters
    ----------
    fixed, moved : numpy.ndarray
        ``(z, y, x)`` on one grid, as :func:`shown` gives them.
    spacing_mm : tuple of float
        Of the grid, ``(z, y, x)``.
    square_mm : float
        Side of a cube, so that every plane shows squares.
    """
    _same_grid(fixed, moved)
    cells = sum(
        np.reshape(
            (np.arange(n) * step // square_mm).astype(int), [-1 if i == a else 1 for i in range(3)]
        )
        for a, (n, step) in enumerate(zip(fixed.shape, spacing_mm, strict=True))
    )
    return np.where(np.asarray(cells) % 2 == 0, fixed, moved)


def swipe(
    fixed: FloatImage, moved: FloatImage, share: float, axis: Literal[0, 1, 2] = 2
) -> FloatImage:
    """The fixed image up to a `share` (0 to 1) of an axis, and the moved one beyond it."""
    _same_grid(fixed, moved)
    border = round(np.clip(share, 0, 1) * fixed.shape[axis])
    joined = moved.copy()
    before = tuple(slice(0, border) if a == axis else slice(None) for a in range(3))
    joined[before] = fixed[before]
    return joined


def _same_grid(fixed: FloatImage, moved: FloatImage) -> None:
    if fixed.shape != moved.shape:
        raise GeometryError(f"images of {fixed.shape} and {moved.shape} are not on one grid")
