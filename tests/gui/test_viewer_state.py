from __future__ import annotations

import numpy as np
from napari.layers import Image, Labels, Layer

from napari_medcnn.app.layers import volume_layers
from napari_medcnn.app.result import new_result
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.gui import viewer_state
from napari_medcnn.gui.layer_links import volume_id_of
from napari_medcnn.gui.viewer_state import state_of


def paint(layer: Labels, index: tuple[int, ...], value: int = 1) -> None:
    layer.data_setitem(tuple(np.array([i]) for i in index), value)


def test_every_viewer_has_one_state(make_napari_viewer):
    first, second = make_napari_viewer(), make_napari_viewer()
    assert state_of(first) is state_of(first)
    assert state_of(first) is not state_of(second)


def test_what_our_reader_opened_is_taken_over(state, flair):
    (data,) = volume_layers(flair)
    state.viewer.add_layer(Layer.create(*data))
    assert list(state.session.volumes) == [flair.id]
    assert len(state.viewer.layers) == 1


def test_layers_that_were_there_before_the_state_are_taken_over(make_napari_viewer, flair):
    viewer = make_napari_viewer()
    viewer.add_layer(Layer.create(*volume_layers(flair)[0]))
    assert list(state_of(viewer).session.volumes) == [flair.id]


def test_volumes_and_results_become_layers_that_share_their_arrays(state, flair, result):
    image, labels = state.viewer.layers
    assert isinstance(image, Image)
    assert np.may_share_memory(image.data, flair.array)
    assert isinstance(labels, Labels)
    assert labels.data is result.segmentation.array
    assert state.result_of(labels) is result
    assert state.volume_of(labels) is flair
    assert state.volume_of(image) is flair


def test_a_foreign_image_layer_can_be_adopted_as_it_lies(state):
    layer = state.viewer.add_image(
        np.random.default_rng(0).random((6, 8, 10)),
        scale=(3, 1, 1),
        translate=(5, 6, 7),
        units=("mm",) * 3,
        name="mine",
    )
    volume = state.adopt(layer)
    assert volume.geometry.spacing == (3.0, 1.0, 1.0)
    assert volume.geometry.origin == (7.0, 6.0, 5.0)
    assert volume_id_of(layer) == volume.id
    assert len(state.viewer.layers) == 1
    assert tuple(layer.scale) == (3, 1, 1)


def test_removing_a_labels_layer_removes_its_result_and_it_can_be_brought_back(
    qtbot, state, result
):
    with qtbot.waitSignal(state.removed) as blocker:
        state.viewer.layers.remove(state.labels_layer(result.id))
    assert not state.session.results
    state.bring_back(blocker.args[0])
    assert state.labels_layer(result.id).data is result.segmentation.array


def test_removing_an_image_removes_its_results_and_all_can_be_brought_back(
    qtbot, state, flair, result
):
    with qtbot.waitSignal(state.removed) as blocker:
        state.viewer.layers.remove(state.image_layer(flair.id))
    assert not state.session.volumes
    assert not state.viewer.layers
    state.bring_back(blocker.args[0])
    assert list(state.session.results) == [result.id]
    assert len(state.viewer.layers) == 2


def test_a_copy_of_an_image_layer_keeps_the_volume(state, flair, result):
    image = state.image_layer(flair.id)
    state.viewer.add_layer(Layer.create(*image.as_layer_data_tuple()))
    state.viewer.layers.remove(image)
    assert list(state.session.volumes) == [flair.id]


def test_painting_is_measured_after_a_pause(qtbot, state, result):
    layer = state.labels_layer(result.id)
    before = result.table.by_id(1).voxel_count
    with qtbot.waitSignal(state.result_changed, timeout=10000):
        paint(layer, (12, 12, 13))
        assert result.is_stale
        paint(layer, (12, 12, 14))
    assert not result.is_stale
    assert result.table.by_id(1).voxel_count == before + 2


def test_undo_and_redo_are_measured_too(qtbot, state, result):
    layer = state.labels_layer(result.id)
    before = result.table.by_id(1).voxel_count
    with qtbot.waitSignal(state.result_changed, timeout=10000):
        paint(layer, (12, 12, 13))
    with qtbot.waitSignal(state.result_changed, timeout=10000):
        layer.undo()
    assert result.table.by_id(1).voxel_count == before
    with qtbot.waitSignal(state.result_changed, timeout=10000):
        layer.redo()
    assert result.table.by_id(1).voxel_count == before + 1


def test_scrolling_does_not_count_as_painting(qtbot, state, result):
    revision = result.revision
    for step in range(5):
        state.viewer.dims.set_current_step(0, step)
    assert result.revision == revision


def test_strokes_during_a_measurement_are_measured_again(qtbot, state, result):
    layer = state.labels_layer(result.id)
    paint(layer, (12, 12, 13))
    qtbot.waitUntil(lambda: state.measuring.is_running, timeout=5000)
    paint(layer, (12, 12, 14))
    qtbot.waitUntil(lambda: not result.is_stale, timeout=10000)
    assert result.table.by_id(1).voxel_count == 98


def test_a_new_array_in_the_layer_is_shared_from_then_on(qtbot, state, result):
    layer = state.labels_layer(result.id)
    with qtbot.waitSignal(state.result_changed, timeout=10000):
        layer.data = np.zeros_like(layer.data)
    assert result.segmentation.array is layer.data
    assert result.table.lesions == ()


def test_an_array_that_does_not_fit_is_told_and_refused(qtbot, state, result):
    layer = state.labels_layer(result.id)
    with qtbot.waitSignal(state.problem) as blocker:
        layer.data = np.zeros((3, 3, 3), np.uint8)
    assert "as they were before" in blocker.args[0]
    assert layer.data is result.segmentation.array


def test_a_single_picture_has_two_axes_and_can_be_painted(qtbot, state):
    grid = Geometry.from_spacing((1, 20, 16), (1.0, 0.5, 0.5))
    picture = Volume(np.zeros(grid.shape, np.float32), grid, name="X-ray", modality="DX")
    labels = np.zeros(grid.shape, np.uint8)
    labels[0, 4:8, 4:8] = 1
    state.add_volumes([picture])
    result = new_result(
        Segmentation(labels, grid, (Label(1, "opacity"),), picture.id), picture, 0.0
    )
    state.add_result(result)
    layer = state.labels_layer(result.id)
    assert layer.ndim == 2
    with qtbot.waitSignal(state.result_changed, timeout=10000):
        paint(layer, (8, 5))
    assert result.table.by_id(1).voxel_count == 17


def test_a_closed_viewer_is_forgotten(make_napari_viewer, qtbot, own_autosaves):
    viewer = make_napari_viewer()
    state_of(viewer)
    assert list(own_autosaves.rglob("*.lock"))
    viewer.close()
    qtbot.waitUntil(lambda: viewer not in viewer_state._states, timeout=5000)
    assert not list(own_autosaves.rglob("*.lock"))
