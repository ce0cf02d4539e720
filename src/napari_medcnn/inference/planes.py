"""Planes of all classes: taken out of slabs, and sampled where the image's voxels lie in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_medcnn.inference.decide import Plane
from napari_medcnn.inference.way_back import Span

if TYPE_CHECKING:
    import torch

PLANES_AT_ONCE = 16
"""Planes taken out of a slab at once: where the streamed axis is the innermost one, as many floats
share a cache line."""


class PlaneSampler:
    """Samples planes of all classes within the plane; zero beyond what stands for the image.

    Parameters
    ----------
    positions : sequence of numpy.ndarray
        Along rows and columns, on the network's grid.
    box, inside : sequence of (int, int)
        The part of the grid that the planes hold, and the part that stands for the image.
    """

    def __init__(
        self,
        positions: Sequence[npt.NDArray[np.float64]],
        box: Sequence[Span],
        inside: Sequence[Span],
    ) -> None:
        import torch

        self._shape = [stop - start for start, stop in box]
        lines = [
            ((p - start) * 2 + 1) / max(n, 1) - 1
            for p, (start, _), n in zip(positions, box, self._shape, strict=True)
        ]
        rows, columns = (torch.from_numpy(line.astype(np.float32)) for line in lines)
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        self._grid = torch.stack([x, y], -1)[None]
        self._outside = [
            (p <= start - 1) | (p >= stop)
            for p, (start, stop) in zip(positions, inside, strict=True)
        ]
        self.size = len(rows) * len(columns)

    def of(self, planes: torch.Tensor, *, nearest: bool) -> torch.Tensor:
        """The planes ``(plane, class, row, column)`` at all positions."""
        from torch.nn.functional import grid_sample

        if self._grid.device != planes.device:
            self._grid = self._grid.to(planes.device)
        return grid_sample(
            planes,
            self._grid.expand(planes.shape[0], -1, -1, -1),
            mode="nearest" if nearest else "bilinear",
            padding_mode="zeros",
            align_corners=False,  # so that a single voxel has neighbours, which are zero
        )

    def clear_outside(self, plane: Plane) -> None:
        """No label and no probability where nothing is known."""
        rows, columns = self._outside
        for values in (plane.labels, plane.probability, plane.entropy):
            if values is not None:
                values[rows] = 0
                values[:, columns] = 0


def planes_of(logits: torch.Tensor, axis: int) -> Iterator[tuple[int, torch.Tensor]]:
    """Each plane ``(class, row, column)`` of a slab ``(class, x, y, z)``, copied out of it."""
    import torch

    count = logits.shape[axis + 1]
    for start in range(0, count, PLANES_AT_ONCE):
        some = logits.narrow(axis + 1, start, min(PLANES_AT_ONCE, count - start))
        stack = some.movedim(axis + 1, 0).clone(memory_format=torch.contiguous_format)
        yield from enumerate(stack.unbind(0), start)


def parted(values: torch.Tensor, has_variance: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Classes, and the last channel where it is a variance."""
    return (values[:-1], values[-1:]) if has_variance else (values, None)
