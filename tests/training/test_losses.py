"""Losses against their closed forms on tensors small enough to work out by hand."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.training.job import Loss
from napari_medcnn.training.losses import SMOOTH, loss_of, supervision_weights
from tests.training.learn_jobs import job_of

SEGMENTATION: tuple[Loss, ...] = get_args(Loss)


def logits_and_target() -> tuple[torch.Tensor, torch.Tensor]:
    """Two patches of 2 x 2 x 1 voxels, three classes."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(2, 3, 2, 2, 1, generator=generator)
    target = torch.tensor([0, 1, 2, 2, 0, 0, 1, 0]).reshape(2, 1, 2, 2, 1)
    return logits, target


def by_hand(name: Loss, logits: torch.Tensor, target: torch.Tensor, weights: list[float]) -> float:
    """Plain loops over voxels and classes."""
    p = logits.double().softmax(1).movedim(1, -1).reshape(-1, 3)
    t = target.reshape(-1)
    w = [weights[int(c)] for c in t]
    true = [float(p[n, int(c)]) for n, c in enumerate(t)]
    if name in ("focal", "dice_focal"):
        each = [-((1 - q) ** 2) * math.log(q) for q in true]
    else:
        each = [-math.log(q) for q in true]
    value = sum(a * b for a, b in zip(w, each, strict=True)) / sum(w)
    overlaps = []
    for c in (1, 2):
        inside = (t == c).double()
        hit = float((p[:, c] * inside).sum())
        extra, missed = float(p[:, c].sum()) - hit, float(inside.sum()) - hit
        if name.startswith("dice"):
            overlaps.append(1 - (2 * hit + SMOOTH) / (2 * hit + extra + missed + SMOOTH))
        elif name == "tversky":
            overlaps.append(1 - (hit + SMOOTH) / (hit + 0.3 * extra + 0.7 * missed + SMOOTH))
    return value + (sum(overlaps) / 2 if overlaps else 0.0)


@pytest.mark.parametrize("name", SEGMENTATION)
@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], [0.2, 1.0, 3.0]])
def test_a_loss_is_its_closed_form(name: Loss, weights: list[float]) -> None:
    logits, target = logits_and_target()
    given = None if weights[0] == 1 else tuple(weights)
    job = job_of(optimisation={"loss": name, "class_weights": given})
    found = float(loss_of(job)(logits, target))
    assert found == pytest.approx(by_hand(name, logits, target, weights), rel=1e-5)


@pytest.mark.parametrize("name", SEGMENTATION)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_gradients_are_finite_without_foreground_and_in_half_precision(
    name: Loss, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(0)
    for scale in (1.0, 60.0):
        logits = (scale * torch.randn(2, 3, 4, 4, 4, generator=generator)).to(dtype)
        logits.requires_grad_()
        loss = loss_of(job_of(optimisation={"loss": name}))(logits, torch.zeros(2, 1, 4, 4, 4))
        loss.backward()
        assert loss.dtype == torch.float32
        assert torch.isfinite(loss)
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", SEGMENTATION)
def test_a_perfect_answer_costs_nothing_and_its_opposite_much(name: Loss) -> None:
    target = torch.zeros(1, 1, 4, 4, 4, dtype=torch.long)
    target[..., :2] = 1
    target[..., :1] = 2
    right = 40.0 * torch.nn.functional.one_hot(target[:, 0], 3).movedim(-1, 1).float()
    loss = loss_of(job_of(optimisation={"loss": name}))
    assert float(loss(right, target)) < 1e-4
    assert float(loss(-right, target)) > 1


def test_every_resolution_counts_half_of_the_one_before() -> None:
    assert supervision_weights(3) == pytest.approx((4 / 7, 2 / 7, 1 / 7))
    loss = loss_of(job_of())
    logits, target = logits_and_target()
    other = logits.flip(1)
    both = 2 / 3 * loss(logits, target) + 1 / 3 * loss(other, target)
    assert torch.allclose(loss([logits, other], target), both)
    assert torch.allclose(loss(torch.stack([logits, other], 1), target), both)


def test_a_coarser_resolution_is_held_against_the_labels_at_its_voxels() -> None:
    loss = loss_of(job_of(optimisation={"loss": "cross_entropy"}))
    target = torch.arange(2).repeat_interleave(4).reshape(1, 1, 8, 1, 1).expand(1, 1, 8, 8, 8)
    coarse = target[:, 0, ::2, ::2, ::2]
    sure = 40.0 * torch.nn.functional.one_hot(coarse, 3).movedim(-1, 1).float()
    full = 40.0 * torch.nn.functional.one_hot(target[:, 0], 3).movedim(-1, 1).float()
    assert float(loss([full, sure], target)) < 1e-6


@pytest.mark.parametrize("name", ["cross_entropy", "focal"])
def test_classes_of_images_may_weigh_differently(name: Loss) -> None:
    logits = torch.tensor([[2.0, -1.0], [0.5, 0.1]])
    target = torch.tensor([0, 1])
    weights = (1.0, 3.0)
    job = job_of(
        "classification",
        "resnet18",
        2,
        (1, 32, 32),
        optimisation={"loss": name, "class_weights": weights},
    )
    p = [float(logits.softmax(1)[n, n]) for n in range(2)]
    focus = 2 if name == "focal" else 0
    each = [-((1 - q) ** focus) * math.log(q) for q in p]
    expected = (weights[0] * each[0] + weights[1] * each[1]) / sum(weights)
    assert float(loss_of(job)(logits, target)) == pytest.approx(expected, rel=1e-5)


def test_a_batch_in_which_nothing_has_a_weight_costs_nothing() -> None:
    job = job_of(optimisation={"loss": "cross_entropy", "class_weights": (0.0, 1.0, 1.0)})
    logits = torch.randn(1, 3, 4, 4, 4, requires_grad=True)
    loss = loss_of(job)(logits, torch.zeros(1, 1, 4, 4, 4))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_losses_that_fit_no_task_or_no_class_are_refused() -> None:
    with pytest.raises(MedcnnError, match="for segmentation"):
        loss_of(job_of("classification", "resnet18", 2, optimisation={"loss": "dice_ce"}))
    with pytest.raises(MedcnnError, match="2 class weights for 3 classes"):
        loss_of(job_of(optimisation={"class_weights": (1.0, 1.0)}))
