"""A run gives the same weights however it is interrupted, and says what went wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import (
    Done,
    Event,
    Job,
    JobControl,
    Message,
    Metric,
    Preview,
    Progress,
)
from napari_medcnn.training.checkpoint import read_checkpoint
from napari_medcnn.training.curves import read_curves
from napari_medcnn.training.job import (
    Ending,
    NetworkChoice,
    Optimisation,
    Preprocessing,
    Sampling,
    TrainJob,
)
from napari_medcnn.training.job_problems import JobError
from napari_medcnn.training.manifest import Manifest, Split, TrainCase
from napari_medcnn.training.run import Trained, resume, train
from napari_medcnn.training.run_folder import RunFolder
from napari_medcnn.training.step import Diverged
from tests.training.tiny_run import RESOURCES, job_of, tiny_job

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> TrainJob:
    return tiny_job(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whole(job: TrainJob, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Event]]:
    """A run that nobody interrupted, and its events."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return folder, list(train(job, folder, RESOURCES))


def result_of(events: list[Event]) -> Trained:
    assert isinstance(events[-1], Done)
    result: Trained = events[-1].result
    return result


def followed(job: Job, control: JobControl, when: Callable[[Event], bool]) -> list[Event]:
    """All events of a run that is stopped at the first that `when` says yes to."""
    events = []
    for event in job:
        events.append(event)
        if when(event):
            control.cancel()
    return events


def weights(folder: Path, file: str = "last") -> dict[str, torch.Tensor]:
    return read_checkpoint(folder / "checkpoints" / f"{file}.pt").model


def assert_same_weights(one: Path, other: Path) -> None:
    for file in ("last", "best"):
        first, second = weights(one, file), weights(other, file)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first), file


def test_a_run_leaves_everything_in_its_folder(
    job: TrainJob, whole: tuple[Path, list[Event]]
) -> None:
    folder, events = whole
    result = result_of(events)
    assert (result.ended, result.epochs, result.folder) == ("finished", 4, folder)
    assert result.best is not None
    run = RunFolder(folder)
    assert run.read_job() == job
    assert run.read_state().ended == "finished"
    assert run.log.read_text()
    rows = read_curves(run.metrics)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert ["dice" in row for row in rows] == [False, True, False, True]
    assert result.best == pytest.approx(max(row.get("dice", 0) for row in rows), rel=1e-5)
    assert any(run.tensorboard.iterdir())


def test_a_run_tells_of_curves_progress_and_examples(whole: tuple[Path, list[Event]]) -> None:
    _, events = whole
    named = {event.name for event in events if isinstance(event, Metric)}
    assert named >= {"train_loss", "rate", "patches_per_second", "dice", "dice core"}
    training = [e for e in events if isinstance(e, Progress) and e.stage == "training"]
    assert [e.done for e in training] == list(range(1, 13))
    assert {e.total for e in training} == {12}
    shown = {event.what: np.load(event.path) for event in events if isinstance(event, Preview)}
    assert shown["image"].shape == shown["truth"].shape == shown["prediction"].shape


def test_neither_threads_nor_a_second_time_change_a_bit(
    job: TrainJob, whole: tuple[Path, list[Event]], tmp_path: Path
) -> None:
    list(train(job, tmp_path / "run", replace(RESOURCES, workers=3, cache_gb=0)))
    assert_same_weights(whole[0], tmp_path / "run")


@pytest.mark.parametrize(
    "moment",
    [
        ("preparing cases", 2),
        ("training", 1),
        ("training", 5),
        ("validating", 1),
        ("training", 12),
    ],
    ids=str,
)
def test_a_stopped_run_keeps_its_state_and_goes_on_to_the_same_weights(
    job: TrainJob, whole: tuple[Path, list[Event]], tmp_path: Path, moment: tuple[str, int]
) -> None:
    def now(event: Event) -> bool:
        return isinstance(event, Progress) and (event.stage, event.done) == moment

    control, folder = JobControl(), tmp_path / "run"
    events = followed(train(job, folder, RESOURCES, control), control, now)
    assert result_of(events).ended == "stopped"
    assert RunFolder(folder).read_state().ended == "stopped"
    after = events[next(n for n, event in enumerate(events) if now(event)) + 1 :]
    assert not [e for e in after if isinstance(e, Progress) and e.stage == "training"]
    assert result_of(list(resume(folder, RESOURCES))).ended == "finished"
    assert_same_weights(whole[0], folder)


