"""The dock Follow-up: two images looked at together, in one layer and side by side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import QPointF

from napari_medcnn.core.change import ChangeClass
from napari_medcnn.gui.followup_jobs import CLASS_VALUES
from napari_medcnn.gui.followup_layers import Look
from napari_medcnn.gui.followup_results_panel import place_of
from napari_medcnn.gui.followup_widget import (
    UNACCEPTED,
)
from napari_medcnn.gui.view_planes import Plane
from tests.gui.followup.docks import (
    press,
    side_by_side,
)


def test_every_lesion_is_shown_in_the_colour_of_its_class(compared, results) -> None:
    before, after = compared.layers.before[1], compared.layers.after[1]
    assert before.contour == 1
    own = {c.kind: c for c in compared.results.table.shown}
    gone = before.data[results[0].table.id_map == own["resolved"].link.before[0].lesion_id]
    assert (gone == CLASS_VALUES[ChangeClass.RESOLVED]).all()
    fresh = compared.results.compared.found.after_ids == own["new"].link.after[0].lesion_id
    assert (after.data[fresh] == CLASS_VALUES[ChangeClass.NEW]).all()
    colours = {row.change.kind: row.colour for row in compared.results.compared.rows}
    shown = after.colormap.map(CLASS_VALUES[ChangeClass.NEW])
    wanted = tuple(int(colours["new"][n : n + 2], 16) / 255 for n in (1, 3, 5))
    np.testing.assert_allclose(np.ravel(shown)[:3], wanted, atol=0.01)
    assert not any(compared.state.labels_layer(r.id).visible for r in results)


def test_a_click_leads_the_viewer_and_both_panes_to_a_lesion(compared, state, patient) -> None:
    for change in compared.results.table.shown:
        compared.results.table.lesion_chosen.emit(change)
        place = place_of(compared.results.compared.found, change)
        world = state.image_layer(patient[0][0].id).data_to_world(place)
        np.testing.assert_allclose(state.viewer.dims.point, world, atol=0.01)
        assert change.reason in compared.results.reason.text().replace("\u200b", "")


def test_an_implausible_registration_is_used_only_when_the_user_says_so(dock, known) -> None:
    quality = replace(
        known.registration.quality, plausible=False, warnings=("the masks agree poorly",)
    )
    wrong = replace(known, registration=replace(known.registration, quality=quality))
    dock.runner.done.emit(wrong)
    dock.runner.finished.emit()
    assert not dock.compare.isEnabled()
    assert dock.comparing.text() == UNACCEPTED
    press(dock, "I have looked: use it")
    assert dock.compare.isEnabled() and dock.comparing.text() == ""
    dock.runner.done.emit(wrong)
    dock.runner.finished.emit()
    assert not dock.compare.isEnabled(), "each registration is to be looked at"


def test_looks_show_both_images_in_one(registered, state, known) -> None:
    aligned = registered.layers.after[0]
    assert not aligned.visible
    np.testing.assert_array_equal(aligned.data, known.aligned.array)
    mixed = state.viewer.layers["July on January: look"]
    assert mixed.visible
    board = mixed.data
    corner, neighbour = board[0, 0, 0], board[0, 0, 10]
    assert corner == pytest.approx(known.checkerboard[0, 0, 0])
    assert neighbour == pytest.approx(known.checkerboard[0, 0, 10])
    registered.check.look.setCurrentText("Swipe")
    registered.check.swipe.setValue(50)
    assert mixed.data.shape == (28, 36, 24)
    start = state.viewer.layers["January"].data_to_world((0, 0, 8))
    np.testing.assert_allclose(mixed.data_to_world((0, 0, 0)), start)
    state.viewer.dims.order = (0, 2, 1)
    assert mixed.data.shape == (28, 27, 32), "along the width of the picture"
    registered.check.look.setCurrentText("Follow-up")
    assert aligned.visible and not mixed.visible
    registered.check.look.setCurrentText("Baseline")
    assert not aligned.visible and not mixed.visible


def test_a_look_at_a_layer_that_the_user_removed_does_nothing(registered, state) -> None:
    state.viewer.layers.remove("July on January: look")
    registered.check.look.setCurrentText("Swipe")
    state.viewer.layers.remove("July on January")
    registered.check.look.setCurrentText("Follow-up")
    assert registered.layers.after == ()
    assert "Register a follow-up" not in side_by_side(registered).about.text()
    side_by_side(registered).refresh()
    assert "Register a follow-up" in side_by_side(registered).about.text()


def test_both_panes_point_scroll_and_zoom_together(compared, state) -> None:
    panes = side_by_side(compared)
    panes.show()
    before, after = panes.before, panes.after
    before.pointed.emit({1: 12.0, 2: -9.0})
    np.testing.assert_allclose(state.viewer.dims.point[1:], (12.0, -9.0), atol=2.1)
    after.resize(before.size())
    before._zoom_at(QPointF(60, 60), 3.0)
    assert after.framing().scale == pytest.approx(before.framing().scale)
    assert after.framing().centre == before.framing().centre
    after.fit()
    assert before.framing().scale == pytest.approx(after.framing().scale)
    panes.plane.setCurrentIndex(1)
    assert (before.plane, after.plane) == (Plane.CORONAL, Plane.CORONAL)
    assert [layer.name for layer in before._layers()] == ["January", "January: change"]
    assert [layer.name for layer in after._layers()] == ["July on January", "July: change"]
    assert not state.viewer.layers["July on January"].visible, "the panes show it all the same"


def test_the_panes_open_once(compared, state) -> None:
    first = side_by_side(compared)
    compared.check.panes.click()
    assert side_by_side(compared) is first


def test_looks_have_names_for_all_of_them(registered) -> None:
    box = registered.check.look
    assert {box.itemData(n) for n in range(box.count())} == set(Look)
