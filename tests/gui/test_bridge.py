from __future__ import annotations

import threading
import time
import warnings

import pytest

from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.events import Done, Failed, Job, JobControl, Message, Progress
from napari_medcnn.gui.bridge import JobRunner, JobRunning, job_of


class Witness:
    """Writes down everything that a runner tells, and on which thread."""

    def __init__(self, runner: JobRunner) -> None:
        self.events: list[object] = []
        self.results: list[object] = []
        self.failures: list[Failed] = []
        self.ends = 0
        self.threads: set[int] = set()
        runner.event.connect(self.on_event)
        runner.done.connect(self.on_done)
        runner.failed.connect(self.on_failed)
        runner.finished.connect(self.on_finished)

    def on_event(self, event: object) -> None:
        self.threads.add(threading.get_ident())
        self.events.append(event)

    def on_done(self, result: object) -> None:
        self.results.append(result)

    def on_failed(self, failed: Failed) -> None:
        self.failures.append(failed)

    def on_finished(self) -> None:
        self.ends += 1


@pytest.fixture
def runner(qtbot):
    runner = JobRunner()
    yield runner
    if runner.is_running:
        with qtbot.waitSignal(runner.finished, timeout=5000):
            runner.cancel()


def endless(control: JobControl) -> Job:
    step = 0
    while True:
        control.checkpoint()
        time.sleep(0.005)
        step += 1
        yield Progress("waiting", step, 10_000)


