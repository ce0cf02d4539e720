"""How a run is set up in the dock *Analyze*, and what it took."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest

from napari_medcnn.core.volume import Severity
from tests.bundle_factory import make_bundle
from tests.gui.analyze_runs import finish

pytestmark = pytest.mark.usefixtures("same_process")


def test_the_options_of_the_form_are_those_of_the_run(qtbot, ready, state):
    ready.options.device.setCurrentIndex(ready.options.device.findData("cpu"))
    ready.options.backend.setCurrentIndex(ready.options.backend.findData("torch"))
    ready.options.mirroring.setCurrentIndex(ready.options.mirroring.findData("all"))
    ready.options.threshold.setValue(0.95)
    ready.options.reuse_empty.setChecked(False)
    assert "each answered 8 times" in ready.plan.lines.text()
    assert "torch" in ready.plan.lines.text()
    ready.start()
    finish(qtbot, ready)
    (result,) = state.session.results.values()
    known = result.segmentation.parameters
    assert known["device"] == "cpu" and known["backend"] == "torch"
    assert known["answers_per_window"] == 8
    assert known["threshold"] == 0.95
    assert known["windows_reused"] == 0


@pytest.mark.slow
def test_maps_become_hidden_layers_that_go_with_their_result(qtbot, ready, state):
    ready.options.probability.setChecked(True)
    ready.options.uncertainty.setChecked(True)
    ready.options.mirroring.setCurrentIndex(ready.options.mirroring.findData("all"))
    ready.start()
    finish(qtbot, ready)
    names = ["FLAIR: probability", "FLAIR: entropy", "FLAIR: variance"]
    layers = [state.viewer.layers[name] for name in names]
    assert not any(layer.visible for layer in layers)
    probability = np.asarray(layers[0].data, dtype=np.float32)
    assert probability[9, 12, 13] > 0.99 and probability[0, 0, 0] < 0.01
    assert names[0] in ready.board.texts[-1]
    assert [la.name for la in ready.image._layers] == ["FLAIR"], "a map is no image to analyse"
    (result,) = state.session.results.values()
    assert state.viewer.layers.selection.active is state.labels_layer(result.id)
    state.viewer.layers.remove(state.labels_layer(result.id))
    assert not [la for la in state.viewer.layers if la.name in names]


def test_only_the_region_is_run_and_the_plan_says_so(qtbot, ready, state, flair):
    whole = ready.plan.plan.windows
    ready.region.draw()
    assert not ready.run.isEnabled()
    assert "No shape is drawn yet" in ready.plan.board.texts[0]
    layer = state.viewer.layers["Region of interest"]
    corners = np.array([[9, 8, 10], [9, 8, 18], [9, 18, 18], [9, 18, 10]])
    layer.add(corners, shape_type="rectangle")
    qtbot.waitUntil(ready.run.isEnabled, timeout=5000)
    assert "Region: only 9 × 11 × 24 voxels" in ready.plan.lines.text().replace("\xa0", " ")
    assert ready.plan.plan.windows < whole
    ready.start()
    finish(qtbot, ready)
    (result,) = state.session.results.values()
    assert result.segmentation.parameters["region_zyx"] == [[0, 8, 10], [24, 19, 19]]
    assert [le.voxel_count for le in result.table.lesions] == [96]
    assert ready.region.list.isEnabled()


@pytest.fixture
def nothing_measured(tmp_path, monkeypatch) -> None:
    """As on a machine that never ran the model."""
    monkeypatch.setenv("MEDCNN_CACHE", str(tmp_path / "cache"))


def test_what_a_run_took_is_told_beside_its_plan(qtbot, nothing_measured, ready):
    # Of two backends such a short run would measure neither.
    ready.options.backend.setCurrentIndex(ready.options.backend.findData("torch"))
    ready.start()
    finish(qtbot, ready)
    first = ready.board.texts[-1]
    assert "(planned: not known yet)" in first
    assert "GB of memory at the peak (planned: " in first
    assert any(line.startswith("Took ") for line in ready.log.lines)
    assert "Time: about" in ready.plan.lines.text(), "measured meanwhile"
    ready.start()
    finish(qtbot, ready)
    assert "planned: not known yet" not in ready.board.texts[-1]


def test_a_fallback_is_a_warning_and_stays_in_the_notes(qtbot, ready, state, monkeypatch):
    """The first try ends in a full memory; the run goes on with less."""
    from napari_medcnn.inference import network_stage

    real, tries = network_stage.stream, []

    def stream(*args, **kwargs):
        tries.append(1)
        if len(tries) == 1:
            raise MemoryError("not enough memory: 7 GB")
        return (yield from real(*args, **kwargs))

    monkeypatch.setattr(network_stage, "stream", stream)
    ready.start()
    finish(qtbot, ready)
    assert len(state.session.results) == 1
    (told,) = [n for n in ready.board.notices if n.severity is Severity.WARNING]
    assert told.text.startswith("Not as planned: one window at once on the CPU")
    assert " instead of " in told.text and "Why: not enough memory: 7 GB" in told.text
    assert told.text.rstrip(".") in [line.rstrip(".") for line in ready.log.lines]


def test_a_plan_that_exceeds_the_free_memory_warns(ready, monkeypatch):
    from napari_medcnn.inference import forecast
    from napari_medcnn.inference.memory import Machine

    monkeypatch.setattr(forecast, "this_machine", lambda: Machine(1e9, 1e6))
    ready.options.changed.emit()
    assert any("of which 0.0 GB are free" in text for text in ready.plan.board.texts)
    assert ready.run.isEnabled()


def test_each_channel_gets_the_image_that_is_called_so(qtbot, widget, state, flair, models):
    channels = [{"name": "T1c", "modality": "MR"}, {"name": "FLAIR", "modality": "MR"}]
    make_bundle(models / "two", channels=2, medcnn={"title": "Two", "channels": channels})
    widget.model.refresh()
    widget.model.choose("two")
    state.add_volumes([flair])
    assert "T1c and FLAIR are both FLAIR" in widget.plan.board.texts[0]
    assert not widget.run.isEnabled()
    dark = replace(flair, array=np.zeros_like(flair.array), id="dark", name="other")
    bright = replace(flair, array=1.0 - flair.array, id="bright", name="case7_t1ce")
    state.add_volumes([dark, bright])
    assert [layer.name for layer in widget.image.layers] == ["case7_t1ce", "FLAIR"]
    assert widget.run.isEnabled()
    widget.start()
    finish(qtbot, widget)
    (result,) = state.session.results.values()
    assert result.volume_id == "bright", "results are on the grid of the first channel"
    np.testing.assert_array_equal(result.segmentation.array, bright.array > 0.5)
    widget.image.lists[0].setCurrentIndex(1)
    state.add_volumes([replace(flair, id="more", name="t1c again")])
    assert widget.image.layers[0].name == "other", "what the user chose stays"


def test_threads_are_set_in_the_run_alone_and_put_back(qtbot, ready, monkeypatch):
    import torch

    before, setters = torch.get_num_threads(), set()
    real = torch.set_num_threads

    def note(count: int) -> None:
        setters.add(threading.current_thread() is threading.main_thread())
        real(count)

    monkeypatch.setattr(torch, "set_num_threads", note)
    ready.start()
    finish(qtbot, ready)
    assert setters == {False}
    assert torch.get_num_threads() == before


def test_planning_in_the_window_loads_no_network_library(models):
    """In a process of its own, as napari is when the dock opens."""
    script = (
        "import sys, numpy as np;"
        "from napari_medcnn.gui.run_options import threads_beside_the_window;"
        "from napari_medcnn.core.geometry import Geometry;"
        "from napari_medcnn.core.volume import Volume;"
        "from napari_medcnn.inference.forecast import forecast;"
        "from napari_medcnn.inference.options import RunOptions;"
        "from napari_medcnn.models.registry import read_model;"
        "from pathlib import Path;"
        "grid = Geometry.from_spacing((8, 8, 8), (1, 1, 1));"
        "volume = Volume(np.zeros((8, 8, 8), np.float32), grid, modality='MR');"
        "options = RunOptions(threads=threads_beside_the_window());"
        f"print(forecast([volume], read_model(Path({str(models / 'bright')!r})), options).windows);"
        "assert not {'torch', 'monai', 'openvino'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
