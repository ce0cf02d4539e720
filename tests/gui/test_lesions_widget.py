from __future__ import annotations

import csv
import json
import time
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton

from napari_medcnn.app.result import new_result
from napari_medcnn.core.lesion import LesionTable, Measurement, Origin, Verdict, missing
from napari_medcnn.gui.lesion_focus import LAYER_NAME
from napari_medcnn.gui.lesion_table_model import LESION_ROLE
from napari_medcnn.gui.lesion_table_view import LesionTableView
from napari_medcnn.gui.lesions_widget import LesionsWidget
from napari_medcnn.report.notice import RESEARCH_USE_NOTICE
from tests.gui.conftest import two_lesions


@pytest.fixture
def widget(state, result) -> LesionsWidget:
    widget = LesionsWidget(state.viewer)
    state.viewer.window.add_dock_widget(widget, name="Lesions")
    return widget


def cell(widget: LesionsWidget, row: int, key: str) -> str:
    view = widget.view
    return view.filter.index(row, view.model.column_index(key)).data()


def tooltip(widget: LesionsWidget, row: int, key: str) -> str:
    view = widget.view
    index = view.filter.index(row, view.model.column_index(key))
    return index.data(Qt.ItemDataRole.ToolTipRole)


def shown_ids(view: LesionTableView) -> list[int]:
    return [view.filter.index(r, 0).data(LESION_ROLE).id for r in range(view.filter.rowCount())]


def press(board, text: str) -> None:
    (button,) = [b for b in board.findChildren(QPushButton) if b.text() == text]
    button.click()


def remeasured(qtbot, state):
    return qtbot.waitSignal(state.result_changed, timeout=10000)


def test_without_a_result_it_says_what_to_do(state):
    widget = LesionsWidget(state.viewer)
    assert "run a model" in widget.empty.text()
    assert not widget.view.isVisibleTo(widget)
    assert not widget.exporting.isEnabled()


def test_without_a_result_nothing_is_offered_that_needs_one(state, flair):
    widget = LesionsWidget(state.viewer)
    for part in (widget.correct, widget.exporting):
        assert not part.isVisibleTo(widget)
    state.add_volumes([flair])
    state.add_result(new_result(two_lesions(flair), flair, 0.0))
    for part in (widget.correct, widget.exporting):
        assert part.isVisibleTo(widget)


def test_doubtful_lesions_can_be_hidden_but_still_count(widget, state, result):
    first, second = result.table.lesions
    doubtful = replace(second, mean_probability=Measurement(0.55))
    view, before = widget.view, widget.summary.text()
    view.show_table(replace(result.table, lesions=(first, doubtful)))
    view.least_probability.setValue(0.7)
    assert shown_ids(view) == [first.id]
    assert view.hidden.text() == "1 hidden by the filter; they count in the totals and in exports."
    assert widget.summary.text() == before
    view.least_probability.setValue(0.0)
    assert len(shown_ids(view)) == 2 and not view.hidden.isVisibleTo(view)


def test_in_a_narrow_dock_volume_probability_and_label_are_seen(widget, result):
    header = widget.view.table.horizontalHeader()
    seen = 300 - 2 * 9  # the dock's margins
    for key in ("id", "volume", "probability", "label"):
        section = widget.view.model.column_index(key)
        assert header.sectionPosition(section) + header.sectionSize(section) <= seen


def test_the_table_shows_figures_with_their_errors(widget, result):
    lesion = result.table.by_id(1)
    assert " ± " in cell(widget, 0, "volume")
    assert float(cell(widget, 0, "volume").split()[0]) == pytest.approx(0.192, abs=0.005)
    assert "Volume: " in tooltip(widget, 0, "id")
    assert cell(widget, 0, "label") == "lesion"
    assert cell(widget, 0, "origin") == lesion.origin.value
    assert widget.summary.text().startswith("2 lesions, 0.224 mL")
    assert "core: 1 lesion, 32.0 mm³" in widget.summary.text()


def test_a_missing_figure_is_a_dash_with_its_reason_and_never_zero(widget, state, result):
    lesion = replace(
        result.table.by_id(1),
        volume_mm3=missing("the spacing is unknown", "mm3"),
        mean=missing("the image is not open"),
    )
    view = widget.view
    view.show_table(LesionTable((lesion,), result.table.id_map, result.volume_id))
    assert cell(widget, 0, "volume") == "–"
    assert "the spacing is unknown" in tooltip(widget, 0, "volume")
    assert cell(widget, 0, "mean") == "–"


