"""The dock Follow-up: two studies of a phantom registered, compared, linked and written."""

from __future__ import annotations

import json

import numpy as np
import pytest
from qtpy.QtWidgets import QPushButton

from napari_medcnn.app.layers import placement
from napari_medcnn.core.change import ChangeClass
from napari_medcnn.core.events import Progress
from napari_medcnn.core.volume import Severity, Volume
from napari_medcnn.followup.spatial_transform import map_points
from napari_medcnn.gui.followup_results_panel import OUTDATED
from napari_medcnn.gui.followup_widget import (
    NO_LESIONS,
    REGISTER_AGAIN,
    FollowUpWidget,
)
from tests.gui import followup_phantom as phantom
from tests.gui.followup.docks import (
    PATIENCE_MS,
    finish,
    kinds,
    opened,
    press,
    select,
)


def test_without_two_images_it_says_what_to_do(state, patient) -> None:
    dock = FollowUpWidget(state.viewer)
    assert "Two images are needed" in dock.advice.text()
    assert not dock.register.isEnabled()
    state.add_volumes([patient[0][0]])
    assert "Two images are needed" in dock.advice.text()
    state.add_volumes([patient[1][0]])
    assert dock.advice.text() == ""
    assert dock.register.isEnabled()
    dock.form.after.choose(dock.form.before.layer)
    assert "both January" in dock.advice.text()
    assert not dock.register.isEnabled()


def test_the_images_of_the_session_and_their_lesions_are_chosen_at_first(dock, results) -> None:
    form = dock.form
    assert (form.before.image.currentText(), form.after.image.currentText()) == ("January", "July")
    assert (form.before.lesions.source, form.after.lesions.source) == results
    form.swap.click()
    assert (form.before.image.currentText(), form.after.image.currentText()) == ("July", "January")
    assert (form.before.lesions.source, form.after.lesions.source) == results[::-1]


def test_a_run_from_two_images_to_what_changed(qtbot, dock, results, state, patient) -> None:
    stages: list[str] = []
    dock.runner.event.connect(lambda e: isinstance(e, Progress) and stages.append(e.stage))
    dock.register.click()
    assert not dock.form.isEnabled() and not dock.register.isEnabled()
    assert dock.progress.isVisibleTo(dock)
    finish(qtbot, dock)
    assert len(set(stages)) > 1
    assert not dock.progress.isVisibleTo(dock)
    assert "Moved by" in dock.check.figures.text(), dock.board.texts
    assert dock.check.is_accepted, dock.check.figures.text()
    assert dock.compare.isEnabled()
    registration = dock.registered.registration
    centre = np.array(phantom.BEFORE["growing"][0])
    there = phantom.motion()[:3, :3] @ centre + phantom.SHIFT_MM
    assert np.linalg.norm(map_points(registration.transform, centre) - there) < 1.5
    assert not state.image_layer(patient[1][0].id).visible, "it lies on its own grid"
    dock.compare.click()
    finish(qtbot, dock)
    assert kinds(dock) == ["new", "enlarging", "resolved", "stable"], dock.board.texts
    assert "New and enlarging: 2" in dock.results.summary.text()
    assert {"January: 3 lesions", "July: 3 lesions"} <= {
        line.split(",")[0] for line in dock.results.summary.text().splitlines()
    }


@pytest.mark.slow
def test_lesions_can_be_linked_and_parted_undone_and_done_again(qtbot, compared) -> None:
    links = compared.results.links
    assert not (links.link.isEnabled() or links.part.isEnabled() or links.undo.isEnabled())
    select(compared, ChangeClass.NEW, ChangeClass.RESOLVED)
    links.link.click()
    finish(qtbot, compared)
    assert sorted(kinds(compared)) == ["enlarging", "stable", "stable"]
    (drawn,) = [c.link for c in compared.results.table.shown if c.link.by_user]
    assert (len(drawn.before), len(drawn.after)) == (1, 1)
    select(compared, ChangeClass.ENLARGING)
    links.part.click()
    finish(qtbot, compared)
    assert sorted(kinds(compared)) == ["new", "resolved", "stable", "stable"]
    links.undo.click()
    finish(qtbot, compared)
    assert sorted(kinds(compared)) == ["enlarging", "stable", "stable"]
    links.undo.click()
    finish(qtbot, compared)
    assert kinds(compared) == ["new", "enlarging", "resolved", "stable"]
    links.redo.click()
    finish(qtbot, compared)
    assert sorted(kinds(compared)) == ["enlarging", "stable", "stable"]
    compared.results.table.selectAll()
    links.leave.click()
    finish(qtbot, compared)
    assert kinds(compared) == ["new", "enlarging", "resolved", "stable"]
    assert not any(c.link.by_user for c in compared.results.table.shown)


def test_links_of_the_user_stay_when_lesions_are_compared_again(qtbot, compared, state, results):
    select(compared, ChangeClass.NEW, ChangeClass.RESOLVED)
    compared.results.links.link.click()
    finish(qtbot, compared)
    state.session.touch(results[1].id)
    assert compared.results.outdated.text() == OUTDATED
    compared.start_comparing()
    finish(qtbot, compared)
    assert compared.results.outdated.text() == ""
    assert sorted(kinds(compared)) == ["enlarging", "stable", "stable"]


def test_cancelling_a_registration_leaves_all_as_it_was(qtbot, dock, state) -> None:
    names = [layer.name for layer in state.viewer.layers]
    begun = []
    dock.runner.event.connect(lambda e: isinstance(e, Progress) and begun.append(e))
    dock.start_registering()
    qtbot.waitUntil(lambda: bool(begun), timeout=PATIENCE_MS)
    dock.progress.cancel_button.click()
    finish(qtbot, dock)
    assert dock.board.texts == ("Cancelled; nothing was changed.",)
    assert [layer.name for layer in state.viewer.layers] == names
    assert dock.register.isEnabled() and not dock.compare.isVisibleTo(dock)


