"""Fresh weights: what forgets and what does not, and what is made of the maps' likeness."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import rankdata

from napari_medcnn.core.explanation import Agreement, Randomised
from napari_medcnn.inference.explain_check import (
    FLAT,
    SMALL,
    compare_maps,
    forgetting,
    randomised,
    verdict,
    weighted_layers,
)


def network() -> torch.nn.Sequential:
    torch.manual_seed(3)
    made = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Linear(4, 2)
    )
    made[1].running_mean.fill_(7.0)
    return made.eval()


def changed(before: torch.nn.Module, after: torch.nn.Module) -> list[str]:
    pairs = zip(before.state_dict().items(), after.state_dict().items(), strict=True)
    return [name for (name, a), (_, b) in pairs if not torch.equal(a, b)]


def test_all_layers_forget_the_same_for_a_seed_and_torchs_own_numbers_go_on() -> None:
    before = network()
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    fresh, again, other = (randomised(before, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.rand(3), expected)
    assert {"0.weight", "0.bias", "1.running_mean", "3.weight"} <= set(changed(before, fresh))
    assert changed(fresh, again) == []
    assert "0.weight" in changed(fresh, other)
    assert before[1].running_mean[0] == 7.0


def test_a_cascade_forgets_from_the_output_on() -> None:
    before = network()
    names = [name for name, _ in weighted_layers(before)]
    assert names == ["0", "1", "3"]
    found = list(forgetting(before, (5, 6), cascade=True))
    assert [(what, seed) for what, seed, _ in found] == [
        ("all", 5), ("all", 6), ("from 3 on", 5), ("from 1 on", 5),
    ]  # fmt: skip
    assert {name.split(".")[0] for name in changed(before, found[2][2])} == {"3"}
    assert {name.split(".")[0] for name in changed(before, found[3][2])} == {"1", "3"}
    assert list(forgetting(before, (), cascade=True)) == []


def test_weights_without_a_way_to_start_again_are_drawn_anew() -> None:
    class Token(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = torch.nn.Parameter(torch.zeros(1, 8))

    fresh = randomised(Token(), 0)
    assert 0 < float(fresh.token.detach().abs().max()) < 0.2


def test_likeness_of_maps_against_hand_and_numpy() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 9, 10, 11))
    same = compare_maps(first, 3 * first + 1)
    assert same.spearman == pytest.approx(1)
    assert same.ssim == pytest.approx(1)
    assert compare_maps(first, -first).spearman == pytest.approx(-1)
    found = compare_maps(first, second)
    by_numpy = np.corrcoef(rankdata(first), rankdata(second))[0, 1]
    assert found.spearman == pytest.approx(by_numpy, abs=1e-9)
    assert abs(found.ssim or 1) < 0.2
    assert compare_maps(first, np.ones_like(first)) == Agreement(None, None, FLAT)
    thin = compare_maps(first[:, :2], second[:, :2])
    assert thin.spearman is not None
    assert (thin.ssim, thin.undefined) == (None, SMALL)
    assert compare_maps(first[:1], first[:1]).ssim == pytest.approx(1)  # a picture


def trial(spearman: float | None, layers: str = "all") -> Randomised:
    return Randomised(layers, 0, Agreement(spearman, None))


def test_the_verdict_goes_by_the_median_of_wholly_fresh_networks() -> None:
    assert verdict([trial(0.1), trial(-0.2), trial(0.9)]).depends_on_weights is True
    found = verdict([trial(0.8), trial(-0.9), trial(0.1), trial(0.0, "from 3 on")])
    assert found.depends_on_weights is False
    assert "0.80" in found.reason
    flat = verdict([trial(None)])
    assert (flat.depends_on_weights, FLAT in flat.reason) == (None, True)
    assert verdict([]).depends_on_weights is None
