"""Run the engine's parts one by one, and look at what they hand over."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from napari_medcnn.core.events import Event, JobControl
from napari_medcnn.inference.backends.torch_backend import TorchBackend
from napari_medcnn.inference.preprocess import Prepared
from napari_medcnn.inference.way_back import WayBack
from napari_medcnn.inference.windows import Counts, stream
from napari_medcnn.models.spec import ModelSpec

_Result = TypeVar("_Result")


class Slabs:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.firsts: list[int] = []
        self.slabs: list[torch.Tensor] = []

    def take(self, first: int, logits: torch.Tensor) -> Iterator[None]:
        self.firsts.append(first)
        self.slabs.append(logits.clone())
        yield

    def whole(self, axis: int) -> torch.Tensor:
        return torch.cat(self.slabs, axis + 1)


class Calls(torch.nn.Module):
    """A network that remembers the shapes of what it was given."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, x: torch.Tensor) -> Any:
        self.shapes.append(tuple(x.shape))
        return self.function(x)


TIE = 1e-4
"""Positions as near to the middle of two voxels as this have no nearest one."""


def ties(prepared: Prepared) -> npt.NDArray[np.bool_]:
    """Voxels of the image ``(x, y, z)`` that lie exactly between two of the network's."""
    way_back = prepared.way_back
    assert way_back is not None
    lines = [np.zeros(0)] * 3
    for line, axis in zip(way_back.positions, way_back.axes, strict=True):
        lines[axis] = np.abs(line - np.floor(line) - 0.5) < TIE
    return np.logical_or.reduce(np.meshgrid(*lines, indexing="ij"))


def ended(job: Generator[Event, None, _Result]) -> tuple[_Result, list[Any]]:
    """What a job returns, and its events."""
    events: list[Any] = []
    while True:
        try:
            events.append(next(job))
        except StopIteration as end:
            return end.value, events


def streamed(
    network: Any, image: torch.Tensor, spec: ModelSpec, axis: int = 0, **options: Any
) -> tuple[torch.Tensor, Counts, list[Any], Slabs]:
    """All logits of an image, how many windows there were, the events and the slabs."""
    sink = Slabs()
    job = stream(TorchBackend(network), image, spec, JobControl(), sink, axis=axis, **options)
    counts, events = ended(job)
    return sink.whole(axis), counts, events, sink


def brought_back(
    values: npt.NDArray[np.floating[Any]], way_back: WayBack, *, nearest: bool = False
) -> npt.NDArray[np.float64]:
    """Values ``(class, x, y, z)`` of the network's grid on the image's in file order.

    By what a `WayBack` says of itself, as a matrix of weights an axis.
    """
    way_back = way_back.rounded() if nearest else way_back
    for a in range(3):
        weights = _weights(way_back.positions[a], way_back.inside[a], values.shape[a + 1])
        values = np.moveaxis(np.tensordot(weights, values, axes=(1, a + 1)), 0, a + 1)
    order = np.argsort(way_back.axes)
    return values.transpose(0, *(order + 1))


def _weights(
    positions: npt.NDArray[np.float64], inside: tuple[int, int], size: int
) -> npt.NDArray[np.float64]:
    whole = np.arange(size)
    weights = np.clip(1 - np.abs(positions[:, None] - whole), 0, 1)
    weights[:, (whole < inside[0]) | (whole >= inside[1])] = 0
    return weights
