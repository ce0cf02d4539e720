"""Boxes of a detector in the viewer: outlines on their slices, a table that leads to them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from napari.layers import Points, Shapes

from napari_medcnn.core.detection import Detection, Detections, box_corners
from napari_medcnn.core.lesion import Verdict
from napari_medcnn.core.segmentation import Label, ModelReference
from napari_medcnn.core.volume import Volume
from napari_medcnn.gui.analyze_widget import AnalyzeWidget
from napari_medcnn.gui.detection_state import detections_of
from napari_medcnn.gui.lesions_widget import LesionsWidget
from napari_medcnn.models import registry
from tests.detection_factory import make_detector

pytestmark = pytest.mark.usefixtures("same_process")


def two_boxes(volume: Volume) -> Detections:
    """Around the voxels 4 to 8 and 15 to 17 along z."""
    places = (((4, 10, 8), (9, 20, 16)), ((15, 30, 20), (18, 35, 24)))
    boxes = []
    for number, (start, stop) in enumerate(places, start=1):
        corners = box_corners(volume.geometry, np.subtract(start, 0.5), np.subtract(stop, 0.5))
        boxes.append(Detection(number, 1, "ball", 0.9 / number, corners))
    reference = ModelReference("balls", "1", "0" * 64, "Balls")
    labels = (Label(1, "ball", (1.0, 0.5, 0.0)),)
    return Detections(tuple(boxes), volume.id, volume.geometry, labels, reference)


@pytest.fixture
def key(state, flair) -> str:
    state.add_volumes([flair])
    return detections_of(state).add(two_boxes(flair), flair)


@pytest.fixture
def lesions(state, key) -> LesionsWidget:
    widget = LesionsWidget(state.viewer)
    state.viewer.window.add_dock_widget(widget, name="Lesions")
    return widget


def test_a_box_is_one_outline_on_each_of_its_slices_and_a_point_in_its_middle(state, key, flair):
    (shapes,) = [la for la in state.viewer.layers if isinstance(la, Shapes)]
    (points,) = [la for la in state.viewer.layers if isinstance(la, Points)]
    slices = {
        (int(box), float(d[0, 0]))
        for box, d in zip(shapes.features["box"], shapes.data, strict=True)
    }
    assert slices == {(1, float(z)) for z in range(4, 9)} | {(2, float(z)) for z in range(15, 18)}
    assert list(points.features["score"]) == [0.9, 0.45]
    np.testing.assert_allclose(points.data[0], (6, 14.5, 11.5))
    first = shapes.data[0]
    np.testing.assert_allclose(first.min(axis=0)[1:], (9.5, 7.5))
    np.testing.assert_allclose(first.max(axis=0)[1:], (19.5, 15.5))
    image = state.image_layer(flair.id)
    for layer in (shapes, points):
        np.testing.assert_allclose(layer.scale, image.scale)
        np.testing.assert_allclose(layer.translate, image.translate)


def test_choosing_a_row_leads_the_slices_to_the_box(state, key, lesions, flair):
    panel = lesions.boxes
    assert not panel.isHidden()
    assert [panel.table.item(row, 1).text() for row in range(2)] == ["0.900", "0.450"]
    panel.table.selectRow(1)
    layer = detections_of(state).layer_of(key)
    shown = layer.world_to_data(state.viewer.dims.point)
    np.testing.assert_allclose(shown[0], 16, atol=0.51)


def test_verdicts_stay_with_a_box_and_are_written(key, lesions, tmp_path):
    panel = lesions.boxes
    panel.table.selectRow(0)
    panel.review_selected(Verdict.ACCEPTED)
    assert panel.table.item(0, 4).text() == "✓"
    panel.write(tmp_path / "boxes.json")
    content = json.loads((tmp_path / "boxes.json").read_text())
    assert [box["verdict"] for box in content["boxes"]] == ["accepted", "unreviewed"]
    assert "research" in content["notice"].lower()
    panel.write(tmp_path / "boxes.csv")
    assert (tmp_path / "boxes.csv").read_text().splitlines()[1].startswith("1,1,ball,0.9,")


def test_boxes_go_with_their_layers_and_with_their_image(state, key, lesions, flair):
    state.session.remove_volume(flair.id)
    assert not detections_of(state).shown
    assert not [la for la in state.viewer.layers if isinstance(la, Shapes | Points)]
    assert lesions.boxes.isHidden()


def test_analyze_runs_a_detector_with_the_score_that_was_chosen(
    state, flair, qtbot, tmp_path, monkeypatch
):
    def change(content):
        content["preprocessing"]["transforms"][-2].update(a_min=0.0, a_max=1.0)

    folder = tmp_path / "models" / "boxes"
    make_detector(folder, spacing=None, change=change)
    monkeypatch.setenv(registry.MODELS_FOLDER_VARIABLE, str(tmp_path / "models"))
    monkeypatch.setattr(registry, "SHIPPED", tmp_path / "nothing")
    widget = AnalyzeWidget(state.viewer)
    state.viewer.window.add_dock_widget(widget, name="Analyze")
    state.add_volumes([flair])
    widget.options.threshold.setValue(0.35)
    assert widget.plan.can_run
    widget.start()
    qtbot.waitUntil(lambda: not widget.runner.is_running, timeout=120000)
    (shown,) = detections_of(state).shown.values()
    assert shown.detections.parameters["score_threshold"] == 0.35
    assert all(box.score >= 0.35 for box in shown.detections.boxes)
    assert any("box" in notice.text for notice in widget.board.notices)
