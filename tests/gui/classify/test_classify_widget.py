"""The dock Classify: images and slices; a run that ends, is cancelled or fails."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import numpy as np
import pytest

from napari_medcnn.core.volume import Finding, Severity
from napari_medcnn.gui.classify_widget import ClassifyWidget
from napari_medcnn.inference.classifier import Classifier
from napari_medcnn.models import registry
from tests.gui.classify.docks import (
    PATIENCE_MS,
    by_the_engine,
    choose,
    classified,
    finish,
    press,
    slow,
)

pytestmark = pytest.mark.usefixtures("same_process")


def test_slices_become_a_curve_that_leads_the_viewer(qtbot, dock, shelf, state) -> None:
    choose(dock, shelf, "slices")
    assert dock.form.chosen_unit == "slice", "what a model of pictures is for on a volume"
    found = classified(qtbot, dock)
    expected = by_the_engine(dock, unit="slice", axis=0)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-6)
    panel = dock.classes
    panel.choice.setCurrentText("dark")
    numbers, values = panel.plot.curve.getData()
    np.testing.assert_array_equal(numbers, np.arange(24))
    np.testing.assert_allclose(values, expected.of_class("dark"), atol=1e-6)
    assert "not calibrated" in panel.caution.text()
    assert panel.heading.text() == "FLAIR: 24 slices along z"
    panel.plot.slice_chosen.emit(17)
    world = state.image_layer(found.volume_id).data_to_world((17, 0, 0))
    assert state.viewer.dims.point[0] == pytest.approx(world[0])
    assert panel.plot.line.value() == 17
    assert panel.table.currentRow() == 17


def test_the_line_follows_the_viewer_and_hides_in_another_plane(qtbot, dock, shelf, state) -> None:
    choose(dock, shelf, "slices")
    dock.form.axis.setCurrentIndex(1)
    found = classified(qtbot, dock)
    assert found.axis == 1 and len(found.items) == 40
    assert not dock.classes.plot.line.isVisible(), "the viewer shows axial slices"
    dock.classes.table.selectRow(11)
    assert dock.classes.plot.line.isVisible(), "a click turns the viewer to the coronal plane"
    assert dock.classes.plot.line.value() == 11
    layer = state.image_layer(found.volume_id)
    state.viewer.dims.set_point(1, layer.data_to_world((0, 30, 0))[1])
    assert dock.classes.plot.line.value() == 30


def test_a_click_into_the_plot_takes_the_nearest_slice(qtbot, dock, shelf) -> None:
    choose(dock, shelf, "slices")
    classified(qtbot, dock)
    assert dock.classes.plot.index_at(4.4) == 4
    assert dock.classes.plot.index_at(-9.0) == 0
    assert dock.classes.plot.index_at(99.0) == 23


def test_a_whole_image_gets_a_list_of_classes_and_files(qtbot, dock, shelf, tmp_path) -> None:
    choose(dock, shelf, "whole")
    found = classified(qtbot, dock)
    assert found.unit == "volume"
    (guesses,) = found.top(3)
    table = dock.classes.table
    rows = [(table.item(n, 0).text(), table.item(n, 1).text()) for n in range(table.rowCount())]
    assert rows == [(guess.name, f"{guess.probability:.3f}") for guess in guesses]
    assert not dock.classes.plot.isVisibleTo(dock.classes)
    dock.classes.write(tmp_path / "classes.csv")
    dock.classes.write(tmp_path / "classes.json")
    assert "volume" in (tmp_path / "classes.csv").read_text(encoding="utf-8")
    content = json.loads((tmp_path / "classes.json").read_text(encoding="utf-8"))
    assert content["items"][0]["probabilities"][guesses[0].name] == pytest.approx(
        guesses[0].probability
    )
    (tmp_path / "taken.csv").mkdir()
    dock.classes.write(tmp_path / "taken.csv")
    assert dock.board.notices[-1].severity is Severity.BLOCKING


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_curve_can_be_written_as_a_picture(qtbot, dock, shelf, tmp_path, suffix) -> None:
    choose(dock, shelf, "slices")
    classified(qtbot, dock)
    dock.classes.write(tmp_path / f"curve{suffix}")
    assert (tmp_path / f"curve{suffix}").stat().st_size > 1000
    dock.classes.write(tmp_path / "nowhere" / f"curve{suffix}")
    assert dock.board.notices[-1].severity is Severity.BLOCKING


def test_what_cannot_be_classified_is_told_before_a_run(dock, shelf) -> None:
    choose(dock, shelf, "slices")
    dock.form.unit.setCurrentIndex(0)
    assert "this is a volume of 24 slices" in dock.advice.text()
    assert not dock.run.isEnabled()
    choose(dock, shelf, "patches")
    assert dock.form.chosen_unit == "lesion"
    assert "no lesions of this image" in dock.advice.text()
    assert not dock.run.isEnabled()


def test_without_an_image_or_a_model_it_says_what_to_do(state, shelf, monkeypatch) -> None:
    dock = ClassifyWidget(state.viewer)
    assert "Open one in the Load panel" in dock.advice.text()
    assert not dock.run.isEnabled()
    monkeypatch.setenv(registry.MODELS_FOLDER_VARIABLE, str(shelf / "empty"))
    empty = ClassifyWidget(state.viewer)
    assert "Press Add beside the list" in empty.advice.text()


def test_the_axis_of_the_curve_counts_slices(qtbot, dock, shelf) -> None:
    choose(dock, shelf, "slices")
    classified(qtbot, dock)
    axis = dock.classes.plot.plot.getAxis("bottom")
    assert axis.autoSIPrefixScale == axis.scale == 1.0


def test_a_run_is_cancelled_and_can_be_started_again(qtbot, dock, shelf, monkeypatch) -> None:
    choose(dock, shelf, "slices")
    entered = threading.Event()
    with monkeypatch.context() as patch:
        slow(patch, entered)
        dock.start()
        qtbot.waitUntil(entered.is_set, timeout=PATIENCE_MS)
        assert not dock.run.isEnabled()
        dock.start()
        assert "is still running" in dock.board.texts[-1]
        dock.progress.cancel_button.click()
        finish(qtbot, dock)
    assert dock.board.texts[-1] == "Cancelled; nothing was changed."
    assert dock.classes.classification is None
    classified(qtbot, dock)


def test_a_failure_mid_way_is_told_and_can_be_tried_again(qtbot, dock, shelf, monkeypatch) -> None:
    choose(dock, shelf, "slices")

    def fail(*_, **__) -> None:
        raise ValueError("the kernel died")

    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "probabilities", fail)
        dock.start()
        finish(qtbot, dock)
    assert "the kernel died" in dock.board.texts[-1]
    press(dock, "Try again")
    finish(qtbot, dock)
    assert dock.classes.classification is not None


def test_closing_the_image_stops_its_run(qtbot, dock, shelf, state, monkeypatch) -> None:
    choose(dock, shelf, "slices")
    entered = threading.Event()
    slow(monkeypatch, entered)
    dock.start()
    qtbot.waitUntil(entered.is_set, timeout=PATIENCE_MS)
    state.viewer.layers.clear()
    finish(qtbot, dock)
    assert "FLAIR was closed" in dock.board.texts[-1]


def test_a_finding_needs_the_users_yes(qtbot, state, shelf, flair) -> None:
    dock = ClassifyWidget(state.viewer)
    finding = Finding("gaps", Severity.BLOCKING, "three slices are missing")
    state.add_volumes([replace(flair, findings=(finding,))])
    choose(dock, shelf, "whole")
    dock.start()
    finish(qtbot, dock)
    assert dock.classes.classification is None
    press(dock, "I have looked: go on")
    finish(qtbot, dock)
    assert dock.classes.classification.parameters["accepted_findings"] == ["gaps"]
