"""``medcnn train``: teach a model, go on with a run, and end with a model in the list."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from napari_medcnn.cli import output
from napari_medcnn.cli.options import JsonOption
from napari_medcnn.core.errors import InputMismatch, MedcnnError
from napari_medcnn.core.events import Job, JobControl, Message, Metric
from napari_medcnn.core.job_process import in_own_process

if TYPE_CHECKING:
    from napari_medcnn.training.export import Exported
    from napari_medcnn.training.job import Resources, TrainJob
    from napari_medcnn.training.manifest import Manifest, Split
    from napari_medcnn.training.run import Trained


def train(
    manifest: Annotated[
        Path | None,
        typer.Option(help="A data set's file, or anything that `dataset make` takes."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; new or empty.")] = None,
    job: Annotated[
        Path | None, typer.Option(help="A job.json, e.g. of --dry-run --json, instead of data.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with the run of this folder.")
    ] = None,
    finish: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Make a model of what a stopped run has learnt."),
    ] = None,
    split: Annotated[
        Path | None, typer.Option(help="Of `dataset split`; drawn here if not given.")
    ] = None,
    fold: Annotated[
        str | None, typer.Option(metavar="K/N", help="The K-th of N folds, e.g. 1/5.")
    ] = None,
    test: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of the cases kept aside to the end.")
    ] = 0.2,
    validation: Annotated[
        float, typer.Option(min=0.01, max=0.9, help="Share that chooses the best state.")
    ] = 0.15,
    minutes: Annotated[
        float | None, typer.Option(min=0.1, help="How long the training may take.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="How many, instead.")] = None,
    network: Annotated[str | None, typer.Option(help="Of the network, instead of ours.")] = None,
    from_model: Annotated[
        str | None, typer.Option(help="Start from this model's weights: its name or folder.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Of the model in lists (default: the folder's).")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Of the model, for people.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Everything random follows from it.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or amp.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of the processor (default: all cores).")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads that prepare patches.")
    ] = None,
    cache_gb: Annotated[
        float | None, typer.Option(min=0, help="Main memory for cases (default: half the free).")
    ] = None,
    isolate: Annotated[
        bool, typer.Option("--isolate", help="In a process of its own, which may crash alone.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done and why, and end.")
    ] = False,
    install: Annotated[
        bool, typer.Option("--install/--no-install", help="Put the model into the list.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Train a model: a run in its folder, a MONAI Bundle with its card, and held-out figures.

    Ctrl-C stops within one batch and keeps the best and the last state; --resume goes on. With
    torchrun in front of it, the same command trains on several GPUs.
    """
    if sum(way is not None for way in (manifest, job, resume, finish)) != 1:
        raise typer.BadParameter("give one of --manifest, --job, --resume RUN and --finish RUN")
    resources = _resources(device, precision, threads, workers, cache_gb)
    control = JobControl()
    with _stopping(control):
        if finish is not None:
            _finish(finish, resources, control, install, as_json)
            return
        if resume is not None:
            from napari_medcnn.training.run import resume as go_on

            events = _job(isolate, control, go_on, resume, resources)
            _run(events, resources, control, install, as_json)
            return
        chosen = _read(job) if job is not None else None
        if manifest is not None:
            data, parts = _data(manifest, split, fold, validation, test, seed, control)
            wishes = _Wishes(
                name or _plain_name(out), title, minutes, epochs, network, from_model, device, seed
            )
            chosen = _proposed(data, parts, wishes, control)
        if chosen is None:
            raise typer.BadParameter("there is no job")
        if dry_run:
            _dry_run(chosen, as_json)
            return
        if out is None:
            raise typer.BadParameter("--out is needed: the folder of the run")
        from napari_medcnn.training.run import train as begin

        events = _job(isolate, control, begin, chosen, out, resources)
        _run(events, resources, control, install, as_json)


def _resources(
    device: str,
    precision: str,
    threads: int | None,
    workers: int | None,
    cache_gb: float | None,
) -> Resources:
    from napari_medcnn.training.job import Resources

    if device not in ("auto", "cpu", "cuda", "mps"):
        raise typer.BadParameter(f"{device!r} is no device: auto, cpu, cuda or mps")
    if precision not in ("auto", "fp32", "amp"):
        raise typer.BadParameter(f"{precision!r} is no precision: auto, fp32 or amp")
    return Resources(device, precision, threads, workers, cache_gb)  # type: ignore[arg-type]


