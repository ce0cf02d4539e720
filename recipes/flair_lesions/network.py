"""The network, as the bundle's configuration names it."""

from __future__ import annotations

from typing import Any

import torch
from monai.networks.nets import UNet

NETWORK_ARGUMENTS: dict[str, Any] = {
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 1,
    "channels": [32, 48, 80, 112],
    "strides": [2, 2, 2],
    "num_res_units": 2,
    "norm": "BATCH",
}
"""A residual U-Net whose first convolution halves the grid, so that a 1 mm head takes seconds on a
CPU; its last one returns to 1 mm. Batch norm, fixed at inference, keeps the absolute intensity that
an instance norm would take out of every window, and with it whether a window holds any lesion."""


RARE_LOGIT = -4.0
"""Output bias to begin with: about one voxel in fifty is lesion, and Adam moves a bias slowly."""


def build_network() -> UNet:
    """A network with fresh weights, which first takes every voxel for unlikely to be lesion."""
    network = UNet(**NETWORK_ARGUMENTS)
    biases = [
        value
        for name, value in network.named_parameters()
        if name.endswith("conv.bias") and value.numel() == 1
    ]
    with torch.no_grad():
        biases[-1].fill_(RARE_LOGIT)
    return network
