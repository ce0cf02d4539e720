"""Labels made on the network's grid, slab by slab, and brought back by the nearest voxel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.inference.decide import Rule, activate, rule_of
from napari_medcnn.inference.planes import parted, planes_of
from napari_medcnn.inference.regrid import interpolated
from napari_medcnn.inference.result_maps import Half, Maps, Wanted
from napari_medcnn.inference.way_back import WayBack
from napari_medcnn.models.spec import ModelSpec

if TYPE_CHECKING:
    import torch


@dataclass(eq=False)
class OnNetworkGrid:
    """Labels are made on the network's grid, and brought back by the nearest voxel."""

    spec: ModelSpec
    way_back: WayBack
    maps: Maps
    wanted: Wanted
    axis: int
    threshold: float | None = None
    _made: Maps | None = None
    _rule: Rule | None = None

    def take(self, first: int, logits: torch.Tensor) -> Iterator[None]:
        """See :class:`~napari_medcnn.inference.windows.Sink`."""
        import torch

        for number, values in planes_of(logits, self.axis):
            with torch.inference_mode():
                values, variance = parted(values, self.wanted.variance)
                values = activate(values, self.spec.activation, 0)
                if self._rule is None:
                    self._rule = rule_of(self.spec, values.shape[0], self.threshold)
                plane = self._rule.of(
                    values, probability=self.wanted.probability, entropy=self.wanted.entropy
                )
            where: list[Any] = [slice(None)] * 3
            where[self.axis] = first + number - self.way_back.box()[self.axis][0]
            self._on_grid(self._rule).put(
                tuple(where), plane, None if variance is None else variance[0].cpu().numpy()
            )
            yield

    def finish(self) -> Iterator[None]:
        """Bring the labels to the image's grid, and interpolate the maps."""
        made = self._made
        if made is None:
            return
        yield from self._labels_to_image(made.labels)
        for into, values in (
            (self.maps.probability, made.probability),
            (self.maps.entropy, made.entropy),
            (self.maps.variance, made.variance),
        ):
            if into is not None and values is not None:
                yield from self._map_to_image(values, into)

    def _labels_to_image(self, made: npt.NDArray[Any]) -> Iterator[None]:
        known, nearest = [], []
        lines = zip(self.way_back.positions, self.way_back.inside, self.way_back.box(), strict=True)
        for positions, (start, stop), (first, last) in lines:
            whole = np.rint(positions)
            known.append(np.flatnonzero((whole >= start) & (whole < stop)))
            nearest.append(np.clip(whole[known[-1]], first, last - 1).astype(np.intp) - first)
        for k, source in zip(known[0], nearest[0], strict=True):
            plane = made[source][np.ix_(nearest[1], nearest[2])]
            self.maps.labels[k][np.ix_(known[1], known[2])] = plane
            yield

    def _map_to_image(self, made: Half, into: Half) -> Iterator[None]:
        lines = list(zip(self.way_back.positions, self.way_back.box(), strict=True))
        inner = [np.clip(p - first, 0, last - first - 1) for p, (first, last) in lines]
        yield from interpolated(made, inner, into)
        for axis, (positions, (start, stop)) in enumerate(
            zip(self.way_back.positions, self.way_back.inside, strict=True)
        ):
            # Between the last voxel that is known and the first one beyond, which is zero.
            share = np.clip(np.minimum(positions - (start - 1), stop - positions), 0, 1)
            moved = np.moveaxis(into, axis, 0)
            for k in np.flatnonzero(share < 1):
                moved[k] *= np.float16(share[k])

    def _on_grid(self, rule: Rule) -> Maps:
        if self._made is None:
            shape = tuple(stop - start for start, stop in self.way_back.box())
            self._made = Maps(
                np.zeros(shape, dtype=rule.dtype),
                np.zeros(shape, dtype=np.float16) if self.wanted.probability else None,
                np.zeros(shape, dtype=np.float16) if self.wanted.entropy else None,
                np.zeros(shape, dtype=np.float16) if self.wanted.variance else None,
            )
        return self._made
