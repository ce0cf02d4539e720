"""Optimisers, and the learning rate as a function of the step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from napari_medcnn.training.job import Optimisation, TrainJob

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

POLYNOMIAL_POWER = 0.9
"""Of nnU-Net's and DeepLab's schedule."""

PLATEAU_PATIENCE = 10
PLATEAU_FACTOR = 0.5
"""Validations without anything better after which the rate is halved."""

RATE_AT_PEAK = "peak_lr"
"""Key of an optimiser's group under which its highest rate stands."""


def optimiser_of(job: TrainJob, groups: Sequence[dict[str, Any]]) -> torch.optim.Optimizer:
    """The job's optimiser.

    Parameters
    ----------
    groups : sequence of dict
        From :func:`~napari_medcnn.training.transfer.parameter_groups`: ``params``, ``lr`` and
        ``weight_decay``.
    """
    import torch

    chosen = job.optimisation
    given = [{**group, RATE_AT_PEAK: group["lr"]} for group in groups]
    if chosen.optimiser == "sgd":
        momentum = chosen.momentum
        return torch.optim.SGD(given, lr=chosen.rate, momentum=momentum, nesterov=momentum > 0)
    if chosen.optimiser == "adam":
        return torch.optim.Adam(given, lr=chosen.rate)
    return torch.optim.AdamW(given, lr=chosen.rate)


def rate_share(chosen: Optimisation, step: int, total_steps: int) -> float:
    """The share of the peak rate at a step, counted from 0; what a plateau does to it apart.

    It rises linearly over the warm-up, at whose end it is 1, and then falls to 0 at the end of the
    run: half a cosine, or ``(1 - t) ** 0.9``.
    """
    warm = min(chosen.warmup_steps, total_steps)
    if step < warm:
        return (step + 1) / (warm + 1)
    if chosen.schedule in ("constant", "plateau"):
        return 1.0
    done = min((step - warm) / max(1, total_steps - warm), 1.0)
    if chosen.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    return float((1 - done) ** POLYNOMIAL_POWER)


class Schedule:
    """Sets the optimiser's rates before each step; all but a plateau follows from the step alone.

    Parameters
    ----------
    optimiser : torch.optim.Optimizer
        Its groups hold their highest rate under `RATE_AT_PEAK`.
    chosen : Optimisation
        Of the job.
    total_steps : int
        Of the run.
    lower_is_better : bool
        Of the values that :meth:`tell` is told.
    """

    def __init__(
        self,
        optimiser: torch.optim.Optimizer,
        chosen: Optimisation,
        total_steps: int,
        *,
        lower_is_better: bool = False,
    ) -> None:
        self._optimiser, self._chosen, self._total_steps = optimiser, chosen, total_steps
        self._sign = -1.0 if lower_is_better else 1.0
        self._steps, self._best, self._waited, self._factor = 0, -math.inf, 0, 1.0
        self._apply()

    def step(self) -> None:
        """One optimiser step was made."""
        self._steps += 1
        self._apply()

    def tell(self, value: float) -> None:
        """The chosen metric of a validation; lowers the rate on a plateau if the job says so."""
        if self._chosen.schedule != "plateau":
            return
        if self._sign * value > self._best:
            self._best, self._waited = self._sign * value, 0
            return
        self._waited += 1
        if self._waited >= PLATEAU_PATIENCE:
            self._factor, self._waited = self._factor * PLATEAU_FACTOR, 0
            self._apply()

    def state_dict(self) -> dict[str, float]:
        """How far it is; the length of the run is not part of it."""
        return {
            "steps": self._steps,
            "best": self._best,
            "waited": self._waited,
            "factor": self._factor,
        }

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on from there, over the length of this run."""
        self._steps, self._waited = int(state["steps"]), int(state["waited"])
        self._best, self._factor = float(state["best"]), float(state["factor"])
        self._apply()

    def _apply(self) -> None:
        share = rate_share(self._chosen, self._steps, self._total_steps) * self._factor
        for group in self._optimiser.param_groups:
            group["lr"] = group[RATE_AT_PEAK] * share


def schedule_of(job: TrainJob, optimiser: torch.optim.Optimizer, total_steps: int) -> Schedule:
    """The job's schedule over a run of `total_steps` optimiser steps."""
    return Schedule(
        optimiser, job.optimisation, total_steps, lower_is_better=job.ending.metric == "loss"
    )
