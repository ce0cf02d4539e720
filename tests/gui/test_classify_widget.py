"""The dock Classify: classes of slices, lesions and whole images, and maps of what spoke for them.

The networks have random weights: what they say is compared with the engine's own answer.
"""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from qtpy.QtWidgets import QPushButton

from napari_medcnn.app.layers import placement
from napari_medcnn.app.result import Result, new_result, scored_anew
from napari_medcnn.app.session_file import load_session, save_session
from napari_medcnn.core.classification import Classification
from napari_medcnn.core.events import Job, run_to_end
from napari_medcnn.core.lesion import Verdict
from napari_medcnn.core.scored import NOT_CALIBRATED
from napari_medcnn.core.volume import Finding, Severity
from napari_medcnn.gui.classify_widget import ClassifyWidget
from napari_medcnn.gui.lesions_widget import LesionsWidget
from napari_medcnn.inference.classifier import Classifier
from napari_medcnn.inference.classify import classify
from napari_medcnn.inference.explain_options import CHECK_SEEDS
from napari_medcnn.models import registry
from tests.bundle_factory import make_bundle
from tests.classification_factory import picture_classifier, volume_classifier
from tests.gui.conftest import two_lesions

PATCH = {"size": [8, 10, 6], "spacing_mm": [2.0, 1.0, 1.0]}
PATIENCE_MS = 120000

pytestmark = pytest.mark.usefixtures("same_process")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Path]:
    """A classifier of slices, one of volumes that also knows patches, and one that segments."""
    folder = tmp_path_factory.mktemp("bundles")
    return {
        "slices": picture_classifier(folder / "flat"),
        "whole": volume_classifier(folder / "deep"),
        "patches": volume_classifier(folder / "small", lambda about: about.update(patch=PATCH)),
        "bright": make_bundle(folder / "bright"),
    }


@pytest.fixture
def shelf(tmp_path, monkeypatch, made) -> Path:
    """The user's models: those of `made`, under their names."""
    folder = tmp_path / "models"
    folder.mkdir()
    for name, bundle in made.items():
        (folder / name).symlink_to(bundle, target_is_directory=True)
    monkeypatch.setenv(registry.MODELS_FOLDER_VARIABLE, str(folder))
    monkeypatch.setattr(registry, "SHIPPED", tmp_path / "nothing")
    return folder


@pytest.fixture
def dock(state, shelf, flair) -> ClassifyWidget:
    dock = ClassifyWidget(state.viewer)
    state.viewer.window.add_dock_widget(dock, name="Classify")
    state.add_volumes([replace(flair, array=flair.array * 200)])
    return dock


@pytest.fixture
def two(state, flair) -> Result:
    """Two lesions in an image of the range that the classifiers know."""
    volume = replace(flair, array=flair.array * 200)
    state.add_volumes([volume])
    result = new_result(two_lesions(volume), volume, 0.0)
    state.add_result(result)
    return result


def choose(dock: ClassifyWidget, shelf: Path, name: str) -> None:
    dock.model.choose(shelf / name)
    assert dock.model.spec is not None and dock.model.spec.path.name == name


def finish(qtbot, dock: ClassifyWidget) -> None:
    qtbot.waitUntil(lambda: not dock.runner.is_running, timeout=PATIENCE_MS)


def classified(qtbot, dock: ClassifyWidget) -> Classification:
    dock.start()
    finish(qtbot, dock)
    found = dock.classes.classification
    assert found is not None, dock.board.texts
    return found


def by_the_engine(dock: ClassifyWidget, **how) -> Classification:
    (volume,) = dock.image.preview()
    return run_to_end(classify(volume, dock.model.spec, **how), Classification)


def press(dock: ClassifyWidget, text: str) -> None:
    buttons = [b for n in dock.board.notices for b in n.findChildren(QPushButton)]
    (button,) = [b for b in buttons if b.text() == text]
    button.click()


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


