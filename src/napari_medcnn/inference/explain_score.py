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


class SummedScore(torch.nn.Module):
    """The score as Grad-CAM takes it: summed over the region, and shifted to zero.

    Grad-CAM++ multiplies by the score's exponential, which is beyond all numbers for large logits
    and cancels in the map; and it divides by powers of gradients, which are nothing when a mean
    over many voxels shares them out. Grad-CAM itself knows no factor.
    """

    def __init__(self, score: ClassScore) -> None:
        super().__init__()
        self.score = score

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The score ``(batch, 1)``: its gradients count."""
        score: torch.Tensor = self.score(images)
        weights = self.score.weights
        total = score if weights is None else score / weights.max()
        return total - total.detach()


def first_output(output: Any) -> torch.Tensor:
    """The tensor of a network's answer: the first of several."""
    if isinstance(output, Mapping):
        output = next(iter(output.values()))
    while isinstance(output, list | tuple):
        output = output[0]
    answer: torch.Tensor = output
    return answer
