"""Slide a detection network's window over an image: one map of sums for each output and level.

What comes out is what MONAI's ``SlidingWindowInferer`` makes of the network's outputs, whose grids
are coarser than the window; here a run can be followed, cancelled and limited to a region.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from monai.data.utils import compute_importance_map
from torch.nn.functional import interpolate, pad

from napari_medcnn.core.events import Event, JobControl, Progress
from napari_medcnn.inference.plan_grid import window_starts
from napari_medcnn.inference.windows import STAGE
from napari_medcnn.models.spec import ModelSpec

Outputs: TypeAlias = list[torch.Tensor]
"""Class maps of every level, then box maps of every level: ``(channel, x, y, z)``."""

Network: TypeAlias = Callable[[torch.Tensor], Outputs]
Span: TypeAlias = tuple[int, int]


def slide(
    network: Network,
    image: torch.Tensor,
    roi: Sequence[int],
    spec: ModelSpec,
    control: JobControl,
    part: Sequence[Span] | None = None,
) -> Generator[Event, None, tuple[Outputs, int]]:
    """Run the network over windows; returns its outputs on the whole image, and their number.

    Parameters
    ----------
    network : callable
        From a window ``(1, channel, x, y, z)`` on the CPU to its outputs there.
    image : torch.Tensor
        ``(channel, x, y, z)``, filled up to what the network divides by.
    roi : sequence of int
        The window ``(x, y, z)``; 0 for a whole axis.
    part : sequence of (start, stop), optional
        Only windows that touch it are run; elsewhere the outputs hold no number.

    Raises
    ------
    Cancelled
        When the job was cancelled.
    """
    shape = tuple(image.shape[1:])
    roi = tuple(r or n for r, n in zip(roi, shape, strict=True))
    missing = [max(r - n, 0) for r, n in zip(roi, shape, strict=True)]
    before = [m // 2 for m in missing]
    padded = _padded(image, before, missing, spec)
    places = list(_places(padded.shape[1:], roi, spec.overlap, before, part))
    weight = compute_importance_map(roi, mode=spec.blend, sigma_scale=spec.blend_sigma)
    sums: list[_Sum] = []
    began = time.perf_counter()
    for number, place in enumerate(places):
        control.checkpoint()
        yield Progress(STAGE, number, len(places), _left(began, number, len(places)))
        window = padded[(slice(None), *(slice(s, s + r) for s, r in zip(place, roi, strict=True)))]
        outputs = network(window[None])
        if not sums:
            sums = _empty(outputs, padded.shape[1:], roi, weight)
        for total, values in zip(sums, outputs, strict=True):
            total.add(values[0], place)
    yield Progress(STAGE, len(places), len(places))
    return [total.mean(before, shape) for total in sums], len(places)


@contextmanager
def cancelling(network: torch.nn.Module, control: JobControl) -> Iterator[None]:
    """Let a run be cancelled between the layers of a network, whose windows may take minutes."""

    def look(*_: Any) -> None:
        control.checkpoint()

    handles = [
        module.register_forward_pre_hook(look)
        for module in network.modules()
        if not list(module.children())
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Sum:
    """The weighted sum of one output over all windows, on a grid coarser than the image's."""

    def __init__(
        self, channels: int, shape: Sequence[int], scale: Sequence[float], weight: torch.Tensor
    ) -> None:
        self._scale = scale
        self._weight = weight
        sizes = [int(n * s) for n, s in zip(shape, scale, strict=True)]
        self._values = torch.zeros(channels, *sizes)
        self._weights = torch.zeros(sizes)

    def add(self, values: torch.Tensor, place: Sequence[int]) -> None:
        starts = [int(p * s) for p, s in zip(place, self._scale, strict=True)]
        at = tuple(slice(a, a + n) for a, n in zip(starts, values.shape[1:], strict=True))
        self._values[(slice(None), *at)] += values * self._weight
        self._weights[at] += self._weight

    def mean(self, before: Sequence[int], shape: Sequence[int]) -> torch.Tensor:
        """Of the image without its padding; no number where no window was."""
        self._values /= self._weights
        begin = [round(b * s) for b, s in zip(before, self._scale, strict=True)]
        end = [round((b + n) * s) for b, n, s in zip(before, shape, self._scale, strict=True)]
        inner = tuple(slice(a, z) for a, z in zip(begin, end, strict=True))
        return self._values[(slice(None), *inner)]


def _empty(
    outputs: Outputs, shape: Sequence[int], roi: Sequence[int], weight: torch.Tensor
) -> list[_Sum]:
    """A sum for each output.

    As in MONAI, the weight of an output is that of the output before it, brought to its size by the
    nearest value; that shows where weights differ within a window.
    """
    sums = []
    for values in outputs:
        sizes = tuple(values.shape[2:])
        if sizes != tuple(roi):
            weight = interpolate(weight[None, None], sizes, mode="nearest-exact")[0, 0]
        scale = [n / r for n, r in zip(sizes, roi, strict=True)]
        sums.append(_Sum(values.shape[1], shape, scale, weight))
    return sums


def _padded(
    image: torch.Tensor, before: Sequence[int], missing: Sequence[int], spec: ModelSpec
) -> torch.Tensor:
    if not any(missing):
        return image
    ends = [(b, m - b) for b, m in zip(before, missing, strict=True)]
    flat = list(itertools.chain.from_iterable(reversed(ends)))
    if spec.padding == "constant":
        return pad(image, flat, value=spec.padding_value)
    return pad(image[None], flat, mode=spec.padding)[0]


def _places(
    shape: Sequence[int],
    roi: Sequence[int],
    overlap: float,
    before: Sequence[int],
    part: Sequence[Span] | None,
) -> Iterator[tuple[int, ...]]:
    """First voxels of the windows, of the padded image."""
    box = part or [(0, n) for n in shape]
    starts = []
    for n, r, b, (low, high) in zip(shape, roi, before, box, strict=True):
        every = window_starts(n, r, overlap)
        starts.append([s for s in every if s < high + b and s + r > low + b])
    return itertools.product(*starts)


def _left(began: float, done: int, total: int) -> float | None:
    if not done:
        return None
    return (time.perf_counter() - began) / done * (total - done)
