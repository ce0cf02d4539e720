"""A training in a process of its own: killed, stopped by a closed window, gone on to its end."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import psutil
import pytest
from qtpy.QtGui import QCloseEvent

from napari_medcnn.core.job_process import end_all
from napari_medcnn.core.volume import Severity
from napari_medcnn.gui.train_widget import TrainWidget
from napari_medcnn.models import registry
from napari_medcnn.models.registry import find_model
from napari_medcnn.training.run_folder import RunFolder
from tests.training.tiny_run import tiny_job

PATIENCE_MS = 200_000


@pytest.fixture
def widget(state, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(registry.MODELS_FOLDER_VARIABLE, str(tmp_path / "models"))
    monkeypatch.setenv("HOME", str(tmp_path))
    train = TrainWidget(state.viewer)
    state.viewer.window.add_dock_widget(train, name="Train")
    train.run.threads.setValue(1)
    yield train
    train.closing.stop_and_wait()
    end_all()


def children() -> list[psutil.Process]:
    found = psutil.Process().children(recursive=True)
    return [child for child in found if "napari_medcnn.core.job_child" in child.cmdline()]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="ends processes by signals")
@pytest.mark.timeout(600)
def test_a_run_outlives_a_kill_and_a_closed_window(widget, qtbot, tmp_path):
    job = tiny_job(tmp_path / "data")
    split = replace(job.split, train=job.split.train[:-1], test=job.split.train[-1:])
    job = replace(job, split=split, ending=replace(job.ending, epochs=60, validate_every=5))
    widget.model.job = lambda: job
    widget.model._fingerprint = object()  # the job is not one of a proposal here
    widget.model._problem_text = lambda: ""
    widget.model.title.setText("Balls")
    widget.foot.start.click()
    run = RunFolder(widget._folder)

    def epochs() -> int:
        return len(widget.run.curves.points.get("train_loss", ()))

    qtbot.waitUntil(lambda: epochs() >= 6, timeout=PATIENCE_MS)
    (child,) = children()
    os.kill(child.pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: not widget.runner.is_running, timeout=PATIENCE_MS)
    (notice,) = [n for n in widget.foot.board.notices if n.severity is Severity.BLOCKING]
    assert "ended by the system" in notice.text

    widget.resume(run.path)
    before = run.read_state().standing.epoch
    qtbot.waitUntil(lambda: run.read_state().standing.epoch > before, timeout=PATIENCE_MS)
    window = widget.state.viewer.window._qt_window
    assert not widget.closing.eventFilter(window, QCloseEvent())
    assert not widget.runner.is_running
    told = [notice.text for notice in widget.foot.board.notices]
    assert run.read_state().ended == "stopped" and run.last.is_file(), told

    widget.resume(run.path)
    qtbot.waitUntil(lambda: not widget.runner.is_running, timeout=PATIENCE_MS)
    assert run.read_state().ended == "finished"
    assert epochs() == 60
    assert find_model("balls").title == "Balls"
    assert widget.result.table.rowCount() == 2
