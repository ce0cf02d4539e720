"""The dock Train: a run from start to model; stopped, failed, and closed upon."""

from __future__ import annotations

import time

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QCloseEvent

from napari_medcnn.core.events import Progress
from napari_medcnn.core.volume import Severity
from napari_medcnn.gui import train_jobs
from napari_medcnn.gui.analyze_widget import AnalyzeWidget
from napari_medcnn.gui.train_curves import TrainCurves
from napari_medcnn.gui.train_layers import NAMES
from napari_medcnn.training.run_folder import RunFolder
from tests.gui.train.docks import PATIENCE_MS, ready, settle, small, texts
from tests.training.tiny_run import tiny_job


def test_a_run_is_stopped_goes_on_and_ends_as_a_model_in_every_list(widget, qtbot, tmp_path):
    from dataclasses import replace

    ready(widget, qtbot, tmp_path)
    split = widget.data.split
    job = replace(tiny_job(tmp_path / "data"), split=split)
    small(replace(job, ending=replace(job.ending, epochs=400, validate_every=1)), widget)
    analyze = AnalyzeWidget(widget.state.viewer)
    widget.state.viewer.window.add_dock_widget(analyze, name="Analyze")
    widget.start()
    folder = widget._folder
    assert widget.foot.stop.isVisibleTo(widget) and not widget.data.choose.isEnabled()
    widget.start()
    assert any("still running" in text for text in texts(widget, Severity.WARNING))
    qtbot.waitUntil(lambda: len(widget.run.curves.points.get("dice", ())) > 1, timeout=PATIENCE_MS)
    assert NAMES["prediction"] in widget.state.viewer.layers
    layer = widget.state.viewer.layers[NAMES["prediction"]]
    widget.foot.pause.click()
    assert widget.foot.pause.text() == "Go on"
    widget.foot.pause.click()
    widget.foot.stop.click()
    settle(qtbot, widget)
    state = RunFolder(folder).read_state()
    assert state.ended == "stopped" and RunFolder(folder).last.is_file()
    assert any(text.startswith("Stopped after") for text in texts(widget, Severity.INFO))
    # The rest of its 400 epochs would take minutes: the model is made of what it knows by now.
    assert widget.state.viewer.layers[NAMES["prediction"]] is layer
    widget.make_model(folder)
    settle(qtbot, widget)
    assert not texts(widget, Severity.BLOCKING)
    assert widget.sections[3].isVisibleTo(widget)
    assert widget.result.table.rowCount() == 2 * len(split.test)
    assert "Balls" in [analyze.model.list.itemText(n) for n in range(analyze.model.list.count())]
    widget.result.table.cellDoubleClicked.emit(0, 0)
    settle(qtbot, widget)
    assert f"{split.test[0]}: prediction" in widget.state.viewer.layers


def test_a_failure_is_told_and_can_be_gone_on_from(widget, qtbot, tmp_path, monkeypatch):
    job = ready(widget, qtbot, tmp_path)
    small(job, widget)

    def broken(job, folder, resources, control):
        RunFolder(folder).begin(job)
        yield train_jobs.Progress("training", 1, 4)
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr("napari_medcnn.gui.train_widget.train_and_judge", broken)
    widget.start()
    settle(qtbot, widget)
    (told,) = texts(widget, Severity.BLOCKING)
    assert told.startswith("The training failed") and "memory" in told
    assert widget.foot.start.isEnabled() and widget.foot.start.isVisibleTo(widget)


def test_a_folder_that_is_no_run_cannot_be_resumed(widget, tmp_path):
    widget.resume(tmp_path)
    assert "no job.json" in texts(widget, Severity.BLOCKING)[0]
    assert not widget.runner.is_running


def test_closing_the_window_asks_and_stays_open_if_the_user_goes_on(
    widget, qtbot, waiting, monkeypatch
):
    window = widget.state.viewer.window._qt_window
    monkeypatch.setattr(widget.closing, "ask", lambda: False)
    event = QCloseEvent()
    monkeypatch.setattr(type(event), "spontaneous", lambda self: True, raising=False)
    assert widget.closing.eventFilter(window, event) or not event.isAccepted()
    assert widget.runner.is_running


def test_closing_the_window_stops_the_run_properly_first(widget, waiting):
    window = widget.state.viewer.window._qt_window
    assert not widget.closing.eventFilter(window, QCloseEvent())
    assert not widget.runner.is_running and waiting == [True]


def test_closing_the_dock_asks_too(widget, qtbot, waiting, monkeypatch):
    from qtpy.QtWidgets import QPushButton

    widget.closing.watch_dock()
    dock = widget.parentWidget()
    (button,) = dock.findChildren(QPushButton, "QTitleBarCloseButton")
    monkeypatch.setattr(widget.closing, "ask", lambda: False)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert widget.runner.is_running
    monkeypatch.setattr(widget.closing, "ask", lambda: True)
    release = QEvent(QEvent.Type.MouseButtonRelease)
    assert not widget.closing.eventFilter(button, release)
    assert not widget.runner.is_running and waiting == [True]


def test_curves_are_drawn_at_most_once_a_second(qtbot):
    curves = TrainCurves()
    qtbot.addWidget(curves)
    drawn = []
    draw = curves.draw
    curves._timer.timeout.disconnect()
    curves._timer.timeout.connect(lambda: (drawn.append(1), draw()))
    begin = time.monotonic()
    for step in range(200):
        curves.add("train_loss", step, 1.0 / (step + 1))
        qtbot.wait(8)
    assert 1 <= len(drawn) <= 2 + time.monotonic() - begin
    assert len(curves._items) == 1


def test_progress_is_shown_once_a_second_and_never_over_what_is_newer(widget, qtbot):
    foot = widget.foot
    foot.begin("Preparing Balls …")
    said = []
    say = foot._say
    foot._say = lambda text: (said.append(text), say(text))
    begin = time.monotonic()
    foot.show_progress(Progress("preparing cases", 1, 4), 10)
    assert (foot.bar.value(), foot.bar.maximum()) == (1, 4)
    for step in range(100):
        foot.show_progress(Progress("training", step, 100), 10)
        qtbot.wait(15)
    assert 2 <= len(said) <= 2 + time.monotonic() - begin
    qtbot.waitUntil(lambda: foot.stage.text() == "Epoch 10 of 10", timeout=3000)
    assert (foot.bar.value(), foot.bar.maximum()) == (99, 100)
    foot.show_progress(Progress("validating", 1, 2), 10)
    foot.show_progress(Progress("validating", 2, 2), 10)
    foot.show_stage("Stopping …")
    qtbot.wait(1200)
    assert foot.stage.text() == "Stopping …" and foot.bar.maximum() == 100
