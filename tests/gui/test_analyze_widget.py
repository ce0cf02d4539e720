from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtWidgets import QPushButton

from napari_medcnn.core.events import Job, JobControl, Progress
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Finding, Severity, Volume
from napari_medcnn.gui.analysis_job import Analysed
from napari_medcnn.gui.analyze_widget import AnalyzeWidget
from napari_medcnn.models import registry
from tests.bundle_factory import make_bundle

pytestmark = pytest.mark.usefixtures("same_process")


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A folder of models that holds one which finds what is bright."""
    make_bundle(
        tmp_path / "models" / "bright",
        medcnn={"one_liner": "Marks what is bright.", "min_lesion_volume_mm3": 10.0},
        metadata={"intended_use": "Tests of this program"},
    )
    monkeypatch.setenv(registry.MODELS_FOLDER_VARIABLE, str(tmp_path / "models"))
    monkeypatch.setattr(registry, "SHIPPED", tmp_path / "nothing")
    return tmp_path / "models"


@pytest.fixture
def widget(state, models) -> AnalyzeWidget:
    widget = AnalyzeWidget(state.viewer)
    state.viewer.window.add_dock_widget(widget, name="Analyze")
    return widget


@pytest.fixture
def ready(widget, state, flair) -> AnalyzeWidget:
    state.add_volumes([flair])
    return widget


def finish(qtbot, widget: AnalyzeWidget) -> None:
    qtbot.waitUntil(lambda: not widget.runner.is_running, timeout=60000)


def slow_network(monkeypatch, entered: threading.Event) -> None:
    """The real engine, but its windows never end by themselves."""
    from napari_medcnn.inference import network_stage

    def stream(backend, image, spec, control: JobControl, sink, **_) -> Job:
        yield Progress("network", 1, 1000)
        entered.set()
        while True:
            control.checkpoint()
            control._cancelled.wait(0.01)

    monkeypatch.setattr(network_stage, "stream", stream)


def press(notice, text: str) -> None:
    (button,) = [b for b in notice.findChildren(QPushButton) if b.text() == text]
    button.click()


def test_an_implausible_brain_can_be_measured_after_a_yes(qtbot, widget, state, models):
    """Only the run itself finds it out, so the question comes then."""
    axes = [np.linspace(-1.7, 1.7, n) for n in (40, 50, 40)]
    radius = np.sqrt(sum(a**2 for a in np.meshgrid(*axes, indexing="ij")))
    head = np.where(radius < 1, 100.0, 0.0).astype(np.float32)
    step = {"_target_": "napari_medcnn.inference.transforms.BrainMaskd", "keys": "@image_key"}
    make_bundle(models / "bright", roi=(32, 32, 32), extra_steps=(step,))
    widget.model.refresh()
    grid = Geometry.from_spacing(head.shape, (4.0, 4.0, 4.0))
    state.add_volumes([Volume(head, grid, name="half", modality="MR")])
    widget.start()
    finish(qtbot, widget)
    (notice,) = [n for n in widget.board.notices if n.severity is Severity.BLOCKING]
    assert "whole brains have 700 to 2200 mL" in notice.text
    press(notice, "I have looked: go on")
    finish(qtbot, widget)
    (result,) = state.session.results.values()
    assert result.segmentation.parameters["accepted_findings"] == ["implausible-brain-mask"]


def test_a_long_name_of_a_model_keeps_its_end_in_a_narrow_dock(widget):
    names = widget.model.list
    names.setItemText(0, "White-matter lesions in brain MRI (FLAIR)")
    names.resize(180, names.height())
    assert names.shown_text().startswith("White") and names.shown_text().endswith("FLAIR)")
    assert "…" in names.shown_text()


def test_without_an_image_it_says_what_to_do(widget):
    assert "Open one in the Load panel" in widget.plan.advice.text()
    assert not widget.run.isEnabled()


def test_without_a_model_it_says_what_to_do(state, flair, models, monkeypatch):
    monkeypatch.setenv(registry.MODELS_FOLDER_VARIABLE, str(models / "empty"))
    state.add_volumes([flair])
    widget = AnalyzeWidget(state.viewer)
    assert "Press Add beside the list" in widget.plan.advice.text()
    assert not widget.run.isEnabled()


def test_the_plan_and_the_model_are_shown_before_the_run(ready):
    assert "Marks what is bright." in ready.model.card.one_liner.text()
    assert "Windows: " in ready.plan.lines.text()
    assert "Memory: about" in ready.plan.lines.text()
    ready.model.card.about.set_open(True)
    assert "Tests of this program" in ready.model.card.page.toPlainText()
    assert ready.run.isEnabled()


def test_a_run_ends_in_a_labels_layer_and_says_what_was_found(qtbot, ready, state, flair):
    ready.run.click()
    assert ready.runner.is_running
    assert not ready.run.isVisibleTo(ready)
    finish(qtbot, ready)
    (result,) = state.session.results.values()
    layer = state.labels_layer(result.id)
    np.testing.assert_array_equal(layer.data, flair.array > 0.5)
    assert [le.voxel_count for le in result.table.lesions] == [96, 16]
    assert result.min_volume_mm3 == 10.0
    assert "2 lesions, 0.224 mL" in ready.board.texts[-1]
    assert ready.run.isVisibleTo(ready)


def test_an_image_layer_of_other_origin_can_be_analysed(qtbot, widget, state, flair):
    state.viewer.add_image(flair.array, scale=(2, 1, 1), units=("mm",) * 3, name="mine")
    assert widget.run.isEnabled()
    assert not state.session.volumes
    widget.start()
    finish(qtbot, widget)
    assert [r.volume_id for r in state.session.results.values()] == list(state.session.volumes)


def test_a_run_is_cancelled_mid_way_and_can_be_started_again(qtbot, ready, state, monkeypatch):
    entered = threading.Event()
    with monkeypatch.context() as patch:
        slow_network(patch, entered)
        ready.start()
        qtbot.waitUntil(entered.is_set, timeout=60000)
        qtbot.waitUntil(lambda: "1 of 1000" in ready.progress.stage.text(), timeout=5000)
        ready.progress.cancel_button.click()
        qtbot.waitUntil(lambda: not ready.runner.is_running, timeout=3000)
    assert ready.board.texts == ("Cancelled; nothing was changed.",)
    assert not state.session.results
    ready.start()
    finish(qtbot, ready)
    assert len(state.session.results) == 1


def test_a_failure_mid_way_is_shown_and_can_be_tried_again(qtbot, ready, state, monkeypatch):
    from napari_medcnn.inference import network_stage

    def stream(*_, **__) -> Job:
        yield Progress("network", 1, 8)
        raise RuntimeError("the kernel died")

    with monkeypatch.context() as patch:
        patch.setattr(network_stage, "stream", stream)
        ready.start()
        finish(qtbot, ready)
    (notice,) = ready.board.notices
    assert notice.severity is Severity.BLOCKING
    assert "RuntimeError: the kernel died" in notice.text
    press(notice, "Try again")
    finish(qtbot, ready)
    assert len(state.session.results) == 1


def test_a_second_start_is_refused(qtbot, ready, monkeypatch):
    entered = threading.Event()
    slow_network(monkeypatch, entered)
    ready.start()
    ready.start()
    assert "is still running" in ready.board.texts[-1]
    ready.runner.cancel()
    finish(qtbot, ready)


def test_removing_the_image_stops_its_run(qtbot, ready, state, flair, monkeypatch):
    entered = threading.Event()
    slow_network(monkeypatch, entered)
    ready.start()
    qtbot.waitUntil(entered.is_set, timeout=60000)
    state.viewer.layers.remove(state.image_layer(flair.id))
    qtbot.waitUntil(lambda: not ready.runner.is_running, timeout=3000)
    assert "FLAIR was closed" in ready.board.texts[-1]
    assert "Open one in the Load panel" in ready.plan.advice.text()
    state.add_volumes([flair])
    assert ready.run.isEnabled()


def test_closing_the_viewer_stops_the_run(qtbot, ready, state, monkeypatch):
    entered = threading.Event()
    slow_network(monkeypatch, entered)
    ready.start()
    control = ready.runner._control
    qtbot.waitUntil(entered.is_set, timeout=60000)
    state.viewer.close()
    assert control.is_cancelled


def test_a_result_of_an_image_that_is_gone_is_dropped(ready, state, flair, result):
    state.session.remove_volume(flair.id)
    ready._on_done(Analysed(result, 1.0, None))
    assert not state.session.results


def test_a_blocking_finding_needs_the_users_yes(qtbot, widget, state, flair):
    finding = Finding("gaps", Severity.BLOCKING, "three slices are missing")
    state.add_volumes([replace(flair, findings=(finding,))])
    assert not widget.run.isEnabled()
    assert "Three slices are missing." in widget.plan.board.texts
    widget.plan.accept.setChecked(True)
    assert widget.run.isEnabled()
    widget.start()
    finish(qtbot, widget)
    (result,) = state.session.results.values()
    assert result.accept_blocking
    assert result.table.lesions[0].volume_mm3.value == 192.0


def test_what_cannot_be_run_is_told_before_the_run(widget, state, flair):
    state.add_volumes([replace(flair, spacing_known=False)])
    assert not widget.run.isEnabled()
    assert "voxel size is unknown" in widget.plan.board.texts[0]


def test_a_ct_has_windows_and_others_only_the_automatic_one(widget, state, flair):
    state.add_volumes([flair])
    assert list(widget.display.buttons) == ["auto"]
    state.add_volumes([replace(flair, id="ct", name="CT", modality="CT", unit="HU")])
    widget.image.lists[0].setCurrentIndex(1)
    widget.display.buttons["lung"].click()
    assert tuple(state.image_layer("ct").contrast_limits) == (-1350.0, 150.0)


def test_labels_can_be_shown_as_outlines(widget, state, result):
    widget.display.outlines.click()
    assert state.labels_layer(result.id).contour == 1
    widget.display.outlines.click()
    assert state.labels_layer(result.id).contour == 0


def test_a_broken_model_folder_is_told_and_the_others_stay(state, models):
    (models / "broken" / "configs").mkdir(parents=True)
    widget = AnalyzeWidget(state.viewer)
    assert "broken" in widget.board.texts[0]
    assert widget.model.spec.title == "Bright voxels"


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
