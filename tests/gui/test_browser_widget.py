from __future__ import annotations

import sys
from pathlib import Path

import pytest
from qtpy.QtCore import QEvent, QMimeData, QModelIndex, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication

from napari_medcnn.app.studies.index_file import index_path
from napari_medcnn.core.volume import Severity
from napari_medcnn.gui import study_panel
from napari_medcnn.gui.browser_widget import BrowserWidget
from napari_medcnn.gui.study_form import NO_FOLDER, NO_MATCH, NOTHING_FOUND
from napari_medcnn.gui.study_tree_model import PAGE, SERIES_MIME
from napari_medcnn.gui.view_access import canvas_of
from napari_medcnn.io.write import write_volume
from tests.study_tree import JANE, JOHN, write_series, write_slice, write_studies

PAGES = 10


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch) -> Path:
    """Indexes of these tests, and of no one else."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_studies(tmp_path / "studies")


@pytest.fixture
def panel(state, qtbot):
    browser = BrowserWidget(state.viewer)
    state.viewer.window.add_dock_widget(browser, name="Study browser")
    yield browser.studies
    finish(qtbot, browser.studies)
    browser.studies.lookup.close()
    qtbot.waitUntil(lambda: not browser.studies.lookup.runner.is_running, timeout=30000)


def finish(qtbot, panel) -> None:
    qtbot.waitUntil(
        lambda: not panel.indexing.is_running and not panel.opening.runner.is_running,
        timeout=60000,
    )


def browse(qtbot, panel, folder: Path) -> None:
    panel.open_folder(folder)
    finish(qtbot, panel)


def texts(panel, index=None) -> list[str]:
    """Every row's first line, from top to bottom."""
    model, index = panel.model, index or QModelIndex()
    found = []
    for row in range(model.rowCount(index)):
        child = model.index(row, 0, index)
        found += [child.data().split("\n")[0], *texts(panel, child)]
    return found


def series_ids(panel, *titles: str) -> list[int]:
    rows = panel.form.tree.visible_series
    return [row.id for row in rows if row.description in titles]


def search(qtbot, panel, text: str) -> None:
    panel.form.filter.setText(text)
    qtbot.wait(study_panel.FILTER_MS + 100)


def test_at_first_it_says_what_to_do(panel):
    assert panel.form.hint.text().replace("\u200b", "") == NO_FOLDER
    assert not panel.form.open_button.isEnabled()


