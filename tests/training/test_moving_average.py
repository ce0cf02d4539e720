"""The average of weights is the recurrence it says, and lends itself without a trace."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from napari_medcnn.training.moving_average import WARM_UP, Average


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


def learn(trained: nn.Module, number: int) -> None:
    """Change weights and running statistics."""
    generator = torch.Generator().manual_seed(number)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator))
        trained(torch.randn(4, 1, 6, 6, generator=generator))


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_the_average_is_its_recurrence(decay: float) -> None:
    trained = network()
    average = Average(trained, decay)
    expected: dict[str, torch.Tensor] = {}
    for number in range(6):
        learn(trained, number)
        average.update()
        kept = 0.0 if number == 0 else min(decay, (1 + number) / (WARM_UP + number))
        for name, value in trained.state_dict().items():
            if not value.is_floating_point() or number == 0:
                expected[name] = value.clone()
            else:
                expected[name] = kept * expected[name] + (1 - kept) * value
    with average.applied(trained):
        shown = {name: value.clone() for name, value in trained.state_dict().items()}
    for name, value in expected.items():
        assert torch.allclose(shown[name], value, atol=1e-6), name
    assert int(shown["1.num_batches_tracked"]) == 6


def test_the_network_has_its_own_weights_again_even_after_an_error() -> None:
    trained = network()
    average = Average(trained, 0.9)
    for number in range(3):
        learn(trained, number)
        average.update()
    own = copy.deepcopy(trained.state_dict())
    with pytest.raises(RuntimeError, match="stop"), average.applied(trained):
        assert not torch.equal(trained.state_dict()["0.weight"], own["0.weight"])
        raise RuntimeError("stop")
    assert all(torch.equal(value, own[name]) for name, value in trained.state_dict().items())


def test_an_average_goes_on_from_its_state_bit_for_bit() -> None:
    trained = network()
    average = Average(trained, 0.9)
    for number in range(3):
        learn(trained, number)
        average.update()
    resumed = copy.deepcopy(trained)
    again = Average(resumed, 0.9)
    again.load_state_dict(copy.deepcopy(average.state_dict()))
    for number in range(3, 6):
        for one, its_average in ((trained, average), (resumed, again)):
            learn(one, number)
            its_average.update()
    for name, value in average.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])


def test_a_decay_outside_of_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match="decay"):
        Average(network(), 1.0)
