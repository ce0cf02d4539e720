"""The dock *Batch*: every state that a user sees, and no way to leave it unusable."""

from __future__ import annotations

import json

import pytest
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent

from napari_medcnn.app.case import cases_of
from napari_medcnn.core.events import CaseUpdate
from napari_medcnn.core.volume import Severity
from napari_medcnn.gui.batch_form import ROOM_FOR, CaseTable
from napari_medcnn.gui.batch_table_model import STATE, BatchTableModel
from napari_medcnn.gui.batch_widget import BatchWidget
from napari_medcnn.gui.browser_widget import BrowserWidget
from tests.app.batch_cases import three_scans
from tests.bundle_factory import make_bundle
from tests.study_tree import write_studies


@pytest.fixture
def widget(state, qtbot, tmp_path):
    batch = BatchWidget(state.viewer)
    state.viewer.window.add_dock_widget(batch, name="Batch")
    batch.form.model.choose(make_bundle(tmp_path / "model"))
    yield batch
    batch.runner.cancel()
    finish(qtbot, batch)


def finish(qtbot, batch) -> None:
    runners = (batch.runner, batch.gathering.runner, batch.opening.runner)
    qtbot.waitUntil(lambda: not any(runner.is_running for runner in runners), timeout=120000)


def ready(batch, tmp_path):
    """Three scans with one, two and three lesions, and a folder for their results."""
    scans = three_scans(tmp_path / "in")
    batch.gathering.add_files(scans)
    batch.choose_folder(tmp_path / "out")
    return scans


def states(batch) -> list[str]:
    return [batch.cases.row_of(batch.cases.index(n, 0)).update.state
            for n in range(batch.cases.rowCount())]  # fmt: skip


def notices(batch, severity: Severity) -> list[str]:
    return [notice.text for notice in batch.form.board.notices if notice.severity is severity]


def test_it_says_what_to_do_and_cannot_start_before_it_is_done(widget, tmp_path):
    assert widget.form.hint.isVisibleTo(widget) and not widget.form.start.isEnabled()
    widget.gathering.add_files(three_scans(tmp_path / "in"))
    assert not widget.form.hint.isVisibleTo(widget) and not widget.form.start.isEnabled()
    widget.choose_folder(tmp_path / "out")
    assert widget.form.start.isEnabled()


def test_a_batch_runs_and_shows_what_became_of_each_case(widget, qtbot, tmp_path):
    ready(widget, tmp_path)
    widget.start()
    assert widget.form.stop.isVisibleTo(widget) and not widget.form.start.isVisibleTo(widget)
    assert not widget.form.model.list.isEnabled()
    finish(qtbot, widget)
    assert states(widget) == ["done"] * 3
    assert [widget.cases.index(n, 2).data() for n in range(3)] == ["1", "2", "3"]
    (told,) = notices(widget, Severity.INFO)
    assert told.startswith("3 cases done, 6 lesions.")
    assert widget.form.start.isEnabled() and widget.form.model.list.isEnabled()
    record = json.loads((tmp_path / "out" / "a" / "run.json").read_text())
    assert record["parameters"]["threads"] >= 1


def test_a_double_click_opens_a_finished_case_once(widget, qtbot, tmp_path):
    ready(widget, tmp_path)
    widget.form.table.opened.emit(widget.cases.index(1, 0))
    assert notices(widget, Severity.INFO) == ["b has no result yet."]
    widget.start()
    finish(qtbot, widget)
    for _ in range(2):
        widget.form.table.doubleClicked.emit(widget.cases.index(1, 0))
        finish(qtbot, widget)
    viewer = widget.state.viewer
    assert [layer.name for layer in viewer.layers] == ["b", "b (Bright voxels)"]
    (result,) = widget.state.session.results.values()
    assert len(result.table.lesions) == 2
    assert result.segmentation.labels[0].name == "bright"


