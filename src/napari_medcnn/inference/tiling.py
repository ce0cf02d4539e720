"""Where windows lie on a grid, and in which order they are run. Pure: no torch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from napari_medcnn.inference.plan_grid import window_starts
from napari_medcnn.inference.way_back import Span
from napari_medcnn.models.spec import ModelSpec

Place: TypeAlias = tuple[int, ...]
Row: TypeAlias = tuple[int, list[Place]]
"""The start of a row of windows along the streamed axis, and the first voxels of its windows."""


@dataclass(frozen=True)
class Tiling:
    """Where windows lie on a grid that was filled up to at least one window.

    Parameters
    ----------
    roi : tuple of int
        The window ``(x, y, z)``.
    padding : tuple of (int, int)
        Voxels added before and after each axis.
    starts : tuple of tuple of int
        First voxels of the windows along each axis, of the padded grid.
    axis : int
        Along which the windows advance, row by row.
    """

    roi: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    starts: tuple[tuple[int, ...], ...]
    axis: int

    @property
    def padded(self) -> tuple[int, ...]:
        """The padded grid."""
        return tuple(s[-1] + r for s, r in zip(self.starts, self.roi, strict=True))

    def rows(self, box: Sequence[Span]) -> Iterator[Row]:
        """The start of each row of windows and the windows that touch `box` of the padded grid."""
        needed = [
            [s for s in starts if s < stop and s + r > start]
            for starts, r, (start, stop) in zip(self.starts, self.roi, box, strict=True)
        ]
        for start in needed[self.axis]:
            along = [*needed]
            along[self.axis] = [start]
            yield start, list(itertools.product(*along))


def tile(shape: Sequence[int], spec: ModelSpec, axis: int) -> Tiling:
    """Lay a model's windows over a grid ``(x, y, z)``."""
    roi = tuple(r or n for r, n in zip(reversed(spec.roi_size), shape, strict=True))
    missing = [max(r - n, 0) for r, n in zip(roi, shape, strict=True)]
    sizes = [n + m for n, m in zip(shape, missing, strict=True)]
    return Tiling(
        roi,
        tuple((m // 2, m - m // 2) for m in missing),
        tuple(
            window_starts(n, r, spec.overlap, spec.window_layout)
            for n, r in zip(sizes, roi, strict=True)
        ),
        axis,
    )
