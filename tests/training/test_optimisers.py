"""Rates over a run, and optimisers that go on as if nothing had happened."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import pairwise
from typing import Any, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_medcnn.training.job import Optimisation, OptimiserName, ScheduleName, TrainJob
from napari_medcnn.training.networks import build
from napari_medcnn.training.optimisers import optimiser_of, rate_share, schedule_of
from napari_medcnn.training.transfer import parameter_groups
from tests.training.learn_jobs import job_of

TINY = {"channels": [2, 4], "num_res_units": 1}
FALLING = ("cosine", "polynomial")


def learner(**optimisation: Any) -> tuple[TrainJob, torch.nn.Module, torch.optim.Optimizer]:
    job = job_of(patch=(8, 8, 8), arguments=TINY, optimisation=optimisation)
    network = build(job)
    return job, network, optimiser_of(job, parameter_groups(network, job))


def take_steps(
    network: torch.nn.Module, optimiser: torch.optim.Optimizer, schedule: Any, numbers: range
) -> None:
    for number in numbers:
        image = torch.randn(1, 1, 8, 8, 8, generator=torch.Generator().manual_seed(number))
        optimiser.zero_grad()
        network(image).square().mean().backward()
        optimiser.step()
        schedule.step()


@given(st.sampled_from(get_args(ScheduleName)), st.integers(0, 50), st.integers(51, 2000))
def test_the_rate_rises_to_its_peak_and_does_not_rise_again(
    name: ScheduleName, warmup: int, total: int
) -> None:
    chosen = Optimisation(schedule=name, warmup_steps=warmup)
    shares = [rate_share(chosen, step, total) for step in range(total + 1)]
    assert shares[warmup] == max(shares) == 1
    assert all(a < b for a, b in pairwise(shares[: warmup + 1]))
    assert all(a >= b for a, b in pairwise(shares[warmup:]))
    assert min(shares) >= 0
    assert shares[0] > 0
    assert (shares[-1] == pytest.approx(0, abs=1e-12)) == (name in FALLING)


def test_the_falling_schedules_are_their_formulas() -> None:
    cosine = Optimisation(schedule="cosine", warmup_steps=10)
    assert rate_share(cosine, 60, 110) == pytest.approx(0.5)
    polynomial = Optimisation(schedule="polynomial")
    assert rate_share(polynomial, 25, 100) == pytest.approx(0.75**0.9)


def test_a_plateau_halves_the_rate_after_ten_validations_without_better() -> None:
    job, _, optimiser = learner(schedule="plateau", rate=0.1)
    schedule = schedule_of(job, optimiser, 1000)
    for value in [0.5, *[0.4] * 9]:
        schedule.tell(value)
    assert optimiser.param_groups[0]["lr"] == pytest.approx(0.1)
    schedule.tell(0.5)
    assert optimiser.param_groups[0]["lr"] == pytest.approx(0.05)
    schedule.step()
    assert optimiser.param_groups[0]["lr"] == pytest.approx(0.05)


def test_a_plateau_waits_for_a_smaller_loss() -> None:
    job, _, optimiser = learner(schedule="plateau", rate=0.1)
    job = replace(job, ending=replace(job.ending, metric="loss"))
    schedule = schedule_of(job, optimiser, 1000)
    for number in range(30):
        schedule.tell(1.0 / (number + 1))
    assert optimiser.param_groups[0]["lr"] == pytest.approx(0.1)


@pytest.mark.parametrize("name", get_args(OptimiserName))
@pytest.mark.parametrize("schedule_name", get_args(ScheduleName))
def test_a_run_goes_on_from_its_states_bit_for_bit(
    name: OptimiserName, schedule_name: ScheduleName
) -> None:
    torch.set_num_threads(1)
    settings = {"optimiser": name, "schedule": schedule_name, "warmup_steps": 3, "rate": 1e-2}
    job, network, optimiser = learner(**settings)
    schedule = schedule_of(job, optimiser, 20)
    take_steps(network, optimiser, schedule, range(5))
    schedule.tell(0.5)
    saved = copy.deepcopy([network.state_dict(), optimiser.state_dict(), schedule.state_dict()])
    take_steps(network, optimiser, schedule, range(5, 9))

    _, resumed, its_optimiser = learner(**settings)
    its_schedule = schedule_of(job, its_optimiser, 20)
    resumed.load_state_dict(saved[0])
    its_optimiser.load_state_dict(saved[1])
    its_schedule.load_state_dict(saved[2])
    take_steps(resumed, its_optimiser, its_schedule, range(5, 9))
    for name_, value in network.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name_])
    assert schedule.state_dict() == its_schedule.state_dict()


def test_a_schedule_goes_on_over_another_length_of_run() -> None:
    job, _, optimiser = learner(rate=1.0)
    unknown = schedule_of(job, optimiser, 1_000_000)
    for _ in range(50):
        unknown.step()
    planned = schedule_of(job, optimiser, 100)
    planned.load_state_dict(unknown.state_dict())
    assert optimiser.param_groups[0]["lr"] == pytest.approx(0.5**0.9)


def test_norms_and_biases_are_not_decayed_and_nothing_is_left_out() -> None:
    _, network, optimiser = learner(weight_decay=0.1)
    groups = {group["name"]: group for group in optimiser.param_groups}
    assert set(groups) == {"network", "network, not decayed"}
    assert groups["network"]["weight_decay"] == 0.1
    assert groups["network, not decayed"]["weight_decay"] == 0
    assert all(p.ndim > 1 for p in groups["network"]["params"])
    assert all(p.ndim == 1 for p in groups["network, not decayed"]["params"])
    listed = [id(p) for group in groups.values() for p in group["params"]]
    assert sorted(listed) == sorted(id(p) for p in network.parameters())


def test_sgd_has_nesterov_momentum() -> None:
    _, _, optimiser = learner(optimiser="sgd", momentum=0.95)
    assert all(g["nesterov"] and g["momentum"] == 0.95 for g in optimiser.param_groups)