def test_one_bad_case_is_told_and_only_it_runs_again(widget, qtbot, tmp_path):
    scans = ready(widget, tmp_path)
    whole = scans[1].read_bytes()
    scans[1].write_bytes(whole[: len(whole) // 2])
    widget.start()
    finish(qtbot, widget)
    assert states(widget) == ["done", "failed", "done"]
    failed = widget.cases.index(1, STATE)
    assert failed.data(Qt.ItemDataRole.DecorationRole) is not None
    assert "truncated" in failed.data(Qt.ItemDataRole.ToolTipRole)
    (problem,) = notices(widget, Severity.BLOCKING)
    assert "1 case failed: b" in problem
    widget.form.table.opened.emit(failed)
    assert any("b.nii.gz" in text for text in notices(widget, Severity.BLOCKING)[1:])
    scans[1].write_bytes(whole)
    widget.start_failed()
    finish(qtbot, widget)
    assert states(widget) == ["skipped", "done", "skipped"]
    assert not notices(widget, Severity.BLOCKING)


def test_stopping_keeps_what_is_done_and_start_goes_on(widget, qtbot, tmp_path):
    ready(widget, tmp_path)
    widget.start()
    qtbot.waitUntil(lambda: "done" in states(widget), timeout=60000)
    widget.form.stop.click()
    assert not widget.form.stop.isEnabled()
    finish(qtbot, widget)
    assert states(widget)[0] == "done" and "waiting" in states(widget)
    assert any(text.startswith("Stopped.") for text in notices(widget, Severity.INFO))
    widget.start()
    finish(qtbot, widget)
    assert states(widget)[0] == "skipped" and "failed" not in states(widget)
    assert widget.form.stop.isEnabled()


def test_a_paused_batch_waits_and_goes_on(widget, qtbot, tmp_path):
    ready(widget, tmp_path)
    widget.start()
    widget.form.pause.click()
    assert widget.form.pause.text() == "Go on" and widget.runner.is_paused
    qtbot.wait(300)
    assert widget.runner.is_running
    widget.form.pause.click()
    finish(qtbot, widget)
    assert states(widget) == ["done"] * 3


def test_a_paused_batch_can_be_stopped(widget, qtbot, tmp_path):
    ready(widget, tmp_path)
    widget.start()
    widget.form.pause.click()
    widget.form.stop.click()
    finish(qtbot, widget)
    assert "done" not in states(widget)[1:]


def test_a_failure_of_the_whole_leaves_it_usable(widget, qtbot, tmp_path):
    ready(widget, tmp_path)
    (tmp_path / "file").touch()
    widget.choose_folder(tmp_path / "file" / "out")
    widget.start()
    finish(qtbot, widget)
    (problem,) = notices(widget, Severity.BLOCKING)
    assert "cannot be written" in problem
    assert widget.form.start.isEnabled() and states(widget) == ["waiting"] * 3


def test_a_second_batch_cannot_start_while_one_runs(widget, qtbot, tmp_path):
    ready(widget, tmp_path)
    widget.start()
    title = widget.runner.title
    widget.start()
    assert widget.runner.title == title
    widget.add_cases(cases_of([tmp_path / "d.nii.gz"]))
    assert widget.cases.rowCount() == 3
    finish(qtbot, widget)


def test_another_model_or_folder_forgets_what_was_run(widget, qtbot, tmp_path):
    ready(widget, tmp_path)
    widget.start()
    finish(qtbot, widget)
    widget.choose_folder(tmp_path / "elsewhere")
    assert states(widget) == ["waiting"] * 3


def test_cases_come_from_folders_tables_and_drops(widget, qtbot, tmp_path):
    scans = three_scans(tmp_path / "in")
    widget.gathering.add_folder(tmp_path / "in")
    finish(qtbot, widget)
    assert [case.id for case in widget.cases.cases] == ["a", "b", "c"]
    table = tmp_path / "cases.csv"
    table.write_text("case,image\nx,in/a.nii.gz\n,in/b.nii.gz\n")
    widget.gathering.add_table(table)
    (problem,) = notices(widget, Severity.BLOCKING)
    assert "Line 3" in problem or "line 3" in problem
    table.write_text("case,image\na,other.nii.gz\n")
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in (table, scans[0])])
    widget.dropEvent(
        QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton,
                   Qt.KeyboardModifier.NoModifier)
    )  # fmt: skip
    assert [case.id for case in widget.cases.cases] == ["a", "b", "c", "a_2"]
    assert notices(widget, Severity.INFO) == ["1 case was in the list already."]


def test_selected_cases_are_removed_and_without_a_selection_all(widget, tmp_path):
    ready(widget, tmp_path)
    widget.form.table.selectRow(1)
    widget.form.remove_button.click()
    assert [case.id for case in widget.cases.cases] == ["a", "c"]
    widget.form.table.clearSelection()
    widget.form.remove_button.click()
    assert widget.cases.rowCount() == 0 and widget.form.hint.isVisibleTo(widget)


def test_a_narrow_table_leaves_room_for_the_names(qtbot):
    table = CaseTable(BatchTableModel())
    qtbot.addWidget(table)
    table.resize(280, 200)
    table.show()
    qtbot.waitExposed(table)
    assert all(table.isColumnHidden(column) for column in ROOM_FOR)
    table.resize(600, 200)
    qtbot.waitUntil(lambda: not any(table.isColumnHidden(column) for column in ROOM_FOR))


def test_the_study_browser_adds_its_selection(state, qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = write_studies(tmp_path / "studies")
    browser = BrowserWidget(state.viewer)
    state.viewer.window.add_dock_widget(browser, name="Study browser")
    panel = browser.studies
    batch = BatchWidget(state.viewer)
    state.viewer.window.add_dock_widget(batch, name="Batch")
    monkeypatch.setattr(
        type(state.viewer.window), "add_plugin_dock_widget", lambda *_: (None, batch)
    )
    panel.open_folder(folder)
    qtbot.waitUntil(lambda: not panel.indexing.is_running, timeout=60000)
    assert not panel.form.batch_button.isEnabled()
    panel.form.tree.selectAll()
    panel.form.batch_button.click()
    assert len(batch.cases.cases) == len(panel.form.tree.selected_series) == 4
    assert all(case.images[0].files() for case in batch.cases.cases)
    assert not any("Doe" in case.id for case in batch.cases.cases)
    panel.lookup.close()
    qtbot.waitUntil(lambda: not panel.lookup.runner.is_running, timeout=30000)


def test_news_of_a_case_that_was_not_asked_for_changes_nothing():
    model = BatchTableModel()
    model.show(CaseUpdate("ghost", "done"))
    assert model.rowCount() == 0
