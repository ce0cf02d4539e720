"""Labels made on the image's grid: each plane is decided as soon as the slabs hold what it needs.

All classes at full size exist for a few planes only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_medcnn.inference.decide import Rule, activate, rule_of
from napari_medcnn.inference.planes import PlaneSampler, parted, planes_of
from napari_medcnn.inference.result_maps import Maps, Wanted
from napari_medcnn.inference.way_back import WayBack
from napari_medcnn.models.spec import ModelSpec

if TYPE_CHECKING:
    import torch

GROUP_BYTES = 128e6
"""Interpolated classes of the planes that are worked on at once."""


@dataclass(eq=False)
class OnImageGrid:
    """Values of all classes are interpolated to the image's grid, and labels are made there."""

    spec: ModelSpec
    way_back: WayBack
    maps: Maps
    wanted: Wanted
    axis: int
    threshold: float | None
    planes: int
    _planes: dict[int, torch.Tensor] = field(default_factory=dict)
    _rule: Rule | None = None
    _next: int = 0

    def __post_init__(self) -> None:
        after = self.spec.postprocessing
        box = self.way_back.box()  # of the slabs; that of rounded positions may be smaller
        if after.nearest:
            self.way_back = self.way_back.rounded()
        self._logits_travel = after.interpolate == "logits"
        along = self.way_back.positions[self.axis]
        start, stop = self.way_back.inside[self.axis]
        known = np.flatnonzero((along > start - 1) & (along < stop))
        self._order = known[np.argsort(along[known], kind="stable")]
        across = [a for a in range(3) if a != self.axis]
        self._across = PlaneSampler(
            [self.way_back.positions[a] for a in across],
            [box[a] for a in across],
            [self.way_back.inside[a] for a in across],
        )

    def take(self, first: int, logits: torch.Tensor) -> Iterator[None]:
        """See :class:`~napari_medcnn.inference.windows.Sink`."""
        import torch

        for number, plane in planes_of(logits, self.axis):
            with torch.inference_mode():
                values, variance = parted(plane, self.wanted.variance)
                if not self._logits_travel:
                    values = activate(values, self.spec.activation, 0)
                whole = values if variance is None else torch.cat([values, variance])
                self._planes[first + number] = whole
            yield from self._ready(first + number)

    def finish(self) -> Iterator[None]:
        """Nothing is left: every plane was decided when it could be."""
        self._planes.clear()
        return iter(())

    def _ready(self, last: int) -> Iterator[None]:
        """Decide the image's planes that lie at or before the network's plane `last`."""
        along = self.way_back.positions[self.axis]
        end = self.way_back.inside[self.axis][1] - 1
        group: list[int] = []
        while self._next < len(self._order):
            position = along[self._order[self._next]]
            if min(np.ceil(position), end) > last:
                break
            group.append(int(self._order[self._next]))
            self._next += 1
            if len(group) >= self._group_size(last):
                yield from self._decide(group)
                group = []
        if group:
            yield from self._decide(group)
        keep = np.floor(along[self._order[self._next]]) if self._next < len(self._order) else np.inf
        for number in [n for n in self._planes if n < keep]:
            del self._planes[number]

    def _group_size(self, last: int) -> int:
        import torch

        one = self._planes[last].shape[0] * self._across.size * 4
        return self.planes or max(1, min(int(GROUP_BYTES // one), torch.get_num_threads()))

    def _decide(self, group: list[int]) -> Iterator[None]:
        import torch

        with torch.inference_mode():
            stack = torch.stack([self._between(k) for k in group])
            sampled = self._across.of(stack, nearest=self.spec.postprocessing.nearest)
            for k, values in zip(group, sampled, strict=True):
                self._put(k, values)
        yield

    def _between(self, k: int) -> torch.Tensor:
        """The classes at the image's plane `k`, on the network's grid within the plane."""
        import torch

        position = float(self.way_back.positions[self.axis][k])
        start, stop = self.way_back.inside[self.axis]
        lower = int(np.floor(position))
        share = position - lower
        if lower < start:  # between nothing, which is zero, and the first plane
            return self._planes[lower + 1] * share
        if share == 0:
            return self._planes[lower]
        if lower + 1 >= stop:
            return self._planes[lower] * (1 - share)
        return torch.lerp(self._planes[lower], self._planes[lower + 1], share)

    def _put(self, k: int, values: torch.Tensor) -> None:
        values, variance = parted(values, self.wanted.variance)
        if self._logits_travel:
            values = activate(values, self.spec.activation, 0)
        if self._rule is None:
            self._rule = rule_of(self.spec, values.shape[0], self.threshold)
        plane = self._rule.of(
            values, probability=self.wanted.probability, entropy=self.wanted.entropy
        )
        self._across.clear_outside(plane)
        where: list[Any] = [slice(None)] * 3
        where[self.axis] = k
        self.maps.put(tuple(where), plane, None if variance is None else variance[0].cpu().numpy())
