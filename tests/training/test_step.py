"""One optimiser step: repeatable, undone when not whole, the same in several batches as in one.

What asks for a GPU is skipped where there is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from napari_medcnn.core.errors import Cancelled, OutOfMemory
from napari_medcnn.training.batches import Batch
from napari_medcnn.training.checkpoint import Standing, read_checkpoint, write_checkpoint
from napari_medcnn.training.distributed import Ranks
from napari_medcnn.training.job import NetworkChoice, Optimisation, Resources, Sampling, TrainJob
from napari_medcnn.training.manifest import TrainCase
from napari_medcnn.training.step import Learner
from tests.training.tiny_run import RESOURCES, job_of

CASES = tuple(
    TrainCase(f"case_{n}", (Path("none"),), f"patient_{n}", Path("none")) for n in range(4)
)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def learner(job: TrainJob, device: str = "cpu", resources: Resources = RESOURCES) -> Learner:
    return Learner(job, replace(resources, device=device), device, Ranks(), 20)


def batch(seed: int, count: int = 2, size: int = 8) -> Batch:
    """Noise, and where it is bright as the truth."""
    image = torch.randn(count, 1, size, size, size, generator=torch.Generator().manual_seed(seed))
    return Batch(image, (image > 0.5).long() + (image > 1.5).long(), 0)


def same(one: Learner, other: Learner) -> bool:
    mine, theirs = one.network.state_dict(), other.network.state_dict()
    return all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_steps_go_on_from_a_checkpoint_to_the_same_bits(tmp_path: Path) -> None:
    arguments = {"channels": [4, 8], "strides": [2], "num_res_units": 1, "dropout": 0.3}
    job = job_of(CASES, network=NetworkChoice("unet", arguments=arguments))
    whole = learner(job)
    for step in range(6):
        if step == 3:
            write_checkpoint(tmp_path / "last.pt", whole.checkpoint(Standing(1)))
        whole.learn([batch(step)], step)
    torch.rand(3)
    again = learner(job)
    again.restore(read_checkpoint(tmp_path / "last.pt"))
    for step in range(3, 6):
        again.learn([batch(step)], step)
    assert same(whole, again)
    assert again.rate == whole.rate


def test_batches_that_are_added_up_are_one_large_batch() -> None:
    how = Optimisation(optimiser="sgd", rate=0.1, loss="cross_entropy", clip_norm=None)
    parts = job_of(CASES, optimisation=how, sampling=Sampling((8, 8, 8), batch=2, accumulate=2))
    one, two = learner(replace(parts, sampling=Sampling((8, 8, 8), batch=4))), learner(parts)
    first, second = batch(1), batch(2)
    large = Batch(
        torch.cat([first.image, second.image]), torch.cat([first.target, second.target]), 0
    )
    assert one.learn([large], 0) == pytest.approx(two.learn([first, second], 0), rel=1e-5)
    for name, value in one.network.state_dict().items():
        assert torch.allclose(value, two.network.state_dict()[name], atol=1e-6), name


def test_a_step_that_is_cut_short_has_not_happened() -> None:
    arguments = {"channels": [4, 8], "strides": [2], "num_res_units": 1, "norm": "batch"}
    job = job_of(
        CASES,
        network=NetworkChoice("unet", arguments=arguments),
        sampling=Sampling((8, 8, 8), batch=2, accumulate=2),
    )
    touched, untouched = learner(job), learner(job)

    def half() -> Iterator[Batch]:
        yield batch(1)
        raise Cancelled

    with pytest.raises(Cancelled):
        touched.learn(half(), 0)
    assert same(touched, untouched)
    for one in (touched, untouched):
        one.learn([batch(1), batch(2)], 0)
    assert same(touched, untouched)


def test_what_is_judged_is_the_average_and_the_weights_come_back() -> None:
    tested = learner(job_of(CASES))
    for step in range(3):
        tested.learn([batch(step)], step)
    own = {name: value.clone() for name, value in tested.network.state_dict().items()}
    image = batch(9).image
    with tested.judging() as logits:
        shown = logits(image)
        averaged = {name: value.clone() for name, value in tested.network.state_dict().items()}
    assert any(not torch.equal(own[name], averaged[name]) for name in own)
    assert all(torch.equal(own[n], v) for n, v in tested.network.state_dict().items())
    weights = tested.checkpoint(Standing()).weights
    assert all(torch.equal(averaged[name], weights[name]) for name in averaged)
    assert shown.shape == (2, 3, 8, 8, 8)


@needs_gpu
@pytest.mark.parametrize("network", ["unet", "dynunet"])
def test_half_precision_learns_and_goes_on_with_its_scaler(tmp_path: Path, network: str) -> None:
    job = job_of(
        CASES,
        network=NetworkChoice(network),
        sampling=Sampling((32, 32, 32), batch=2),
        optimisation=Optimisation(rate=3e-3, ema_decay=0.9),
    )
    tested = learner(job, "cuda", Resources())
    losses = []
    for step in range(40):
        if step == 20:
            write_checkpoint(tmp_path / "last.pt", tested.checkpoint(Standing(1)))
        losses.append(tested.learn([batch(step % 4, size=32)], step))
    assert losses[-1] < 0.7 * losses[0]
    kept = read_checkpoint(tmp_path / "last.pt")
    assert kept.scaler
    again = learner(job, "cuda", Resources())
    again.restore(kept)
    repeated = [again.learn([batch(step % 4, size=32)], step) for step in range(20, 40)]
    assert repeated == pytest.approx(losses[20:], rel=0.05)
    with again.judging() as logits:
        assert torch.isfinite(logits(batch(1, size=32).image)).all()


@needs_gpu
def test_a_gpu_without_memory_is_told_with_what_to_do() -> None:
    sampling = Sampling((512, 512, 512), batch=2)
    huge = job_of(CASES, network=NetworkChoice("dynunet"), sampling=sampling)
    with pytest.raises(OutOfMemory, match="halve the batch"):
        learner(huge, "cuda", Resources()).learn([batch(1, size=512)], 0)