def test_a_folder_in_the_home_is_shown_from_there_on(qtbot, panel, folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.setenv("USERPROFILE", str(folder.parent))
    browse(qtbot, panel, folder)
    label = panel.form.folder_label
    assert label.text().replace("\u200b", "") == str(Path("~", folder.name))
    assert label.toolTip() == str(folder)


def test_a_folder_shows_as_a_tree_without_names(qtbot, panel, folder):
    browse(qtbot, panel, folder)
    assert texts(panel) == [
        "Patient 1 (61 y, F)",
        "2022-04-05 · Brain follow-up",
        "1 · T1 axial",
        "2021-03-04 · Brain follow-up",
        "1 · T1 axial",
        "2 · FLAIR",
        "Patient 2 (90+ y, M)",
        "2021-03-04 · Brain follow-up",
        "1 · T2 sagittal",
    ]
    model = panel.model
    study = model.index(1, 0, model.index(0, 0))
    assert model.index(0, 0, study).data().split("\n")[1:] == [
        "MR · 6 images · 16×16×6",
        "1 × 1 × 2 mm",
    ]
    assert panel.form.summary.text() == "2 patients · 3 studies · 4 series"


def test_thumbnails_and_findings_follow_for_what_is_in_view(qtbot, panel, folder):
    (folder / "a" / "t1" / "IM0002").unlink()
    browse(qtbot, panel, folder)
    reader = panel._reader
    ids = [row.id for row in panel.form.tree.visible_series]
    assert len(ids) == 4
    qtbot.waitUntil(lambda: all(reader.details(i) for i in ids), timeout=60000)
    qtbot.waitUntil(lambda: not panel.lookup.runner.is_running, timeout=30000)
    details = [reader.details(i) for i in ids]
    assert all(found.picture for found in details)
    assert sum(bool(found.findings) for found in details) == 1


def test_names_show_only_when_they_are_asked_for(qtbot, panel, folder, own_cache):
    browse(qtbot, panel, folder)
    assert not any(JANE.id in text or "Doe" in text for text in texts(panel))
    panel.form.names.setChecked(True)
    qtbot.waitUntil(lambda: "Doe, Jane" in texts(panel)[0], timeout=30000)
    assert texts(panel)[0] == "Doe, Jane · ID HOSP-4711 (61 y, F)"
    search(qtbot, panel, "roe")
    assert [text for text in texts(panel) if "ID" in text] == [
        "Roe, John · ID HOSP-0815 (90+ y, M)"
    ]
    search(qtbot, panel, "")
    panel.form.names.setChecked(False)
    assert not any(JANE.id in text or "Doe" in text for text in texts(panel))
    kept = b"".join(path.read_bytes() for path in own_cache.rglob("*") if path.is_file())
    assert JANE.id.encode() not in kept


@pytest.mark.parametrize(
    ("text", "series"),
    [("flair", ["2 · FLAIR"]), ("mr sag", ["1 · T2 sagittal"]), (JOHN.id, ["1 · T2 sagittal"]),
     ("2022-04", ["1 · T1 axial"]), (JOHN.id[:-1], [])],
)  # fmt: skip
def test_the_filter_leaves_what_matches(qtbot, panel, folder, text, series):
    browse(qtbot, panel, folder)
    search(qtbot, panel, text)
    assert [row for row in texts(panel) if row[0].isdigit() and row[1] == " "] == series
    if not series:
        assert panel.form.hint.text() == NO_MATCH


def test_a_double_click_opens_a_series_as_the_load_dock_does(qtbot, panel, state, folder):
    browse(qtbot, panel, folder)
    tree = panel.form.tree
    index = next(i for i in tree._visible() if i.data().startswith("2 · FLAIR"))
    place = tree.visualRect(index).center()
    qtbot.mouseClick(tree.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert panel.form.open_button.isEnabled()
    qtbot.mouseDClick(tree.viewport(), Qt.MouseButton.LeftButton, pos=place)
    finish(qtbot, panel)
    (volume,) = state.session.volumes.values()
    assert (volume.name, volume.geometry.shape) == ("FLAIR (2)", (6, 16, 16))
    assert volume.source.series == "1.2.3.5"
    assert [layer.name for layer in state.viewer.layers] == ["FLAIR (2)"]
    assert not any("Doe" in layer.name for layer in state.viewer.layers)


def dropped(data: QMimeData) -> QDropEvent:
    return QDropEvent(
        QPointF(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier, QEvent.Type.Drop,
    )  # fmt: skip


def drag_onto_canvas(state, data: QMimeData) -> None:
    """As Qt delivers a drag: to the widget under the mouse first, then to those around it."""
    canvas = canvas_of(state.viewer).canvas.native
    button, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    entered = QDragEnterEvent(QPoint(5, 5), Qt.DropAction.CopyAction, data, button, none)
    QApplication.sendEvent(canvas, entered)
    QApplication.sendEvent(canvas, dropped(data))


def test_a_series_dropped_on_the_canvas_is_opened(qtbot, panel, state, folder):
    browse(qtbot, panel, folder)
    tree = panel.form.tree
    index = next(i for i in tree._visible() if i.data().startswith("1 · T2"))
    data = panel.model.mimeData([index])
    drag_onto_canvas(state, data)
    finish(qtbot, panel)
    assert [volume.name for volume in state.session.volumes.values()] == ["T2 sagittal (1)"]


def test_what_other_trees_drag_is_left_alone(qtbot, panel, state, folder):
    browse(qtbot, panel, folder)
    data = QMimeData()
    data.setData(SERIES_MIME, b"another 1")
    drag_onto_canvas(state, data)
    assert not panel.opening.runner.is_running
    assert not state.session.volumes


def test_several_selected_series_open_together(qtbot, panel, state, folder):
    browse(qtbot, panel, folder)
    panel.form.tree.selectAll()
    panel.form.open_button.click()
    finish(qtbot, panel)
    assert len(state.session.volumes) == 4


def test_of_a_series_with_several_images_the_user_ticks_those_to_open(
    qtbot, panel, state, tmp_path
):
    folder = write_series(tmp_path / "scan")
    for z in range(4):
        write_slice(folder / f"SC{z}", z=z, ImageOrientationPatient=[0, 1, 0, 0, 0, -1],
                    ImagePositionPatient=[2 * z, 0, 0])  # fmt: skip
    browse(qtbot, panel, folder)
    panel.open_series([row.id for row in panel.form.tree.visible_series])
    finish(qtbot, panel)
    assert panel.form.found.isVisibleTo(panel)
    assert not state.session.volumes


def test_a_series_that_cannot_be_opened_says_why(qtbot, panel, folder):
    browse(qtbot, panel, folder)
    for path in (folder / "c").iterdir():
        path.write_bytes(path.read_bytes()[:-200])
    panel.open_series(series_ids(panel, "T2 sagittal"))
    finish(qtbot, panel)
    (notice,) = panel.form.board.notices
    assert notice.severity is Severity.BLOCKING
    assert "Opening 1 series" in notice.text
    assert JOHN.name not in notice.text


def test_it_is_usable_while_indexing_and_can_be_cancelled_and_taken_up(
    qtbot, panel, state, tmp_path
):
    folder = tmp_path / "many"
    first = write_slice(folder / "template" / "a", series="1.2")
    content = first.read_bytes()
    for number in range(2000):
        path = folder / f"{number // 50:03}" / f"{number:04}"
        path.parent.mkdir(exist_ok=True)
        # Of equal length: a series for each folder.
        path.write_bytes(content.replace(b"1.2.3", f"1.2.{number // 50 % 10}".encode()))
    panel.open_folder(folder)
    qtbot.waitUntil(lambda: panel.indexing.is_running and panel.model.rowCount() > 0, timeout=60000)
    assert panel.form.indexing_row.isVisibleTo(panel)
    panel._unfold(QModelIndex())
    ids = [row.id for row in panel.form.tree.visible_series][:1]
    panel.form.indexing_row.cancel_button.click()
    panel.open_series(ids)
    finish(qtbot, panel)
    assert "cancelled" in panel.form.board.texts[0]
    assert panel._reader.summary().files < 2001
    panel.update_index()
    finish(qtbot, panel)
    assert panel._reader.summary().files == 2001


def test_another_folder_takes_the_place_of_one_that_is_being_indexed(
    qtbot, panel, folder, tmp_path
):
    other = write_series(tmp_path / "other", JOHN, series="5.5", SeriesDescription="other")
    panel.open_folder(folder)
    panel.open_folder(other)
    qtbot.waitUntil(lambda: panel.folder == other, timeout=30000)
    finish(qtbot, panel)
    assert [text for text in texts(panel) if text[0].isdigit()][-1] == "1 · other"
    assert not panel.form.board.texts


def test_a_known_folder_shows_at_once_and_keeps_what_is_unfolded(qtbot, panel, folder):
    browse(qtbot, panel, folder)
    panel.open_folder(folder)
    assert len(texts(panel)) == 9  # before any file was looked at
    tree = panel.form.tree
    tree.collapse(panel.model.index(1, 0))
    write_slice(folder / "b" / "new", study="1.2.4", series="7.7", number=0,
                SeriesDescription="added")  # fmt: skip
    finish(qtbot, panel)
    panel.update_index()
    finish(qtbot, panel)
    assert "0 · added" in texts(panel)
    assert tree.isExpanded(panel.model.index(0, 0))
    assert not tree.isExpanded(panel.model.index(1, 0))


def test_what_has_gone_leaves_the_tree(qtbot, panel, folder):
    browse(qtbot, panel, folder)
    for path in (folder / "c").iterdir():
        path.unlink()
    panel.update_index()
    finish(qtbot, panel)
    assert len(texts(panel)) == 6


def test_files_that_cannot_be_read_are_told(qtbot, panel, folder):
    (folder / "broken.nii.gz").write_bytes(b"\x1f\x8b" + bytes(50))
    browse(qtbot, panel, folder)
    assert "1 file could not be read" in panel.form.board.texts[0]
    assert "broken.nii.gz" in panel.form.board.texts[0]


def test_a_folder_without_images_and_none_at_all_are_told(qtbot, panel, tmp_path):
    (tmp_path / "empty").mkdir()
    browse(qtbot, panel, tmp_path / "empty")
    assert panel.form.hint.text() == NOTHING_FOUND
    browse(qtbot, panel, tmp_path / "nowhere")
    assert "is no folder" in panel.form.board.texts[0]


def test_a_dropped_folder_is_browsed(qtbot, panel, folder):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(folder))])
    panel.dropEvent(dropped(data))
    finish(qtbot, panel)
    assert panel.folder == folder
    assert panel.model.rowCount() == 2


