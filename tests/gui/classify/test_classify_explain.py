"""The dock Classify: maps of what spoke for a class, as layers."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medcnn.gui.classify_widget import ClassifyWidget
from napari_medcnn.inference.explain_options import CHECK_SEEDS
from tests.gui.classify.docks import (
    PATCH,
    choose,
    classified,
    finish,
)

pytestmark = pytest.mark.usefixtures("same_process")


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