def test_events_and_the_result_arrive_on_the_gui_thread(qtbot, runner):
    witness = Witness(runner)
    job_threads = []

    def job(control: JobControl) -> Job:
        job_threads.append(threading.get_ident())
        yield Message("hello")
        yield Progress("windows", 1, 1)
        yield Done(42)

    with qtbot.waitSignal(runner.finished, timeout=5000):
        runner.start("Counting", job)
        assert runner.is_running
        assert runner.title == "Counting"
    assert witness.events == [Message("hello"), Progress("windows", 1, 1)]
    assert witness.results == [42]
    assert witness.failures == []
    assert witness.ends == 1
    assert witness.threads == {threading.get_ident()}
    assert job_threads != [threading.get_ident()]
    assert not runner.is_running


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("the kernel died"), "RuntimeError: the kernel died"),
        (MemoryError("8 GiB"), "not enough memory"),
        (
            ReadError("is no image", source="a.txt", hint="choose another"),
            "a.txt: is no image (cho",
        ),
        (StopIteration(), "RuntimeError"),
        (SystemExit(3), "SystemExit: 3"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_no_exception_reaches_the_worker(qtbot, runner, error, words):
    witness = Witness(runner)

    def job(control: JobControl) -> Job:
        yield Message("so far so good")
        raise error

    with qtbot.waitSignal(runner.finished, timeout=5000):
        runner.start("Failing", job)
    (failed,) = witness.failures
    assert words in failed.text
    assert not failed.cancelled
    # What was foreseen explains itself; only a surprise needs a traceback for a report.
    assert ("Traceback" in failed.details) != isinstance(error, ReadError)
    with qtbot.waitSignal(runner.done, timeout=5000):
        runner.start("Again", job_of(lambda: 1))
    assert witness.results == [1]


def test_out_of_memory_on_the_device_is_told_as_such(qtbot, runner):
    import torch

    def job(control: JobControl) -> Job:
        yield Message("allocating")
        raise torch.OutOfMemoryError("CUDA out of memory")

    with qtbot.waitSignal(runner.failed, timeout=5000) as blocker:
        runner.start("Allocating", job)
    assert "not enough memory" in blocker.args[0].text


def test_a_job_is_cancelled_mid_way(qtbot, runner):
    witness = Witness(runner)
    runner.start("Waiting", endless)
    qtbot.waitUntil(lambda: len(witness.events) >= 2, timeout=5000)
    with qtbot.waitSignal(runner.finished, timeout=2000):
        runner.cancel()
        assert runner.is_cancelling
    assert [failed.cancelled for failed in witness.failures] == [True]


def test_a_result_that_comes_after_cancelling_is_dropped(qtbot, runner):
    started, go_on = threading.Event(), threading.Event()

    def job(control: JobControl) -> Job:
        started.set()
        go_on.wait(5)
        yield Done("too late")

    witness = Witness(runner)
    runner.start("Reading", job)
    qtbot.waitUntil(started.is_set, timeout=5000)
    with qtbot.waitSignal(runner.failed, timeout=5000) as blocker:
        runner.cancel()
        go_on.set()
    assert blocker.args[0].cancelled
    assert witness.results == []


def test_a_second_start_is_refused_by_name(qtbot, runner):
    runner.start("Segmenting FLAIR", endless)
    with pytest.raises(JobRunning, match=r"Segmenting FLAIR is still running \(wait"):
        runner.start("Segmenting T1", endless)


def test_a_job_can_wait_and_go_on(qtbot, runner):
    witness = Witness(runner)
    runner.start("Waiting", endless)
    qtbot.waitUntil(lambda: len(witness.events) >= 1, timeout=5000)
    runner.pause()
    assert runner.is_paused
    qtbot.wait(150)
    count = len(witness.events)
    qtbot.wait(150)
    assert len(witness.events) == count
    runner.resume()
    qtbot.waitUntil(lambda: len(witness.events) > count, timeout=5000)


def test_fast_progress_is_thinned_but_its_end_is_told(qtbot, runner):
    witness = Witness(runner)

    def job(control: JobControl) -> Job:
        for step in range(1, 5001):
            yield Progress("windows", step, 5000)
        yield Progress("components", 0, 2)
        yield Done(None)

    with qtbot.waitSignal(runner.finished, timeout=10000):
        runner.start("Counting", job)
    assert len(witness.events) < 100
    assert Progress("windows", 5000, 5000) in witness.events
    assert Progress("components", 0, 2) in witness.events


def test_a_job_that_ends_without_a_result_failed(qtbot, runner):
    def job(control: JobControl) -> Job:
        yield Message("and that was it")

    with qtbot.waitSignal(runner.failed, timeout=5000) as blocker:
        runner.start("Nothing", job)
    assert "without a result" in blocker.args[0].text


def test_jobs_that_overlap_leave_the_way_of_warnings_as_it_was(qtbot, runner, caplog):
    before, filters = warnings.showwarning, list(warnings.filters)
    first_ends, second_runs = threading.Event(), threading.Event()

    def first(control: JobControl) -> Job:
        second_runs.wait(5)
        yield Done(None)

    def second(control: JobControl) -> Job:
        second_runs.set()
        first_ends.wait(5)
        warnings.warn("an odd file", UserWarning, stacklevel=1)
        yield Done(None)

    other = JobRunner()
    other_ended = qtbot.waitSignal(other.finished, timeout=5000)
    with qtbot.waitSignal(runner.finished, timeout=5000):
        runner.start("First", first)
        other.start("Second", second)
    first_ends.set()
    other_ended.wait()
    assert (warnings.showwarning, list(warnings.filters)) == (before, filters)
    assert "UserWarning: an odd file" in caplog.text


def test_the_job_ends_when_its_runner_is_destroyed(qtbot):
    ended = threading.Event()

    def job(control: JobControl) -> Job:
        try:
            yield from endless(control)
        finally:
            ended.set()

    runner = JobRunner()
    with qtbot.waitSignal(runner.event, timeout=5000):
        runner.start("Waiting", job)
    runner.deleteLater()
    del runner
    qtbot.waitUntil(ended.is_set, timeout=3000)


def test_the_job_ends_when_its_viewer_is_closed(qtbot, make_napari_viewer):
    ended = threading.Event()

    def job(control: JobControl) -> Job:
        try:
            yield from endless(control)
        finally:
            ended.set()

    viewer = make_napari_viewer()
    runner = JobRunner()
    with qtbot.waitSignal(runner.event, timeout=5000):
        runner.start("Waiting", job)
    assert any("Waiting" in line for line in viewer.window._task_status_manager.get_status())
    with qtbot.waitSignal(runner.finished, timeout=3000):
        viewer.close()
    assert ended.is_set()
    assert not runner.is_running
