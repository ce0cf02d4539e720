"""Networks of another form in the form that the engine runs: volumes in, logits out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

_SMALLEST = 1e-7
"""A probability nearer to 0 or 1 counts as this far away, so that its logit is a number."""


class SliceBySlice(torch.nn.Module):
    """A network of pictures on windows that are one voxel thick.

    Parameters
    ----------
    network : torch.nn.Module
        Maps ``(batch, channel, a, b)`` to ``(batch, class, a, b)``.
    axis : int
        The axis of ``(batch, channel, x, y, z)`` that it does not know.
    """

    def __init__(self, network: torch.nn.Module, axis: int) -> None:
        super().__init__()
        self.network = network
        self.axis = axis

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Logits of windows whose size along the axis is 1."""
        return _first(self.network(windows.squeeze(self.axis))).unsqueeze(self.axis)


class OfPictures(torch.nn.Module):
    """A network that classifies pictures, on volumes that are one voxel deep.

    Parameters
    ----------
    network : torch.nn.Module
        Maps ``(batch, channel, x, y)`` to ``(batch, class)``.
    """

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits ``(batch, class)`` of ``(batch, channel, x, y, 1)``."""
        logits: torch.Tensor = self.network(images.squeeze(-1))
        return logits


class Program(torch.nn.Module):
    """A whole program as a network: one window at a time, channels first, logits.

    Parameters
    ----------
    program : torch.nn.Module
        TorchScript, or what a ``torch.export`` file holds.
    channels_last : bool
        Whether it takes and gives ``(batch, x, y, z, channel)``.
    probabilities : str
        ``"sigmoid"`` or ``"softmax"`` where it applies that itself; empty for logits.
    """

    def __init__(
        self, program: torch.nn.Module, channels_last: bool = False, probabilities: str = ""
    ) -> None:
        super().__init__()
        self.program = program
        self.channels_last = channels_last
        self.probabilities = probabilities

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Logits of some windows; a program may be fixed to a batch of one."""
        return torch.cat([self._one(windows[n : n + 1]) for n in range(len(windows))])

    def _one(self, window: torch.Tensor) -> torch.Tensor:
        output = _first(self.program(window.movedim(1, -1) if self.channels_last else window))
        if self.channels_last:
            output = output.movedim(-1, 1)
        if self.probabilities == "sigmoid":
            return torch.logit(output, eps=_SMALLEST)
        if self.probabilities == "softmax":
            return output.clamp_min(_SMALLEST).log()
        return output


def _first(output: Any) -> torch.Tensor:
    """The first of several outputs; deep supervision puts full resolution there."""
    if isinstance(output, Mapping):
        output = next(iter(output.values()))
    while isinstance(output, list | tuple):
        output = output[0]
    if not isinstance(output, torch.Tensor):
        raise TypeError(f"the network gives {type(output).__name__}, not a tensor")
    return output
