"""The network with what teaches it, and one optimiser step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_medcnn.core.errors import MedcnnError, OutOfMemory
from napari_medcnn.inference.device import torch_threads
from napari_medcnn.inference.survive import is_out_of_memory
from napari_medcnn.training.checkpoint import (
    Checkpoint,
    Standing,
    generator_states,
    restore_generators,
)
from napari_medcnn.training.distributed import Ranks
from napari_medcnn.training.job import Resources, TrainJob
from napari_medcnn.training.memory_layout import layout_of

if TYPE_CHECKING:
    import torch

    from napari_medcnn.training.batches import Batch

LONG_RUN = 1_000_000
"""Steps that a schedule is made for until the run's length is known: its rate hardly falls."""


class Diverged(MedcnnError):
    """The loss is no number any more."""


class Learner:
    """The network, its loss, optimiser, schedule, gradient scaler and average.

    Torch's number of threads, its determinism and its mode of gradients are set within each call
    only, because a job runs in a thread of a program that has other uses for torch.

    Parameters
    ----------
    job, resources
        What is learnt, and with what.
    device : str
        This process' own.
    ranks : Ranks
        The processes that learn together.
    total_steps : int, optional
        Optimiser steps of the whole run; None while unknown.
    """

    def __init__(
        self,
        job: TrainJob,
        resources: Resources,
        device: str,
        ranks: Ranks,
        total_steps: int | None,
    ) -> None:
        import torch

        from napari_medcnn.training.losses import loss_of
        from napari_medcnn.training.moving_average import Average
        from napari_medcnn.training.networks import build
        from napari_medcnn.training.optimisers import optimiser_of
        from napari_medcnn.training.transfer import parameter_groups, start_weights

        self._job, self._resources, self._device, self._ranks = job, resources, device, ranks
        self._amp = resources.precision == "amp" or (
            resources.precision == "auto" and device.startswith("cuda")
        )
        network = build(job)
        self.transfer = start_weights(network, job)
        self._layout = layout_of(network, device, job.network.dimensions, amp=self._amp)
        self.network: torch.nn.Module = network.to(device)
        self.network.to(memory_format=self._layout)  # type: ignore[call-overload]
        self.loss: Callable[[Any, Any], torch.Tensor] = loss_of(job)
        self.optimiser = optimiser_of(job, parameter_groups(self.network, job))
        self.plan(total_steps)
        self._scaler = torch.amp.GradScaler(
            device.partition(":")[0], enabled=self._amp and device.startswith("cuda")
        )
        decay = job.optimisation.ema_decay
        self.average = None if decay is None else Average(self.network, decay)
        self._trained = ranks.wrapped(self.network)

    def plan(self, total_steps: int | None) -> None:
        """Make the schedule for a run of so many steps; it goes on from the present one's step."""
        from napari_medcnn.training.optimisers import schedule_of

        before = getattr(self, "schedule", None)
        self.schedule = schedule_of(self._job, self.optimiser, total_steps or LONG_RUN)
        if before is not None:
            self.schedule.load_state_dict(before.state_dict())

    @property
    def rate(self) -> float:
        """The learning rate of the next step, the highest of all groups."""
        return max(float(group["lr"]) for group in self.optimiser.param_groups)

    def learn(self, batches: Iterable[Batch], step: int) -> float:
        """One optimiser step from `Sampling.accumulate` batches; the mean of their losses.

        Parameters
        ----------
        batches : iterable of Batch
            May raise ``Cancelled`` between two of them: the step has not happened then.
        step : int
            Its number in the run, which torch's generators are seeded from.

        Raises
        ------
        Diverged
            When the loss is no number.
        OutOfMemory
            When the device's memory does not suffice.
        """
        parts = self._job.sampling.accumulate
        before = self._buffers() if parts > 1 else {}
        done, total = 0, 0.0
        try:
            with self._computing():
                self._seed(step)
                self.network.train()
                self.optimiser.zero_grad(set_to_none=True)
                for batch in batches:
                    done += 1
                    total += self._backward(batch, parts, last=done == parts)
                if not math.isfinite(total):
                    raise _diverged(self._job, step, self.rate)
                self._change()
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise _out_of_memory(self._job, self._device) from error
            raise
        finally:
            if 0 < done < parts:
                self._put_back(before)
        return total / parts

    def tell(self, value: float) -> None:
        """Tell the schedule what the chosen metric came to."""
        self.schedule.tell(value)

    @contextmanager
    def judging(self) -> Iterator[Callable[[torch.Tensor], torch.Tensor]]:
        """The network as it will be exported: evaluated, with the average's weights if any."""
        shown = nullcontext() if self.average is None else self.average.applied(self.network)
        with shown:
            self.network.eval()
            try:
                yield self._logits
            finally:
                self.network.train()

    def checkpoint(self, standing: Standing) -> Checkpoint:
        """Everything that a run needs to go on from here."""
        return Checkpoint(
            standing,
            self.network.state_dict(),
            None if self.average is None else self.average.state_dict(),
            self.optimiser.state_dict(),
            self.schedule.state_dict(),
            self._scaler.state_dict() if self._scaler.is_enabled() else None,
            generator_states(),
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint of the same job."""
        self.network.load_state_dict(checkpoint.model, strict=True)
        if self.average is not None and checkpoint.average is not None:
            self.average.load_state_dict(checkpoint.average)
        self.optimiser.load_state_dict(checkpoint.optimiser)
        self.schedule.load_state_dict(checkpoint.schedule)
        if self._scaler.is_enabled() and checkpoint.scaler:
            self._scaler.load_state_dict(checkpoint.scaler)
        restore_generators(checkpoint.generators)

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """Torch set for learning; as it was before afterwards."""
        import torch

        deterministic = torch.are_deterministic_algorithms_enabled()
        warned = torch.is_deterministic_algorithms_warn_only_enabled()
        memory: Any = torch.utils.deterministic  # filled with NaN by default: slow, and of no use
        filled = memory.fill_uninitialized_memory
        # A GPU has operations with no deterministic way; there the run is repeatable nearly.
        torch.use_deterministic_algorithms(self._device == "cpu", warn_only=False)
        memory.fill_uninitialized_memory = False
        try:
            with torch_threads(self._resources.threads):
                yield
        finally:
            torch.use_deterministic_algorithms(deterministic, warn_only=warned)
            memory.fill_uninitialized_memory = filled

    def _seed(self, step: int) -> None:
        import torch

        words = [self._job.seed, step, self._ranks.rank]
        torch.manual_seed(int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0]))

    def _backward(self, batch: Batch, parts: int, *, last: bool) -> float:
        import torch

        image = self._there(batch.image)
        target = batch.target.to(self._device, non_blocking=True)
        alone = last or self._trained is self.network
        with nullcontext() if alone else self._trained.no_sync(), torch.enable_grad():  # type: ignore[operator]
            with self._half():
                found = self._trained(image)
            logits = _each(found, lambda one: self._ranks.all_logits(one.float()))
            loss = self.loss(logits, self._ranks.all_targets(target)) / parts
            self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        return float(loss.detach()) * parts

    def _change(self) -> None:
        import torch

        limit = self._job.optimisation.clip_norm
        if limit is not None:
            self._scaler.unscale_(self.optimiser)
            learnt = [p for group in self.optimiser.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(learnt, limit)
        self._scaler.step(self.optimiser)
        self._scaler.update()
        self.schedule.step()
        if self.average is not None:
            self.average.update()

    def _logits(self, batch: torch.Tensor) -> torch.Tensor:
        import torch

        try:
            with self._computing(), torch.no_grad(), self._half():
                found = self.network(self._there(batch))
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise _out_of_memory(self._job, self._device) from error
            raise
        if isinstance(found, list | tuple):
            found = found[0]
        logits: torch.Tensor = found.float().cpu()
        return logits

    def _there(self, image: torch.Tensor) -> torch.Tensor:
        there = image.to(self._device, non_blocking=True)
        return there.contiguous(memory_format=self._layout)

    def _half(self) -> Any:
        import torch

        kind = self._device.partition(":")[0]
        half = torch.bfloat16 if kind == "cpu" else torch.float16
        return torch.autocast(kind, dtype=half, enabled=self._amp)

    def _buffers(self) -> dict[str, torch.Tensor]:
        return {name: value.clone() for name, value in self.network.named_buffers()}

    def _put_back(self, buffers: dict[str, torch.Tensor]) -> None:
        """Undo what the batches of half a step did to running statistics."""
        import torch

        with torch.no_grad():
            for name, value in self.network.named_buffers():
                value.copy_(buffers[name])


def _each(found: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """The logits changed, those of each resolution if there are several."""
    return [change(one) for one in found] if isinstance(found, list | tuple) else change(found)


def _diverged(job: TrainJob, step: int, rate: float) -> Diverged:
    limit = job.optimisation.clip_norm
    return Diverged(
        f"the loss is no number after step {step}, at a learning rate of {rate:.3g}",
        hint="the last and the best state before are kept; lower the rate, let it rise over some "
        f"warm-up steps, or clip gradients{'' if limit is None else f' lower than {limit:g}'}",
    )


def _out_of_memory(job: TrainJob, device: str) -> OutOfMemory:
    return OutOfMemory(
        f"the memory of {device} does not suffice for {job.sampling.batch} patches of "
        f"{' x '.join(map(str, job.sampling.patch))} voxels",
        hint="halve the batch and double `accumulate`, or take a smaller patch or network",
    )
