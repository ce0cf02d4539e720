"""Layers lie where the patient is, share the arrays, and tell what they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image, Labels, Layer

from napari_medcnn.app.adoption import adopt_layer, volume_of_layer
from napari_medcnn.app.contrast import display_range
from napari_medcnn.app.layers import (
    OBLIQUE_NOTE,
    explanation_layer,
    map_layers,
    segmentation_layer,
    volume_layers,
)
from napari_medcnn.app.result import Result
from napari_medcnn.app.session import Session
from napari_medcnn.core.errors import GeometryError, InputMismatch
from napari_medcnn.core.explanation import Explanation, Method
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import ModelReference, Segmentation
from napari_medcnn.core.volume import FrameAxis, Volume
from tests.app.conftest import LABELS, oblique_volume, two_lesions


def only(layers: list[Any]) -> Layer:
    (data,) = layers
    return Layer.create(*data)


def picture() -> Volume:
    array = np.arange(30, dtype=np.uint8).reshape(1, 5, 6)
    geometry = Geometry.from_spacing((1, 5, 6), (1.0, 1.0, 1.0))
    return Volume(array, geometry, spacing_known=False)


def test_an_axis_aligned_volume_lies_at_its_lps_coordinates(small_volume: Volume) -> None:
    layer = only(volume_layers(small_volume))
    assert isinstance(layer, Image)
    for index in [(0, 0, 0), (3, 7, 5)]:
        x, y, z = small_volume.geometry.index_to_lps(index)
        np.testing.assert_allclose(layer.data_to_world(index), (z, y, x))
    assert [str(unit) for unit in layer.units] == ["millimeter"] * 3
    assert layer.axis_labels == ("z", "y", "x")
    assert np.shares_memory(layer.data, small_volume.array)


def test_series_that_share_a_direction_overlap_exactly() -> None:
    whole = oblique_volume()
    part = replace(
        whole,
        array=whole.array[3:9, 4:, 2:11],
        geometry=whole.geometry.cropped((3, 4, 2), (6, 16, 9)),
    )
    one, other = only(volume_layers(whole)), only(volume_layers(part))
    np.testing.assert_allclose(
        one.data_to_world((4, 6, 3)), other.data_to_world((1, 2, 1)), atol=1e-9
    )


def test_an_oblique_volume_is_shown_along_its_axes_with_a_note(small_volume: Volume) -> None:
    layer = only(volume_layers(oblique_volume()))
    assert np.array_equal(layer.rotate, np.eye(3))
    assert OBLIQUE_NOTE in layer.metadata["medcnn"]["notes"]
    np.testing.assert_allclose(layer.metadata["direction"], oblique_volume().geometry.direction)
    assert volume_layers(small_volume)[0][1]["metadata"]["medcnn"]["notes"] == ()


def test_frames_become_a_slider(small_volume: Volume) -> None:
    frames = FrameAxis("time", (0.0, 2.0), "s")
    volume = replace(small_volume, array=np.stack([small_volume.array] * 2), frames=frames)
    layer = only(volume_layers(volume))
    assert layer.data.shape == (2, 12, 20, 16)
    assert layer.axis_labels == ("time", "z", "y", "x")
    assert tuple(layer.scale) == (1.0, 2.0, 1.0, 1.0)
    labels = Layer.create(*segmentation_layer(two_lesions(volume.frame(1)), volume.frame(1)))
    assert labels.data.ndim == 3


def test_a_picture_is_two_dimensional_and_its_labels_share_the_array() -> None:
    layer = only(volume_layers(picture()))
    assert layer.data.shape == (5, 6)
    assert [str(unit) for unit in layer.units] == ["pixel"] * 2
    drawn = Segmentation(np.zeros((1, 5, 6), np.uint8), picture().geometry, LABELS, picture().id)
    labels = Layer.create(*segmentation_layer(drawn, picture()))
    assert isinstance(labels, Labels)
    labels.data_setitem((np.array([2]), np.array([3])), 1)
    assert drawn.array[0, 2, 3] == 1


def test_painting_on_the_layer_changes_the_result(
    session: Session, result: Result, small_volume: Volume
) -> None:
    layer = Layer.create(*segmentation_layer(result, small_volume))
    assert isinstance(layer, Labels)
    layer.data_setitem((np.array([0]), np.array([0]), np.array([0])), 2)
    assert result.segmentation.array[0, 0, 0] == 2
    assert layer.name == result.name
    assert layer.metadata["medcnn"]["result_id"] == result.id
    np.testing.assert_allclose(layer.get_color(1), (1.0, 0.2, 0.1, 1.0), atol=1e-6)
    np.testing.assert_allclose(layer.get_color(2), (0.1, 0.4, 1.0, 1.0), atol=1e-6)
    assert layer.get_color(7)[3] == 1.0, "a value without a name is visible too"
    assert list(layer.features["name"]) == ["lesion", "core"]


def test_maps_are_hidden_layers_on_the_volumes_grid_that_add_nothing_at_zero(
    session: Session, result: Result, small_volume: Volume
) -> None:
    values = np.full(small_volume.geometry.shape, 0.25, np.float16)
    result.segmentation.uncertainty["entropy"] = values
    shown = map_layers(result, small_volume, ("probability", "entropy", "variance"))
    layers = [Layer.create(*data) for data in shown]
    assert [layer.name for layer in layers] == ["gradient: probability", "gradient: entropy"]
    for layer in layers:
        assert isinstance(layer, Image)
        assert not layer.visible
        assert layer.blending == "additive"
        assert tuple(layer.contrast_limits) == (0.0, 1.0)
        np.testing.assert_allclose(layer.scale, small_volume.geometry.spacing)
        assert layer.metadata["medcnn"]["result_id"] == result.id
        black, half, full = layer.colormap.map([0.0, 0.5, 1.0])[:, :3]
        assert black.max() < 0.02
        assert half.max() > 0.4 and full.max() > 0.9
    assert np.shares_memory(layers[1].data, values)
    assert map_layers(result, small_volume, ()) == []


def explanation_of(volume: Volume, method: Method) -> Explanation:
    values = np.linspace(-1, 3, volume.geometry.shape[0], dtype=np.float32)[:, None, None]
    return Explanation(
        np.broadcast_to(values, volume.geometry.shape),
        volume.geometry,
        volume.id,
        method,
        "lesion",
        1.5,
        "the whole image",
        ModelReference("m", "1", "0"),
        ((0, 0, 0), volume.geometry.shape),
    )


@pytest.mark.parametrize(
    ("method", "lowest"), [("gradcam", 0.0), ("occlusion", -3.0), ("integrated_gradients", -3.0)]
)
def test_a_map_of_reasons_lies_on_its_image_and_is_black_at_zero(
    small_volume: Volume, method: Method, lowest: float
) -> None:
    layer = only([explanation_layer(explanation_of(small_volume, method), small_volume)])
    image = only(volume_layers(small_volume))
    index = (3, 7, 5)
    np.testing.assert_array_equal(layer.data_to_world(index), image.data_to_world(index))
    assert layer.units == image.units
    assert tuple(layer.contrast_limits) == (lowest, 3.0)
    place = (0.0 - lowest) / (3.0 - lowest)
    np.testing.assert_allclose(layer.colormap.map(place)[..., :3], 0, atol=0.02)
    assert layer.blending == "additive"
    assert layer.metadata["medcnn"]["explanation"]["class"] == "lesion"


def test_a_map_of_another_grid_is_refused(small_volume: Volume) -> None:
    with pytest.raises(GeometryError):
        explanation_layer(explanation_of(picture(), "gradcam"), small_volume)


def test_ct_opens_in_the_soft_tissue_window_and_mr_by_its_values(small_volume: Volume) -> None:
    ct = replace(small_volume, modality="CT", unit="HU")
    assert display_range(ct) == (-160.0, 240.0)
    low, high = display_range(small_volume)
    assert low == pytest.approx(20, abs=5)
    assert high == pytest.approx(3820, abs=20)


@pytest.mark.parametrize("value", [0, 7, np.nan])
def test_an_even_image_still_has_a_range(small_volume: Volume, value: float) -> None:
    array = np.full(small_volume.array.shape, value, np.float32)
    low, high = display_range(replace(small_volume, array=array))
    assert low < high


def test_a_layer_leads_to_its_volume(session: Session, small_volume: Volume) -> None:
    metadata = only(volume_layers(small_volume)).metadata
    assert volume_of_layer(metadata, session.volumes) is small_volume
    assert volume_of_layer(metadata, {}) is small_volume
    assert volume_of_layer({}, session.volumes) is None
    assert volume_of_layer({"medcnn": "foreign"}, session.volumes) is None


@pytest.mark.parametrize("unit", ["mm", "um"])
def test_a_foreign_layer_is_adopted_where_it_lies(unit: str) -> None:
    array = np.random.default_rng(1).integers(0, 99, (4, 5, 6)).astype(np.int16)
    factor = {"mm": 1.0, "um": 1000.0}[unit]
    layer = Image(
        array,
        scale=np.array([3.0, -0.5, 0.75]) * factor,
        translate=np.array([10.0, 20.0, -30.0]) * factor,
        units=(unit,) * 3,
    )
    volume = adopt_layer(layer.data, layer.scale, layer.translate, "other", units=layer.units)
    assert volume.spacing_known
    assert [f.code for f in volume.findings] == ["orientation-assumed"]
    np.testing.assert_allclose(volume.geometry.spacing, (3.0, 0.5, 0.75))
    again = only(volume_layers(volume))
    assert again.data[1, 0, 2] == array[1, 4, 2], "the negative axis was flipped"
    np.testing.assert_allclose(
        np.array(again.data_to_world((1, 0, 2))) * factor, layer.data_to_world((1, 4, 2))
    )
    back, geometry = volume.on_source_grid(volume.array)
    assert np.array_equal(back, array)
    np.testing.assert_allclose(geometry.index_to_lps((0, 0, 0)), (-30.0, 20.0, 10.0))


def test_a_layer_without_a_length_has_no_known_spacing() -> None:
    layer = Image(np.zeros((4, 5, 6)), scale=(2, 1, 1))
    volume = adopt_layer(layer.data, layer.scale, layer.translate, "other", units=layer.units)
    assert not volume.spacing_known
    assert "spacing-unknown" in [f.code for f in volume.findings]


def test_two_and_four_axes_are_adopted_too_others_refused() -> None:
    assert adopt_layer(np.zeros((5, 6)), (1, 1), (0, 0), "flat").is_2d
    assert adopt_layer(np.zeros((2, 4, 5, 6)), (1,) * 4, (0,) * 4, "film").frame_count == 2
    for data in (np.zeros(3), np.zeros((1,) * 5), np.zeros((2, 2), complex)):
        with pytest.raises(InputMismatch):
            adopt_layer(data, (1,) * data.ndim, (0,) * data.ndim, "odd")


def test_a_layer_name_holds_no_path(small_volume: Volume) -> None:
    source = replace(small_volume.source, path=Path("/scans/doe_john/flair.nii.gz"))
    (layer,) = volume_layers(replace(small_volume, source=source))
    assert "doe" not in layer[1]["name"]