def _read(path: Path) -> TrainJob:
    from napari_medcnn.training.job import TrainJob
    from napari_medcnn.training.strict_json import read_record

    return read_record(path, TrainJob)


def _data(
    source: Path,
    split: Path | None,
    fold: str | None,
    validation: float,
    test: float,
    seed: int,
    control: JobControl,
) -> tuple[Manifest, Split]:
    """The data and how they are divided, checked; problems are printed."""
    from napari_medcnn.training.check import problems
    from napari_medcnn.training.sources import manifest_from
    from napari_medcnn.training.splits import folds, make_split, read_split

    with output.err.status("looking at the files"):
        manifest = manifest_from(source, control)
        number, count = _fold(fold)
        if split is not None:
            parts = read_split(split, manifest, number)
        elif fold is not None:
            parts = folds(manifest, count, test=test, seed=seed)[number]
        else:
            parts = make_split(manifest, validation=validation, test=test, seed=seed)
    found = output.follow(problems(manifest, parts, control), tuple)
    errors = [problem for problem in found if problem.severity == "error"]
    for problem in found:
        place = f"{problem.case}: " if problem.case else ""
        (output.fail if problem.severity == "error" else output.warn)(f"{place}{problem.text}")
    if errors:
        raise InputMismatch(
            f"{len(errors)} problem{'s' * (len(errors) > 1)} of the data stand in the way",
            source=source,
        )
    for note in parts.notes:
        output.err.print(f"[dim]{escape(note)}[/]", soft_wrap=True)
    return manifest, parts


