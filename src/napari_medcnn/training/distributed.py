"""One run over several processes: their ranks, what they tell each other, and who writes.

``torchrun`` starts the processes and tells them by environment variables; a run without them is
alone. Rank 0 writes the run folder and yields the events that people read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from napari_medcnn.core.errors import MedcnnError

if TYPE_CHECKING:
    import torch

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Ranks:
    """Which process of how many this one is.

    Parameters
    ----------
    rank, world : int
        Its number, and how many there are, over all computers.
    local : int
        Its number on its own computer, and that of its GPU.
    """

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process writes the run folder."""
        return self.rank == 0

    def device(self, device: str) -> str:
        """The device of this process, where there is one GPU a process."""
        return f"cuda:{self.local}" if self.world > 1 and device == "cuda" else device

    def any(self, here: bool) -> bool:
        """Whether it is so in any process; every process has to ask."""
        return here if self.world == 1 else any(self.gather(here))

    def gather(self, value: _Value) -> list[_Value]:
        """Every process' value, by rank; every process has to give one."""
        if self.world == 1:
            return [value]
        from torch import distributed

        values: list[Any] = [None] * self.world
        distributed.all_gather_object(values, value)
        return values

    def from_first(self, value: _Value) -> _Value:
        """Rank 0's value; every process has to ask."""
        return self.gather(value)[0]

    def wrapped(self, network: torch.nn.Module) -> torch.nn.Module:
        """The network, its gradients averaged over all processes; as it is when alone."""
        if self.world == 1:
            return network
        from torch.nn.parallel import DistributedDataParallel

        device = next(network.parameters()).device
        own = [device.index] if device.type == "cuda" else None
        return DistributedDataParallel(network, device_ids=own, find_unused_parameters=False)

    def all_logits(self, logits: torch.Tensor) -> torch.Tensor:
        """The logits ``(batch, ...)`` of all processes, in a way that gradients go through.

        A loss of all of them is that of the whole batch, also where it is no mean over its patches,
        as Dice over a batch; so gradients are those of one process with the whole batch.
        """
        return logits if self.world == 1 else _gathering().apply(logits, self)

    def all_targets(self, target: torch.Tensor) -> torch.Tensor:
        """The targets of all processes, in the order of :meth:`all_logits`."""
        return target if self.world == 1 else _gathered(target, self.world)


def _gathered(values: torch.Tensor, world: int) -> torch.Tensor:
    import torch
    from torch import distributed

    values = values.contiguous()
    each = [torch.empty_like(values) for _ in range(world)]
    distributed.all_gather(each, values)
    return torch.cat(each)


def _gathering() -> Any:
    """The function that gathers logits; made here because torch is imported late."""
    import torch

    class Gathering(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, logits: torch.Tensor, ranks: Ranks) -> torch.Tensor:
            context.ranks, context.count = ranks, len(logits)
            return _gathered(logits, ranks.world)

        @staticmethod
        def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
            # Every process has the same loss, so the sum over them is so many times one's own; the
            # network's wrapper divides it by as many again.
            ranks, count = context.ranks, context.count
            own = gradient[ranks.rank * count : (ranks.rank + 1) * count]
            return own * ranks.world, None

    return Gathering


def ranks_of_environment() -> Ranks:
    """What ``torchrun`` says of this process; alone without it.

    Raises
    ------
    MedcnnError
        When the variables make no sense.
    """
    try:
        world = int(os.environ.get("WORLD_SIZE", "1"))
        rank = int(os.environ.get("RANK", "0"))
        ranks = Ranks(rank, world, int(os.environ.get("LOCAL_RANK", rank)))
    except ValueError as error:
        raise MedcnnError(f"WORLD_SIZE, RANK or LOCAL_RANK is no number: {error}") from error
    if not 0 <= ranks.rank < ranks.world:
        raise MedcnnError(f"process {rank} of {world} cannot be", hint="start it by torchrun")
    return ranks


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Join the other processes, if any, for the time of the block."""
    ranks = ranks_of_environment()
    if ranks.world == 1:
        yield ranks
        return
    import torch
    from torch import distributed

    on_gpu = device.startswith("cuda")
    if on_gpu:
        torch.cuda.set_device(ranks.local)
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield ranks
    finally:
        distributed.destroy_process_group()