def test_what_cannot_be_registered_is_told_and_can_be_tried_again(qtbot, dock, state) -> None:
    flat = Volume(np.zeros(phantom.SHAPE, np.float32), phantom.GRID, name="empty", modality="MR")
    state.add_volumes([flat])
    dock.form.after.choose(state.image_layer(flat.id))
    dock.start_registering()
    finish(qtbot, dock)
    (notice,) = dock.board.notices
    assert notice.severity is Severity.BLOCKING and "same value everywhere" in notice.text
    assert any(b.text() == "Try again" for b in notice.findChildren(QPushButton))
    assert not dock.compare.isVisibleTo(dock)


def test_closing_the_follow_up_while_it_is_registered_ends_that(qtbot, dock, state, patient):
    begun = []
    dock.runner.event.connect(lambda e: isinstance(e, Progress) and begun.append(e))
    dock.start_registering()
    qtbot.waitUntil(lambda: bool(begun), timeout=PATIENCE_MS)
    state.viewer.layers.remove(state.image_layer(patient[1][0].id))
    finish(qtbot, dock)
    assert dock.board.texts == ("July was closed, so this was stopped.",)


def test_closing_the_dock_while_it_runs_ends_the_job(qtbot, dock, state) -> None:
    begun = []
    dock.runner.event.connect(lambda e: isinstance(e, Progress) and begun.append(e))
    dock.start_registering()
    control = dock.runner._control
    qtbot.waitUntil(lambda: bool(begun), timeout=PATIENCE_MS)
    with qtbot.waitSignal(dock.destroyed, timeout=PATIENCE_MS):
        dock.deleteLater()
    assert control.is_cancelled


@pytest.mark.slow
def test_what_is_known_of_a_pair_goes_with_its_image(compared, state, patient) -> None:
    state.viewer.layers.remove(state.image_layer(patient[1][0].id))
    assert [la.name for la in state.viewer.layers] == ["January", "January: drawn"]
    assert state.viewer.layers["January: drawn"].visible, "it was hidden for the comparison only"
    assert not compared.compare.isVisibleTo(compared)
    assert not compared.results.isVisibleTo(compared)


def test_other_choices_need_another_registration(registered) -> None:
    registered.form.kind.setCurrentIndex(1)
    assert registered.comparing.text() == REGISTER_AGAIN
    assert not registered.compare.isEnabled()
    registered.form.kind.setCurrentIndex(0)
    assert registered.compare.isEnabled()
    registered.form.swap.click()
    assert registered.comparing.text() == REGISTER_AGAIN


def test_labels_that_were_drawn_are_measured_before_they_are_compared(
    qtbot, state, patient, known
) -> None:
    for volume, segmentation in patient:
        state.add_volumes([volume])
        place = placement(volume)
        state.viewer.add_labels(
            segmentation.array.copy(), name=f"marks of {volume.name}", scale=place.scale,
            translate=place.translate,
        )  # fmt: skip
    dock = opened(state)
    dock.runner.done.emit(known)
    dock.runner.finished.emit()
    assert dock.form.before.lesions.currentText() == "marks of January"
    assert dock.form.after.lesions.currentText() == "marks of July"
    dock.start_comparing()
    finish(qtbot, dock)
    assert kinds(dock) == ["new", "enlarging", "resolved", "stable"], dock.board.texts
    names = {result.name for result in state.session.results.values()}
    assert names == {"January: marks of January", "July: marks of July"}
    sources = [pick.lesions.source for pick in (dock.form.before, dock.form.after)]
    assert [source.name for source in sources] == sorted(names)
    dock.start_comparing()
    finish(qtbot, dock)
    assert len(state.session.results) == 2, "they are measured once"


def test_without_lesions_there_is_nothing_to_compare(state, patient, known) -> None:
    state.add_volumes([volume for volume, _ in patient])
    dock = opened(state)
    dock.runner.done.emit(known)
    dock.runner.finished.emit()
    assert dock.comparing.text() == NO_LESIONS
    assert not dock.compare.isEnabled()


def test_a_comparison_is_written_and_never_over_another_unasked(qtbot, compared, tmp_path) -> None:
    assert not compared.results.open_report.isEnabled()
    compared.save(tmp_path / "out")
    finish(qtbot, compared)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"transform.tfm", "matches.csv", "change.json", "report.html", "report.pdf"}
    change = json.loads((tmp_path / "out" / "change.json").read_text(encoding="utf-8"))
    assert change["counts"]["new"] == change["counts"]["enlarging"] == 1
    assert change["after"]["day"] == 181
    assert compared.results.open_report.isEnabled()
    (tmp_path / "out" / "change.json").write_text("{}", encoding="utf-8")
    compared.save(tmp_path / "out")
    finish(qtbot, compared)
    assert (tmp_path / "out" / "change.json").read_text(encoding="utf-8") == "{}"
    press(compared, "Replace it")
    finish(qtbot, compared)
    assert len((tmp_path / "out" / "change.json").read_text(encoding="utf-8")) > 1000


def test_a_folder_that_cannot_be_written_to_is_told(qtbot, compared, tmp_path) -> None:
    (tmp_path / "taken").write_text("", encoding="utf-8")
    compared.save(tmp_path / "taken")
    finish(qtbot, compared)
    assert "The follow-up was not written" in compared.board.texts[-1]
    assert compared.results.save.isEnabled()
