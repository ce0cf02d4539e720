from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from napari._app_model import get_app_model
from napari.components import ViewerModel
from napari.utils._proxies import PublicOnlyProxy
from qtpy.QtWidgets import QApplication

from napari_medcnn.app.layers import volume_layers
from napari_medcnn.core.volume import FrameAxis, Volume
from napari_medcnn.gui.markers import view_edges
from napari_medcnn.gui.view_access import patient_axes
from napari_medcnn.gui.view_planes import Plane
from napari_medcnn.gui.views import (
    KEYS,
    attach,
    detach,
    show_3d,
    show_axial,
    show_coronal,
    show_plane,
    show_sagittal,
)
from tests.gui.view_phantom import (
    BRIGHT_LEFT,
    DIM_SUPERIOR,
    MEDIUM_ANTERIOR,
    ORIENTATIONS,
    add_volume,
    phantom,
    phantom_array,
    seen,
)

DEFAULT = ("towards", "down", "right")


def orientation(viewer: ViewerModel) -> tuple[str, ...]:
    return tuple(str(to) for to in viewer.scene.camera.orientation)


def picture(viewer) -> np.ndarray:
    QApplication.processEvents()
    return viewer.screenshot(canvas_only=True, flash=False)


@pytest.fixture
def viewer() -> ViewerModel:
    model = ViewerModel()
    attach(model)
    add_volume(model, phantom())
    return model


def test_every_stored_orientation_gives_the_same_layer():
    (expected, placed, _) = volume_layers(phantom())[0]
    np.testing.assert_array_equal(expected, phantom_array())
    for stored_as in ORIENTATIONS:
        (array, kwargs, _) = volume_layers(phantom(stored_as))[0]
        np.testing.assert_array_equal(array, expected)
        np.testing.assert_allclose(kwargs["scale"], placed["scale"])
        np.testing.assert_allclose(kwargs["translate"], placed["translate"])
        np.testing.assert_allclose(kwargs["metadata"]["direction"], np.eye(3)[:, ::-1], atol=1e-12)


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("stored_as", [ORIENTATIONS[i] for i in (0, 21, 42)], ids=str)
def test_screenshots_show_left_anterior_and_superior_where_they_belong(
    make_napari_viewer, stored_as, theme
):
    viewer = make_napari_viewer(show=True)
    viewer.theme = theme
    attach(viewer)
    add_volume(viewer, phantom(stored_as))

    show_axial(viewer)
    axial = picture(viewer)
    assert (seen(axial, BRIGHT_LEFT), seen(axial, MEDIUM_ANTERIOR)) == ("right", "top")
    show_coronal(viewer)
    coronal = picture(viewer)
    assert (seen(coronal, BRIGHT_LEFT), seen(coronal, DIM_SUPERIOR)) == ("right", "top")
    show_sagittal(viewer)
    sagittal = picture(viewer)
    assert (seen(sagittal, MEDIUM_ANTERIOR), seen(sagittal, DIM_SUPERIOR)) == ("left", "top")


