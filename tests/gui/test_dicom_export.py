from __future__ import annotations

import numpy as np
import pydicom
import pytest

from napari_medcnn.app.session_file import load_session, save_session
from napari_medcnn.core.events import JobControl
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.gui.lesion_export_panel import DICOM_FORMATS, LesionExportPanel
from napari_medcnn.gui.reading import read_paths
from napari_medcnn.io.dicom_objects.export import DicomResult, write_dicom
from tests.io.dicom_objects.dicom_cases import series, two_boxes

GRID = Geometry.from_spacing((6, 24, 20), (3.0, 0.7, 0.5), (-20.0, 15.0, 40.0))


@pytest.fixture
def scan(tmp_path):
    return series(tmp_path / "in", GRID)


@pytest.fixture
def panel(qtbot, state):
    panel = LesionExportPanel(state)
    qtbot.addWidget(panel)
    return panel


def exported(qtbot, panel, path):
    with qtbot.waitSignal(panel.written, timeout=30000):
        panel.export_to(path)
    return path


def tracking_uids(path):
    return [item.TrackingUID for item in pydicom.dcmread(path).SegmentSequence]


def test_dicom_formats_are_offered_only_for_images_from_dicom(panel, state, result, scan):
    panel.show_result(result)
    assert set(panel.dicom_actions) == set(DICOM_FORMATS)
    for action in panel.dicom_actions.values():
        assert not action.isEnabled()
        assert "did not come from DICOM" in action.toolTip()
    state.session.add_volume(scan)
    own = state.session.add_segmentation(two_boxes(scan), min_volume_mm3=0)
    panel.show_result(own)
    for action in panel.dicom_actions.values():
        assert action.isEnabled()
        assert "DICOM files" not in action.toolTip()


def test_tracking_uids_outlive_edits_saving_and_loading(qtbot, panel, state, scan, tmp_path):
    session = state.session
    session.add_volume(scan)
    result = session.add_segmentation(two_boxes(scan), min_volume_mm3=0)
    panel.show_result(result)
    exported(qtbot, panel, tmp_path / "a.sr.dcm")
    first = tracking_uids(tmp_path / "a.lesions.seg.dcm")
    result.segmentation.array[1, 2, 2] = 0
    result.segmentation.array[result.table.id_map == result.table.lesions[-1].id] = 0
    session.touch(result.id)
    exported(qtbot, panel, tmp_path / "b.sr.dcm")
    assert tracking_uids(tmp_path / "b.lesions.seg.dcm") == first[:-1]
    save_session(session, tmp_path / "s.medcnn")
    again = load_session(tmp_path / "s.medcnn")
    (reopened,) = again.results.values()
    reloaded = DicomResult(
        reopened.segmentation,
        again.volume(reopened.volume_id),
        again.recompute(reopened.id),
        identity=reopened.id,
    )
    write_dicom(reloaded, tmp_path / "c.sr.dcm")
    assert tracking_uids(tmp_path / "c.lesions.seg.dcm") == first[:-1]


def test_one_segment_a_lesion_is_a_choice(qtbot, panel, state, scan, tmp_path):
    state.session.add_volume(scan)
    result = state.session.add_segmentation(two_boxes(scan), min_volume_mm3=0)
    panel.show_result(result)
    by_label = pydicom.dcmread(exported(qtbot, panel, tmp_path / "a.seg.dcm"))
    panel.per_lesion.setChecked(True)
    by_lesion = pydicom.dcmread(exported(qtbot, panel, tmp_path / "b.seg.dcm"))
    assert len(by_label.SegmentSequence) == 2
    assert len(by_lesion.SegmentSequence) == len(result.table.lesions) == 3


@pytest.mark.parametrize("suffix", [".seg.dcm", ".labelmap.dcm", ".rtstruct.dcm"])
def test_load_puts_objects_on_the_image_that_they_name(scan, tmp_path, suffix):
    twin = series(tmp_path / "twin", GRID)
    path = tmp_path / f"a{suffix}"
    write_dicom(DicomResult(two_boxes(scan), scan), path)
    *_, done = read_paths([path], [scan, twin], JobControl())
    (result,) = done.result.results
    assert result.volume_id == scan.id
    assert np.array_equal(result.segmentation.array > 0, two_boxes(scan).array > 0)
    *_, both = read_paths([path, *(tmp_path / "in").iterdir()], [], JobControl())
    assert len(both.result.volumes) == len(both.result.results) == 1
