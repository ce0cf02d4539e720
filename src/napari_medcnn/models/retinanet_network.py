"""MONAI's RetinaNet on a residual network's feature pyramid, without torchvision.

MONAI takes a few lines of torchvision to look into its own backbone; these stand here instead, with
the same names of parameters, so that a bundle's weights fit exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from monai.apps.detection.networks.retinanet_network import RetinaNet
from monai.networks.blocks.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool
from monai.networks.nets import resnet

from napari_medcnn.core.errors import ModelError

if TYPE_CHECKING:
    from napari_medcnn.models.spec import ModelSpec

PYRAMID_CHANNELS = 256
"""Of every level, as MONAI's ``resnet_fpn_feature_extractor`` fixes it."""


def build_retinanet(spec: ModelSpec) -> torch.nn.Module:
    """The network of a detection model without its weights.

    Raises
    ------
    ModelError
        When MONAI does not build it as described.
    """
    described = spec.network
    given = {k: v for k, v in described["backbone"].items() if k != "_target_"}
    try:
        backbone = getattr(resnet, described["backbone"]["_target_"])(**_tuples(given))
        network: torch.nn.Module = RetinaNet(
            spatial_dims=3,
            num_classes=described["num_classes"],
            num_anchors=described["num_anchors"],
            feature_extractor=Pyramid(
                backbone, described["returned_layers"], backbone.in_planes // 8
            ),
            size_divisible=described["size_divisible"],
        )
        return network
    except (TypeError, ValueError, KeyError, AssertionError, AttributeError) as error:
        raise ModelError(
            f"the network RetinaNet cannot be built as described: {error}", source=spec.path
        ) from error


class Pyramid(torch.nn.Module):
    """A backbone up to the last of the layers that are looked at, and a pyramid over them.

    Parameters
    ----------
    backbone : monai.networks.nets.ResNet
        Its layers are called ``layer1`` to ``layer4``.
    layers : sequence of int
        Which of them feed the pyramid; there is one level more, pooled from the last.
    width : int
        Channels of ``layer1``; every further layer has twice as many.
    """

    def __init__(self, backbone: torch.nn.Module, layers: Sequence[int], width: int) -> None:
        super().__init__()
        last = f"layer{max(layers)}"
        names = [name for name, _ in backbone.named_children()]
        self.body = torch.nn.ModuleDict(
            {name: backbone.get_submodule(name) for name in names[: names.index(last) + 1]}
        )
        self._seen = tuple(f"layer{n}" for n in layers)
        self.fpn = FeaturePyramidNetwork(
            spatial_dims=3,
            in_channels_list=[width * 2 ** (n - 1) for n in layers],
            out_channels=PYRAMID_CHANNELS,
            extra_blocks=LastLevelMaxPool(3),
        )
        self.out_channels = PYRAMID_CHANNELS

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Feature maps of every level of ``(batch, channel, x, y, z)``, the finest first."""
        seen: dict[str, torch.Tensor] = {}
        values = images
        for name, part in self.body.items():
            values = part(values)
            if name in self._seen:
                seen[str(self._seen.index(name))] = values
        levels: dict[str, torch.Tensor] = self.fpn(seen)
        return levels


def _tuples(value: Any) -> Any:
    """Lists of a configuration as the tuples that MONAI's factories ask for."""
    if isinstance(value, dict):
        return {k: _tuples(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_tuples(v) for v in value)
    return value
