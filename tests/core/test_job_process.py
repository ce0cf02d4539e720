from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_medcnn.core import job_process
from napari_medcnn.core.errors import Cancelled, ReadError
from napari_medcnn.core.events import Done, Job, JobControl, Message, Progress, run_to_end
from napari_medcnn.core.job_process import JobProcessEnded, end_all, in_own_process
from tests.core import jobs_to_isolate as jobs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", autouse=True)
def processes_that_find_the_jobs() -> Iterator[None]:
    end_all()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        yield
    end_all()


def result_of(job: Job) -> tuple[np.ndarray, int]:
    return run_to_end(job, tuple)


def test_events_and_result_are_those_of_the_job() -> None:
    array = np.arange(2_000_000, dtype=np.float32).reshape(100, 200, 100)
    events = list(in_own_process(jobs.doubled, array)(JobControl()))
    assert events[0] == Progress("doubling", 0, 1)
    assert isinstance(events[1], Done)
    doubled, pid = events[1].result
    assert pid != os.getpid()
    np.testing.assert_array_equal(doubled, array * 2)
    assert doubled.flags.writeable


def test_the_next_job_runs_in_the_same_process() -> None:
    pids = {result_of(in_own_process(jobs.doubled, np.ones(3))(JobControl()))[1] for _ in range(3)}
    assert len(pids) == 1


def test_two_jobs_at_once_have_a_process_each() -> None:
    control = JobControl()
    first = in_own_process(jobs.endless)(control)
    next(first)
    assert result_of(in_own_process(jobs.doubled, np.ones(3))(JobControl()))
    control.cancel()
    with pytest.raises(Cancelled):
        list(first)


def test_an_error_arrives_as_it_was_raised() -> None:
    with pytest.raises(ReadError, match="torn") as raised:
        list(in_own_process(jobs.refused, "torn")(JobControl()))
    assert raised.value.hint == "look again"
    assert raised.value.source == "a.nii"
    assert "jobs_to_isolate.py" in raised.value.__notes__[0]
    assert result_of(in_own_process(jobs.doubled, np.ones(3))(JobControl()))


def test_cancel_pause_and_resume_reach_the_job() -> None:
    control = JobControl()
    job = in_own_process(jobs.endless)(control)
    for _ in range(20):
        next(job)
    control.pause()
    threading.Timer(0.8, control.resume).start()
    longest, before = 0.0, time.monotonic()
    for _ in range(200):
        next(job)
        now = time.monotonic()
        longest, before = max(longest, now - before), now
    assert longest > 0.3
    control.cancel()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        list(job)
    assert time.monotonic() - started < 2


def test_a_job_that_does_not_listen_is_ended_with_its_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(job_process, "PATIENCE_S", 0.5)
    control = JobControl()
    job = in_own_process(jobs.deaf)(control)
    assert next(job) == Message("deaf")
    control.cancel()
    with pytest.raises(Cancelled):
        list(job)
    assert result_of(in_own_process(jobs.doubled, np.ones(3))(JobControl()))


@pytest.mark.skipif(os.name != "posix", reason="ends processes by signals")
@pytest.mark.parametrize(("job", "how"), [(jobs.killed, "memory"), (jobs.crashed, "SIGABRT")])
def test_a_process_that_dies_is_an_error_and_the_next_job_runs(job: Job, how: str) -> None:
    with pytest.raises(JobProcessEnded, match=how) as raised:
        list(in_own_process(job)(JobControl()))
    if how == "SIGABRT":
        assert "the library's last words" in raised.value.__notes__[0]
    assert result_of(in_own_process(jobs.doubled, np.ones(3))(JobControl()))


def test_a_job_that_is_left_does_not_go_on() -> None:
    job = in_own_process(jobs.endless)(JobControl())
    next(job)
    job.close()
    assert result_of(in_own_process(jobs.doubled, np.ones(3))(JobControl()))


def test_a_job_sees_the_settings_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("one", "two"):
        monkeypatch.setenv("MEDCNN_CACHE", value)
        assert run_to_end(in_own_process(jobs.setting, "MEDCNN_CACHE")(JobControl()), str) == value


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes as Linux shows them")
def test_the_process_goes_when_its_parent_is_killed() -> None:
    body = """
import sys, numpy, os, signal
from napari_medcnn.core.events import JobControl
from napari_medcnn.core.job_process import in_own_process
from tests.core import jobs_to_isolate as jobs
events = list(in_own_process(jobs.doubled, numpy.ones(3))(JobControl()))
print(events[-1].result[1], flush=True)
job = in_own_process(jobs.endless)(JobControl())
next(job)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", body], cwd=ROOT, capture_output=True, text=True, check=False
    )
    child = int(done.stdout)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{child}").exists()