def test_research_use_is_stated(widget):
    from napari_medcnn.gui.research_notice import ResearchNotice

    assert [n.text() for n in widget.findChildren(ResearchNotice)] == [RESEARCH_USE_NOTICE]


def test_sorting_goes_by_value_and_not_by_text(widget):
    view = widget.view
    assert shown_ids(view) == [1, 2]  # the largest first
    view.table.sortByColumn(view.model.column_index("volume"), Qt.SortOrder.AscendingOrder)
    assert shown_ids(view) == [2, 1]


def test_the_filter_looks_at_number_label_note_and_verdict(widget):
    widget._write_note(1, "near the ventricle")
    widget.view.words.setText("ventricle")
    assert shown_ids(widget.view) == [1]
    widget.view.words.setText("core")
    assert shown_ids(widget.view) == [2]
    widget.view.words.setText("#1")
    assert shown_ids(widget.view) == [1]
    widget.view.words.clear()
    widget._review([2], Verdict.REJECTED)
    widget.view.verdict.setCurrentText("Rejected")
    assert shown_ids(widget.view) == [2]


def test_choosing_a_lesion_leads_every_slider_to_it_and_frames_it(qtbot, widget, state, result):
    viewer, active = state.viewer, state.viewer.layers.selection.active
    widget.view.select([2])
    anchor = result.table.by_id(2).anchor_index
    point = state.labels_layer(result.id).data_to_world(anchor)
    np.testing.assert_allclose(viewer.dims.point, point)
    frame = viewer.layers[LAYER_NAME]
    inside = np.round(frame.world_to_data(point)).astype(int)
    assert frame.data[tuple(inside)] == 1
    assert viewer.layers.selection.active is active
    widget.view.select([1])
    point = state.labels_layer(result.id).data_to_world(result.table.by_id(1).anchor_index)
    np.testing.assert_allclose(viewer.dims.point, point)
    assert sum(layer.name == LAYER_NAME for layer in viewer.layers) == 1


def test_arrow_keys_lead_on(qtbot, widget, state, result):
    widget.view.select([1])
    qtbot.keyClick(widget.view.table, Qt.Key.Key_Down)
    point = state.labels_layer(result.id).data_to_world(result.table.by_id(2).anchor_index)
    np.testing.assert_allclose(state.viewer.dims.point, point)


def test_the_camera_follows_when_zoomed_in(widget, state, result):
    camera = state.viewer.scene.camera
    camera.zoom = 100
    widget.view.select([2])
    point = state.labels_layer(result.id).data_to_world(result.table.by_id(2).anchor_index)
    np.testing.assert_allclose(camera.center[-2:], point[1:])


def test_lesions_are_accepted_rejected_and_taken_back_by_keys(qtbot, widget, result):
    table = widget.view.table
    widget.view.select([1])
    qtbot.keyClick(table, Qt.Key.Key_A)
    assert result.table.by_id(1).review.verdict is Verdict.ACCEPTED
    widget.view.select([1, 2])
    qtbot.keyClick(table, Qt.Key.Key_R)
    assert [le.review.verdict for le in result.table.lesions] == [Verdict.REJECTED] * 2
    assert [lesion.id for lesion in widget.view.selected] == [1, 2]
    qtbot.keyClick(table, Qt.Key.Key_U)
    assert [le.review.verdict for le in result.table.lesions] == [Verdict.UNREVIEWED] * 2


def test_totals_tell_what_was_accepted(widget):
    widget.view.select([1])
    widget.accept.click()
    assert "Accepted: 1 lesion, 0.192 mL" in widget.summary.text()
    assert "To review: 1" in widget.summary.text()


def test_rejected_lesions_are_in_no_sum_as_in_the_exports(widget):
    """What is on the screen is what a reader writes down."""
    widget.view.select([1])
    widget.reject.click()
    assert widget.summary.text().startswith("1 lesion, 32.0 mm³")
    assert "rejected, not counted: 1" in widget.summary.text()
    assert "0 lesions" in next(
        line for line in widget.summary.text().splitlines() if line.startswith("lesion:")
    )