def test_a_forgotten_folder_leaves_nothing_behind(qtbot, panel, folder):
    browse(qtbot, panel, folder)
    panel.forget_folder()
    assert not index_path(folder).exists()
    assert panel.model.rowCount() == 0
    assert len(list(folder.rglob("IM*"))) == 24


@pytest.mark.slow
def test_long_lists_are_fetched_page_by_page(qtbot, panel, tmp_path, flair):
    folder = tmp_path / "many"
    folder.mkdir()
    write_volume(flair, folder / "0.nii")
    content = (folder / "0.nii").read_bytes()
    for number in range(1, PAGES * PAGE):
        (folder / f"{number}.nii").write_bytes(content[:400])
    browse(qtbot, panel, folder)
    tree, model = panel.form.tree, panel.model
    nobody = model.index(0, 0)
    tree.expand(nobody)
    study = model.index(0, 0, nobody)
    tree.expand(study)
    assert model.rowCount(study) < PAGES * PAGE
    bar = tree.verticalScrollBar()

    def is_scrolled_to_the_end() -> bool:
        bar.setValue(bar.maximum())
        return model.rowCount(study) == PAGES * PAGE

    qtbot.waitUntil(is_scrolled_to_the_end, timeout=10000)


def test_closing_while_indexing_ends_the_job(qtbot, state, folder):
    browser = BrowserWidget(state.viewer)
    dock = state.viewer.window.add_dock_widget(browser, name="Study browser")
    browser.browse(folder)
    control = browser.studies.indexing._control
    assert control is not None
    state.viewer.window.remove_dock_widget(dock)
    browser.deleteLater()
    qtbot.waitUntil(lambda: control.is_cancelled, timeout=10000)


def test_the_other_tab_is_the_pacs_or_how_to_get_it(state):
    browser = BrowserWidget(state.viewer)
    browser.tabs.setCurrentIndex(1)
    assert browser.tabs.currentWidget().layout().count() == 1
    browser.tabs.setCurrentIndex(0)
    browser.tabs.setCurrentIndex(1)
    assert browser.tabs.currentWidget().layout().count() == 1
    browser.deleteLater()


def test_without_its_libraries_the_pacs_tab_says_what_to_install(state, monkeypatch):
    monkeypatch.setitem(sys.modules, "napari_medcnn.gui.pacs_panel", None)
    browser = BrowserWidget(state.viewer)
    browser.tabs.setCurrentIndex(1)
    text = browser.tabs.currentWidget().layout().itemAt(0).widget().text()
    assert "napari-medcnn[pacs]" in text.replace("\u200b", "")
    browser.deleteLater()
