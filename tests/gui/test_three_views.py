from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QImage, QWheelEvent
from qtpy.QtWidgets import QApplication

from napari_medcnn.gui.linked_panes import REDRAW_MS
from napari_medcnn.gui.three_views import ThreeViews, show_three_views
from napari_medcnn.gui.view_access import background_of
from napari_medcnn.gui.view_pane import PlanePane
from napari_medcnn.gui.view_planes import Plane
from napari_medcnn.gui.view_slices import coloured_slice, on_screen
from tests.gui.view_phantom import (
    BRIGHT_LEFT,
    CENTRE,
    DIM_SUPERIOR,
    MEDIUM_ANTERIOR,
    ORIENTATIONS,
    add_labels,
    add_volume,
    phantom,
    rotated,
    seen,
)

GREEN, BLUE = (0, 255, 0), (0, 0, 255)
SEEN = {
    Plane.AXIAL: {BRIGHT_LEFT: "right", MEDIUM_ANTERIOR: "top"},
    Plane.CORONAL: {BRIGHT_LEFT: "right", DIM_SUPERIOR: "top"},
    Plane.SAGITTAL: {MEDIUM_ANTERIOR: "left", DIM_SUPERIOR: "top"},
}


@pytest.fixture
def viewer() -> ViewerModel:
    model = ViewerModel()
    add_volume(model, phantom())
    return model


@pytest.fixture
def views(viewer, qtbot) -> ThreeViews:
    widget = ThreeViews(viewer)
    qtbot.addWidget(widget)
    widget.resize(1200, 420)
    widget.show()
    return widget


def picture(pane: PlanePane) -> np.ndarray:
    image = pane.grab().toImage().convertToFormat(QImage.Format.Format_RGBA8888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), -1)
    return rows[:, : 4 * image.width()].reshape(image.height(), image.width(), 4).copy()


def count(pane: PlanePane, colour: tuple[int, int, int]) -> int:
    """Pixels of about a colour; a virtual screen may have 16 bits a pixel."""
    gap = np.abs(picture(pane)[..., :3].astype(int) - colour)
    return int((gap <= 8).all(axis=-1).sum())


def pixel_of(pane: PlanePane, world: tuple[float, ...]) -> QPoint:
    return pane.framing().to_pixels(QPointF(*on_screen(pane.plane, world))).toPoint()


