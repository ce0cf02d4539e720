"""Mean and variance over mirrored windows and members, and a model that stays loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_medcnn.core.errors import ModelError
from napari_medcnn.inference.backends.torch_backend import TorchBackend
from napari_medcnn.inference.loaded import load_model
from napari_medcnn.inference.members import Averaged, mirrors_of
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.inference.placement import Placement
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.networks import load_network
from napari_medcnn.models.spec import ModelSpec
from tests.bundle_factory import make_bundle

ROI = (16, 16, 16)


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    folder = make_bundle(
        tmp_path / "random", classes=("a", "b"), activation="softmax", random_weights=True
    )
    return read_bundle(folder)


def ensemble(spec: ModelSpec) -> ModelSpec:
    state = torch.load(spec.weights, weights_only=True)
    second = spec.weights.with_name("second.pt")
    torch.save({k: v * 1.1 if v.is_floating_point() else v for k, v in state.items()}, second)
    return replace(spec, members=(spec.weights, second))


def test_ways_to_mirror_begin_with_none_and_follow_the_models_axes(spec: ModelSpec) -> None:
    assert mirrors_of(spec, "model") == [()]
    assert mirrors_of(replace(spec, mirror_axes=(0, 2)), "model") == [(), (2,), (4,), (2, 4)]
    assert len(mirrors_of(spec, "all")) == 8
    assert mirrors_of(replace(spec, mirror_axes=(0,)), "none") == [()]


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_mean_and_variance_are_those_of_all_answers(spec: ModelSpec, activation: Any) -> None:
    both = replace(ensemble(spec), activation=activation)
    windows = torch.rand(2, 1, 16, 16, 16, generator=torch.Generator().manual_seed(1))
    mirrors = mirrors_of(both, "all")
    answers = []
    with torch.inference_mode():
        for number in range(2):
            network = load_network(replace(both, weights=both.weight_files[number], members=()))
            answers += [network(windows.flip(m)).flip(m) for m in mirrors]
    logits = torch.stack(answers)
    shares = logits.softmax(2) if activation == "softmax" else logits.sigmoid()
    variance = shares.double().var(0, unbiased=False).amax(1, keepdim=True).float()
    options = RunOptions(mirror="all", keep_uncertainty=True)
    with load_model(both, options) as loaded:
        found = loaded.backend(Placement(batch=2), ROI).logits(windows)
    torch.testing.assert_close(found[:, :-1], logits.mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[:, -1:], variance, rtol=1e-3, atol=1e-6)
    assert variance.max() > 1e-4


def test_a_symmetric_network_has_no_variance(spec: ModelSpec) -> None:
    backend = Averaged(
        [TorchBackend(torch.nn.Conv3d(1, 3, 1))], spec, mirrors_of(spec, "all"), variance=True
    )
    found = backend.logits(torch.rand(1, 1, 8, 8, 8))
    assert found.shape[1] == 4
    assert found[:, -1].max() < 1e-6


def test_a_loaded_model_is_opened_again_for_other_options_only(spec: ModelSpec) -> None:
    with load_model(spec, RunOptions()) as loaded:
        first = loaded.backend(Placement(), ROI)
        assert loaded.backend(Placement(), ROI) is first
        assert loaded.backend(Placement(planes=1), ROI) is first
        assert loaded.backend(Placement(), ROI, RunOptions(threshold=0.3)) is first
        mirrored = loaded.backend(Placement(), ROI, RunOptions(mirror="all"))
        assert isinstance(mirrored, Averaged)
        unsure = loaded.backend(Placement(), ROI, RunOptions(mirror="all", keep_uncertainty=True))
        assert unsure is not mirrored
        assert unsure.logits(torch.rand(1, 1, 16, 16, 16)).shape[1] == 4
        assert loaded.backend(Placement(channels_last=True), ROI) is not unsure


def test_a_member_that_cannot_be_opened_closes_those_before_it(
    spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"no weights")
    closed: list[TorchBackend] = []
    monkeypatch.setattr(TorchBackend, "close", lambda backend: closed.append(backend))
    both = replace(spec, members=(spec.weights, broken))
    with load_model(both, RunOptions()) as loaded, pytest.raises(ModelError):
        loaded.backend(Placement(), ROI)
    assert len(closed) == 1