def _fold(text: str | None) -> tuple[int, int]:
    """The number of a fold from 0, and how many there are."""
    if text is None:
        return 0, 1
    number, _, count = text.partition("/")
    if not (number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
        raise typer.BadParameter(f"{text!r} is no fold: 1/5 is the first of five")
    return int(number) - 1, int(count)


@dataclass(frozen=True)
class _Wishes:
    """What the user wants otherwise than the defaults."""

    name: str
    title: str | None
    minutes: float | None
    epochs: int | None
    network: str | None
    from_model: str | None
    device: str
    seed: int


def _proposed(manifest: Manifest, split: Split, wishes: _Wishes, control: JobControl) -> TrainJob:
    """A job that fits the data, with the user's own choices in it; its reasons are printed."""
    from napari_medcnn.training.defaults import propose
    from napari_medcnn.training.fingerprint import Fingerprint, measure
    from napari_medcnn.training.starting_from import started_text, starting_from

    if wishes.minutes is not None and wishes.epochs is not None:
        raise typer.BadParameter("either --minutes or --epochs")
    proposal = propose(
        manifest,
        split,
        output.follow(measure(manifest, split, control), Fingerprint),
        name=wishes.name,
        title=wishes.title or manifest.name,
        minutes=wishes.minutes,
        network=wishes.network,
        device=wishes.device,  # type: ignore[arg-type]
    )
    output.err.print(f"[dim]{escape(proposal.text)}[/]", soft_wrap=True)
    job = replace(proposal.job, seed=wishes.seed)
    if wishes.epochs is not None:
        job = replace(job, ending=replace(job.ending, epochs=wishes.epochs, minutes=None))
    if wishes.from_model is not None:
        job = starting_from(job, _model_folder(wishes.from_model))
        output.err.print(f"[dim]{escape(started_text(job))}[/]", soft_wrap=True)
    return job


def _plain_name(out: Path | None) -> str:
    """A model's name from that of the run's folder."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", "" if out is None else out.resolve().name)
    return plain.strip("._") or "model"


def _model_folder(model: str) -> Path:
    from napari_medcnn.models.registry import find_model

    folder = Path(model).expanduser()
    return folder.resolve() if folder.is_dir() else find_model(model).path


def _dry_run(job: TrainJob, as_json: bool) -> None:
    """The job, and what is wrong with it."""
    from napari_medcnn.training.job_problems import require_sound
    from napari_medcnn.training.strict_json import record_json

    require_sound(job)
    if as_json:
        output.out.print_json(record_json(job))
        return
    split = job.split
    output.out.print(
        f"{escape(job.title)}: {len(split.train)} cases teach, {len(split.validation)} choose, "
        f"{len(split.test)} are kept aside"
    )
    for part in ("preprocessing", "network", "sampling", "optimisation", "ending"):
        output.out.print(f"{part}: {escape(repr(getattr(job, part)))}", soft_wrap=True)
    output.out.print(f"augmentation: {job.augmentation}, mirrored axes: {job.mirror_axes}")


@contextmanager
def _stopping(control: JobControl) -> Iterator[None]:
    """Ctrl-C and the end of a cluster's time stop the run; a second Ctrl-C interrupts."""

    def stop(number: int, frame: FrameType | None) -> None:
        if control.is_cancelled:
            raise KeyboardInterrupt
        control.cancel()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _job(
    isolate: bool, control: JobControl, function: Callable[..., Job], *arguments: object
) -> Job:
    """The run, here or in a process of its own."""
    if isolate:
        return in_own_process(function, *arguments)(control)
    return function(*arguments, control=control)


def _run(
    events: Job, resources: Resources, control: JobControl, install: bool, as_json: bool
) -> None:
    """Follow a run, and make a model of what it learnt if nobody stopped it."""
    from napari_medcnn.core.events import run_to_end
    from napari_medcnn.training.distributed import ranks_of_environment
    from napari_medcnn.training.run import Trained

    if not ranks_of_environment().is_first:
        run_to_end(events, Trained)
        return
    trained = output.follow(_told(events), Trained)
    if trained.ended == "stopped":
        _tell_stopped(trained, as_json)
        return
    _finish(trained.folder, resources, control, install, as_json)


def _told(events: Job) -> Job:
    """The same events, with a line for each validation."""
    figures: dict[str, float] = {}
    step = -1
    for event in events:
        if isinstance(event, Metric):
            step = event.step
            figures[event.name] = event.value
        elif figures:
            if len(figures) > len(_EVERY_EPOCH):
                told = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
                yield Message(f"step {step}: {told}")
            figures = {}
        yield event


_EVERY_EPOCH = ("train_loss", "rate", "patches_per_second")


def _tell_stopped(trained: Trained, as_json: bool) -> None:
    best = "" if trained.best is None else f", best {trained.metric} {trained.best:.4f}"
    if as_json:
        output.print_json({"run": str(trained.folder), "ended": trained.ended})
        return
    output.out.print(
        f"stopped after {trained.epochs} of {trained.epochs_planned or '?'} epochs{best}\n"
        f"go on: medcnn train --resume {trained.folder}\n"
        f"make a model of it: medcnn train --finish {trained.folder}",
        soft_wrap=True,
        markup=False,
    )


def _finish(
    folder: Path, resources: Resources, control: JobControl, install: bool, as_json: bool
) -> None:
    """Judge the best state on held-out cases and make a bundle of it."""
    from napari_medcnn.training.export import Exported
    from napari_medcnn.training.export import finish as make_model
    from napari_medcnn.training.run_folder import RunFolder

    run = RunFolder(folder)
    run.read_job()
    standing = run.read_state().standing
    if (standing.epoch, standing.step) == (0, 0):
        raise MedcnnError("the run has learnt nothing yet", source=folder, hint="resume it first")
    made = output.follow(make_model(folder, control, resources, install=install), Exported)
    figures = _figures(made)
    if as_json:
        output.print_json(
            {
                "run": str(folder),
                "ended": run.read_state().ended,
                "epochs": standing.epoch,
                "best": standing.best,
                "best_epoch": standing.best_epoch,
                "bundle": str(made.bundle),
                "model": None if made.installed is None else made.installed.name,
                "held_out": figures,
            }
        )
        return
    for told, value in figures.items():
        output.out.print(f"{told}: {value}", soft_wrap=True, markup=False)
    output.out.print(f"the model: {made.bundle}", soft_wrap=True, markup=False)
    output.print_notice()


def _figures(made: Exported) -> dict[str, float]:
    """The held-out figures, as the bundle's metadata names them."""
    import json

    about = json.loads((made.bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    figures: dict[str, float] = about.get("eval_metrics", {})
    return figures
