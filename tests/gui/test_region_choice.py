"""The region of a run follows layers that are drawn, painted, chosen and removed."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Shapes

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Volume
from napari_medcnn.gui.region_choice import OWN_SHAPES, SELECTED_LABEL, RegionChoice


@pytest.fixture
def choice(qtbot, state, flair) -> RegionChoice:
    """The region for `flair`."""
    state.add_volumes([flair])
    choice = RegionChoice(state)
    qtbot.addWidget(choice)
    choice.show_volume(flair)
    return choice


def entries(choice: RegionChoice) -> list[str]:
    return [choice.list.itemText(n) for n in range(choice.list.count())]


def rectangle(z: float, y: tuple[float, float], x: tuple[float, float]) -> np.ndarray:
    return np.array([[z, y[0], x[0]], [z, y[0], x[1]], [z, y[1], x[1]], [z, y[1], x[0]]])


def test_at_first_the_whole_image_is_run(choice):
    assert choice.region() is None
    assert choice.describe(None) == ""
    assert entries(choice) == ["the whole image", "a box that I draw"]


def test_a_box_that_is_drawn_becomes_the_region(qtbot, choice, state):
    choice.list.setCurrentIndex(1)
    layer = state.viewer.layers[OWN_SHAPES]
    assert choice.list.currentText() == f"inside {OWN_SHAPES}"
    assert layer.mode == "add_rectangle"
    with pytest.raises(InputMismatch, match="no shape is drawn yet"):
        choice.region()
    with qtbot.waitSignal(choice.changed, timeout=3000):
        layer.add(rectangle(5, (10, 20), (4, 8)), shape_type="rectangle")
    assert choice.region() == ((0, 10, 4), (24, 21, 9))
    assert choice.describe(choice.region()).startswith("only 5 × 11 × 24 voxels (x × y × z), 4%")
    choice.all_slices.setChecked(False)
    assert choice.region() == ((5, 10, 4), (6, 21, 9))
    state.viewer.layers.remove(layer)
    assert choice.region() is None
    assert choice.list.currentText() == "the whole image"


def test_shapes_of_other_origin_lie_where_they_are_shown(choice, state):
    """Drawn in millimetres of the world, by a layer with a scale of its own."""
    z, y, x = -30.0, 12.5, 100.0
    scale, place = np.array([2.0, 1.0, 1.0]), choice_translate(state)
    world = rectangle(5, (10, 20), (4, 8)) * scale + place
    own_scale = np.array([0.5, 0.25, 4.0])
    layer = Shapes([(world - (z, y, x)) / own_scale], scale=own_scale, translate=(z, y, x))
    state.viewer.add_layer(layer)
    choice.list.setCurrentIndex(2)
    assert choice.region() == ((0, 10, 4), (24, 21, 9))


def choice_translate(state) -> np.ndarray:
    return np.asarray(state.viewer.layers["FLAIR"].translate)


def test_a_region_around_a_label_of_a_result(qtbot, choice, state, result):
    choice.list.setCurrentIndex(2)
    assert choice.list.currentText() == f"around {result.name}"
    names = [choice.label.itemText(n) for n in range(choice.label.count())]
    assert names == ["all labels", "lesion", "core", "the one selected in the layer"]
    choice.margin.setValue(0.0)
    assert choice.region() == ((8, 10, 12), (18, 34, 22))
    choice.label.setCurrentIndex(2)
    assert choice.region() == ((16, 30, 20), (18, 34, 22))
    choice.margin.setValue(2.0)
    assert choice.region() == ((15, 28, 18), (19, 36, 24))
    assert "(core) with 2 mm around it" in choice.describe(choice.region())
    layer = state.labels_layer(result.id)
    with qtbot.waitSignal(choice.changed, timeout=3000):
        layer.data_setitem((np.array([20]), np.array([30]), np.array([20])), 2)
    choice.margin.setValue(0.0)
    assert choice.region() == ((16, 30, 20), (21, 34, 22))


def test_a_region_around_the_selected_label_of_a_drawn_layer(choice, state, flair):
    drawn = np.zeros(flair.geometry.shape, np.uint8)
    drawn[3:5, 6:9, 7] = 9
    shown = state.viewer.layers["FLAIR"]
    layer = state.viewer.add_labels(
        drawn, scale=shown.scale, translate=shown.translate, name="mine"
    )
    choice.list.setCurrentIndex(2)
    choice.label.setCurrentIndex(choice.label.findData(SELECTED_LABEL))
    choice.margin.setValue(0.0)
    layer.selected_label = 9
    assert choice.region() == ((3, 6, 7), (5, 9, 8))
    layer.selected_label = 4
    with pytest.raises(InputMismatch, match="no label 4"):
        choice.region()


def test_on_an_oblique_image_what_is_drawn_over_it_is_run(choice, state, flair):
    affine = flair.geometry.affine.copy()
    c, s = np.cos(0.3), np.sin(0.3)
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    affine[:3, :3] = turn @ affine[:3, :3]
    oblique = Volume(flair.array, Geometry(flair.geometry.shape, affine), name="oblique")
    state.add_volumes([oblique])
    choice.show_volume(oblique)
    choice.draw()
    layer = state.viewer.layers[OWN_SHAPES]
    image = state.image_layer(oblique.id)
    corners = rectangle(8, (10, 15), (12, 15))
    world = np.array([image.data_to_world(corner) for corner in corners])
    layer.add(np.array([layer.world_to_data(p) for p in world]), shape_type="rectangle")
    assert choice.region() == ((0, 10, 12), (24, 16, 16))
