"""The exponential moving average of a network's weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.optim.swa_utils import AveragedModel

WARM_UP = 10
"""The decay is at most (1 + n) / (10 + n) after n steps, so that the average of a short run does
not remember where the network began."""


class Average:
    """A copy of a network whose weights follow the network's own slowly.

    Buffers, e.g. running statistics of batch norm, are averaged as weights are, for they belong to
    them; counters are copied.

    Parameters
    ----------
    network : torch.nn.Module
        As it is trained, on its device.
    decay : float
        In 0..1; with each step the average keeps this share of itself.
    """

    def __init__(self, network: torch.nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"the decay is {decay}, which is not in 0..1")

        def follow(
            averaged: tuple[torch.Tensor, ...] | list[torch.Tensor],
            present: tuple[torch.Tensor, ...] | list[torch.Tensor],
            updates: torch.Tensor | int,
        ) -> None:
            count = int(updates)
            share = 1 - min(decay, (1 + count) / (WARM_UP + count))
            for mean, value in zip(averaged, present, strict=True):
                if mean.is_floating_point():
                    mean.lerp_(value, share)
                else:
                    mean.copy_(value)

        self._network = network
        self._averaged = AveragedModel(network, multi_avg_fn=follow, use_buffers=True)

    def update(self) -> None:
        """Follow the network after one of its steps."""
        with torch.no_grad():
            self._averaged.update_parameters(self._network)

    def state_dict(self) -> dict[str, Any]:
        """The averaged weights and the number of updates."""
        return self._averaged.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there; strict."""
        self._averaged.load_state_dict(state, strict=True)

    @contextmanager
    def applied(self, network: torch.nn.Module) -> Iterator[None]:
        """Let `network` have the averaged weights within the block, and its own again after it."""
        own = [tensor.detach().clone() for tensor in _tensors(network)]
        try:
            _fill(network, list(_tensors(self._averaged.module)))
            yield
        finally:
            _fill(network, own)


def _tensors(network: torch.nn.Module) -> Iterator[torch.Tensor]:
    yield from network.parameters()
    yield from network.buffers()


def _fill(network: torch.nn.Module, values: list[torch.Tensor]) -> None:
    with torch.no_grad():
        for tensor, value in zip(_tensors(network), values, strict=True):
            tensor.copy_(value)