def test_a_note_is_written_below_the_table_or_in_its_cell(widget, result):
    widget.view.select([1])
    widget.note.setText("old infarct?")
    widget.note.editingFinished.emit()
    assert result.table.by_id(1).review.note == "old infarct?"
    index = widget.view.filter.index(1, widget.view.model.column_index("note"))
    assert widget.view.filter.setData(index, "artefact")
    assert result.table.by_id(2).review.note == "artefact"


def test_painting_updates_table_and_origin_and_keeps_reviews(qtbot, widget, state, result):
    widget._review([1], Verdict.ACCEPTED)
    layer = state.labels_layer(result.id)
    with remeasured(qtbot, state):
        layer.data_setitem(tuple(np.array([i]) for i in (12, 12, 13)), 1)
        assert "Measuring the changes" in widget.summary.text()
    assert "0.226 mL" in widget.summary.text()
    assert cell(widget, 0, "origin") == "edited"
    assert cell(widget, 0, "verdict") == "✓"


def test_a_missed_lesion_is_added_by_a_click(qtbot, widget, state, result):
    editing = widget.editing
    editing.radius.setValue(3.0)
    editing.label.setCurrentText("core")
    editing.place.setChecked(True)
    layer = state.labels_layer(result.id)
    with remeasured(qtbot, state):
        editing._click._on_click(layer.data_to_world((12, 25, 5)))
    assert not editing.place.isChecked()
    added = result.table.by_id(3)
    assert (added.label_name, added.origin) == ("core", Origin.ADDED)
    assert added.volume_mm3.value == pytest.approx(4 / 3 * np.pi * 27, rel=0.3)
    with remeasured(qtbot, state):
        layer.undo()
    assert len(result.table.lesions) == 2


def test_a_click_outside_the_image_or_on_a_lesion_is_explained(widget, state, result):
    layer = state.labels_layer(result.id)
    revision = result.revision
    widget.editing._click._on_click(layer.data_to_world((12, 25, 500)))
    assert "inside the image" in widget.board.texts[-1]
    widget.editing.radius.setValue(0.5)
    widget.editing._click._on_click(layer.data_to_world((9, 12, 13)))
    assert "lesion here already" in widget.board.texts[-1]
    assert result.revision == revision


def test_a_click_has_no_depth_in_3d(widget, state):
    state.viewer.dims.ndisplay = 3
    widget.editing.place.setChecked(True)
    assert not widget.editing.place.isChecked()
    assert "switch to 2D" in widget.board.texts[-1]


def test_only_a_click_counts_and_not_a_drag(widget, state):
    class Mouse:
        type = "mouse_press"
        pos = (100, 100)
        position = (0.0, 0.0, 0.0)

    clicks = []
    widget.editing._click._on_click = clicks.append
    widget.editing.place.setChecked(True)
    for path in (((100, 100), (101, 100)), ((100, 100), (160, 100))):
        event = Mouse()
        steps = widget.editing._click._watch(state.viewer, event)
        next(steps)
        event.type = "mouse_move"
        for event.pos in path:
            next(steps)
        event.type = "mouse_release"
        assert next(steps, None) is None
    assert len(clicks) == 1


def test_painting_starts_with_the_brush_of_the_labels_layer(widget, state, result):
    widget.editing.label.setCurrentText("core")
    widget.editing.paint.setChecked(True)
    layer = state.labels_layer(result.id)
    assert (layer.mode, layer.selected_label) == ("paint", 2)
    assert state.viewer.layers.selection.active is layer
    widget.editing.paint.setChecked(False)
    assert layer.mode == "pan_zoom"


def test_lesions_are_deleted_in_one_step_that_can_be_undone(qtbot, widget, state, result):
    layer = state.labels_layer(result.id)
    before = layer.data.copy()
    widget.view.select([1, 2])
    with remeasured(qtbot, state):
        qtbot.keyClick(widget.view.table, Qt.Key.Key_Delete)
    assert not layer.data.any()
    assert "Ctrl+Z" in widget.board.texts[-1]
    assert "no lesion" in widget.empty.text()
    with remeasured(qtbot, state):
        layer.undo()
    np.testing.assert_array_equal(layer.data, before)
    assert len(result.table.lesions) == 2


