"""Models in a process of their own: the docks show the same, and outlive whatever happens there."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from napari_medcnn.core.job_process import end_all
from napari_medcnn.core.volume import Severity
from napari_medcnn.gui.analyze_widget import AnalyzeWidget
from napari_medcnn.models import registry
from tests.bundle_factory import make_bundle


@pytest.fixture(autouse=True)
def no_process_left():
    yield
    end_all()


@pytest.fixture
def ready(state, flair, tmp_path, monkeypatch) -> AnalyzeWidget:
    monkeypatch.setenv("MEDCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(registry.MODELS_FOLDER_VARIABLE, str(tmp_path / "models"))
    make_bundle(tmp_path / "models" / "bright", medcnn={"min_lesion_volume_mm3": 10.0})
    widget = AnalyzeWidget(state.viewer)
    state.viewer.window.add_dock_widget(widget, name="Analyze")
    state.add_volumes([flair])
    widget.model.choose("bright")
    return widget


def finish(qtbot, widget: AnalyzeWidget) -> None:
    qtbot.waitUntil(lambda: not widget.runner.is_running, timeout=120000)


def children() -> list[psutil.Process]:
    found = psutil.Process().children(recursive=True)
    return [child for child in found if "napari_medcnn.core.job_child" in child.cmdline()]


def test_a_result_arrives_as_from_this_process(qtbot, ready, state, flair):
    ready.start()
    finish(qtbot, ready)
    (result,) = state.session.results.values()
    assert [lesion.voxel_count for lesion in result.table.lesions] == [96, 16]
    assert result.volume_id == flair.id
    layer = next(layer for layer in state.viewer.layers if layer._type_string == "labels")
    assert layer.data is result.segmentation.array
    (child,) = children()
    ready.start()
    finish(qtbot, ready)
    assert children() == [child]  # which had everything imported


def test_cancel_reaches_the_other_process(qtbot, ready, state):
    ready.runner.event.connect(lambda event: ready.runner.cancel())
    ready.start()
    finish(qtbot, ready)
    assert not state.session.results
    assert any("ancelled" in text for text in ready.board.texts)
    assert len(children()) == 1  # ended as asked, not by force


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="ends processes by signals")
def test_what_kills_that_process_leaves_the_viewer_and_says_so(qtbot, ready, state, flair):
    ready.start()
    qtbot.waitUntil(lambda: bool(children()), timeout=30000)
    os.kill(children()[0].pid, signal.SIGKILL)
    finish(qtbot, ready)
    (notice,) = [n for n in ready.board.notices if n.severity is Severity.BLOCKING]
    assert "memory" in notice.text
    assert not state.session.results
    ready.start()
    finish(qtbot, ready)
    assert len(state.session.results) == 1


def test_closing_the_viewer_ends_the_run_and_its_process(qtbot, ready, state):
    ready.start()
    qtbot.waitUntil(lambda: bool(children()), timeout=30000)
    state.viewer.window.remove_dock_widget(ready)
    ready.deleteLater()
    qtbot.waitUntil(lambda: not any(_is_busy(child) for child in children()), timeout=30000)


def _is_busy(child: psutil.Process) -> bool:
    return child.cpu_percent(0.3) > 20
