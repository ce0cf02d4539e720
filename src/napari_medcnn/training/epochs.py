"""How many epochs there are, which state is the best, and when a run is over. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from napari_medcnn.training.checkpoint import Standing
from napari_medcnn.training.job import Ending
from napari_medcnn.training.run_folder import Ended

MEASURED_EPOCHS = 3
"""At least so many are measured before a budget of minutes becomes a number of epochs,"""

MEASURED_SHARE = 0.1
"""and at least this share of the budget,"""

LONGEST_MEASURE = 0.25
"""but not more than this share."""

KEPT_BACK = 0.04
"""Share of a budget that is not planned for: epochs do not all take the same time."""


@dataclass(frozen=True)
class Pace:
    """How long things took: the sums of seconds, and how many there were."""

    training: float = 0.0
    epochs: int = 0
    validation: float = 0.0
    validations: int = 0

    def trained(self, seconds: float) -> Pace:
        """With one more epoch."""
        return replace(self, training=self.training + seconds, epochs=self.epochs + 1)

    def validated(self, seconds: float) -> Pace:
        """With one more validation."""
        return replace(self, validation=self.validation + seconds, validations=self.validations + 1)

    @property
    def epoch(self) -> float:
        """Seconds of an epoch's steps; 0 before the first one was measured."""
        return self.training / self.epochs if self.epochs else 0.0

    @property
    def judgement(self) -> float:
        """Seconds of a validation; 0 before the first one was measured."""
        return self.validation / self.validations if self.validations else 0.0


def is_measured(epochs: int, seconds: float, ending: Ending) -> bool:
    """Whether enough was seen to tell how many epochs fit into `ending.minutes`."""
    if ending.minutes is None:
        return False
    share = seconds / (60 * ending.minutes)
    return share >= LONGEST_MEASURE or (epochs >= MEASURED_EPOCHS and share >= MEASURED_SHARE)


def epochs_that_fit(done: int, seconds: float, pace: Pace, ending: Ending) -> int:
    """How many epochs there will be, those that are `done` after `seconds` included."""
    if ending.minutes is None:
        raise ValueError("the run has no budget of minutes")
    left = 60 * ending.minutes * (1 - KEPT_BACK) - seconds
    each = pace.epoch + pace.judgement / ending.validate_every
    if not each:
        raise ValueError("nothing was measured yet")
    return done + max(0, math.floor(left / each))


def validates_after(epoch: int, standing: Standing, ending: Ending) -> bool:
    """Whether the state after `epoch` epochs is judged."""
    last = standing.epochs_planned is not None and epoch >= standing.epochs_planned
    return last or epoch % ending.validate_every == 0


def is_better(metric: str, value: float, best: float | None) -> bool:
    """Whether `value` beats `best`: a loss below it, everything else above it."""
    if not math.isfinite(value):
        return False
    return best is None or (value < best if metric == "loss" else value > best)


def judged(standing: Standing, epoch: int, value: float, ending: Ending) -> Standing:
    """The standing after the state of `epoch` epochs reached `value`."""
    if is_better(ending.metric, value, standing.best):
        return replace(standing, best=value, best_epoch=epoch, fruitless=0)
    return replace(standing, fruitless=standing.fruitless + 1)


def is_over(standing: Standing, ending: Ending) -> Ended | None:
    """``"finished"``, ``"early"`` when patience is out, or None while it goes on."""
    if standing.epochs_planned is not None and standing.epoch >= standing.epochs_planned:
        return "finished"
    if ending.patience is not None and standing.fruitless >= ending.patience:
        return "early"
    return None
