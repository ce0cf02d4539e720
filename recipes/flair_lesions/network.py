"""The network, as the bundle's configuration names it."""

from __future__ import annotations

from typing import Any

import torch
from monai.networks.nets import SegResNet

NETWORK_ARGUMENTS: dict[str, Any] = {
    "spatial_dims": 3,
    "init_filters": 8,
    "in_channels": 1,
    "out_channels": 1,
    "norm": ["GROUP", {"num_groups": 4}],
    "blocks_down": [1, 2, 2, 2],
    "blocks_up": [1, 1, 1],
    "upsample_mode": "nontrainable",
}
"""A residual network that works at 1 mm throughout. Group norm does the same in training as at
inference, whatever the lesion load of the batch; two channels a group keep the ratio between them,
and with it whether a window holds anything bright at all."""


RARE_LOGIT = -4.0
"""Output bias to begin with: about one voxel in fifty is lesion, and Adam moves a bias slowly."""


def build_network() -> SegResNet:
    """A network with fresh weights, which first takes every voxel for unlikely to be lesion."""
    network = SegResNet(**NETWORK_ARGUMENTS)
    bias = network.conv_final[-1].conv.bias
    assert bias is not None
    with torch.no_grad():
        bias.fill_(RARE_LOGIT)
    return network
