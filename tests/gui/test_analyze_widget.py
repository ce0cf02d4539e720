from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtWidgets import QPushButton

from napari_medcnn.core.events import Job, Progress
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Finding, Severity, Volume
from napari_medcnn.gui.analysis_job import Analysed
from napari_medcnn.gui.analyze_widget import AnalyzeWidget
from napari_medcnn.models import registry
from tests.bundle_factory import make_bundle
from tests.gui.analyze_runs import finish, slow_network

pytestmark = pytest.mark.usefixtures("same_process")


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
