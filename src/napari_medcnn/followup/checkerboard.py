"""Two registered images in one: a checkerboard, as a plain array to be shown."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import GeometryError

FloatImage = npt.NDArray[np.float32]

SQUARE_MM = 20.0
"""Side of a checkerboard's squares: several across a brain, each large enough to see edges in."""


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
        ``(z, y, x)`` on one grid and one scale of grey values.
    spacing_mm : tuple of float
        Of the grid, ``(z, y, x)``.
    square_mm : float
        Side of a cube, so that every plane shows squares.

    Raises
    ------
    GeometryError
        When the images are not on one grid.
    """
    if fixed.shape != moved.shape:
        raise GeometryError(f"images of {fixed.shape} and {moved.shape} are not on one grid")
    cells = sum(
        np.reshape(
            (np.arange(n) * step // square_mm).astype(int), [-1 if i == a else 1 for i in range(3)]
        )
        for a, (n, step) in enumerate(zip(fixed.shape, spacing_mm, strict=True))
    )
    return np.where(np.asarray(cells) % 2 == 0, fixed, moved)
