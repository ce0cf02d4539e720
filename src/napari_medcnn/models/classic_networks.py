"""Networks that classify and that MONAI has none of: the classic small CNN, and VGG.

A bundle names them by ``_target_``, e.g. ``napari_medcnn.models.classic_networks.VGG``. They are
for pictures ``(batch, channel, x, y)`` and volumes ``(batch, channel, x, y, z)`` alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Literal

import torch
from torch import nn

_CONV = {2: nn.Conv2d, 3: nn.Conv3d}
_POOL = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
_NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_ADAPTIVE = {2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}

CLASSIC_FILTERS = (32, 64)
CLASSIC_DENSE = 64
SMALLEST_CLASSIC = 10
"""Voxels along each axis that two unpadded convolutions with pooling leave something of."""

VGG_BLOCKS: dict[int, tuple[int, ...]] = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
"""Convolutions between two poolings: configurations A, B, D and E of the paper."""


class ClassicCNN(nn.Module):
    """Two 3x3 convolutions of 32 and 64 filters with max-pooling, and a dense layer of 64.

    Convolutions are not padded, so that 64 x 64 pictures of three channels and one output make
    822,337 parameters.

    Parameters
    ----------
    spatial_dims : int
        2 or 3.
    in_channels, out_channels : int
        Channels of the image, and classes.
    spatial_size : sequence of int
        The one size of image ``(x, y[, z])`` that the dense layer fits.
    head : {"softmax", "sigmoid"}
        ``sigmoid``: two classes by one output z. Its logits are (-z/2, z/2), whose softmax is
        sigmoid(z) for the second class, so that both heads are read in the same way.
    dropout : float
        Before the last layer.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        spatial_size: Sequence[int],
        head: Literal["softmax", "sigmoid"] = "softmax",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if len(spatial_size) != spatial_dims or min(spatial_size) < SMALLEST_CLASSIC:
            raise ValueError(
                f"spatial_size is {spatial_dims} numbers of at least {SMALLEST_CLASSIC}, "
                f"not {list(spatial_size)}"
            )
        if head not in ("softmax", "sigmoid") or (head == "sigmoid" and out_channels != 2):
            raise ValueError(f"the head {head} does not tell {out_channels} classes apart")
        conv, pool = _CONV[spatial_dims], _POOL[spatial_dims]
        first, second = CLASSIC_FILTERS
        self.features = nn.Sequential(
            conv(in_channels, first, 3), nn.ReLU(inplace=True), pool(2),
            conv(first, second, 3), nn.ReLU(inplace=True), pool(2),
        )  # fmt: skip
        left = prod(((n - 2) // 2 - 2) // 2 for n in spatial_size)
        self.dense = nn.Sequential(
            nn.Flatten(), nn.Linear(second * left, CLASSIC_DENSE), nn.ReLU(inplace=True),
            nn.Dropout(dropout),
        )  # fmt: skip
        self.head = nn.Linear(CLASSIC_DENSE, 1 if head == "sigmoid" else out_channels)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits ``(batch, class)`` of images ``(batch, channel, x, y[, z])``."""
        logits: torch.Tensor = self.head(self.dense(self.features(image)))
        if logits.shape[1] == 1:
            return torch.cat([-0.5 * logits, 0.5 * logits], dim=1)
        return logits


class VGG(nn.Module):
    """Stacks of 3x3 convolutions with batch norm, halved by max-pooling five times.

    Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition,
    ICLR 2015; batch norm as everybody trains it today. With `pooled` 7, `hidden` 4096 and 1000
    classes it has the published size.

    Parameters
    ----------
    spatial_dims : int
        2 or 3.
    in_channels, out_channels : int
        Channels of the image, and classes.
    depth : {11, 13, 16, 19}
        Layers with weights.
    width : int
        Filters of the first stack; doubled after each pooling up to eight times as many.
    pooled : int
        The last features are averaged to so many cells along each axis, whatever the image's size.
    hidden : int
        Width of the two dense layers before the last.
    dropout : float
        After each of these.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        depth: int = 11,
        width: int = 64,
        pooled: int = 7,
        hidden: int = 4096,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if depth not in VGG_BLOCKS:
            raise ValueError(f"depth is one of {sorted(VGG_BLOCKS)}, not {depth}")
        layers: list[nn.Module] = []
        channels = in_channels
        for number, count in enumerate(VGG_BLOCKS[depth]):
            filters = width * min(2**number, 8)
            for _ in range(count):
                layers += [
                    _CONV[spatial_dims](channels, filters, 3, padding=1),
                    _NORM[spatial_dims](filters),
                    nn.ReLU(inplace=True),
                ]
                channels = filters
            layers.append(_POOL[spatial_dims](2, ceil_mode=True))
        self.features = nn.Sequential(*layers)
        self.pool = _ADAPTIVE[spatial_dims](pooled)
        self.dense = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * pooled**spatial_dims, hidden), nn.ReLU(True), nn.Dropout(dropout),
            nn.Linear(hidden, hidden), nn.ReLU(True), nn.Dropout(dropout),
        )  # fmt: skip
        self.head = nn.Linear(hidden, out_channels)
        self._initialise()

    def _initialise(self) -> None:
        """He's initialisation: without it nineteen layers do not begin to learn."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0.0, 0.01)
                nn.init.zeros_(module.bias)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits ``(batch, class)`` of images ``(batch, channel, x, y[, z])``."""
        logits: torch.Tensor = self.head(self.dense(self.pool(self.features(image))))
        return logits
