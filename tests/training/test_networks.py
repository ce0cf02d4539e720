"""Every network of every task learns, and is built from what its bundle will say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.models.networks import network_of
from napari_medcnn.training.job import TrainJob
from napari_medcnn.training.losses import loss_of
from napari_medcnn.training.manifest import Task
from napari_medcnn.training.networks import (
    build,
    is_patch_too_small,
    network_definition,
    network_names,
    required_multiple,
)
from tests.training.learn_jobs import job_of

SMALL: dict[str, dict[str, Any]] = {
    "unet": {"channels": [4, 8, 8]},
    "attention_unet": {"channels": [4, 8, 8]},
    "segresnet": {"init_filters": 8, "blocks_down": [1, 1, 1], "blocks_up": [1, 1]},
    "dynunet": {"filters": [4, 8, 8]},
    "swinunetr": {"feature_size": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 1, 1]},
}
NARROW = {
    "vgg": {"width": 4, "hidden": 8},
    "resnet": {"block_inplanes": [4, 8, 8, 8]},
    "densenet": {"init_features": 8, "growth_rate": 4},
}
"""By what the name begins with."""

MEDIUM = ("efficientnet_b2", "efficientnet_b3", "efficientnet_b4")
"""In three dimensions their kind is tested by the smaller ones."""


def small_arguments(name: str) -> dict[str, Any]:
    kind = name.rstrip("0123456789")
    return {**SMALL.get(name, {}), **NARROW.get(kind, {})}


def small_job(task: Task, dimensions: int, name: str) -> TrainJob:
    if name == "swinunetr":
        size = 64 if dimensions == 2 else 32
        patch = (1 if dimensions == 2 else 32, size, 64)
    else:
        patch = (1 if dimensions == 2 else 16, 16, 24)
    if task == "classification":
        patch = (1 if dimensions == 2 else 32, 32, 36)
    return job_of(
        task, name, dimensions, patch, channels=("T1", "T2"), arguments=small_arguments(name)
    )


def every() -> Iterator[tuple[Task, int, str]]:
    tasks: tuple[Task, ...] = ("segmentation", "classification")
    for task in tasks:
        for dimensions in (2, 3):
            for name in network_names(task, dimensions):
                if not (dimensions == 3 and name in MEDIUM):
                    yield task, dimensions, name


@pytest.mark.parametrize(("task", "dimensions", "name"), list(every()))
def test_a_network_learns_from_a_batch(task: Task, dimensions: int, name: str) -> None:
    torch.set_num_threads(1)
    job = small_job(task, dimensions, name)
    network = build(job)
    torch.manual_seed(0)  # of dropout, which may leave a narrow network without any unit
    size = job.sampling.patch[::-1][:dimensions]
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(2, 2, *size, generator=generator)
    if task == "segmentation":
        target = torch.randint(0, 3, (2, 1, *size), generator=generator)
    else:
        target = torch.tensor([0, 1])
    loss = loss_of(job)(network(image), target)
    loss.backward()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert torch.isfinite(loss)
    assert all(torch.isfinite(g).all() for g in gradients)
    assert sum(bool(g.abs().sum() > 0) for g in gradients) > len(gradients) / 2
    with torch.no_grad():
        logits = network.eval()(image)
    assert logits.shape == ((2, 3, *size) if task == "segmentation" else (2, 2))
    multiple = required_multiple(network_definition(job))
    assert all(n % of == 0 for n, of in zip(job.sampling.patch, multiple, strict=True))


@pytest.mark.parametrize(("task", "dimensions", "name"), list(every()))
def test_a_bundle_can_say_what_the_network_is(task: Task, dimensions: int, name: str) -> None:
    definition = network_definition(small_job(task, dimensions, name))
    assert json.loads(json.dumps(definition)) == definition


def test_the_same_seed_builds_the_same_weights_and_leaves_the_generator_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    first = build(small_job("segmentation", 3, "unet")).state_dict()
    assert torch.equal(torch.rand(1), expected)
    again = build(small_job("segmentation", 3, "unet")).state_dict()
    job = job_of(patch=(16, 16, 24), channels=("T1", "T2"), arguments=SMALL["unet"], seed=1)
    other = build(job).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_the_network_of_the_bundle_takes_the_weights_of_the_training() -> None:
    job = small_job("segmentation", 3, "dynunet")
    trained = build(job)
    there = network_of(json.loads(json.dumps(network_definition(job))))
    there.load_state_dict(trained.state_dict(), strict=True)
    image = torch.randn(1, 2, 24, 16, 16)
    with torch.no_grad():
        assert torch.equal(trained.eval()(image), there.eval()(image))


def test_deep_supervision_puts_the_full_resolution_first() -> None:
    job = small_job("segmentation", 3, "dynunet")
    network, image = build(job), torch.randn(1, 2, 24, 16, 16)
    supervised = network(image)
    assert supervised.shape == (1, 2, 3, 24, 16, 16)
    assert torch.allclose(supervised[:, 0], network.eval()(image), atol=1e-5)


def test_strides_are_in_the_network_s_order_of_axes_and_multiples_in_the_job_s() -> None:
    job = job_of(network="dynunet", patch=(8, 64, 64), spacing_mm=(4.0, 1.0, 1.0))
    definition = network_definition(job)
    assert definition["strides"][1] == [2, 2, 1]
    assert definition["kernel_size"][0] == [3, 3, 1]
    z, y, x = required_multiple(definition)
    assert (z, y, x) == (2, 16, 16)
    for name in ("unet", "attention_unet"):
        thick = job_of(
            network=name,
            patch=(8, 32, 32),
            spacing_mm=(4.0, 1.0, 1.0),
            arguments={"channels": [4, 8, 8]},
        )
        assert build(thick)(torch.zeros(2, 1, 32, 32, 8)).shape == (2, 3, 32, 32, 8)


def test_what_cannot_be_built_is_refused_with_the_reason() -> None:
    with pytest.raises(MedcnnError, match="too small"):
        network_definition(job_of(network="dynunet", patch=(8, 8, 8)))
    with pytest.raises(MedcnnError, match="no network 'resnet18' for segmentation"):
        network_definition(job_of(network="resnet18"))
    with pytest.raises(MedcnnError, match="2 and 3 dimensions"):
        network_names("segmentation", 4)
    with pytest.raises(MedcnnError, match="cannot be built"):
        build(job_of(arguments={"colour": "blue"}))


def test_two_classes_of_the_classic_network_need_one_output() -> None:
    two = network_definition(job_of("classification", "classic_cnn", 2, (1, 64, 64)))
    three = network_definition(
        job_of("classification", "classic_cnn", 2, (1, 64, 64), classes=("a", "b", "c"))
    )
    assert (two["head"], three["head"]) == ("sigmoid", "softmax")


OF_ONE_CHANNEL: dict[str, Any] = {"in_channels": 1, "out_channels": 2}
HALVED_TWICE = {**OF_ONE_CHANNEL, "spatial_dims": 2, "channels": [4, 8, 8], "strides": [2, 2]}
UNET = {**HALVED_TWICE, "_target_": "UNet"}
ATTENTION = {**HALVED_TWICE, "_target_": "AttentionUnet"}
SWIN = {**OF_ONE_CHANNEL, "_target_": "SwinUNETR", "feature_size": 12}


@pytest.mark.parametrize(
    ("definition", "patch", "batch"),
    [
        (UNET, (1, 4, 4), 2),
        (UNET, (1, 4, 8), 1),
        ({**UNET, "norm": ["GROUP", {"num_groups": 2}]}, (1, 4, 4), 1),
        ({**UNET, "norm": "BATCH"}, (1, 4, 4), 1),
        ({**UNET, "norm": "BATCH"}, (1, 4, 4), 2),
        (ATTENTION, (1, 4, 4), 1),
        (ATTENTION, (1, 4, 4), 2),
        ({**SWIN, "spatial_dims": 2}, (1, 32, 32), 2),
        ({**SWIN, "spatial_dims": 2}, (1, 64, 32), 1),
        ({**SWIN, "spatial_dims": 3}, (32, 32, 32), 1),
        ({**SWIN, "spatial_dims": 3}, (32, 64, 32), 1),
    ],
)
def test_a_patch_is_too_small_where_the_network_itself_says_so(
    definition: dict[str, Any], patch: tuple[int, int, int], batch: int
) -> None:
    shape = patch[::-1][: definition["spatial_dims"]]
    try:
        network_of(definition).train()(torch.zeros(batch, 1, *shape))
        fails = False
    except ValueError as error:
        fails = "more than 1" in str(error)
        assert fails
    assert is_patch_too_small(definition, patch, batch) == fails
