"""Train the network on synthetic heads; one thread, fixed seeds."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass

import numpy as np
import torch
from appearance import training_pair
from monai.networks.nets import UNet
from synthetic_heads import Head, load_template, make_head

NETWORK = {
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 1,
    "channels": [16, 32, 48, 48, 48],
    "strides": [2, 2, 2, 2],
    "num_res_units": 0,
    "norm": "instance",
    "act": "relu",
}
AVERAGING = 0.98


def make_heads(count: int, seed: int) -> list[Head]:
    """The synthetic heads of one run."""
    template = load_template()
    return [make_head(template, seed * 10_000 + i) for i in range(count)]


def loss_of(logits: torch.Tensor, brain: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy plus soft Dice."""
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, brain)
    p = torch.sigmoid(logits)
    dice = (2 * (p * brain).sum() + 1) / (p.sum() + brain.sum() + 1)
    return entropy + 1 - dice


@dataclass(frozen=True)
class Stage:
    """One cycle of the learning rate.

    `sequence_share` is the share of images with the contrast of a usual sequence; the others have a
    random one. `wide_sulci` lets fluid take part of the cortex.
    """

    iterations: int
    learning_rate: float
    sequence_share: float
    wide_sulci: bool
    seed: int


STAGES = (
    Stage(700, learning_rate=4e-3, sequence_share=0.6, wide_sulci=False, seed=1),
    Stage(400, learning_rate=3e-3, sequence_share=0.8, wide_sulci=False, seed=2),
    Stage(400, learning_rate=2.5e-3, sequence_share=0.9, wide_sulci=True, seed=3),
)


def train(heads: list[Head], stage: Stage, start: UNet | None = None) -> UNet:
    """Train on one volume a step; return the exponential average of the weights."""
    torch.manual_seed(stage.seed)
    network = copy.deepcopy(start).train() if start is not None else UNet(**NETWORK)
    peak, iterations = stage.learning_rate, stage.iterations
    optimiser = torch.optim.AdamW(network.parameters(), lr=peak, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, peak, total_steps=iterations, pct_start=0.1
    )
    average = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(AVERAGING)
    )
    recent, begun = [], time.perf_counter()
    for step in range(iterations):
        image, brain = _pair(heads, stage, step)
        optimiser.zero_grad()
        loss = loss_of(network(image[None, None]), brain[None, None])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        average.update_parameters(network)
        recent.append(float(loss.detach()))
        if step % 50 == 49:
            print(
                f"{step + 1:5d}  loss {np.mean(recent[-50:]):.4f}  "
                f"{time.perf_counter() - begun:.0f} s",
                flush=True,
            )
    return average.module.eval()


def _pair(heads: list[Head], stage: Stage, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The pair of one step, a function of stage and step alone, so that a run can be repeated."""
    order = np.random.default_rng([stage.seed, step // len(heads)]).permutation(len(heads))
    head = heads[order[step % len(heads)]]
    seed = stage.seed * 1_000_000 + step
    return training_pair(head, seed, stage.sequence_share, stage.wide_sulci)
