"""Components by label, and the boxes they are cut out of."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medcnn.imaging.components import cut_out_components, foreground_box, label_components


def test_voxels_that_touch_by_a_corner_are_one_component_of_26_but_not_of_6_neighbours() -> None:
    array = np.zeros((3, 3, 3), dtype=np.uint8)
    array[0, 0, 0] = array[1, 1, 1] = 1
    assert label_components(array).max() == 1
    assert label_components(array, connectivity=6).max() == 2


def test_two_labels_that_touch_stay_two() -> None:
    array = np.zeros((2, 4, 4), dtype=np.uint16)
    array[:, :2] = 1
    array[:, 2:] = 300
    components = label_components(array)
    assert components.max() == 2
    assert len(np.unique(components[array == 300])) == 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, bool])
def test_an_empty_map_has_no_component(dtype: type) -> None:
    array = np.zeros((3, 4, 5), dtype=dtype)
    assert foreground_box(array) is None
    assert not label_components(array).any()
    assert cut_out_components(array) == []


def test_cut_out_components_are_the_array_again() -> None:
    rng = np.random.default_rng(3)
    array = ((rng.random((9, 12, 11)) < 0.1) * rng.integers(1, 4, (9, 12, 11))).astype(np.uint8)
    again = np.zeros_like(array)
    found = cut_out_components(array)
    for component in found:
        again[component.box][component.mask] = component.label
        assert component.mask.sum() == component.voxel_count
        assert component.mask.shape == tuple(np.subtract(component.stop, component.start))
    assert np.array_equal(again, array)
    assert len(found) == label_components(array).max()
    assert [c.voxel_count for c in found] == sorted((c.voxel_count for c in found), reverse=True)


def test_views_in_any_memory_order_are_labelled() -> None:
    array = np.zeros((6, 5, 4), dtype=np.uint8)
    array[1:3, 1, 1] = 1
    array[5, 4, 3] = 1
    assert label_components(array[::-1].transpose(2, 1, 0)).max() == 2