def test_lesions_get_a_column_and_an_operating_point(qtbot, state, shelf, two) -> None:
    dock, lesions = ClassifyWidget(state.viewer), LesionsWidget(state.viewer)
    assert not lesions.scores.isVisibleTo(lesions)
    choose(dock, shelf, "patches")
    found = classified(qtbot, dock)
    expected = by_the_engine(dock, unit="lesion", lesions=two.table)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-6)
    scores = dict(zip(found.numbers.tolist(), found.of_class("dark").tolist(), strict=True))
    row = lesions.scores
    assert row.isVisibleTo(lesions)
    row.class_name.setCurrentText("dark")
    row.class_name.activated.emit(row.class_name.currentIndex())
    low, high = sorted(scores, key=lambda number: scores[number])
    assert scores[low] < scores[high]
    row.threshold.setValue((scores[low] + scores[high]) / 2)
    assert texts(lesions) == {low: f"○ {scores[low]:.3f}", high: f"● {scores[high]:.3f}"}
    assert row.count.text().startswith("1 of 2 lesions at the operating point or above.")
    row.hide_below.setChecked(True)
    assert set(texts(lesions)) == {high}
    assert "1 hidden by the filter" in lesions.view.hidden.text()
    assert len(two.table.lesions) == 2, "nothing is deleted"
    row.reject.click()
    verdicts = {lesion.id: lesion.review.verdict for lesion in two.table.lesions}
    assert verdicts == {low: Verdict.REJECTED, high: Verdict.UNREVIEWED}
    assert not row.reject.isEnabled()


def test_scores_are_exported_and_come_back_with_the_session(
    qtbot, state, shelf, two, tmp_path
) -> None:
    dock, lesions = ClassifyWidget(state.viewer), LesionsWidget(state.viewer)
    choose(dock, shelf, "patches")
    found = classified(qtbot, dock)
    lesions.scores.threshold.setValue(0.25)
    lesions.exporting.export_to(tmp_path / "lesions.csv")
    qtbot.waitUntil(lambda: not lesions.exporting.runner.is_running, timeout=PATIENCE_MS)
    frame = pd.read_csv(tmp_path / "lesions.csv")
    wanted = found.of_class(two.scored.class_name)
    np.testing.assert_allclose(frame["score"], wanted, rtol=1e-5)
    assert frame["operating_point"].tolist() == [0.25, 0.25]
    assert frame["score_note"].tolist() == [NOT_CALIBRATED] * 2
    save_session(state.session, tmp_path / "case.medcnn")
    state.viewer.layers.clear()
    assert not lesions.scores.isVisibleTo(lesions)
    state.merge(load_session(tmp_path / "case.medcnn"))
    lesions.show_result(next(iter(state.session.results)))
    assert lesions.scores.isVisibleTo(lesions)
    assert lesions.scores.threshold.value() == 0.25
    marks = texts(lesions)
    assert [marks[n].split()[1] for n in (1, 2)] == [f"{p:.3f}" for p in wanted]


def test_a_lesion_that_is_chosen_is_gone_to(qtbot, state, shelf, two) -> None:
    dock = ClassifyWidget(state.viewer)
    choose(dock, shelf, "patches")
    classified(qtbot, dock)
    for row, lesion in enumerate(two.table.lesions):
        dock.classes.table.selectRow(row)
        world = state.labels_layer(two.id).data_to_world(lesion.anchor_index)
        np.testing.assert_allclose(state.viewer.dims.point, world)


def test_the_axis_of_the_curve_counts_slices(qtbot, dock, shelf) -> None:
    choose(dock, shelf, "slices")
    classified(qtbot, dock)
    axis = dock.classes.plot.plot.getAxis("bottom")
    assert axis.autoSIPrefixScale == axis.scale == 1.0


