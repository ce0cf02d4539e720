"""Which case each patch is of, and what lies at its centre: pure in seed, epoch and sample."""

from __future__ import annotations

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


@dataclass(frozen=True)
class Drawing:
    """All that draws depend on, looked up once; :func:`drawing_of` makes it.

    Parameters
    ----------
    seed, sampling
        Of the job.
    groups : tuple
        Indices of training cases, among which a round takes each once: one group of all, or for
        balanced classification one for each class that has any.
    classes : int
        Of a segmentation job, 0 for classification.
    """

    seed: int
    sampling: Sampling
    groups: tuple[tuple[int, ...], ...]
    classes: int

    def sample(self, epoch: int, sample: int) -> Draw:
        """The patch with number `sample` of an epoch, both counted from 0.

        Cases come in rounds: in each, every case once, in an order of its own; rounds go on over
        the end of an epoch, so that after any number of epochs no case was seen more than once
        oftener than another. Classes at the centres come in rounds alike. Classification with
        balanced classes has rounds of classes, and in each class rounds of its cases.
        """
        number = epoch * samples_per_epoch(self.sampling) + sample
        seed = (self.seed, epoch, sample)
        case = self._case(number)
        batch, place = divmod(sample, self.sampling.batch)
        wanted = foreground_per_batch(self.sampling)
        if not self.classes or place >= wanted:
            return Draw(case, seed, False, ())
        centres = (epoch * batches_per_epoch(self.sampling) + batch) * wanted + place
        return Draw(case, seed, True, self._classes(centres))

    def _case(self, number: int) -> int:
        # Each round of groups has each of them once: its number counts the draws of a group.
        turn = number // len(self.groups)
        chosen = _in_rounds(self.seed, _CLASSES, 0, len(self.groups), number)
        group = self.groups[chosen]
        return group[_in_rounds(self.seed, _CASES, chosen, len(group), turn)]

    def _classes(self, number: int) -> tuple[int, ...]:
        """The order of classes for the foreground patch `number`; the first comes in rounds."""
        turn, place = divmod(number, self.classes)
        order = [int(c) for c in _order(self.seed, _CLASSES, 0, self.classes, turn)]
        return (*order[place:], *order[:place])


def drawing_of(job: TrainJob) -> Drawing:
    """How a job draws its patches."""
    manifest = job.manifest
    groups: tuple[tuple[int, ...], ...] = (tuple(range(len(job.split.train))),)
    if manifest.task == "segmentation":
        return Drawing(job.seed, job.sampling, groups, len(manifest.classes))
    if job.sampling.balance_classes:
        targets = {case.id: case.target for case in manifest.cases}
        by_class = (
            tuple(n for n, case in enumerate(job.split.train) if targets.get(case) == name)
            for name in manifest.classes
        )
        groups = tuple(group for group in by_class if group) or groups
    return Drawing(job.seed, job.sampling, groups, 0)


def sample_of(job: TrainJob, epoch: int, sample: int) -> Draw:
    """The patch with number `sample` of an epoch; see :meth:`Drawing.sample`."""
    return drawing_of(job).sample(epoch, sample)


def _in_rounds(seed: int, kind: int, part: int, count: int, number: int) -> int:
    """Of `count` things the one that is drawn as `number`: in each round every one once."""
    return int(_order(seed, kind, part, count, number // count)[number % count])


@lru_cache(maxsize=256)
def _order(seed: int, kind: int, part: int, count: int, turn: int) -> Order:
    return np.random.default_rng([seed, turn, part, kind]).permutation(count)
