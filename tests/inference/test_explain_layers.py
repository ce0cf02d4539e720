"""Which layers can be looked into, and which of them first, of every kind of network there is."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.inference.explain_layers import chosen_layer, explainable_layers, open_copy
from napari_medcnn.models.networks import network_of
from napari_medcnn.models.vocabulary import OUR_NETWORKS

OURS = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2}

CLASSIFIERS: list[tuple[dict[str, Any], tuple[int, ...], str, tuple[int, ...]]] = [
    (
        {"_target_": "DenseNet", **OURS, "block_config": [2, 2]},
        (64, 48),
        "class_layers.relu",
        (6, 8),
    ),
    (
        {"_target_": "ResNet", "block": "basic", "layers": [1, 1, 1, 1], "spatial_dims": 3,
         "block_inplanes": [8, 8, 8, 8], "n_input_channels": 1, "num_classes": 2,
         "bias_downsample": False},
        (64, 48, 32),
        "layer4",
        (2, 3, 4),
    ),
    (
        {"_target_": f"{OUR_NETWORKS}.VGG", **OURS, "width": 8, "hidden": 16, "pooled": 2},
        (64, 32),
        "features.27",  # before the last pooling
        (2, 4),
    ),
    (
        {"_target_": f"{OUR_NETWORKS}.ClassicCNN", **OURS, "spatial_size": [64, 64]},
        (64, 64),
        "features.4",
        (29, 29),
    ),
]  # fmt: skip

SEGMENTERS: list[tuple[dict[str, Any], str, int]] = [
    (
        {"_target_": "DynUNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2,
         "kernel_size": [3, 3, 3], "strides": [1, 2, 2], "upsample_kernel_size": [2, 2],
         "filters": [4, 8, 16]},
        "bottleneck",
        4,
    ),
    (
        {"_target_": "SegResNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 1,
         "init_filters": 8, "blocks_down": [1, 1, 1], "blocks_up": [1, 1]},
        "down_layers.2",
        4,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("description", "size", "name", "shape"), CLASSIFIERS)
def test_of_a_classifier_the_last_features_with_an_extent(description, size, name, shape) -> None:
    network = network_of(description).eval()
    layers = explainable_layers(network, torch.randn(1, 1, *size), "classification")
    default = chosen_layer(layers, None)
    assert (default.name, default.shape) == (name, shape)
    assert default.stride == tuple(n / m for n, m in zip(reversed(size), shape, strict=True))
    assert [layer.is_default for layer in layers].count(True) == 1
    assert not any(part._forward_hooks for part in network.modules())


@pytest.mark.parametrize(("description", "name", "stride"), SEGMENTERS)
def test_of_a_segmentation_network_the_bottleneck(description, name, stride) -> None:
    network = network_of(description).eval()
    example = torch.randn(1, 1, 16, 24, 32)
    layers = explainable_layers(network, example, "segmentation")
    default = chosen_layer(layers, None)
    assert (default.name, default.stride) == (name, (stride,) * 3)
    with torch.no_grad():  # the answer itself is none of them
        answer = network(example)
    assert all(layer.channels != answer.shape[1] for layer in layers)


def test_layers_are_chosen_by_name_and_a_wrong_one_is_told_the_right_ones() -> None:
    network = network_of(CLASSIFIERS[0][0]).eval()
    layers = explainable_layers(network, torch.randn(1, 1, 64, 48), "classification")
    assert chosen_layer(layers, "features.denseblock1").stride == (4.0, 4.0)
    with pytest.raises(InputMismatch, match=r"denseblock1.*class_layers\.relu"):
        chosen_layer(layers, "features.denseblock9")


def test_modules_that_run_twice_and_whole_programs_have_no_layers() -> None:
    class Twice(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shared = torch.nn.Conv2d(1, 1, 3, padding=1)
            self.once = torch.nn.Conv2d(1, 2, 3, padding=1)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.once(self.shared(self.shared(images))).sum((2, 3))

    example = torch.randn(1, 1, 8, 8)
    layers = explainable_layers(Twice(), example, "classification")
    assert [layer.name for layer in layers] == ["once"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # files of such programs go on existing
        program = torch.jit.trace(Twice().eval(), example)
    assert explainable_layers(torch.nn.Sequential(program), example, "classification") == ()
    with pytest.raises(InputMismatch, match="shows no layers"):
        chosen_layer((), None)


def test_a_copy_to_watch_leaves_the_network_as_it_is() -> None:
    network = network_of(CLASSIFIERS[2][0]).train()
    copied = open_copy(network)
    assert not copied.training
    assert network.training
    assert any(getattr(m, "inplace", False) for m in network.modules())
    assert not any(getattr(m, "inplace", False) for m in copied.modules())
    assert not any(p.requires_grad for p in copied.parameters())
    assert all(p.requires_grad for p in network.parameters())
