from __future__ import annotations

import numpy as np

from napari_medcnn.gui.lesions_widget import LesionsWidget


def drawn_layer(state, volume):
    """Lesions drawn by hand in an open image, in a labels layer that belongs to no result."""
    image = state.image_layer(volume.id)
    return state.viewer.add_labels(
        (volume.array > 0.5).astype(np.int32),
        scale=image.scale,
        translate=image.translate,
        units=image.units,
        name="drawn",
    )


def test_a_drawn_labels_layer_is_measured_on_demand(qtbot, state, flair):
    state.add_volumes([flair])
    widget = LesionsWidget(state.viewer)
    drawn = drawn_layer(state, flair)
    assert widget.measuring.button.isVisibleTo(widget)
    widget.measuring.button.click()
    qtbot.waitUntil(lambda: widget.result is not None, timeout=10000)
    assert [le.voxel_count for le in widget.result.table.lesions] == [96, 16]
    assert widget.result.name == f"{flair.name}: drawn", "says on which image it was measured"
    assert not drawn.visible


def test_a_layer_whose_image_is_closed_while_it_is_measured_stays_as_it_was(qtbot, state, flair):
    state.add_volumes([flair])
    widget = LesionsWidget(state.viewer)
    drawn = drawn_layer(state, flair)
    widget.measuring.button.click()
    state.viewer.layers.remove(state.image_layer(flair.id))
    qtbot.waitUntil(lambda: not widget.measuring.runner.is_running, timeout=10000)
    assert drawn.visible
    assert not state.session.results
    assert "was closed" in widget.board.texts[-1]


def test_a_labels_layer_of_another_grid_is_refused_with_a_way_out(state, flair):
    state.add_volumes([flair])
    widget = LesionsWidget(state.viewer)
    state.viewer.add_labels(np.ones((4, 4, 4), np.uint8), name="elsewhere")
    widget.measuring.button.click()
    assert "fits none of the open images (open the image" in widget.board.texts[-1]
