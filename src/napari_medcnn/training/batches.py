"""Batches of patches, prepared ahead by threads, the same whatever the number of threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from napari_medcnn.core.errors import Cancelled, MedcnnError
from napari_medcnn.inference.device import choose_device
from napari_medcnn.training.cache import CaseCache
from napari_medcnn.training.job import Resources, TrainJob
from napari_medcnn.training.patches import patch_of
from napari_medcnn.training.sampling import batches_per_epoch, drawing_of
from napari_medcnn.training.worker_threads import one_torch_thread, usable_cores

if TYPE_CHECKING:
    import torch

AHEAD = 2
"""Batches that are prepared before they are asked for, beside one for each thread."""

MOST_WORKERS = 8
"""Threads beyond it wait for the interpreter more than they work."""


@dataclass(frozen=True, eq=False)
class Batch:
    """What one forward pass sees.

    Parameters
    ----------
    image : torch.Tensor
        ``(batch, channel, x, y, z)`` float32; without z for networks of pictures. In pinned memory
        where the device is a GPU.
    target : torch.Tensor
        Segmentation: ``(batch, 1, x, y, z)`` int64, z as in `image`. Classification: ``(batch,)``
        int64.
    step : int
        The optimiser step of the epoch that it is for, from 0.
    """

    image: torch.Tensor
    target: torch.Tensor
    step: int


class Batches:
    """The batches of a job, epoch by epoch.

    Parameters
    ----------
    job : TrainJob
        What is drawn, from its split's training cases.
    cache : CaseCache
        Where the cases come from.
    resources : Resources
        Its number of workers, and the device.
    ranks, rank : int
        Of how many processes this is which: each gets every `ranks`-th patch of the same batches.

    Raises
    ------
    MedcnnError
        When a batch cannot be shared evenly among the processes, or nothing is there to learn from.
    """

    def __init__(
        self,
        job: TrainJob,
        cache: CaseCache,
        resources: Resources,
        ranks: int = 1,
        rank: int = 0,
    ) -> None:
        if job.sampling.batch % ranks:
            raise MedcnnError(
                f"a batch of {job.sampling.batch} cannot be shared by {ranks} processes",
                hint="choose a batch that is a multiple of their number",
            )
        if not job.split.train:
            raise MedcnnError("the split has no case to learn from", source=job.name)
        self._job, self._cache = job, cache
        self._drawing = drawing_of(job)
        self._ranks, self._rank = ranks, rank
        on_gpu = choose_device(resources.device).startswith("cuda")
        self._pinned = on_gpu
        self._workers = _workers(resources.workers, on_gpu)

    def __len__(self) -> int:
        """Batches of an epoch."""
        return batches_per_epoch(self._job.sampling)

    def epoch(self, epoch: int, first_step: int = 0) -> Generator[Batch, None, None]:
        """The batches of an epoch in their order, from an optimiser step on.

        Threads live as long as the generator: they are gone when it ends or is closed.

        Raises
        ------
        MedcnnError
            With the name of the case that a patch could not be cut from.
        """
        sampling = self._job.sampling
        first = first_step * max(1, sampling.accumulate)
        with ThreadPoolExecutor(self._workers, "patches", initializer=one_torch_thread) as pool:
            numbers = iter(range(first, len(self)))
            ahead = islice(numbers, AHEAD + self._workers)
            pending = deque(pool.submit(self._batch, epoch, number) for number in ahead)
            try:
                while pending:
                    batch = pending.popleft().result()
                    for number in islice(numbers, 1):
                        pending.append(pool.submit(self._batch, epoch, number))
                    yield batch
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    @property
    def _places(self) -> int:
        return self._job.sampling.batch // self._ranks

    def _batch(self, epoch: int, number: int) -> Batch:
        """A batch of an epoch, made by one thread: each has a batch of its own to fill."""
        sampling = self._job.sampling
        batch = self._empty(number // max(1, sampling.accumulate))
        first = number * sampling.batch
        for place in range(self._places):
            self._fill(batch, place, epoch, first + place * self._ranks + self._rank)
        return batch

    def _empty(self, step: int) -> Batch:
        import torch

        job = self._job
        shape = tuple(reversed(job.sampling.patch))
        if job.network.dimensions == 2:
            shape = shape[:2]
        channels = len(job.manifest.channels)
        image = torch.empty((self._places, channels, *shape), pin_memory=self._pinned)
        classes: tuple[int, ...] = (self._places,)
        if job.manifest.task == "segmentation":
            classes = (self._places, 1, *shape)
        target = torch.empty(classes, dtype=torch.int64, pin_memory=self._pinned)
        return Batch(image, target, step)

    def _fill(self, batch: Batch, place: int, epoch: int, sample: int) -> None:
        draw = self._drawing.sample(epoch, sample)
        case_id = self._job.split.train[draw.case_index]
        try:
            image, truth = patch_of(self._job, self._cache.case(case_id), draw)
            batch.image[place] = image.reshape(batch.image.shape[1:])
            if isinstance(truth, int):
                batch.target[place] = truth
            else:
                batch.target[place] = truth.reshape(batch.target.shape[1:])
        except Cancelled:
            raise
        except MedcnnError as error:
            if error.source == case_id:
                raise
            raise type(error)(str(error), source=case_id) from error
        except Exception as error:
            what = f"no patch could be cut: {type(error).__name__}: {error}"
            raise MedcnnError(what, source=case_id) from error


def _workers(wanted: int | None, on_gpu: bool) -> int:
    """As many threads as keep a GPU busy; beside a CPU that trains, half of its cores do."""
    if wanted is not None:
        return max(1, wanted)
    cores = usable_cores()
    return max(1, min(cores if on_gpu else cores // 2, MOST_WORKERS))
