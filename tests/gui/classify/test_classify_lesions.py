"""The dock Classify: lesions with their scores, and an operating point."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from napari_medcnn.app.layers import placement
from napari_medcnn.app.result import scored_anew
from napari_medcnn.app.session_file import load_session, save_session
from napari_medcnn.core.classification import Classification
from napari_medcnn.core.lesion import Verdict
from napari_medcnn.core.scored import NOT_CALIBRATED
from napari_medcnn.gui.classify_widget import ClassifyWidget
from napari_medcnn.gui.lesions_widget import LesionsWidget
from tests.gui.classify.docks import (
    PATIENCE_MS,
    by_the_engine,
    choose,
    classified,
    texts,
)

pytestmark = pytest.mark.usefixtures("same_process")


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
