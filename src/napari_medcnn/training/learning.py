"""The loop of a run: epochs of steps, validations, checkpoints, and the events of all that."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.atomic import replacing
from napari_medcnn.core.errors import Cancelled
from napari_medcnn.core.events import Done, Event, JobControl, Message, Metric, Preview, Progress
from napari_medcnn.inference.device import held_gb
from napari_medcnn.training.batches import Batch, Batches
from napari_medcnn.training.cache import CaseCache
from napari_medcnn.training.checkpoint import Checkpoint, Standing, write_checkpoint
from napari_medcnn.training.curves import Curves
from napari_medcnn.training.distributed import Ranks
from napari_medcnn.training.epochs import (
    Pace,
    epochs_that_fit,
    is_measured,
    is_over,
    judged,
    validates_after,
)
from napari_medcnn.training.job import Resources, TrainJob
from napari_medcnn.training.prepared_case import PreparedCase
from napari_medcnn.training.run_folder import Ended, RunFolder, RunState
from napari_medcnn.training.step import Learner
from napari_medcnn.training.validation import column_of, metric_names, validate

STAGE = "training"

WRITING_SHARE = 0.05
"""Share of the time that checkpoints between validations may cost."""


class Learning:
    """A run under way; `standing` is how far it is, `saved` how far the last checkpoint is.

    Parameters
    ----------
    run : RunFolder
        Written to by rank 0 alone.
    job, resources, control
        Of the run.
    device : str
        This process' own.
    ranks : Ranks
        The processes that learn together.
    checkpoint : Checkpoint, optional
        What it goes on from.
    """

    def __init__(
        self,
        run: RunFolder,
        job: TrainJob,
        resources: Resources,
        control: JobControl,
        device: str,
        ranks: Ranks,
        checkpoint: Checkpoint | None,
    ) -> None:
        self._run, self._job, self._control, self._ranks = run, job, control, ranks
        self.standing = checkpoint.standing if checkpoint else Standing(0, 0, job.ending.epochs)
        self.saved = self.standing
        self.ended: Ended | None = None
        self._device = device
        self._begun = time.perf_counter() - self.standing.seconds
        self._written_at, self._writing = time.perf_counter(), 0.0
        self._pace = Pace()
        planned = self.standing.epochs_planned
        total = None if planned is None else planned * job.sampling.steps_per_epoch
        self._learner = Learner(job, resources, device, ranks, total)
        if checkpoint is not None:
            self._learner.restore(checkpoint)
        budget = None if resources.cache_gb is None else resources.cache_gb * 1e9
        self._cache = CaseCache(job, budget_bytes=budget, workers=resources.workers)
        self._batches = Batches(job, self._cache, resources, ranks.world, ranks.rank)
        self._curves: Curves | None = None

    def events(self) -> Generator[Event, None, None]:
        """Run to the end, or to where someone stops it."""
        try:
            yield Message(self._learner.transfer.text)
            yield from self._prepare()
            if self._ranks.is_first:
                columns = metric_names(self._job.manifest)
                folder, done = self._run, self.standing.epoch
                self._curves = Curves(folder.metrics, folder.tensorboard, columns, done)
            yield from self._first_preview()
            while self.ended is None:
                yield from self._epoch()
                self.ended = is_over(self.standing, self._job.ending)
        except Cancelled:
            self.ended = "stopped"
            self._save()
        except GeneratorExit:
            self._save()
            raise

    def close(self) -> None:
        """Close the files."""
        if self._curves is not None:
            self._curves.close()

    def _prepare(self) -> Iterator[Event]:
        """Have all cases at hand that teach or judge."""
        split = self._job.split
        for event in self._cache.prepare((*split.train, *split.validation), self._control):
            if not isinstance(event, Done):
                yield event

    def _epoch(self) -> Generator[Event, None, None]:
        """One epoch, or what is left of it, with its validation."""
        job, epoch = self._job, self.standing.epoch
        per_epoch, first = job.sampling.steps_per_epoch, self.standing.step
        begin = self._seconds()
        with closing(self._batches.epoch(epoch, first_step=first)) as batches:
            for step in range(first, per_epoch):
                self._wait_or_stop()
                loss = self._learner.learn(self._one_step(batches), epoch * per_epoch + step)
                self.standing = replace(
                    self.standing,
                    step=step + 1,
                    loss_sum=self.standing.loss_sum + loss,
                    seconds=self._seconds(),
                )
                yield self._progress(begin, step + 1 - first)
        seconds = self._seconds() - begin
        row = {
            "epoch": epoch + 1,
            "step": (epoch + 1) * per_epoch,
            "train_loss": self.standing.loss_sum / per_epoch,
            "rate": self._learner.rate,
        }
        if first < per_epoch:
            done = (per_epoch - first) * job.sampling.batch * job.sampling.accumulate
            row["patches_per_second"] = done / max(seconds, 1e-9)
        if first == 0:
            self._pace = self._pace.trained(seconds)
        fix = self.standing.epochs_planned is None and self._ranks.from_first(
            is_measured(epoch + 1, self._seconds(), job.ending)
        )
        if fix or validates_after(epoch + 1, self.standing, job.ending):
            row |= yield from self._judge()
        self._settle(epoch + 1, row, fix=fix)
        if fix:
            planned = self.standing.epochs_planned
            yield Message(f"{planned} epochs fit into {job.ending.minutes:g} minutes")
        for name, value in row.items():
            if name not in ("epoch", "step", "seconds") and np.isfinite(value):
                yield Metric(name, float(value), int(row["step"]))

    def _judge(self) -> Generator[Event, None, dict[str, float]]:
        """Validate, and show an example; the metrics."""
        begin = self._seconds()
        cases = {id_: partial(self._cache.case, id_) for id_ in self._job.split.validation}
        with self._learner.judging() as logits:
            found, shown = yield from validate(
                self._job, cases, logits, self._learner.loss, self._control, self._ranks
            )
        self._pace = self._pace.validated(self._seconds() - begin)
        if (held := held_gb(self._device)) is not None:
            step = self.standing.epoch * self._job.sampling.steps_per_epoch + self.standing.step
            yield Metric("gpu_memory_gb", held, step)
        if shown is not None and shown.prediction is not None:
            yield self._previewed(self._cache.case(shown.id), shown.prediction, "prediction")
        return found

    def _settle(self, epoch: int, row: dict[str, float], *, fix: bool) -> None:
        """End an epoch: its standing, its row, and the checkpoints that are due.

        All at once: a run that is closed between two events has either all of it or nothing.
        """
        ending, standing = self._job.ending, self.standing
        value = row.get(column_of(ending.metric))
        if value is not None:
            self._learner.tell(value)
            standing = judged(standing, epoch, value, ending)
        if fix:
            planned = epochs_that_fit(epoch, self._seconds(), self._pace, ending)
            planned = self._ranks.from_first(planned)
            self._learner.plan(planned * self._job.sampling.steps_per_epoch)
            standing = replace(standing, epochs_planned=planned)
        row["seconds"] = self._seconds()
        self.standing = replace(standing, epoch=epoch, step=0, loss_sum=0.0, seconds=row["seconds"])
        if self._curves is not None:
            self._curves.add(row)
        is_best = self.standing.best_epoch == epoch
        if is_best or is_over(self.standing, ending):
            self._save(best=is_best or self.standing.best is None)
        elif self._is_due():
            self._save()

    def _one_step(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches of one optimiser step; alone, it can be stopped between them."""
        for number in range(self._job.sampling.accumulate):
            if number and self._ranks.world == 1 and self._control.is_cancelled:
                raise Cancelled
            yield next(batches)

    def _wait_or_stop(self) -> None:
        """Stop, or wait while paused with the last state written."""
        if self._control.is_paused and not self._control.is_cancelled:
            self._save()
            begin = time.perf_counter()
            try:
                self._control.checkpoint()
            finally:
                self._begun += time.perf_counter() - begin
        if self._ranks.any(self._control.is_cancelled):
            raise Cancelled

    def _save(self, *, best: bool = False) -> None:
        """Write the state of now as the last one, and before that as the best if it is."""
        if not self._ranks.is_first:
            return
        begin = time.perf_counter()
        checkpoint = self._learner.checkpoint(replace(self.standing, seconds=self._seconds()))
        if best:
            write_checkpoint(self._run.best, checkpoint)
        write_checkpoint(self._run.last, checkpoint)
        self.saved = checkpoint.standing
        self._run.write_state(RunState(self.saved))
        self._written_at = time.perf_counter()
        self._writing = self._written_at - begin

    def _is_due(self) -> bool:
        """Whether the run has gone on long enough since the last checkpoint, by what it cost."""
        return self._writing <= WRITING_SHARE * (time.perf_counter() - self._written_at)

    def _seconds(self) -> float:
        return time.perf_counter() - self._begun

    def _progress(self, begin: float, steps: int) -> Progress:
        """How far the whole run is."""
        standing, per_epoch = self.standing, self._job.sampling.steps_per_epoch
        done = standing.epoch * per_epoch + standing.step
        if standing.epochs_planned is None:
            budget = 60 * (self._job.ending.minutes or 0)
            share = min(max(standing.seconds / budget, 1e-6), 1.0)
            return Progress(STAGE, done, max(done, round(done / share)), budget * (1 - share))
        total = standing.epochs_planned * per_epoch
        epoch = self._pace.epoch or (self._seconds() - begin) / steps * per_epoch
        epoch += self._pace.judgement / self._job.ending.validate_every
        return Progress(STAGE, done, total, (total - done) / per_epoch * epoch)

    def _first_preview(self) -> Iterator[Event]:
        """The image and the truth that example predictions belong to."""
        if self._job.manifest.task != "segmentation" or not self._ranks.is_first:
            return
        case = self._cache.case(self._job.split.validation[0])
        image = np.ascontiguousarray(case.image[0].numpy().transpose(2, 1, 0))
        truth = np.ascontiguousarray(np.asarray(case.label).transpose(2, 1, 0))
        yield self._previewed(case, image, "image")
        yield self._previewed(case, truth.astype(np.uint8), "truth")

    def _previewed(self, case: PreparedCase, array: npt.NDArray[np.generic], what: str) -> Preview:
        """An array ``(z, y, x)`` on the network's grid in its file."""
        path = self._run.previews / f"{what}.npy"
        with replacing(path) as temporary:
            np.save(temporary, array)
        x, y, z = case.spacing_mm
        return Preview(case.id, str(path), what, (z, y, x))
