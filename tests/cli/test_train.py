"""``medcnn train``: from a folder of images to a model, stopped and resumed on the way."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from napari_medcnn.training.job import Ending
from napari_medcnn.training.run_folder import RunFolder
from napari_medcnn.training.strict_json import write_record
from tests.training.tiny_run import tiny_job, write_case

QUICK = ("--threads", 1, "--workers", 1, "--no-install")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Eight cases as images/ and labels/."""
    folder = tmp_path / "balls"
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for number in range(8):
        case = write_case(tmp_path, number)
        assert case.label is not None
        case.images[0].rename(folder / "images" / f"{number}.nii.gz")
        case.label.rename(folder / "labels" / f"{number}.nii.gz")
    return folder


def test_a_proposed_job_can_be_edited_trained_and_becomes_a_model(
    medcnn: Callable, images: Path, tmp_path: Path
) -> None:
    told = medcnn("train", "--manifest", images, "--dry-run", "--json", "--name", "balls")
    assert told.code == 0, told.err
    assert "sampling.patch" in told.err
    job = json.loads(told.out)
    assert (job["name"], len(job["split"]["train"])) == ("balls", 5)
    job["sampling"] |= {"patch": [8, 8, 8], "steps_per_epoch": 2}
    job["network"]["arguments"] = {"channels": [4, 8], "strides": [2]}
    job["ending"] |= {"epochs": 2, "minutes": None, "validate_every": 1}
    (tmp_path / "job.json").write_text(json.dumps(job))
    run = tmp_path / "run"
    trained = medcnn("train", "--job", tmp_path / "job.json", "--out", run, "--json", *QUICK)
    assert trained.code == 0, trained.err
    result = json.loads(trained.out)
    assert (result["ended"], result["epochs"]) == ("finished", 2)
    assert Path(result["bundle"], "configs", "inference.json").is_file()
    assert any(name.startswith("dice") for name in result["held_out"])
    assert (run / "evaluation" / "cases.csv").is_file()
    again = medcnn("train", "--resume", run, "--json", *QUICK)
    assert again.code == 0, again.err
    assert json.loads(again.out)["best"] == result["best"]


def test_ctrl_c_stops_a_run_that_goes_on_later(medcnn: Callable, tmp_path: Path) -> None:
    job = replace(tiny_job(tmp_path / "data"), ending=Ending(epochs=2000, validate_every=1))
    write_record(tmp_path / "job.json", job)
    run = RunFolder(tmp_path / "run")

    def press() -> None:
        deadline = time.monotonic() + 120
        while not run.best.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press).start()
    stopped = medcnn("train", "--job", tmp_path / "job.json", "--out", run.path, *QUICK)
    assert stopped.code == 0, stopped.err
    assert "stopped after" in stopped.out
    assert f"--resume {run.path}" in stopped.out
    assert run.read_state().ended == "stopped"
    made = medcnn("train", "--finish", run.path, *QUICK)
    assert made.code == 0, made.err
    assert str(run.bundle) in made.out


def test_what_is_wrong_with_the_data_is_listed_before_anything_is_trained(
    medcnn: Callable, images: Path, tmp_path: Path
) -> None:
    for number in (2, 5):
        (images / "images" / f"{number}.nii.gz").write_bytes(b"no image")
    told = medcnn("train", "--manifest", images, "--out", tmp_path / "run", "--epochs", 1)
    assert told.code == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "one of"),
        (("--job", "a", "--resume", "b"), "one of"),
        (("--resume", "nowhere"), "no folder of a training run"),
        (("--job", "nothing.json", "--out", "run"), "cannot be read"),
    ],
)
def test_what_cannot_be_is_refused(medcnn: Callable, arguments: tuple[str, ...], said: str) -> None:
    told = medcnn("train", *arguments)
    assert told.code != 0
    assert said in told.err


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes as Linux shows them")
def test_a_training_in_its_own_process_may_be_killed_alone(
    medcnn: Callable, tmp_path: Path
) -> None:
    import psutil

    job = replace(tiny_job(tmp_path), ending=Ending(epochs=400, validate_every=1))
    write_record(tmp_path / "job.json", job)
    run = tmp_path / "run"

    def kill_when_it_has_learnt() -> None:
        while RunFolder(run).read_state().standing.epoch < 2:
            time.sleep(0.05)
        for child in psutil.Process().children():
            if "napari_medcnn.core.job_child" in child.cmdline():
                child.kill()

    killer = threading.Thread(target=kill_when_it_has_learnt, daemon=True)
    killer.start()
    killed = medcnn("train", "--job", tmp_path / "job.json", "--out", run, "--isolate", *QUICK)
    assert killed.code == 1
    assert "was ended by the system" in killed.err
    assert 2 <= RunFolder(run).read_state().standing.epoch < 400
