from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_medcnn.app.adoption import ORIENTATION_ASSUMED
from napari_medcnn.core.volume import FrameAxis, Source, Volume
from napari_medcnn.gui.markers import OrientationMarkers
from napari_medcnn.gui.view_planes import Plane
from napari_medcnn.gui.views import attach, show_3d, show_plane
from tests.gui.view_phantom import ORIENTATIONS, add_volume, phantom, rotated


def letters(viewer: ViewerModel) -> str:
    """What is written left, right, top and bottom, without what is hidden."""
    overlays = viewer.canvas.overlays
    shown = (overlays.get(f"medcnn_{edge}") for edge in ("left", "right", "top", "bottom"))
    return " ".join(o.text for o in shown if o is not None and o.visible)


def note(viewer: ViewerModel) -> str:
    overlay = viewer.canvas.overlays.get("medcnn_note")
    return overlay.text if overlay is not None and overlay.visible else ""


@pytest.fixture
def viewer() -> ViewerModel:
    model = ViewerModel()
    attach(model)
    return model


@pytest.mark.parametrize(
    ("plane", "expected"),
    [(Plane.AXIAL, "R L A P"), (Plane.CORONAL, "R L S I"), (Plane.SAGITTAL, "A P S I")],
)
def test_letters_follow_the_plane(viewer, plane, expected):
    add_volume(viewer, phantom())
    show_plane(viewer, plane)
    assert letters(viewer) == expected


def test_letters_are_the_same_for_every_stored_orientation():
    for stored_as in ORIENTATIONS:
        viewer = ViewerModel()
        attach(viewer)
        add_volume(viewer, phantom(stored_as))
        assert letters(viewer) == "R L A P"


def test_letters_tell_a_view_that_the_user_mirrored(viewer):
    add_volume(viewer, phantom())
    viewer.scene.camera.orientation2d = ("down", "left")
    assert letters(viewer) == "L R A P"


def test_letters_follow_a_transposed_plane(viewer):
    add_volume(viewer, phantom())
    viewer.dims.transpose()
    assert letters(viewer) == "A P L R"


def test_letters_follow_the_camera_in_3d(viewer):
    add_volume(viewer, phantom())
    show_3d(viewer)
    assert letters(viewer) == "R L S I"
    # Displayed axes are y, z, x: from the patient's left one looks against x.
    viewer.scene.camera.set_view_direction((0, 0, -1), (0, 1, 0))
    assert letters(viewer) == "A P S I"
    viewer.scene.camera.set_view_direction((1, 0, -1), (0, 1, 0))
    assert letters(viewer) in ("RA LP S I", "AR PL S I")


def test_letters_of_a_mirrored_3d_camera_are_mirrored(viewer):
    add_volume(viewer, phantom())
    show_3d(viewer)
    viewer.scene.camera.orientation = ("towards", "up", "right")
    right_way = letters(viewer)
    viewer.scene.camera.orientation = ("towards", "up", "left")
    left, right, *others = right_way.split()
    assert letters(viewer).split() == [right, left, *others]


def test_an_oblique_volume_gets_the_closest_letters_their_deviation_and_a_note(viewer):
    add_volume(viewer, rotated(phantom(), 17.0))
    assert letters(viewer) == "R 17° L 17° A 17° P 17°"
    assert "17.0°" in note(viewer)
    show_plane(viewer, Plane.CORONAL)
    assert letters(viewer) == "R 17° L 17° S I"


def test_a_straight_volume_has_no_note(viewer):
    add_volume(viewer, phantom())
    assert note(viewer) == ""


@pytest.mark.parametrize(
    "fields",
    [
        {"source": Source(format="picture")},
        {"modality": "DX"},
        {"findings": (ORIENTATION_ASSUMED,)},
    ],
    ids=["photograph", "x-ray", "assumed"],
)
def test_no_letter_is_claimed_where_the_patient_is_not_known(viewer, fields):
    add_volume(viewer, replace(phantom(), **fields))
    assert letters(viewer) == ""


def test_a_single_slice_has_its_letters(viewer):
    volume = phantom()
    one = Volume(volume.array[5:6], volume.geometry.cropped((5, 0, 0), (1, 32, 40)), modality="MR")
    add_volume(viewer, one)
    assert viewer.dims.ndim == 2
    assert letters(viewer) == "R L A P"


def test_a_time_axis_has_no_letters(viewer):
    volume = phantom()
    series = np.stack([volume.array, volume.array])
    add_volume(viewer, Volume(series, volume.geometry, modality="MR", frames=FrameAxis("time")))
    assert letters(viewer) == "R L A P"
    viewer.dims.order = (1, 2, 0, 3)
    assert letters(viewer) == ""


def test_other_images_are_left_alone(viewer):
    viewer.add_image(np.zeros((4, 5, 6)))
    assert letters(viewer) == ""
    assert not any(name.startswith("medcnn") for name in viewer.canvas.overlays)


def test_markers_are_no_layers_and_go_with_the_last_volume(viewer):
    layer = add_volume(viewer, phantom())
    assert list(viewer.layers) == [layer]
    viewer.layers.remove(layer)
    assert letters(viewer) == ""


def test_closed_markers_stop_following():
    viewer = ViewerModel()
    add_volume(viewer, phantom())
    markers = OrientationMarkers(viewer)
    assert letters(viewer)
    markers.close()
    viewer.dims.order = (2, 0, 1)
    assert letters(viewer) == ""
