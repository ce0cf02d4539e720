"""The number that is explained: a class's logit, of a segmentation its mean over a region."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from napari_medcnn.core.errors import InputMismatch


class ClassScore(torch.nn.Module):
    """A network with one number an image as its answer, so that every method can explain it.

    Parameters
    ----------
    network : torch.nn.Module
        Gives logits ``(batch, class)`` or ``(batch, class, x, y[, z])``; of several outputs the
        first counts, as deep supervision orders them.
    channel : int
        The class's.
    """

    weights: torch.Tensor | None
    """How much each voxel ``(x, y[, z])`` of the answer counts, summing to 1; None for a
    classifier, which has one answer. Set for each image that is explained."""

    def __init__(self, network: torch.nn.Module, channel: int) -> None:
        super().__init__()
        self.network = network
        self.channel = channel
        self.weights = None

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The score ``(batch, 1)`` of images ``(batch, channel, x, y[, z])``.

        Raises
        ------
        InputMismatch
            When the network gives no such class, or a map where one answer is expected.
        """
        logits = first_output(self.network(images))
        if self.channel >= logits.shape[1]:
            raise InputMismatch(
                f"the network tells {logits.shape[1]} classes apart; there is none at place "
                f"{self.channel}"
            )
        values = logits[:, self.channel]
        if (values.ndim == 1) != (self.weights is None):
            kind = "one answer an image" if values.ndim == 1 else "an answer for each voxel"
            raise InputMismatch(f"the network gives {kind}, which its task does not say")
        if self.weights is None:
            return values[:, None]
        return (values * self.weights).flatten(1).sum(1, keepdim=True)


class ShiftedScore(torch.nn.Module):
    """The score as Grad-CAM takes it: shifted to zero, its gradients kept.

    Grad-CAM++ multiplies by the score's exponential, which is beyond all numbers for large logits
    and cancels in the map. It also weighs squares of gradients against their cubes, so that a
    score's scale matters to it: of a sum over a region in place of the mean little is left but the
    cubes, and the map leaves the region.
    """

    def __init__(self, score: ClassScore) -> None:
        super().__init__()
        self.score = score

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Zero ``(batch, 1)`` with the score's gradients."""
        score: torch.Tensor = self.score(images)
        return score - score.detach()


def first_output(output: Any) -> torch.Tensor:
    """The tensor of a network's answer: the first of several."""
    if isinstance(output, Mapping):
        output = next(iter(output.values()))
    while isinstance(output, list | tuple):
        output = output[0]
    answer: torch.Tensor = output
    return answer