@pytest.mark.parametrize(
    "moment",
    [
        lambda event: isinstance(event, Progress) and (event.stage, event.done) == ("training", 7),
        lambda event: isinstance(event, Preview) and event.what == "prediction",
        lambda event: isinstance(event, Metric) and event.name == "dice",
    ],
    ids=["step", "preview", "metric"],
)
def test_a_run_that_is_closed_like_a_viewer_can_be_resumed(
    job: TrainJob,
    whole: tuple[Path, list[Event]],
    tmp_path: Path,
    moment: Callable[[Event], bool],
) -> None:
    folder = tmp_path / "run"
    events = train(job, folder, RESOURCES)
    next(event for event in events if moment(event))
    events.close()
    assert RunFolder(folder).last.is_file()
    list(resume(folder, RESOURCES))
    assert_same_weights(whole[0], folder)
    kept = ("epoch", "train_loss", "rate", "dice")
    one, other = (
        [{name: row.get(name) for name in kept} for row in read_curves(RunFolder(run).metrics)]
        for run in (whole[0], folder)
    )
    assert one == other


def test_a_paused_run_waits_with_its_state_written(
    job: TrainJob, whole: tuple[Path, list[Event]], tmp_path: Path
) -> None:
    control, folder = JobControl(), tmp_path / "run"
    events: list[Event] = []

    def work() -> None:
        for event in train(job, folder, RESOURCES, control):
            events.append(event)
            if isinstance(event, Progress) and (event.stage, event.done) == ("training", 5):
                control.pause()

    thread = threading.Thread(target=work)
    thread.start()
    deadline = time.monotonic() + 60
    while not control.is_paused or RunFolder(folder).read_state().standing.step != 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    count = len(events)
    time.sleep(0.3)
    assert len(events) == count
    control.resume()
    thread.join(60)
    assert result_of(events).ended == "finished"
    assert_same_weights(whole[0], folder)


def test_half_a_step_never_happened_when_it_is_stopped(job: TrainJob, tmp_path: Path) -> None:
    arguments = {"channels": [4, 8], "strides": [2], "num_res_units": 1, "norm": "batch"}
    summed = replace(
        job,
        network=NetworkChoice("unet", arguments=arguments),
        sampling=Sampling((8, 8, 8), batch=2, steps_per_epoch=3, accumulate=3),
        ending=Ending(epochs=2, validate_every=1),
    )
    list(train(summed, tmp_path / "whole", RESOURCES))
    control = JobControl()
    timer = threading.Timer(0.0, control.cancel)

    def now(event: Event) -> bool:
        if isinstance(event, Progress) and event.stage == "training" and not timer.is_alive():
            timer.start()
        return False

    list(followed(train(summed, tmp_path / "pieces", RESOURCES, control), control, now))
    list(resume(tmp_path / "pieces", RESOURCES))
    assert_same_weights(tmp_path / "whole", tmp_path / "pieces")


def test_a_run_that_is_over_ends_at_once(whole: tuple[Path, list[Event]]) -> None:
    events = list(resume(whole[0], RESOURCES))
    assert [type(event) for event in events] == [Message, Done]
    assert result_of(events) == result_of(whole[1])


def test_a_folder_is_trained_in_by_one_run_only(job: TrainJob, tmp_path: Path) -> None:
    first = train(job, tmp_path / "run", RESOURCES)
    next(first)
    with pytest.raises(MedcnnError, match="another process"):
        next(resume(tmp_path / "run", RESOURCES))
    first.close()
    with pytest.raises(MedcnnError, match="a run in this folder already"):
        next(train(job, tmp_path / "run", RESOURCES))


def test_a_job_that_contradicts_itself_makes_no_folder(job: TrainJob, tmp_path: Path) -> None:
    wrong = replace(job, ending=Ending(epochs=None, minutes=None))
    with pytest.raises(JobError, match="epochs or minutes"):
        next(train(wrong, tmp_path / "run", RESOURCES))
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_no_number_ends_the_run_with_advice(job: TrainJob, tmp_path: Path) -> None:
    wild = replace(
        job,
        optimisation=Optimisation(optimiser="sgd", rate=1e30, clip_norm=None, momentum=0.0),
        ending=Ending(epochs=3, validate_every=1),
    )
    with pytest.raises(Diverged, match="lower the rate"):
        list(train(wild, tmp_path / "run", RESOURCES))
    state = RunFolder(tmp_path / "run").read_state()
    assert state.ended == "failed"
    assert "no number" in state.error


