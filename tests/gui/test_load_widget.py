from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPoint, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QApplication, QLabel, QPushButton

from napari_medcnn.app.autosave import Autosave, recoverable
from napari_medcnn.app.result import new_result
from napari_medcnn.app.session import Session
from napari_medcnn.app.session_file import save_session
from napari_medcnn.core.lesion import Review, Verdict
from napari_medcnn.core.volume import Severity, Volume
from napari_medcnn.gui.analyze_widget import AnalyzeWidget
from napari_medcnn.gui.load_widget import LoadWidget
from napari_medcnn.gui.notices import WrappedLabel
from napari_medcnn.gui.viewer_state import state_of
from napari_medcnn.io.write import write_segmentation, write_volume
from tests.bundle_factory import make_bundle
from tests.gui.conftest import two_lesions


@pytest.fixture
def widget(state) -> LoadWidget:
    widget = LoadWidget(state.viewer)
    state.viewer.window.add_dock_widget(widget, name="Load")
    return widget


@pytest.fixture
def files(tmp_path, flair) -> Path:
    """A folder of two images and a segmentation of the first."""
    folder = tmp_path / "scans"
    folder.mkdir()
    write_volume(flair, folder / "flair.nii.gz")
    write_volume(replace(flair, array=flair.array * 2, name="t1"), folder / "t1.nii.gz")
    return folder


def finish(qtbot, widget: LoadWidget) -> None:
    qtbot.waitUntil(lambda: not widget.runner.is_running, timeout=30000)


def words(widget: LoadWidget) -> str:
    return " ".join(label.text() for label in widget.images.findChildren(QLabel)).replace(
        "\u200b", ""
    )


def press(parent, text: str) -> None:
    (button,) = [b for b in parent.findChildren(QPushButton) if b.text() == text]
    button.click()


def test_at_first_it_says_what_to_do(widget):
    assert "Drop a file or a folder here" in words(widget)


def test_a_file_is_opened_as_a_layer_and_described(qtbot, widget, state, files):
    widget.open_paths([files / "flair.nii.gz"])
    finish(qtbot, widget)
    (volume,) = state.session.volumes.values()
    assert volume.source.path == files / "flair.nii.gz"
    assert "32 × 40 × 24 voxels" in words(widget)
    assert "1 × 1 × 2 mm" in words(widget)


def test_of_several_images_the_user_ticks_those_to_open(qtbot, widget, state, files):
    widget.open_paths([files])
    finish(qtbot, widget)
    assert not state.session.volumes
    assert widget.found.isVisibleTo(widget)
    assert [v.name for v in widget.found.ticked] == ["flair"]
    widget.found.tick(0, False)
    assert not widget.found.load.isEnabled()
    widget.found.tick(1)
    widget.found.load.click()
    assert [v.name for v in state.session.volumes.values()] == ["t1"]
    assert not widget.found.isVisibleTo(widget)


def test_what_cannot_be_read_is_told_and_nothing_is_lost(qtbot, widget, state, files, tmp_path):
    widget.open_paths([files / "flair.nii.gz"])
    finish(qtbot, widget)
    text = tmp_path / "notes.txt"
    text.write_text("not an image")
    widget.open_paths([text])
    finish(qtbot, widget)
    (notice,) = widget.board.notices
    assert notice.severity is Severity.BLOCKING
    assert "notes.txt" in notice.text
    assert "not an image of a known format" in notice.text
    assert len(state.session.volumes) == 1
    widget.open_paths([files / "t1.nii.gz"])
    finish(qtbot, widget)
    assert widget.board.texts == (), "an old failure says nothing about what is opened now"


def test_a_path_that_is_copied_from_a_message_is_the_path(qtbot):
    path = "/data/trial-0042/site_07/subject_0113/flair.nii.gz"
    label = WrappedLabel(f"Written: {path}")
    qtbot.addWidget(label)
    label.copy()
    assert QApplication.clipboard().text() == f"Written: {path}"
    assert label.text() != label.text().replace("\u200b", ""), "it may break on the screen"


