"""The folder of a run says what the run is, belongs to one process, and is never overwritten."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from napari_medcnn.core.errors import MedcnnError, ReadError
from napari_medcnn.training.checkpoint import Standing
from napari_medcnn.training.run_folder import RunFolder, RunState
from tests.training.tiny_run import RESOURCES, tiny_job


def test_a_job_comes_back_whole(tmp_path: Path) -> None:
    job, run = tiny_job(tmp_path / "data"), RunFolder(tmp_path / "run")
    assert not run.is_run
    run.begin(job)
    assert run.is_run
    assert run.read_job() == job


def test_a_run_is_begun_once_and_in_an_empty_folder(tmp_path: Path) -> None:
    job = tiny_job(tmp_path / "data")
    with pytest.raises(MedcnnError, match="not empty"):
        RunFolder(tmp_path / "data").begin(job)
    run = RunFolder(tmp_path / "run")
    run.begin(job)
    with pytest.raises(MedcnnError, match="a run in this folder already"):
        run.begin(job)


def test_a_folder_without_a_run_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"no job\.json"):
        RunFolder(tmp_path).read_job()


def test_the_state_comes_back_and_is_the_beginning_before_it_was_written(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.read_state() == RunState()
    state = RunState(Standing(3, 1, 9, best=0.25, best_epoch=2), "failed", "why")
    run.write_state(state)
    assert run.read_state() == state


def test_every_start_leaves_its_surroundings(tmp_path: Path) -> None:
    job, run = tiny_job(tmp_path / "data"), RunFolder(tmp_path / "run")
    run.begin(job)
    run.add_environment(job, RESOURCES, "cpu", 1)
    run.add_environment(job, RESOURCES, "cpu", 2)
    first, second = run.read_environment()
    assert (first["processes"], second["processes"]) == (1, 2)
    assert first["torch_threads"] == 1
    assert first["versions"]["torch"]


HOLD = """
import sys
from napari_medcnn.training.run_folder import RunFolder
with RunFolder(sys.argv[1]).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_processes_never_have_one_folder_and_a_dead_one_lets_go(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(MedcnnError, match="another process"), run.locked():
            pass
        other.kill()
    with run.locked(), pytest.raises(MedcnnError, match="another process"), run.locked():
        pass


def test_the_log_has_what_was_said(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with run.logging() as log:
        log.info("begun")
    with run.logging() as log:
        log.warning("resumed")
    lines = run.log.read_text().splitlines()
    assert [line.split(maxsplit=2)[2] for line in lines] == ["INFO begun", "WARNING resumed"]