def test_patience_ends_a_run_early(job: TrainJob, tmp_path: Path) -> None:
    still = replace(
        job,
        optimisation=Optimisation(rate=1e-12),
        ending=Ending(epochs=50, validate_every=1, patience=2),
    )
    result = result_of(list(train(still, tmp_path / "run", RESOURCES)))
    assert (result.ended, result.epochs, result.best_epoch) == ("early", 3, 1)


@pytest.mark.slow
def test_minutes_become_epochs_that_a_resumed_run_keeps(job: TrainJob, tmp_path: Path) -> None:
    minutes = replace(job, ending=Ending(epochs=None, minutes=0.25, validate_every=2))
    control, folder = JobControl(), tmp_path / "run"
    told: list[str] = []

    def now(event: Event) -> bool:
        if isinstance(event, Message):
            told.append(event.text)
        return isinstance(event, Message) and "fit into" in event.text

    begin = time.monotonic()
    first = result_of(followed(train(minutes, folder, RESOURCES, control), control, now))
    assert first.ended == "stopped"
    assert told[-1] == f"{first.epochs_planned} epochs fit into 0.25 minutes"
    second = result_of(list(resume(folder, RESOURCES)))
    assert second.epochs_planned == second.epochs == first.epochs_planned
    assert time.monotonic() - begin < 45


def test_a_network_of_pictures_learns_from_slices(job: TrainJob, tmp_path: Path) -> None:
    flat = replace(
        job,
        network=replace(job.network, dimensions=2),
        sampling=Sampling((1, 8, 8), batch=4, steps_per_epoch=3),
    )
    result = result_of(list(train(flat, tmp_path / "run", RESOURCES)))
    assert result.ended == "finished"
    assert result.best is not None


def test_pictures_of_two_classes_are_told_apart(job: TrainJob, tmp_path: Path) -> None:
    cases = []
    for number in range(12):
        target, grey = (("dark", 60), ("bright", 180))[number % 2]
        noise = np.random.default_rng(number).integers(-40, 40, (16, 16))
        path = tmp_path / f"{number}.png"
        sitk.WriteImage(sitk.GetImageFromArray((grey + noise).astype(np.uint8)), str(path))
        cases.append(TrainCase(f"case_{number}", (path,), f"patient_{number}", target=target))
    pictures = replace(
        job_of(tuple(cases)),
        manifest=Manifest("greys", "classification", ("grey",), ("dark", "bright"), tuple(cases)),
        split=Split(tuple(case.id for case in cases[4:]), tuple(case.id for case in cases[:4])),
        preprocessing=Preprocessing(size=(1, 16, 16), normalisation="range", clip=(0.0, 255.0)),
        network=NetworkChoice("classic_cnn", 2),
        sampling=Sampling((1, 16, 16), batch=4, steps_per_epoch=10),
        optimisation=Optimisation(rate=3e-3, loss="cross_entropy"),
        ending=Ending(epochs=3, validate_every=1, metric="balanced_accuracy"),
    )
    events = list(train(pictures, tmp_path / "run", RESOURCES))
    assert result_of(events).best == 1.0
    (*_, last) = read_curves(RunFolder(tmp_path / "run").metrics)
    assert last["auc"] == last["accuracy"] == 1.0


FULL_DISK = """
import resource, sys
from pathlib import Path
from napari_medcnn.core.events import Metric
from napari_medcnn.training.run import train
from napari_medcnn.training.checkpoint import CheckpointNotWritten
from tests.training.tiny_run import RESOURCES, job_of, tiny_job
folder = Path(sys.argv[1])
try:
    for event in train(tiny_job(folder / "data"), folder / "run", RESOURCES):
        if isinstance(event, Metric) and event.step == 6:
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
except CheckpointNotWritten as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits of this kind are POSIX's")
def test_a_full_disk_ends_the_run_with_its_last_state_valid(
    job: TrainJob, whole: tuple[Path, list[Event]], tmp_path: Path
) -> None:
    outcome = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert "the disk is full" in outcome.stdout, outcome.stderr
    folder = tmp_path / "run"
    state = RunFolder(folder).read_state()
    assert state.ended == "failed"
    assert "disk is full" in state.error
    assert read_checkpoint(folder / "checkpoints" / "last.pt").standing.epoch >= 2
    assert list((folder / "checkpoints").glob(".*")) == []
    list(resume(folder, RESOURCES))
    assert_same_weights(whole[0], folder)


def test_nothing_of_torch_is_left_changed(job: TrainJob, tmp_path: Path) -> None:
    before: Any = (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())
    for _ in train(replace(job, ending=Ending(epochs=1)), tmp_path / "run", RESOURCES):
        assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before
        assert torch.is_grad_enabled()
