"""The dock *Evaluate*: measured, compared, opened, saved, cancelled, and what goes wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt

from napari_medcnn.core.events import CaseUpdate, Event, JobControl, Progress, run_to_end
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.job_process import in_own_process
from napari_medcnn.core.segmentation import Label
from napari_medcnn.core.volume import Severity, Volume
from napari_medcnn.gui import evaluate_jobs
from napari_medcnn.gui.evaluate_cases_model import EvaluatedCasesModel
from napari_medcnn.gui.evaluate_layers import OVERLAY
from napari_medcnn.gui.evaluate_operating import OperatingPanel
from napari_medcnn.gui.evaluate_text import CaseRows
from napari_medcnn.gui.evaluate_widget import EvaluateWidget
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.models import registry
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.training.manifest import Manifest, write_manifest
from tests.app.evaluation_sets import SHAPE, cubes, step_model
from tests.classification_factory import picture_classifier
from tests.training.made_run import picture_job

PATIENCE_MS = 120_000


@pytest.fixture
def shelf(tmp_path, monkeypatch, same_process) -> Path:
    """An empty list of models, to be filled."""
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setenv(registry.MODELS_FOLDER_VARIABLE, str(folder))
    monkeypatch.setattr(registry, "SHIPPED", tmp_path / "nothing")
    return folder


@pytest.fixture
def widget(state, qtbot, shelf) -> EvaluateWidget:
    step_model(shelf)
    evaluate = EvaluateWidget(state.viewer)
    state.viewer.window.add_dock_widget(evaluate, name="Evaluate")
    evaluate.models.device.show_value("cpu")
    yield evaluate
    evaluate.runner.cancel()
    settle(qtbot, evaluate)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> tuple[Path, Manifest]:
    """A classifier's bundle in a run's folder, and its cases."""
    folder = tmp_path_factory.mktemp("pictures")
    bundle = picture_classifier(folder)
    return bundle, picture_job(folder / "data").manifest


def settle(qtbot, evaluate: EvaluateWidget) -> None:
    runners = (evaluate.runner, evaluate.opening, evaluate.saving, evaluate.data.runner)
    qtbot.waitUntil(lambda: not any(r.is_running for r in runners), timeout=PATIENCE_MS)


def load(evaluate: EvaluateWidget, qtbot, manifest: Manifest, folder: Path) -> None:
    write_manifest(manifest, folder / "data.json")
    evaluate.data.open(folder / "data.json")
    settle(qtbot, evaluate)


def measured(evaluate: EvaluateWidget, qtbot) -> None:
    evaluate.foot.start.click()
    settle(qtbot, evaluate)


def texts(evaluate: EvaluateWidget, severity: Severity) -> list[str]:
    return [n.text for n in evaluate.foot.board.notices if n.severity is severity]


def table(view) -> list[list[str]]:
    model = view.model()
    return [
        [model.index(row, column).data() for column in range(model.columnCount())]
        for row in range(model.rowCount())
    ]


def test_an_empty_dock_says_what_to_choose_and_cannot_run(widget):
    assert widget.data.hint.isVisibleTo(widget)
    assert not widget.foot.start.isEnabled()
    assert not widget.sections[2].isVisibleTo(widget)


def test_a_segmentation_is_measured_shown_and_saved(widget, qtbot, tmp_path):
    load(widget, qtbot, cubes(tmp_path / "cubes"), tmp_path)
    assert [widget.data.parts.itemText(n) for n in range(2)] == ["All: 8 cases", "Test: 4 cases"]
    assert widget.data.part == "test"  # what was kept aside is offered first
    widget.data.parts.setCurrentIndex(0)
    measured(widget, qtbot)
    assert not texts(widget, Severity.BLOCKING)
    results = widget.results
    assert "8 cases of 8 patients; patients were drawn" in results.text.text()
    figures = {row[0]: row[1:] for row in table(results.figures)}
    assert " to " in figures["Dice"][1]
    assert float(figures["FROC score"][0]) == pytest.approx(0.696, abs=1e-3)
    assert [results.plots.choice.itemText(n) for n in range(2)] == ["Dice by label", "FROC"]
    assert not results._operating_section.isVisibleTo(widget)
    dice = [float(row[1]) for row in table(results.cases)]
    assert dice == sorted(dice) and len(dice) == 8

    widget.save(tmp_path / "out")
    settle(qtbot, widget)
    written = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert written["cases"] == 8 and (tmp_path / "out" / "cases.csv").is_file()
    (tmp_path / "out" / "cases.csv").unlink()
    widget.save(tmp_path / "out")  # asks first
    assert not widget.saving.is_running and "already" in texts(widget, Severity.WARNING)[-1]
    widget.save(tmp_path / "out", replace=True)
    settle(qtbot, widget)
    assert (tmp_path / "out" / "cases.csv").is_file()

    widget.report(tmp_path / "out")
    settle(qtbot, widget)
    assert (tmp_path / "out" / "report.pdf").read_bytes().startswith(b"%PDF")
    widget.report(tmp_path / "out")
    assert "a report" in texts(widget, Severity.WARNING)[-1]


@pytest.mark.slow
def test_a_click_opens_a_case_with_its_errors_on_the_images_own_grid(widget, qtbot, tmp_path):
    load(widget, qtbot, cubes(tmp_path / "cubes", 6), tmp_path)
    measured(widget, qtbot)
    cases = widget.results.cases
    name = cases.cases.case_of(cases.model().index(0, 0))
    cases.clicked.emit(cases.model().index(0, 0))
    settle(qtbot, widget)
    layers = {layer.name.rpartition(": ")[2]: layer for layer in widget.state.viewer.layers}
    errors = [layers[kind] for kind in ("true positive", "false positive", "false negative")]
    assert all(layer.name.startswith(f"{name}: ") for layer in errors)
    # The model marks the grey block, too, and misses nothing.
    assert [int((layer.data > 0).sum()) for layer in errors][1:] == [9, 0]
    assert int((errors[0].data > 0).sum()) > 100
    assert widget.state.viewer.dims.current_step[0] == 8  # where the false alarm is
    image = next(layer for layer in widget.state.viewer.layers if layer not in errors)
    assert image.data.shape == errors[0].data.shape == SHAPE
    np.testing.assert_allclose(errors[0].extent.world, image.extent.world)
    np.testing.assert_allclose(errors[0].affine.affine_matrix, image.affine.affine_matrix)
    cases.activated.emit(cases.model().index(1, 0))
    cases.activated.emit(cases.model().index(2, 0))  # the last one counts
    settle(qtbot, widget)
    qtbot.waitUntil(lambda: not widget._wanted)
    settle(qtbot, widget)
    shown = [la.name for la in widget.state.viewer.layers if la.visible and "positive" in la.name]
    third = cases.cases.case_of(cases.model().index(2, 0))
    assert shown == [f"{third}: true positive", f"{third}: false positive"]
    assert not any(layer.name.startswith(f"{name}: true") for layer in widget.state.viewer.layers)


def test_two_models_are_compared_with_a_paired_test(widget, qtbot, tmp_path, shelf):
    step_model(shelf, "better", 0.69)
    load(widget, qtbot, cubes(tmp_path / "cubes"), tmp_path)
    widget.data.parts.setCurrentIndex(0)
    widget.models.model.choose("steps")
    widget.models.against.choose("better")
    measured(widget, qtbot)
    comparison = widget.results.comparison
    assert comparison.isVisibleTo(widget)
    row = table(comparison)[0]
    assert row[0].startswith("Dice") and float(row[2]) == 1 and row[3].startswith("0.")
    assert float(row[5]) == pytest.approx(2 / 2**8, abs=1e-4)
    widget.save(tmp_path / "out")
    settle(qtbot, widget)
    assert pd.read_csv(tmp_path / "out" / "comparison.csv")["second"][0] == 1


def test_cases_that_fail_stand_first_and_stop_nothing(widget, qtbot, tmp_path):
    data = cubes(tmp_path / "cubes")
    data.cases[1].images[0].write_bytes(b"no image")
    load(widget, qtbot, data, tmp_path)
    measured(widget, qtbot)
    assert table(widget.results.cases)[0][0] == "case_1"
    assert "1 case failed" in texts(widget, Severity.WARNING)[-1]
    assert any("case_1 failed with" in line for line in widget.foot.log.lines)
    assert "3 cases of 3 patients" in widget.results.text.text()


def test_a_cancelled_run_keeps_nothing_and_says_so(widget, qtbot, tmp_path, monkeypatch):
    load(widget, qtbot, cubes(tmp_path / "cubes"), tmp_path)
    told = evaluate_jobs._told

    def stop_after_a_case(event, *rest):
        if isinstance(event, CaseUpdate) and event.state == "done":
            widget.runner.cancel()
        yield from told(event, *rest)

    monkeypatch.setattr(evaluate_jobs, "_told", stop_after_a_case)
    widget.foot.start.click()
    assert not widget.foot.start.isVisibleTo(widget) and widget.foot.progress.isVisibleTo(widget)
    settle(qtbot, widget)
    assert "nothing of this run is kept" in texts(widget, Severity.INFO)[-1]
    assert widget.results.evaluated is None and widget.foot.start.isEnabled()


def test_a_model_that_does_not_fit_the_data_is_told_before_it_runs(widget, qtbot, tmp_path):
    data = replace(cubes(tmp_path / "cubes", 2), classes=("bright", "dark"))
    load(widget, qtbot, data, tmp_path)
    widget.data.parts.setCurrentIndex(0)
    measured(widget, qtbot)
    assert "does not know the class 'dark'" in texts(widget, Severity.BLOCKING)[-1]
    (tmp_path / "empty").mkdir()
    widget.data.open(tmp_path / "empty")
    settle(qtbot, widget)
    assert "The data cannot be used" in texts(widget, Severity.BLOCKING)[-1]


def test_a_classification_has_plots_and_an_operating_point(widget, qtbot, tmp_path, pictures):
    bundle, manifest = pictures
    load(widget, qtbot, manifest, tmp_path)
    assert "no model of classification" in texts(widget, Severity.WARNING)[-1]
    widget.models.model.choose(bundle)
    measured(widget, qtbot)
    results = widget.results
    titles = [results.plots.choice.itemText(n) for n in range(4)]
    assert titles == ["ROC", "Precision-recall", "Calibration", "Confusion matrix"]
    found = results.evaluated.run.result
    assert f"{found.calibration.ece:.3f}" in results.plots.plots[2].note

    operating = results.operating
    operating.slider.setValue(operating.slider.maximum())
    assert (operating.point.true_positives, operating.point.false_positives) == (0, 0)
    operating.slider.setValue(0)
    assert operating.point.sensitivity == 1 and operating.values["specificity"].text() == "0.000"
    x, y = results.plots.canvas._mark.getData()
    assert (x[0], y[0]) == (1, 1)  # the mark went along the ROC curve
    operating.sensitive.click()
    assert operating.point.sensitivity >= 0.9 and "flatters" in operating.note.text()
    results.subject.setCurrentIndex(2)
    assert results.plots.plot.note.startswith("middle against all others")

    cases = results.cases
    cases.sortByColumn(0, Qt.SortOrder.DescendingOrder)
    assert cases.cases.case_of(cases.model().index(0, 0)) == "9"
    cases.clicked.emit(cases.model().index(0, 0))
    settle(qtbot, widget)
    overlay = widget.state.viewer.canvas.overlays[OVERLAY]
    assert overlay.visible and overlay.text.startswith("9: said ") and "true: dark" in overlay.text
    widget.state.viewer.layers.clear()
    assert not overlay.visible


def test_a_runs_folder_brings_its_split(widget, qtbot, pictures):
    bundle, _ = pictures
    widget.data.open(bundle.parent)
    settle(qtbot, widget)
    assert [widget.data.parts.itemText(n) for n in range(3)] == [
        "All: 12 cases", "Test: 6 cases", "Validation: 3 cases"]  # fmt: skip
    assert widget.data.part == "test" and widget.data.count == 6


def test_plots_are_written_as_pictures_and_tables(widget, qtbot, tmp_path, pictures):
    bundle, manifest = pictures
    load(widget, qtbot, manifest, tmp_path)
    widget.models.model.choose(bundle)
    measured(widget, qtbot)
    plots = widget.results.plots
    for place, plot in enumerate(plots.plots):
        plots.choice.setCurrentIndex(place)
        for ending in ("png", "svg", "csv"):
            plots.export(tmp_path / "out" / f"{place}.{ending}")
        assert len(pd.read_csv(tmp_path / "out" / f"{place}.csv")) == len(plot.records) > 0
        assert (tmp_path / "out" / f"{place}.png").read_bytes().startswith(b"\x89PNG")
        assert "sensitivity" in (tmp_path / "out" / "0.svg").read_text(encoding="utf-8")
    (tmp_path / "file").write_text("")
    plots.export(tmp_path / "file" / "roc.png")
    assert "cannot be written" in texts(widget, Severity.WARNING)[-1]


def test_the_theme_recolours_the_plots(widget, qtbot, tmp_path, pictures):
    from napari.settings import get_settings

    bundle, manifest = pictures
    load(widget, qtbot, manifest, tmp_path)
    widget.models.model.choose(bundle)
    measured(widget, qtbot)
    canvas = widget.results.plots.canvas
    seen = []
    for theme in ("light", "dark"):
        get_settings().appearance.theme = theme
        seen.append(canvas.backgroundBrush().color().lightness())
        text = canvas.getAxis("left").textPen().color().lightness()
        assert abs(seen[-1] - text) > 100
    assert seen[0] > 150 > 100 > seen[1]


def test_operating_points_of_one_kind_of_cases_say_why_there_is_none(qtbot):
    panel = OperatingPanel()
    qtbot.addWidget(panel)
    panel.show_scores(np.array([True, True]), np.array([0.2, 0.7]))
    panel.specific.click()
    assert "all cases are positive" in panel.note.text()
    assert panel.values["specificity"].text() == "–"


def test_an_evaluation_and_a_case_come_from_a_process_of_their_own(tmp_path):
    request = evaluate_jobs.Request(
        (read_bundle(step_model(tmp_path)),),
        cubes(tmp_path / "cubes", 2),
        None,
        None,
        RunOptions(device="cpu", backend="torch", threads=1, keep_probability=False),
    )
    job = in_own_process(evaluate_jobs.evaluate, request)(JobControl())
    told: list[Event] = []
    found = run_to_end(job, evaluate_jobs.Evaluated, told.append)
    assert found.run.cases == 2 and set(found.run.result.froc) == {"bright"}
    cases = [e for e in told if isinstance(e, Progress) and e.stage.startswith("cases by")]
    assert [e.done for e in cases] == [0, 1, 2] and cases[1].eta_s is not None
    job = in_own_process(evaluate_jobs.open_judged, request, "case_0")(JobControl())
    case = run_to_end(job, evaluate_jobs.JudgedCase)
    assert case.focus == (8, 15, 3)


def test_a_voxel_of_the_wrong_label_is_a_false_alarm_and_a_miss():
    labels = (Label(1, "rim"), Label(2, "core"))
    truth = np.zeros((1, 1, 4), np.uint8)
    truth[0, 0] = (0, 1, 2, 2)
    said = np.zeros_like(truth)
    said[0, 0] = (0, 1, 1, 2)
    volume = Volume(truth.astype(np.float32), Geometry.from_spacing(truth.shape, (1, 1, 1)))
    found = evaluate_jobs.errors_of(said, truth, volume, labels)
    assert {name: one.array[0, 0].tolist() for name, one in found.items()} == {
        "true positive": [0, 1, 0, 2],
        "false positive": [0, 0, 1, 0],
        "false negative": [0, 0, 2, 0],
    }
    assert evaluate_jobs.focus_of(found) == (0, 0, 2)


def test_cases_sort_by_their_figures_with_empty_cells_last(qtbot):
    model = EvaluatedCasesModel()
    model.show_rows(CaseRows(("case", "dice"), ("b", "a", "c"),
                             (("b", None), ("a", 0.9), ("c", 0.2))))  # fmt: skip

    def order() -> list[str | None]:
        return [model.case_of(model.index(n, 0)) for n in range(3)]

    model.sort(1, Qt.SortOrder.AscendingOrder)
    assert order() == ["c", "a", "b"]
    model.sort(1, Qt.SortOrder.DescendingOrder)
    assert order() == ["a", "c", "b"]
    model.sort(-1)
    assert order() == ["b", "a", "c"]
