"""Components by label, and the boxes they are cut out of."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.imaging.components import MAX_COMPONENTS, cut_out_components, foreground_box


def test_voxels_that_touch_by_a_corner_are_one_component() -> None:
    array = np.zeros((3, 3, 3), dtype=np.uint8)
    array[0, 0, 0] = array[1, 1, 1] = 1
    (component,), left_out = cut_out_components(array)
    assert (component.voxel_count, left_out) == (2, 0)


def test_two_labels_that_touch_stay_two() -> None:
    array = np.zeros((2, 4, 4), dtype=np.uint16)
    array[:, :2] = 1
    array[:, 2:] = 300
    found, _ = cut_out_components(array)
    assert sorted((c.label, c.voxel_count) for c in found) == [(1, 16), (300, 16)]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, bool])
def test_an_empty_map_has_no_component(dtype: type) -> None:
    array = np.zeros((3, 4, 5), dtype=dtype)
    assert foreground_box(array) is None
    assert cut_out_components(array) == ([], 0)


def test_cut_out_components_are_the_array_again() -> None:
    rng = np.random.default_rng(3)
    array = ((rng.random((9, 12, 11)) < 0.1) * rng.integers(1, 4, (9, 12, 11))).astype(np.uint8)
    again = np.zeros_like(array)
    found, left_out = cut_out_components(array)
    for component in found:
        again[component.box][component.mask] = component.label
        assert component.mask.sum() == component.voxel_count
        assert component.mask.shape == tuple(np.subtract(component.stop, component.start))
    assert np.array_equal(again, array)
    parts = sum(ndimage.label(array == value, np.ones((3, 3, 3)))[1] for value in (1, 2, 3))
    assert (len(found), left_out) == (parts, 0)
    assert [c.voxel_count for c in found] == sorted((c.voxel_count for c in found), reverse=True)


def test_views_in_any_memory_order_are_labelled() -> None:
    array = np.zeros((6, 5, 4), dtype=np.uint8)
    array[1:3, 1, 1] = 1
    array[5, 4, 3] = 1
    found, _ = cut_out_components(array[::-1].transpose(2, 1, 0))
    assert [c.voxel_count for c in found] == [2, 1]


def test_smaller_components_are_counted_but_not_cut_out() -> None:
    array = np.zeros((6, 5, 4), dtype=np.uint8)
    array[1:3, 1, 1] = 1
    array[5, 4, 3] = array[0, 4, 3] = 2
    found, left_out = cut_out_components(array, min_voxel_count=1.5)
    assert [c.voxel_count for c in found] == [2]
    assert left_out == 2


def test_an_image_taken_for_a_label_map_is_refused_at_once() -> None:
    """Its voxels are as many components, which would be measured for hours."""
    image = np.random.default_rng(0).integers(0, 700, (40, 40, 40)).astype(np.uint16)
    with pytest.raises(InputMismatch, match=f"more than {MAX_COMPONENTS}"):
        cut_out_components(image)
    assert cut_out_components(image, min_voxel_count=50)[0] == []