def test_screenshots_in_3d_are_not_mirrored_from_any_side(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    attach(viewer)
    add_volume(viewer, phantom())

    show_3d(viewer)
    front = picture(viewer)
    assert seen(front, BRIGHT_LEFT) == "right"
    assert seen(front, DIM_SUPERIOR) == "top"
    assert seen(front, MEDIUM_ANTERIOR) == ""
    camera = viewer.scene.camera
    camera.set_view_direction((0, 0, -1), (0, 1, 0))  # from the patient's left; axes y, z, x
    left = picture(viewer)
    assert seen(left, MEDIUM_ANTERIOR) == "left"
    assert seen(left, DIM_SUPERIOR) == "top"
    camera.set_view_direction((0, 1, 0), (-1, 0, 0))  # from the feet, Anterior up
    feet = picture(viewer)
    assert seen(feet, BRIGHT_LEFT) == "right"
    assert seen(feet, MEDIUM_ANTERIOR) == "top"
    # napari's own button from the axial plane shows the same side of the body.
    show_axial(viewer)
    viewer.dims.ndisplay = 3
    viewer.reset_view()
    button = picture(viewer)
    assert seen(button, BRIGHT_LEFT) == "right"
    assert seen(button, MEDIUM_ANTERIOR) == "top"


def test_screenshots_carry_the_letters_in_both_themes(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    controller = attach(viewer)
    add_volume(viewer, phantom())
    show_axial(viewer)
    for theme in ("dark", "light"):
        viewer.theme = theme
        controller.markers.update()
        assert _contrast_at_the_left_edge(picture(viewer)) > 150
        window = viewer.screenshot(canvas_only=False, flash=False)
        controller.markers.close()
        assert _contrast_at_the_left_edge(picture(viewer)) < 10
        plain = viewer.screenshot(canvas_only=False, flash=False)
        assert np.abs(plain.astype(int) - window).max() > 150


def test_commands_take_the_viewer_that_napari_injects(make_napari_viewer):
    viewer = make_napari_viewer()
    add_volume(viewer, phantom())
    get_app_model().injection_store.inject(show_sagittal)()
    assert viewer.dims.order == Plane.SAGITTAL.order


def test_transposing_turns_the_picture_but_never_mirrors_it(viewer):
    for plane in Plane:
        show_plane(viewer, plane)
        towards = _towards_the_reader(viewer)
        viewer.dims.transpose()
        np.testing.assert_allclose(_towards_the_reader(viewer), towards)


def test_rolling_walks_the_planes_the_right_way_up(viewer):
    walk = []
    for _ in range(6):
        viewer.dims.roll()
        walk.append(viewer.dims.order)
    orders = [plane.order for plane in (Plane.SAGITTAL, Plane.CORONAL, Plane.AXIAL)]
    assert walk == orders * 2


def test_2d_and_3d_by_napari_s_button_look_from_the_same_side(viewer):
    for plane in Plane:
        show_plane(viewer, plane)
        flat = view_edges(viewer, patient_axes(viewer))
        viewer.dims.ndisplay = 3
        viewer.scene.camera.angles = (0, 0, 0)
        solid = view_edges(viewer, patient_axes(viewer))
        np.testing.assert_allclose(solid.right, flat.right, atol=1e-6)
        np.testing.assert_allclose(solid.up, flat.up, atol=1e-6)


def test_every_command_keeps_the_point(viewer):
    point = viewer.layers[0].data_to_world((20, 5, 30))
    viewer.dims.point = point
    for command in (*KEYS.values(), *reversed(KEYS.values())):
        command(viewer)
        np.testing.assert_allclose(viewer.dims.point, point)


def test_a_leading_time_axis_stays_in_front():
    viewer = ViewerModel()
    volume = phantom()
    series = np.stack([volume.array, volume.array])
    add_volume(viewer, Volume(series, volume.geometry, modality="MR", frames=FrameAxis("time")))
    show_coronal(viewer)
    assert viewer.dims.order == (0, 2, 1, 3)
    assert orientation(viewer)[1:] == ("up", "right")


def test_an_orientation_set_by_hand_stays_until_the_axes_change(viewer):
    viewer.scene.camera.orientation2d = ("up", "left")
    viewer.dims.set_current_step(0, 3)
    assert orientation(viewer)[1:] == ("up", "left")
    show_coronal(viewer)
    assert orientation(viewer)[1:] == ("up", "right")


def test_viewers_without_our_volumes_are_left_alone():
    viewer = ViewerModel()
    viewer.add_image(np.zeros((4, 5, 6)), axis_labels=("z", "y", "x"))
    attach(viewer)
    show_coronal(viewer)
    viewer.dims.roll()
    assert orientation(viewer) == DEFAULT
    assert viewer.dims.order == (2, 0, 1)


def test_the_orientation_is_given_back_with_the_last_volume(viewer):
    show_coronal(viewer)
    assert orientation(viewer) != DEFAULT
    viewer.layers.clear()
    assert orientation(viewer) == DEFAULT


def test_attaching_twice_gives_the_same_controller_also_for_napari_s_proxy(viewer):
    assert attach(viewer) is attach(viewer)
    assert attach(PublicOnlyProxy(viewer)) is attach(viewer)


def test_detaching_gives_everything_back(viewer):
    detach(viewer)
    assert orientation(viewer) == DEFAULT
    assert not viewer.keymap
    assert not any(o.visible for name, o in viewer.canvas.overlays.items() if "medcnn" in name)
    viewer.dims.order = (1, 0, 2)
    assert orientation(viewer) == DEFAULT
    attach(viewer)
    assert orientation(viewer)[1:] == ("up", "right")


def test_keys_are_bound_where_they_are_free():
    def mine(viewer):
        pass

    viewer = ViewerModel()
    viewer.bind_key("Alt-2", mine)
    attach(viewer)
    bound = {str(key): call for key, call in viewer.keymap.items()}
    assert bound == {
        "Alt+1": show_axial,
        "Alt+2": mine,
        "Alt+3": show_sagittal,
        "Alt+4": show_3d,
    }
    detach(viewer)
    assert list(viewer.keymap.values()) == [mine]


def test_a_controller_does_not_keep_its_viewer_alive():
    viewer = ViewerModel()
    add_volume(viewer, phantom())
    gone = weakref.ref(viewer), weakref.ref(attach(viewer))
    show_coronal(viewer)
    del viewer
    gc.collect()
    assert [ref() for ref in gone] == [None, None]


def _towards_the_reader(viewer: ViewerModel) -> np.ndarray:
    edges = view_edges(viewer, patient_axes(viewer))
    return np.cross(edges.right, edges.up)


def _contrast_at_the_left_edge(canvas: np.ndarray) -> int:
    middle = canvas.shape[0] // 2
    return int(np.ptp(canvas[middle - 20 : middle + 20, :40, :3]))