def test_the_class_that_is_called_like_a_label_is_looked_at_first(state, result) -> None:
    from napari_medcnn.core.classification import Item

    lesions = result.table.lesions
    found = Classification(
        unit="lesion",
        classes=("Lesion", "other"),
        items=tuple(Item(lesion.id, None) for lesion in lesions),
        probabilities=np.full((len(lesions), 2), 0.5, np.float32),
        model=result.segmentation.model,
        volume_id=result.volume_id,
        geometry=result.segmentation.geometry,
    )
    assert scored_anew(result, found, result.revision).class_name == "Lesion"
    other = replace(found, classes=("no", "yes"))
    assert scored_anew(result, other, result.revision).class_name == "yes"
    moved = replace(scored_anew(result, other, 0), class_name="no", threshold=0.3)
    state.session.score(result.id, moved)
    again = scored_anew(result, other, 1)
    assert (again.class_name, again.threshold, again.revision) == ("no", 0.3, 1)


def test_an_edit_after_the_run_is_told(qtbot, state, shelf, result) -> None:
    dock, lesions = ClassifyWidget(state.viewer), LesionsWidget(state.viewer)
    choose(dock, shelf, "patches")
    classified(qtbot, dock)
    state.labels_layer(result.id).data[2, 2:5, 2:5] = 1
    state.session.touch(result.id)
    state.session.recompute(result.id)
    assert "classify them again" in lesions.scores.count.text()
    assert "–" in texts(lesions).values(), "the new lesion was not classified"


def test_lesions_of_a_drawn_layer_are_measured_and_then_classified(qtbot, dock, shelf, state):
    choose(dock, shelf, "patches")
    drawn = np.zeros((24, 40, 32), np.uint8)
    drawn[8:12, 10:16, 12:16] = 1
    (volume,) = state.session.volumes.values()
    place = placement(volume)
    state.viewer.add_labels(drawn, name="mine", scale=place.scale, translate=place.translate)
    assert dock.form.lesions.currentText() == "mine"
    found = classified(qtbot, dock)
    assert [item.number for item in found.items] == [1]
    (result,) = state.session.results.values()
    assert result.scored is not None
    assert "1 lesion of FLAIR: mine scored." in dock.board.texts


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


def test_a_segmentation_is_explained_as_a_layer_with_its_check(qtbot, dock, shelf, state) -> None:
    choose(dock, shelf, "bright")
    assert "marks lesions" in dock.advice.text()
    assert not dock.run.isVisibleTo(dock)
    panel = dock.explaining
    panel.check.setChecked(True)
    panel.explain.click()
    finish(qtbot, dock)
    (layer,) = [la for la in state.viewer.layers if "gradcam of bright" in la.name]
    image = state.viewer.layers[0]
    np.testing.assert_array_equal(layer.scale, image.scale)
    np.testing.assert_array_equal(layer.translate, image.translate)
    assert layer.data.shape == image.data.shape
    assert "where the model sees bright" in panel.words.text()
    assert "fresh weights:" in panel.words.text().lower()
    checked = layer.metadata["medcnn"]["explanation"]["sanity_check"]
    assert [trial["seed"] for trial in checked["trials"]] == list(CHECK_SEEDS)
    state.viewer.layers.remove(image)
    assert not [la for la in state.viewer.layers if "gradcam" in la.name]


def test_the_slice_that_is_shown_is_explained(qtbot, dock, shelf, state) -> None:
    choose(dock, shelf, "slices")
    (volume,) = state.session.volumes.values()
    world = state.image_layer(volume.id).data_to_world((9, 0, 0))
    state.viewer.dims.set_point(0, world[0])
    panel = dock.explaining
    panel.method.setCurrentIndex(panel.method.findData("occlusion"))
    panel.target.setCurrentText("dark")
    assert not panel.layer.isVisibleTo(panel)
    panel.explain.click()
    finish(qtbot, dock)
    (layer,) = [la for la in state.viewer.layers if "occlusion of dark" in la.name]
    filled = np.flatnonzero(np.abs(layer.data).sum((1, 2)))
    assert filled.tolist() == [9]
    assert layer.contrast_limits[0] == -layer.contrast_limits[1]
    assert "slice 9 along z" in panel.words.text()
    assert "Not checked against fresh weights." in panel.words.text()


