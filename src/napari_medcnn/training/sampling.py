"""Which case each patch is of, and what lies at its centre: pure in seed, epoch and sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from napari_medcnn.training.job import Sampling, TrainJob

Order: TypeAlias = npt.NDArray[np.int64]

_CASES, _CLASSES = 1, 2
"""Keep the random orders of cases and of classes apart, and both from the patches' own numbers."""


@dataclass(frozen=True)
class Draw:
    """One patch to be cut.

    Parameters
    ----------
    case_index : int
        Of the split's training cases.
    seed : tuple of int
        For ``numpy.random.default_rng``: everything random about the patch.
    wants_foreground : bool
        Whether its centre is to be a voxel of a class.
    classes : tuple of int
        Numbers 0, 1, ... of the manifest's classes in the order in which they are wanted at the
        centre: the first that the case has is taken.
    """

    case_index: int
    seed: tuple[int, int, int]
    wants_foreground: bool
    classes: tuple[int, ...]


def batches_per_epoch(sampling: Sampling) -> int:
    """How many batches an epoch has: several for one optimiser step where gradients add up."""
    return sampling.steps_per_epoch * max(1, sampling.accumulate)


def samples_per_epoch(sampling: Sampling) -> int:
    """How many patches an epoch has, over all processes."""
    return batches_per_epoch(sampling) * sampling.batch


def foreground_per_batch(sampling: Sampling) -> int:
    """How many patches of every batch are centred on a class: at least one if any are wanted."""
    if sampling.foreground_share <= 0:
        return 0
    wanted = int(np.floor(sampling.foreground_share * sampling.batch + 0.5))
    return min(max(1, wanted), sampling.batch)


def sample_of(job: TrainJob, epoch: int, sample: int) -> Draw:
    """The patch with number `sample` of an epoch, both counted from 0.

    Cases come in rounds: in each, every case once, in an order of its own; rounds go on over the
    end of an epoch, so that after any number of epochs no case was seen more than once oftener than
    another. Classes at the centres come in rounds alike. Classification with balanced classes has
    rounds of classes, and in each class rounds of its cases.

    Parameters
    ----------
    job : TrainJob
        Its seed, sampling, manifest and split are what the patch depends on.
    """
    sampling = job.sampling
    number = epoch * samples_per_epoch(sampling) + sample
    seed = (job.seed, epoch, sample)
    if job.manifest.task == "classification" and sampling.balance_classes:
        return Draw(_balanced(job, number), seed, False, ())
    case = _in_rounds(job.seed, _CASES, 0, len(job.split.train), number)
    wanted = foreground_per_batch(sampling)
    batch, place = divmod(sample, sampling.batch)
    if job.manifest.task == "classification" or place >= wanted:
        return Draw(case, seed, False, ())
    centres = (epoch * batches_per_epoch(sampling) + batch) * wanted + place
    return Draw(case, seed, True, _classes(job, centres))


def _classes(job: TrainJob, number: int) -> tuple[int, ...]:
    """The order of classes for the foreground patch `number`; the first comes in rounds."""
    count = len(job.manifest.classes)
    order = _order(job.seed, _CLASSES, 0, count, number // count)
    return tuple(int(c) for c in np.roll(order, -(number % count)))


def _balanced(job: TrainJob, number: int) -> int:
    groups = _cases_by_class(job)
    chosen = _in_rounds(job.seed, _CLASSES, 0, len(groups), number)
    # Each round of classes has each of them once: its number counts the draws of a class.
    group = groups[chosen]
    return group[_in_rounds(job.seed, _CASES, chosen, len(group), number // len(groups))]


def _in_rounds(seed: int, kind: int, part: int, count: int, number: int) -> int:
    """Of `count` things the one that is drawn as `number`: in each round every one once."""
    return int(_order(seed, kind, part, count, number // count)[number % count])


@lru_cache(maxsize=256)
def _order(seed: int, kind: int, part: int, count: int, turn: int) -> Order:
    return np.random.default_rng([seed, turn, part, kind]).permutation(count)


def _cases_by_class(job: TrainJob) -> tuple[tuple[int, ...], ...]:
    """Indices of the training cases of each class that has any."""
    targets = _targets(job.split.train, tuple((c.id, c.target) for c in job.manifest.cases))
    return _groups(targets, job.manifest.classes)


@lru_cache(maxsize=8)
def _targets(
    train: tuple[str, ...], cases: tuple[tuple[str, str | None], ...]
) -> tuple[str | None, ...]:
    by_id = dict(cases)
    return tuple(by_id[case] for case in train)


@lru_cache(maxsize=8)
def _groups(targets: tuple[str | None, ...], classes: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    groups = (tuple(i for i, t in enumerate(targets) if t == name) for name in classes)
    return tuple(group for group in groups if group)