def wheel(pane: PlanePane, steps: int, modifier=Qt.KeyboardModifier.NoModifier) -> None:
    at = QPointF(pane.rect().center())
    event = QWheelEvent(
        at,
        at,
        QPoint(),
        QPoint(0, 120 * steps),
        Qt.MouseButton.NoButton,
        modifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(pane, event)


def test_every_stored_orientation_is_shown_the_same_way_up_in_all_panes(qtbot):
    first = None
    for stored_as in ORIENTATIONS[::7]:
        viewer = ViewerModel()
        add_volume(viewer, phantom(stored_as))
        widget = ThreeViews(viewer)
        qtbot.addWidget(widget)
        widget.resize(1200, 420)
        pictures = [picture(pane) for pane in widget.panes.values()]
        for plane, image in zip(widget.panes, pictures, strict=True):
            for value, edge in SEEN[plane].items():
                assert seen(image, value) == edge
        first = first or pictures
        for image, expected in zip(pictures, first, strict=True):
            np.testing.assert_array_equal(image, expected)


def test_letters_are_written_at_the_edges_of_every_pane(viewer, views, qtbot):
    turned = ViewerModel()
    add_volume(turned, rotated(phantom(), 17.0))
    other = ThreeViews(turned)
    qtbot.addWidget(other)
    other.resize(1200, 420)
    for plane, pane in views.panes.items():
        left, oblique = picture(pane)[:, :60], picture(other.panes[plane])[:, :60]
        assert np.ptp(left[..., :3]) > 150
        assert (left != oblique).any()


def test_a_click_in_one_pane_moves_the_others_and_the_main_view(viewer, views, qtbot):
    target = viewer.layers[0].data_to_world((5, 20, 30))
    axial = views.panes[Plane.AXIAL]
    qtbot.mouseClick(axial, Qt.MouseButton.LeftButton, pos=pixel_of(axial, target))
    np.testing.assert_allclose(viewer.dims.point[1:], target[1:], atol=0.2)
    assert viewer.dims.current_step == (CENTRE[0], 20, 30)
    coronal = views.panes[Plane.CORONAL]
    qtbot.mouseClick(coronal, Qt.MouseButton.LeftButton, pos=pixel_of(coronal, target))
    assert viewer.dims.current_step == (5, 20, 30)


def test_the_panes_follow_the_viewer_s_point(viewer, views, qtbot):
    sagittal = views.panes[Plane.SAGITTAL]
    assert seen(picture(sagittal), DIM_SUPERIOR) == "top"
    viewer.dims.set_current_step(2, 34)
    qtbot.wait(3 * REDRAW_MS)
    assert seen(picture(sagittal), BRIGHT_LEFT) == ""
    with pytest.raises(AssertionError, match="not in the picture"):
        seen(picture(sagittal), DIM_SUPERIOR)


def test_painting_in_the_main_view_shows_in_every_pane_and_undo_takes_it_back(viewer, views, qtbot):
    labels = add_labels(viewer, phantom())
    labels.mode = "paint"
    labels.brush_size = 8
    labels.n_edit_dimensions = 3
    labels.paint(CENTRE, 1)
    qtbot.wait(3 * REDRAW_MS)
    assert all(count(pane, GREEN) > 20 for pane in views.panes.values())
    labels.undo()
    qtbot.wait(3 * REDRAW_MS)
    assert not any(count(pane, GREEN) for pane in views.panes.values())


def test_the_panes_are_repainted_by_themselves_after_a_stroke(viewer, views, qtbot):
    labels = add_labels(viewer, phantom())
    qtbot.wait(3 * REDRAW_MS)
    painted = []
    for pane in views.panes.values():
        pane.paintEvent = lambda event, pane=pane: painted.append(pane.plane)
    labels.paint(CENTRE, 1)
    qtbot.waitUntil(lambda: set(painted) == set(Plane), timeout=3000)


def test_contrast_colour_opacity_and_visibility_are_those_of_the_viewer(viewer, views, qtbot):
    (image,) = viewer.layers
    labels = add_labels(viewer, phantom())
    labels.data[CENTRE[0] - 2 : CENTRE[0] + 3, CENTRE[1] - 2 : CENTRE[1] + 3] = 1
    labels.refresh()
    pane = views.panes[Plane.AXIAL]
    assert count(pane, GREEN) > 100
    labels.colormap = {None: (0, 0, 0, 0), 0: (0, 0, 0, 0), 1: (0.0, 0.0, 1.0, 1.0)}
    assert count(pane, GREEN) == 0
    assert count(pane, BLUE) > 100
    labels.visible = False
    assert count(pane, BLUE) == 0
    assert count(pane, (40, 40, 40)) > 1000
    image.contrast_limits = (0, 40)
    assert count(pane, (40, 40, 40)) < 100  # edges of letters
    image.visible = False
    background = tuple(round(255 * v) for v in background_of(viewer))
    assert count(pane, background) > 0.9 * pane.width() * pane.height()


def test_a_label_contour_is_drawn_as_an_outline(viewer, views):
    labels = add_labels(viewer, phantom())
    labels.data[:, 5:28, 5:35] = 1
    labels.refresh()
    pane = views.panes[Plane.AXIAL]
    filled = count(pane, GREEN)
    labels.contour = 1
    assert 0 < count(pane, GREEN) < filled / 3


def test_a_ring_around_a_lesion_is_drawn_in_every_plane_it_is_cut_by(viewer, views):
    centre = np.asarray(viewer.layers[0].data_to_world(CENTRE))
    viewer.add_points(
        centre[None],
        size=18,
        face_color="transparent",
        border_color="#00ff00",
        projection_mode="rescale_spherical",
    )
    assert all(count(pane, GREEN) > 10 for pane in views.panes.values())
    viewer.dims.set_point(0, centre[0] + 12)
    assert count(views.panes[Plane.AXIAL], GREEN) == 0


def test_an_outline_is_drawn_in_its_own_plane_only(viewer, views):
    z, y, x = viewer.layers[0].data_to_world(CENTRE)
    box = [[z, y - 8, x - 8], [z, y - 8, x + 8], [z, y + 8, x + 8], [z, y + 8, x - 8]]
    viewer.add_shapes([box], shape_type="polygon", edge_color="#00ff00", face_color="transparent")
    viewer.layers[-1].opacity = 1
    assert count(views.panes[Plane.AXIAL], GREEN) > 10
    assert count(views.panes[Plane.CORONAL], GREEN) == 0


def test_wheel_and_keys_scroll_through_the_slices_of_a_pane(viewer, views, qtbot):
    pane = views.panes[Plane.CORONAL]
    wheel(pane, 2)
    assert viewer.dims.current_step == (CENTRE[0], CENTRE[1] + 2, CENTRE[2])
    qtbot.keyClick(pane, Qt.Key.Key_Down)
    assert viewer.dims.current_step == (CENTRE[0], CENTRE[1] + 1, CENTRE[2])


def test_zooming_keeps_the_place_under_the_pointer_and_home_fits_again(viewer, views, qtbot):
    pane = views.panes[Plane.AXIAL]
    fitted = pane.framing()
    middle = QPointF(pane.rect().center())
    wheel(pane, 4, Qt.KeyboardModifier.ControlModifier)
    assert pane.framing().scale == pytest.approx(fitted.scale * 1.2**4)
    gap = pane.framing().to_place(middle) - fitted.to_place(middle)
    assert abs(gap.x()) + abs(gap.y()) < 1e-6
    qtbot.keyClick(pane, Qt.Key.Key_Home)
    assert pane.framing().scale == fitted.scale


def test_a_zoomed_pane_follows_a_jump_to_a_far_lesion(viewer, views):
    pane = views.panes[Plane.AXIAL]
    wheel(pane, 8, Qt.KeyboardModifier.ControlModifier)
    far = viewer.layers[0].data_to_world((12, 2, 38))
    assert not pane.rect().contains(pixel_of(pane, far))
    viewer.dims.point = far
    assert pane.rect().contains(pixel_of(pane, far))


def test_a_double_click_shows_the_plane_in_the_main_view(viewer, views, qtbot):
    pane = views.panes[Plane.SAGITTAL]
    qtbot.mouseDClick(pane, Qt.MouseButton.LeftButton, pos=pane.rect().center())
    assert viewer.dims.order == Plane.SAGITTAL.order


def test_panes_stand_along_the_longer_side(views):
    views.resize(300, 900)
    assert views.panes[Plane.CORONAL].mapTo(views, QPoint()).y() > 200
    views.resize(900, 300)
    assert views.panes[Plane.CORONAL].mapTo(views, QPoint()).x() > 200


def test_rotated_and_flat_layers_are_left_out_without_an_error(viewer, views):
    viewer.add_image(np.zeros((9, 9), np.uint8), name="flat")
    with pytest.warns(UserWarning, match="Non-orthogonal"):  # napari's own view of it
        viewer.add_image(np.full((24, 32, 40), 250, np.uint8), rotate=(10, 20, 30))
    assert seen(picture(views.panes[Plane.AXIAL]), BRIGHT_LEFT) == "right"


def test_colours_and_nans_are_drawn(viewer, views):
    rgb = np.zeros((24, 32, 40, 3), np.uint8)
    rgb[..., 1] = 255
    layer = viewer.add_image(rgb, rgb=True)
    layer.scale, layer.translate = viewer.layers[0].scale, viewer.layers[0].translate
    assert count(views.panes[Plane.CORONAL], GREEN) > 1000
    hollow = viewer.add_image(np.full((24, 32, 40), np.nan, np.float32))
    cut = coloured_slice(hollow, Plane.AXIAL, (3, 3, 3))
    assert (cut.rgba[..., :3] == 0).all()


def test_an_empty_viewer_gives_empty_panes(qtbot):
    widget = ThreeViews(ViewerModel())
    qtbot.addWidget(widget)
    for pane in widget.panes.values():
        qtbot.mouseClick(pane, Qt.MouseButton.LeftButton)
        wheel(pane, 1)
        assert picture(pane).any()


def test_a_closed_widget_hears_nothing_more_and_is_freed(viewer, qtbot):
    before = len(viewer.layers[0].events.callbacks)
    widget = ThreeViews(viewer)
    assert len(viewer.layers[0].events.callbacks) == before + 1
    gone = weakref.ref(widget), weakref.ref(viewer)
    widget.deleteLater()
    QApplication.sendPostedEvents(widget, QEvent.Type.DeferredDelete)
    del widget
    gc.collect()
    assert gone[0]() is None
    assert len(viewer.layers[0].events.callbacks) == before
    assert len(viewer.mouse_drag_callbacks) == len(ViewerModel().mouse_drag_callbacks)
    viewer.dims.set_current_step(0, 1)
    viewer.layers[0].contrast_limits = (0, 10)


def test_the_widget_does_not_keep_its_viewer_alive(qtbot):
    viewer = ViewerModel()
    add_volume(viewer, phantom())
    widget = ThreeViews(viewer)
    qtbot.addWidget(widget)
    gone = weakref.ref(viewer)
    del viewer
    gc.collect()
    assert gone() is None
    assert picture(widget.panes[Plane.AXIAL]).size


def test_the_dock_opens_once_and_a_click_in_the_canvas_moves_the_panes(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    layer = add_volume(viewer, phantom())
    widget = show_three_views(viewer)
    assert show_three_views(viewer) is widget
    QApplication.processEvents()
    canvas = viewer.window._qt_viewer.canvas
    middle = QPoint(canvas.native.width() // 2, canvas.native.height() // 2)
    viewer.dims.point = layer.data_to_world((CENTRE[0], 3, 3))
    qtbot.mouseClick(canvas.native, Qt.MouseButton.LeftButton, pos=middle)
    np.testing.assert_allclose(viewer.dims.current_step, CENTRE, atol=1)
    layer.mode = "transform"
    viewer.dims.point = layer.data_to_world((CENTRE[0], 3, 3))
    qtbot.mouseClick(canvas.native, Qt.MouseButton.LeftButton, pos=middle)
    assert viewer.dims.current_step == (CENTRE[0], 3, 3)
    layer.mode = "pan_zoom"
    viewer.window.remove_dock_widget(widget)
    gone = weakref.ref(widget)
    widget.deleteLater()
    QApplication.sendPostedEvents(widget, QEvent.Type.DeferredDelete)
    del widget
    gc.collect()
    assert gone() is None