def test_one_bad_file_among_good_ones_costs_only_itself(qtbot, widget, state, files, tmp_path):
    (tmp_path / "cut.nii.gz").write_bytes((files / "t1.nii.gz").read_bytes()[:500])
    widget.open_paths([files / "flair.nii.gz", tmp_path / "cut.nii.gz"])
    finish(qtbot, widget)
    assert [v.name for v in state.session.volumes.values()] == ["flair"]
    assert "cut.nii.gz" in widget.board.texts[0]


def test_reading_is_cancelled_and_the_widget_stays_usable(qtbot, widget, state, files, monkeypatch):
    from napari_medcnn.io import read

    entered, go_on = threading.Event(), threading.Event()
    real = read.read

    def slow(path: Path) -> list[Volume]:
        entered.set()
        go_on.wait(10)
        return real(path)

    monkeypatch.setattr(read, "read", slow)
    widget.open_paths([files / "flair.nii.gz"])
    qtbot.waitUntil(entered.is_set, timeout=10000)
    widget.progress.cancel_button.click()
    go_on.set()
    finish(qtbot, widget)
    assert "cancelled" in widget.board.texts[0]
    assert not state.session.volumes
    widget.open_paths([files / "flair.nii.gz"])
    finish(qtbot, widget)
    assert len(state.session.volumes) == 1


def test_a_second_start_is_refused(qtbot, widget, files):
    widget.open_paths([files / "flair.nii.gz"])
    widget.open_paths([files / "t1.nii.gz"])
    assert "Reading flair.nii.gz is still running" in widget.board.texts[0]
    finish(qtbot, widget)


