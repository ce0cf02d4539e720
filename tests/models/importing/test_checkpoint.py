"""A checkpoint and the name of a network become a model when the shapes agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.networks import nets

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.networks import load_network
from tests.models.importing.conftest import imported, nothing_left, told

CARD = {
    "licence": "none",
    "channels": [{"name": "T1"}, {"name": "T2"}],
    "labels": [{"name": "core"}, {"name": "edge"}],
    "activation": "softmax",
    "roi_size": [32, 32, 32],
}
SHAPES = {"spatial_dims": 3, "in_channels": 2, "out_channels": 3}
NETWORKS: dict[str, dict[str, Any]] = {
    "UNet": {"channels": (4, 8, 16), "strides": (2, 2), "num_res_units": 2, "norm": "batch"},
    "SegResNet": {"init_filters": 8, "blocks_down": (1, 2, 2), "blocks_up": (1, 1)},
    "BasicUNet": {"features": (4, 4, 8, 8, 16, 4)},
    "SwinUNETR": {"feature_size": 12},
}


def saved(tmp_path: Path, state: Any, name: str = "net.pth") -> Path:
    torch.save(state, tmp_path / name)
    (tmp_path / "card.json").write_text(json.dumps(CARD))
    return tmp_path / name


@pytest.mark.parametrize("name", NETWORKS)
def test_arguments_follow_from_the_shapes(tmp_path: Path, name: str) -> None:
    torch.manual_seed(0)
    network = getattr(nets, name)(**SHAPES, **NETWORKS[name]).eval()
    wrapped = {"epoch": 3, "state_dict": network.state_dict()}
    spec, messages = told(saved(tmp_path, wrapped), network=name)
    assert any(f"network: {name} with" in text for text in messages)
    assert spec.weights.suffix == ".safetensors"
    side = 64 if name == "SwinUNETR" else 32  # its five levels halve the window each
    window = torch.rand(1, 2, side, side, side)
    with torch.inference_mode():
        torch.testing.assert_close(load_network(spec)(window), network(window))


def test_stated_arguments_win_and_a_misfit_is_told(tmp_path: Path, models: Path) -> None:
    network = nets.UNet(**SHAPES, channels=(4, 8), strides=(1,), act="relu")
    source = saved(tmp_path, network.state_dict())
    with pytest.raises(ModelError, match=r"checkpoint does not fit UNet with .*'num_res_units': 2"):
        imported(source, network='UNet:{"num_res_units": 2}')
    with pytest.raises(ModelError, match="no JSON"):
        imported(source, network="UNet:{channels}")
    with pytest.raises(ModelError, match="DenseNet121 is not in the table"):
        imported(source, network="DenseNet121")
    with pytest.raises(ModelError, match="which network do they belong to"):
        imported(source)
    assert nothing_left(models)
    choice = {"class": "UNet", "arguments": {"strides": [1], "act": "relu"}}
    spec = imported(source, network=choice)
    assert (spec.network["strides"], spec.network["in_channels"]) == ([1], 2)


def test_a_card_with_other_channels_than_the_checkpoint_is_refused(
    tmp_path: Path, models: Path
) -> None:
    network = nets.UNet(3, 1, 3, channels=(4, 8), strides=(2,))
    with pytest.raises(ModelError, match=r"is \(4, 1, 3, 3, 3\), expected \(4, 2, 3, 3, 3\)"):
        imported(saved(tmp_path, network.state_dict()), network="UNet")
    assert nothing_left(models)