def test_edited_voxels_are_shown_apart(qtbot, widget, state, result):
    layer = state.labels_layer(result.id)
    with remeasured(qtbot, state):
        layer.data_setitem(tuple(np.array([i]) for i in (12, 12, 13)), 1)
        layer.data_setitem(tuple(np.array([i]) for i in (8, 10, 12)), 0)
    widget.editing.show_edited.setChecked(True)
    (shown,) = [la for la in state.viewer.layers if la.name.startswith("Edited voxels")]
    assert shown.data[12, 12, 13] == 1
    assert shown.data[8, 10, 12] == 2
    assert np.count_nonzero(shown.data) == 2
    with remeasured(qtbot, state):
        layer.data_setitem(tuple(np.array([i]) for i in (12, 12, 14)), 1)
    assert shown.data[12, 12, 14] == 1
    widget.editing.show_edited.setChecked(False)
    assert shown not in state.viewer.layers


def test_a_removed_layer_can_be_brought_back_from_the_message(widget, state, result):
    state.viewer.layers.remove(state.labels_layer(result.id))
    assert "run a model" in widget.empty.text()
    press(widget.board, "Bring back")
    assert widget.result is result
    assert widget.board.texts == ()


def exported(qtbot, widget, path):
    with qtbot.waitSignal(widget.exporting.written, timeout=20000):
        widget.exporting.export_to(path)
    return path


def test_tables_are_exported_without_rejected_lesions_unless_asked(qtbot, widget, tmp_path):
    widget._review([2], Verdict.REJECTED)
    with exported(qtbot, widget, tmp_path / "a.csv").open(encoding="utf-8") as stream:
        assert len(list(csv.DictReader(stream))) == 1
    assert "a.csv" in widget.board.texts[-1]
    widget.exporting.without_rejected.setChecked(False)
    content = json.loads(exported(qtbot, widget, tmp_path / "b.json").read_text())
    assert len(content["lesions"]) == 2


@pytest.mark.parametrize("name", ["labels.nii.gz", "labels.seg.nrrd"])
def test_label_maps_are_exported_without_rejected_lesions(qtbot, widget, tmp_path, name):
    widget._review([2], Verdict.REJECTED)
    array = sitk.GetArrayFromImage(sitk.ReadImage(str(exported(qtbot, widget, tmp_path / name))))
    assert np.count_nonzero(array) == 96


def test_what_cannot_be_written_is_told_and_the_widget_stays_usable(qtbot, widget, tmp_path):
    (tmp_path / "file").write_text("")
    with qtbot.waitSignal(widget.exporting.failed, timeout=20000):
        widget.exporting.export_to(tmp_path / "file" / "a.csv")
    assert "a.csv was not written" in widget.board.texts[-1]
    assert exported(qtbot, widget, tmp_path / "a.csv").exists()


def test_the_session_is_saved(qtbot, widget, state, tmp_path):
    from napari_medcnn.app.session_file import load_session

    widget._review([1], Verdict.ACCEPTED)
    with qtbot.waitSignal(widget.exporting.written, timeout=20000):
        widget.exporting.save_session_to(tmp_path / "s.medcnn")
    assert not state.session.is_dirty
    (saved,) = load_session(tmp_path / "s.medcnn").results.values()
    assert saved.table.by_id(1).review.verdict is Verdict.ACCEPTED


def test_the_result_follows_the_selected_labels_layer(widget, state, flair, result):
    from napari_medcnn.app.result import new_result

    other = replace(result.segmentation, array=np.zeros_like(result.segmentation.array))
    state.add_result(new_result(other, flair, 0.0, name="empty"))
    assert widget.result.name == "empty"
    state.viewer.layers.selection.active = state.labels_layer(result.id)
    assert widget.result is result


def test_two_thousand_lesions_are_shown_sorted_and_filtered_quickly(qtbot, result):
    lesion = result.table.by_id(1)
    many = tuple(
        replace(lesion, id=i, volume_mm3=replace(lesion.volume_mm3, value=float(i * 37 % 2001)))
        for i in range(1, 2001)
    )
    view = LesionTableView()
    qtbot.addWidget(view)
    start = time.perf_counter()
    view.show_table(LesionTable(many, result.table.id_map, result.volume_id))
    view.table.sortByColumn(view.model.column_index("volume"), Qt.SortOrder.AscendingOrder)
    view.words.setText("#1999")
    assert shown_ids(view) == [1999]
    assert time.perf_counter() - start < 5.0