def test_files_can_be_dropped(qtbot, widget, state, files):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(files / "flair.nii.gz"))])
    event = QDropEvent(
        QPoint(5, 5),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    widget.dropEvent(event)
    finish(qtbot, widget)
    assert len(state.session.volumes) == 1


def test_a_segmentation_becomes_a_result_of_the_image_that_it_fits(
    qtbot, widget, state, files, flair
):
    write_segmentation(two_lesions(flair), flair, files / "lesions.seg.nrrd")
    widget.open_paths([files / "lesions.seg.nrrd"])
    finish(qtbot, widget)
    assert "open the image that it belongs to first" in widget.board.texts[0]
    widget.open_paths([files / "flair.nii.gz", files / "lesions.seg.nrrd"])
    finish(qtbot, widget)
    (result,) = state.session.results.values()
    assert [le.voxel_count for le in result.table.lesions] == [96, 16]
    assert [le.label_name for le in result.table.lesions] == ["lesion", "core"]


def test_of_several_images_on_one_grid_the_selected_one_gets_a_segmentation_and_it_is_said(
    qtbot, widget, state, files, flair
):
    write_segmentation(two_lesions(flair), flair, files / "lesions.seg.nrrd")
    first, second = (replace(flair, id=name, name=name) for name in ("T1", "T2"))
    state.add_volumes([first, second])
    state.viewer.layers.selection.active = state.image_layer("T1")
    widget.open_paths([files / "lesions.seg.nrrd"])
    finish(qtbot, widget)
    (result,) = state.session.results.values()
    assert result.volume_id == "T1"
    (text,) = widget.board.texts
    assert "was put on T1; it also fits T2" in text


def reviewed_session(flair: Volume) -> Session:
    session = Session()
    session.add_volume(flair)
    result = new_result(two_lesions(flair), flair, 0.0)
    session.restore_result(result)
    session.review(result.id, 1, Review(Verdict.ACCEPTED, "seen"))
    return session


def test_a_session_is_saved_and_opened_again(qtbot, widget, state, files, tmp_path):
    widget.open_paths([files / "flair.nii.gz"])
    finish(qtbot, widget)
    (volume,) = state.session.volumes.values()
    result = new_result(two_lesions(volume), volume, 0.0)
    state.add_result(result)
    state.session.review(result.id, 1, Review(Verdict.ACCEPTED, "seen"))
    widget.save_session(tmp_path / "s.medcnn")
    finish(qtbot, widget)
    assert not state.session.is_dirty
    state.session.remove_volume(volume.id)
    widget.open_paths([tmp_path / "s.medcnn"])
    finish(qtbot, widget)
    (again,) = state.session.results.values()
    assert again.table.by_id(1).review == Review(Verdict.ACCEPTED, "seen")
    assert state.labels_layer(again.id).data is again.segmentation.array


def test_a_missing_image_is_told_and_can_be_found(qtbot, widget, state, files, tmp_path):
    from napari_medcnn.io.read import read

    (volume,) = read(files / "flair.nii.gz")
    save_session(reviewed_session(volume), tmp_path / "s.medcnn")
    (tmp_path / "elsewhere").mkdir()
    moved = (files / "flair.nii.gz").rename(tmp_path / "elsewhere" / "moved.nii.gz")
    widget.open_session(tmp_path / "s.medcnn")
    finish(qtbot, widget)
    assert "was not found" in words(widget)
    (result,) = state.session.results.values()
    assert state.labels_layer(result.id) is None
    widget._start_search(volume.id, moved)
    finish(qtbot, widget)
    assert state.labels_layer(result.id).data is result.segmentation.array
    assert not state.session.missing_volumes


def crashed(flair: Volume) -> None:
    """Leave an autosave behind, as a process does that dies."""
    session = reviewed_session(flair)
    autosave = Autosave(session)
    session.review(next(iter(session.results)), 2, Review(Verdict.REJECTED))
    autosave.tick()
    autosave.wait()
    autosave._lock.release()


def test_after_a_crash_the_autosaved_session_is_offered_and_restored(
    qtbot, make_napari_viewer, flair
):
    crashed(flair)
    state = state_of(make_napari_viewer())
    widget = LoadWidget(state.viewer)
    (notice,) = widget.board.notices
    assert "An autosaved session of FLAIR: Bright voxels was found" in notice.text
    press(notice, "Restore")
    qtbot.waitUntil(lambda: bool(state.session.results), timeout=10000)
    (result,) = state.session.results.values()
    assert result.table.by_id(2).review.verdict is Verdict.REJECTED
    assert np.count_nonzero(state.labels_layer(result.id).data) == 112
    assert widget.board.texts == ()
    assert state.session.is_dirty


def test_an_autosaved_session_can_be_discarded_or_left_for_later(make_napari_viewer, flair):
    crashed(flair)
    first = state_of(make_napari_viewer())
    widget = LoadWidget(first.viewer)
    press(widget.board, "Later")
    assert widget.board.texts == ()
    assert len(recoverable()) == 1
    second = LoadWidget(state_of(make_napari_viewer()).viewer)
    press(second.board, "Discard")
    assert recoverable() == []


@pytest.mark.slow
def test_an_analysis_leaves_the_offer_of_an_autosaved_session_alone(
    qtbot, make_napari_viewer, flair, tmp_path
):
    crashed(flair)
    state = state_of(make_napari_viewer())
    state.add_volumes([flair])
    widget = AnalyzeWidget(state.viewer)
    widget.model.choose(make_bundle(tmp_path / "bright"))
    widget.start()
    assert any("An autosaved session" in text for text in widget.board.texts)
    qtbot.waitUntil(lambda: not widget.runner.is_running, timeout=60000)
    press(widget.board, "Discard")
    assert recoverable() == []


def test_unsaved_work_stays_recoverable_when_the_window_closes(make_napari_viewer, flair):
    state = state_of(make_napari_viewer())
    state.merge(reviewed_session(flair))
    state.saving.tick()
    path = state.saving._autosave.path
    state.saving.end()
    assert path.exists()


def test_saved_work_leaves_no_autosave_behind(make_napari_viewer, flair, tmp_path):
    state = state_of(make_napari_viewer())
    state.merge(reviewed_session(flair))
    state.saving.tick()
    path = state.saving._autosave.path
    save_session(state.session, tmp_path / "s.medcnn")
    state.saving.end()
    assert not path.exists()


def test_a_real_folder_of_dicom_is_listed(qtbot, widget, state, shared_data):
    widget.open_paths([shared_data / "dicom" / "ct_mixed_folder_localizer"])
    finish(qtbot, widget)
    assert widget.found.list.count() > 1
    widget.found.load.click()
    (volume,) = state.session.volumes.values()
    assert volume.modality == "CT"
