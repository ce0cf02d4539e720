"""Docks that train in the same process."""

from __future__ import annotations

import time

import pytest

from napari_medcnn.gui import train_jobs
from napari_medcnn.gui.train_widget import TrainWidget
from napari_medcnn.models import registry
from tests.gui.train.docks import ready, settle, small


@pytest.fixture
def own_folders(tmp_path, monkeypatch, same_process):
    monkeypatch.setenv("MEDCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(registry.MODELS_FOLDER_VARIABLE, str(tmp_path / "models"))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def widget(state, qtbot, own_folders):
    train = TrainWidget(state.viewer)
    state.viewer.window.add_dock_widget(train, name="Train")
    train.run.threads.setValue(1)
    yield train
    train.runner.cancel()
    settle(qtbot, train)


@pytest.fixture
def waiting(widget, qtbot, tmp_path, monkeypatch):
    """A training that goes on until it is stopped, and then takes a moment to write."""
    job = ready(widget, qtbot, tmp_path)
    small(job, widget)
    ended: list[bool] = []

    def endless(job, folder, resources, control):
        try:
            for step in range(100_000):
                control.checkpoint()
                qtbot_sleep()
                yield train_jobs.Progress("training", step, 100_000)
        finally:
            ended.append(control.is_cancelled)

    def qtbot_sleep():

        time.sleep(0.005)

    monkeypatch.setattr("napari_medcnn.gui.train_widget.train_and_judge", endless)
    widget.start()
    assert widget.runner.is_running
    return ended
