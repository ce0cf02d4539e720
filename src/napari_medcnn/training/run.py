"""Train a model: a generator of events that loses no work, however it ends."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from logging import Logger
from pathlib import Path

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import (
    Done,
    Event,
    Fallback,
    Job,
    JobControl,
    Message,
)
from napari_medcnn.inference.device import choose_device, release_memory
from napari_medcnn.training.checkpoint import Checkpoint, read_checkpoint
from napari_medcnn.training.distributed import Ranks, joined
from napari_medcnn.training.epochs import is_over
from napari_medcnn.training.job import Resources, TrainJob
from napari_medcnn.training.job_problems import require_sound
from napari_medcnn.training.learning import Learning
from napari_medcnn.training.run_folder import Ended, RunFolder, RunState
from napari_medcnn.training.splits import require_no_leak


@dataclass(frozen=True)
class Trained:
    """What a run came to; also of one that was stopped.

    Parameters
    ----------
    folder : Path
        The run folder.
    ended : {"finished", "early", "stopped"}
        After all epochs, when patience was out, or by the user.
    epochs, epochs_planned : int, int or None
        How many are done, and would have been.
    metric : str
        The one that chose the best state.
    best, best_epoch : float, int, optional
        Its value, and after how many epochs it was; None before the first validation.
    seconds : float
        For which the run worked, over all its starts.
    """

    folder: Path
    ended: Ended
    epochs: int
    epochs_planned: int | None
    metric: str
    best: float | None
    best_epoch: int | None
    seconds: float


def train(
    job: TrainJob,
    folder: str | Path,
    resources: Resources | None = None,
    control: JobControl | None = None,
) -> Job:
    """Begin a run; a generator of events that ends in ``Done(Trained)``.

    ``control.cancel()`` is Stop: the run ends within one batch, keeps its best and its last state,
    and can be resumed. A generator that is closed does the same. Pausing writes the last state too.

    Parameters
    ----------
    job : TrainJob
        What to learn.
    folder : path
        Of the run; new or empty.
    resources : Resources, optional
        What it may use.
    control : JobControl, optional
        Stop, pause, go on.

    Raises
    ------
    JobError
        When the job contradicts itself.
    LeakError
        When a patient stands on two sides of the split.
    CheckpointNotWritten
        When the disk is full; the checkpoint before is untouched.
    Diverged
        When the loss is no number.
    OutOfMemory
        When the device's memory does not suffice.
    MedcnnError
        When the folder is in use or not empty, or a case cannot be prepared.
    """
    require_sound(job)
    require_no_leak(job.manifest, job.split)
    run = RunFolder(folder)
    resources, control = resources or Resources(), control or JobControl()
    device = choose_device(resources.device)
    with joined(device) as ranks, ExitStack() as stack:
        if ranks.is_first:
            stack.enter_context(run.locked())
            run.begin(job)
        ranks.gather(None)
        yield from _run(run, job, resources, control, device, ranks, None)


def resume(
    folder: str | Path, resources: Resources | None = None, control: JobControl | None = None
) -> Job:
    """Go on with a run that was stopped or killed; events and errors as of :func:`train`.

    On the CPU with as many threads as before, the final weights are bit for bit those of a run that
    nobody interrupted. A run that is over ends at once with its result.

    Raises
    ------
    ReadError
        When the folder is no run's, or its checkpoint is damaged.
    """
    run = RunFolder(folder)
    resources, control = resources or Resources(), control or JobControl()
    job = run.read_job()
    device = choose_device(resources.device)
    with joined(device) as ranks, ExitStack() as stack:
        if ranks.is_first:
            stack.enter_context(run.locked())
        ranks.gather(None)
        checkpoint = read_checkpoint(run.last) if run.last.is_file() else None
        yield from _run(run, job, resources, control, device, ranks, checkpoint)


def _run(
    run: RunFolder,
    job: TrainJob,
    resources: Resources,
    control: JobControl,
    device: str,
    ranks: Ranks,
    checkpoint: Checkpoint | None,
) -> Generator[Event, None, None]:
    """The run in its folder, with its log, its end and its errors written down."""
    if checkpoint is not None:
        over = is_over(checkpoint.standing, job.ending)
        if over is not None:
            yield Message("this run is over already")
            yield Done(_trained(run, job, RunState(checkpoint.standing, over)))
            return
    with ExitStack() as stack:
        log = stack.enter_context(run.logging()) if ranks.is_first else None
        if ranks.is_first:
            yield from _other_surroundings(run, job, resources, device, ranks)
        learning = Learning(run, job, resources, control, ranks.device(device), ranks, checkpoint)
        try:
            yield from _logged(learning.events(), log)
            state = RunState(
                learning.saved if ranks.is_first else learning.standing, learning.ended
            )
        except Exception as error:
            if ranks.is_first:
                _tell_failure(run, learning, error, log)
            raise
        finally:
            learning.close()
            release_memory(device)
        if ranks.is_first:
            run.write_state(state)
        result = _trained(run, job, state)
        if log is not None:
            log.info("%s after %d epochs", state.ended, state.standing.epoch)
        yield Done(result)


def _trained(run: RunFolder, job: TrainJob, state: RunState) -> Trained:
    standing = state.standing
    return Trained(
        run.path,
        state.ended or "stopped",
        standing.epoch,
        standing.epochs_planned,
        job.ending.metric,
        standing.best,
        standing.best_epoch,
        standing.seconds,
    )


def _other_surroundings(
    run: RunFolder, job: TrainJob, resources: Resources, device: str, ranks: Ranks
) -> Iterator[Event]:
    """Write down where this start runs, and say what is other than before."""
    before = run.read_environment()
    run.add_environment(job, resources, device, ranks.world)
    if not before:
        return
    now, then = run.read_environment()[-1], before[-1]
    for field in ("versions", "device", "torch_threads", "processes"):
        if now[field] != then[field]:
            yield Message(
                f"{field} were {then[field]} and are {now[field]} now: "
                "the weights will differ in their last digits from an uninterrupted run's",
                "warning",
            )


def _logged(events: Iterator[Event], log: Logger | None) -> Iterator[Event]:
    """The same events; messages and fallbacks go to the log too."""
    for event in events:
        if log is not None and isinstance(event, Message):
            (log.warning if event.level == "warning" else log.info)(event.text)
        elif log is not None and isinstance(event, Fallback):
            log.warning("%s instead of %s: %s", event.used, event.wanted, event.reason)
        yield event


def _tell_failure(run: RunFolder, learning: Learning, error: Exception, log: Logger | None) -> None:
    """Write down why the run failed, where there is still room for it."""
    with suppress(MedcnnError, OSError):
        run.write_state(RunState(learning.saved, "failed", f"{type(error).__name__}: {error}"))
        if log is not None:
            log.error("failed: %s", error)