def test_layers_are_listed_and_one_of_them_is_looked_into(qtbot, dock, shelf, state) -> None:
    choose(dock, shelf, "whole")
    panel = dock.explaining
    assert panel.layer.count() == 1
    panel.list_layers.click()
    finish(qtbot, dock)
    names = [panel.layer.itemData(n) for n in range(1, panel.layer.count())]
    assert len(names) > 1
    panel.layer.setCurrentIndex(1)
    panel.explain.click()
    finish(qtbot, dock)
    assert f"layer {names[0]}:" in panel.words.text(), dock.board.texts
    choose(dock, shelf, "slices")
    assert panel.layer.count() == 1, "layers are those of the model before"


def test_the_chosen_lesion_is_explained_on_its_patch(qtbot, state, shelf, two) -> None:
    dock = ClassifyWidget(state.viewer)
    choose(dock, shelf, "patches")
    panel = dock.explaining
    assert [panel.lesion.itemData(n) for n in range(panel.lesion.count())] == [1, 2]
    classified(qtbot, dock)
    dock.classes.table.selectRow(1)
    assert panel.lesion.currentData() == 2, "the row of the table chooses"
    state.viewer.dims.set_point(0, 0)
    panel.method.setCurrentIndex(panel.method.findData("occlusion"))
    panel.target.setCurrentText("dark")
    panel.explain.click()
    finish(qtbot, dock)
    (layer,) = [la for la in state.viewer.layers if la.name.endswith("dark, lesion 2")]
    image = state.image_layer(two.volume_id)
    assert layer.data.shape == image.data.shape
    np.testing.assert_array_equal(layer.translate, image.translate)
    lesion = two.table.by_id(2)
    filled = np.argwhere(layer.data)
    reach = np.array(PATCH["size"]) / 2 + 1
    assert (np.abs(filled - lesion.centroid_index) <= reach).all()
    assert len(filled) > 1
    assert "lesion 2. Shown as" in panel.words.text()
    world = state.labels_layer(two.id).data_to_world(lesion.anchor_index)
    np.testing.assert_allclose(state.viewer.dims.point, world)


def test_without_lesions_a_model_of_patches_explains_nothing(dock, shelf) -> None:
    choose(dock, shelf, "patches")
    dock.explain()
    assert "There is no lesion to explain" in dock.board.texts[-1]
    choose(dock, shelf, "whole")
    assert not dock.explaining.lesion.isVisibleTo(dock.explaining)


def test_a_lesion_that_an_edit_removed_is_no_longer_offered(state, shelf, result) -> None:
    dock = ClassifyWidget(state.viewer)
    choose(dock, shelf, "patches")
    assert dock.explaining.lesion.count() == 2
    state.labels_layer(result.id).data[16:18, 30:34, 20:22] = 0
    state.session.touch(result.id)
    state.session.recompute(result.id)
    assert dock.explaining.lesion.count() == 1


def texts(lesions: LesionsWidget) -> dict[int, str]:
    """What the column of scores shows, by the lesion's id."""
    view = lesions.view
    column = view.model.column_index("score")
    rows = range(view.filter.rowCount())
    number = view.model.column_index("id")
    return {
        int(view.filter.index(row, number).data()): view.filter.index(row, column).data()
        for row in rows
    }


def slow(monkeypatch, entered: threading.Event) -> None:
    """The real engine, but its network never ends by itself."""

    def logits(self, images, control) -> Job:
        entered.set()
        while True:
            control.checkpoint()
            control._cancelled.wait(0.01)
            yield from ()

    monkeypatch.setattr(Classifier, "logits", logits)
