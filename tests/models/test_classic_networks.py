"""The package's own networks, and networks built from their descriptions alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.classic_networks import VGG, ClassicCNN
from napari_medcnn.models.networks import network_of

OURS = "napari_medcnn.models.classic_networks"
THOUSAND = {"spatial_dims": 2, "in_channels": 3, "out_channels": 1000}


def parameters(description: dict[str, Any]) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in network_of(description).parameters())


def test_the_classic_network_has_the_parameters_it_always_had() -> None:
    with torch.device("meta"):
        network = ClassicCNN(2, 3, 2, (64, 64), head="sigmoid")
    assert network.head.out_features == 1
    assert sum(p.numel() for p in network.parameters()) == 822_337


@pytest.mark.parametrize(
    ("depth", "count"),
    [(11, 132_868_840), (13, 133_053_736), (16, 138_365_992), (19, 143_678_248)],
)
def test_vgg_has_its_published_size(depth: int, count: int) -> None:
    assert parameters({"_target_": f"{OURS}.VGG", **THOUSAND, "depth": depth}) == count


def test_networks_of_monai_are_the_published_ones() -> None:
    basic = {"block": "basic", "block_inplanes": [64, 128, 256, 512], "bias_downsample": False}
    sizes = {"spatial_dims": 2, "n_input_channels": 3, "num_classes": 1000, "conv1_t_stride": 2}
    assert parameters({"_target_": "ResNet", "layers": [2, 2, 2, 2], **basic, **sizes}) == 11689512
    dense = {"_target_": "DenseNet", "block_config": [6, 12, 24, 16], **THOUSAND}
    assert parameters(dense) == 7_978_856


@pytest.mark.parametrize("size", [(64, 64), (13, 10), (12, 14, 16)])
def test_the_classic_network_fits_any_size_that_leaves_something(size: tuple[int, ...]) -> None:
    network = ClassicCNN(len(size), 2, 3, size)
    assert network(torch.zeros(4, 2, *size)).shape == (4, 3)


def test_a_single_output_reads_as_two_classes() -> None:
    network = ClassicCNN(2, 1, 2, (12, 12), head="sigmoid").eval()
    image = torch.randn(5, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    logits = network(image)
    single = network.head(network.dense(network.features(image)))[:, 0]
    assert torch.allclose(logits.softmax(1)[:, 1], single.sigmoid(), atol=1e-6)


def test_sizes_and_heads_that_make_no_network_are_refused() -> None:
    for wrong in ({"spatial_size": (9, 64)}, {"spatial_size": (64, 64, 64)}):
        with pytest.raises(ValueError, match="spatial_size"):
            ClassicCNN(2, 1, 2, **wrong)
    with pytest.raises(ValueError, match="3 classes"):
        ClassicCNN(2, 1, 3, (64, 64), head="sigmoid")
    with pytest.raises(ValueError, match="depth"):
        VGG(2, 1, 2, depth=12)


def test_vgg_sees_small_images_of_two_and_three_dimensions() -> None:
    for size in ((33, 40), (17, 20, 24)):
        network = VGG(len(size), 1, 4, width=4, pooled=1, hidden=8).eval()
        assert network(torch.zeros(2, 1, *size)).shape == (2, 4)


def test_a_description_builds_what_the_tables_know_and_nothing_else() -> None:
    with pytest.raises(ModelError, match="not in the table"):
        network_of({"_target_": "Transchex"})
    with pytest.raises(ModelError, match="not in the table of known classes"):
        network_of({"_target_": "torch.nn.Linear", "in_features": 1, "out_features": 1})
    with pytest.raises(ModelError, match="fetch"):
        network_of(
            {"_target_": "EfficientNetBN", "model_name": "efficientnet-b0", "pretrained": True}
        )
    with pytest.raises(ModelError, match="not supported"):
        network_of({"_target_": f"{OURS}.VGG", **THOUSAND, "weights": "somewhere"})
