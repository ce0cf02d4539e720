from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.networks import build_network, load_network
from napari_medcnn.models.weights import load_state, sha256
from tests.bundle_factory import make_bundle


def test_the_hash_is_that_of_the_file_and_follows_its_changes(tmp_path: Path) -> None:
    file = tmp_path / "w.pt"
    for content in (b"one", b"three" * 100_000):
        file.write_bytes(content)
        assert sha256(file) == hashlib.sha256(content).hexdigest()
    with pytest.raises(ModelError, match="no weights"):
        sha256(tmp_path / "none.pt")


class Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.marker),)


def test_a_file_that_asks_to_run_code_is_refused_and_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    torch.save({"w": Payload(marker)}, tmp_path / "evil.pt")
    with pytest.raises(ModelError, match="would run code"):
        load_state(tmp_path / "evil.pt")
    assert not marker.exists()


def test_damaged_and_foreign_files_are_named(tmp_path: Path) -> None:
    whole = make_bundle(tmp_path / "tiny") / "models" / "model.pt"
    (tmp_path / "half.pt").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (tmp_path / "half.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    for name in ("half.pt", "half.safetensors"):
        with pytest.raises(ModelError, match="cannot be read") as caught:
            load_state(tmp_path / name)
        assert caught.value.source == str(tmp_path / name)
    torch.save({"epoch": 3}, tmp_path / "epoch.pt")
    with pytest.raises(ModelError, match="other things"):
        load_state(tmp_path / "epoch.pt")
    with pytest.raises(ModelError, match="no such file"):
        load_state(tmp_path / "none.pt")


@pytest.mark.parametrize("wrapper", ["model", "state_dict"])
def test_wrapped_states_and_those_of_several_gpus_are_opened(tmp_path: Path, wrapper: str) -> None:
    state = {"module.a": torch.ones(2), "module.b": torch.zeros(1)}
    torch.save({wrapper: state}, tmp_path / "w.pt")
    assert sorted(load_state(tmp_path / "w.pt")) == ["a", "b"]


@pytest.mark.parametrize("weights", ["model.pt", "model.safetensors"])
def test_a_network_is_loaded_with_exactly_its_weights(tmp_path: Path, weights: str) -> None:
    spec = read_bundle(make_bundle(tmp_path / "tiny", random_weights=True, weights=weights))
    network = load_network(spec)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    state = load_state(spec.weights)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_the_last_network_is_kept_and_a_changed_file_is_noticed(tmp_path: Path) -> None:
    spec = read_bundle(make_bundle(tmp_path / "tiny"))
    first = load_network(spec)
    assert load_network(spec) is first
    make_bundle(tmp_path / "tiny", thresholds=(0.7,))
    assert load_network(spec) is not first


def test_weights_of_another_network_are_refused_with_the_first_differences(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "tiny")
    make_bundle(tmp_path / "two", channels=2)
    (tmp_path / "two" / "models" / "model.pt").rename(bundle / "models" / "model.pt")
    with pytest.raises(ModelError, match=r"is \(1, 2, 3, 3, 3\), expected \(1, 1, 3, 3, 3\)"):
        load_network(read_bundle(bundle))
    deep = make_bundle(tmp_path / "deep", random_weights=True) / "models" / "model.pt"
    deep.rename(bundle / "models" / "model.pt")
    with pytest.raises(ModelError, match=r"; and \d+ more") as caught:
        load_network(read_bundle(bundle))
    assert caught.value.source == str(bundle / "models" / "model.pt")


def test_arguments_that_the_network_does_not_take_are_an_error(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "tiny")
    file = bundle / "configs" / "inference.json"
    content = json.loads(file.read_text())
    content["network_def"]["channels"] = [4]
    file.write_text(json.dumps(content))
    with pytest.raises(ModelError, match="cannot be built"):
        build_network(read_bundle(bundle))
