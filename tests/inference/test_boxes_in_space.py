"""Boxes of a network's grid come back where they were drawn, whichever way the grid lies."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_medcnn.core.detection import box_corners
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import Label
from napari_medcnn.inference.boxes_in_space import boxes_in_space, part_of_grid, within

LESION = (Label(1, "lesion"),)


def oblique(shape: tuple[int, int, int], flips: tuple[int, int, int] = (1, 1, 1)) -> Geometry:
    affine = np.eye(4)
    turned = Rotation.from_euler("xyz", (11, -23, 37), degrees=True).as_matrix()
    affine[:3, :3] = turned[:, ::-1] * (np.array((2.5, 0.8, 0.7)) * flips)
    affine[:3, 3] = (-40.0, 12.0, 300.0)
    return Geometry(shape, affine)


def faces(grid: Geometry, start: tuple[int, int, int], stop: tuple[int, int, int]) -> np.ndarray:
    """The outer corners of a cuboid of voxels, from its own voxels' centres and spacing alone."""
    first, last = np.array(start), np.array(stop) - 1
    steps = grid.affine[:3, :3]
    corners = []
    for bits in np.ndindex(2, 2, 2):
        voxel = np.where(bits, last, first)
        outward = np.where(bits, 0.5, -0.5)
        corners.append(grid.index_to_lps(voxel) + steps @ outward)
    return np.array(corners)


@pytest.mark.parametrize("flips", [(1, 1, 1), (1, -1, 1), (-1, 1, -1), (-1, -1, -1)])
def test_a_box_around_a_known_cuboid_comes_back_exactly_on_oblique_and_flipped_grids(
    flips: tuple[int, int, int],
) -> None:
    from monai.apps.detection.transforms.box_ops import convert_mask_to_box

    grid = oblique((20, 40, 30), flips)
    start, stop = (3, 7, 5), (9, 20, 11)
    mask = np.full((1, *grid.shape[::-1]), -1, dtype=np.int16)  # MONAI's x, y, z
    mask[0, start[2] : stop[2], start[1] : stop[1], start[0] : stop[0]] = 0
    drawn, labels = convert_mask_to_box(mask)
    (found,) = boxes_in_space(np.asarray(drawn, float), [0.9], labels, grid, LESION, "edges")
    np.testing.assert_allclose(found.corners_lps_mm, faces(grid, start, stop), atol=1e-9)
    assert found.size_mm == pytest.approx((6 * 2.5, 13 * 0.8, 6 * 0.7))
    middle = (np.array(start) + np.array(stop) - 1) / 2
    np.testing.assert_allclose(found.centre_lps_mm, grid.index_to_lps(middle), atol=1e-9)


def test_a_box_of_the_world_comes_back_through_monais_own_way_into_the_image() -> None:
    from monai.apps.detection.transforms.dictionary import AffineBoxToImageCoordinated
    from monai.data import MetaTensor

    grid = Geometry.from_spacing((20, 40, 30), (1.25, 0.7, 0.7), (-15.0, 20.0, -8.0))
    image = MetaTensor(torch.zeros(1, 30, 40, 20), affine=torch.tensor(grid.to_ras_affine()))
    world = torch.tensor([[-10.0, 25.0, -3.0, -4.5, 33.0, 6.0]], dtype=torch.float64)  # LPS
    to_image = AffineBoxToImageCoordinated("box", "image", affine_lps_to_ras=True)
    drawn = to_image({"box": world, "image": image})["box"].numpy()
    (found,) = boxes_in_space(drawn, [0.5], [0], grid, LESION, "centres")
    corners = np.array(found.corners_lps_mm)
    np.testing.assert_allclose(
        [*corners.min(axis=0), *corners.max(axis=0)], world[0].numpy(), atol=1e-4
    )


def test_both_conventions_differ_by_half_a_voxel() -> None:
    grid = Geometry.from_spacing((9, 9, 9), (2.0, 1.0, 1.0))
    box = np.array([[1.0, 1, 1, 3, 3, 3]])
    (edges,) = boxes_in_space(box, [1], [0], grid, LESION, "edges")
    (centres,) = boxes_in_space(box, [1], [0], grid, LESION, "centres")
    moved = np.array(centres.centre_lps_mm) - np.array(edges.centre_lps_mm)
    np.testing.assert_allclose(moved, (0.5, 0.5, 1.0))


@given(
    st.tuples(*[st.floats(-20, 60)] * 3),
    st.tuples(*[st.floats(0.5, 30)] * 3),
    st.sampled_from([(1, 1, 1), (1, -1, 1), (-1, -1, 1)]),
)
def test_sizes_and_middle_follow_from_the_corners(
    start: tuple[float, float, float],
    size: tuple[float, float, float],
    flips: tuple[int, int, int],
) -> None:
    grid = oblique((40, 40, 40), flips)
    box = np.array([[*start, *np.add(start, size)]])
    (found,) = boxes_in_space(box, [0.1], [0], grid, LESION, "centres")
    np.testing.assert_allclose(found.size_mm, np.array(size)[::-1] * grid.spacing, rtol=1e-9)
    back = grid.lps_to_index(np.array(found.corners_lps_mm))
    np.testing.assert_allclose(back.min(axis=0), start[::-1], atol=1e-6)
    np.testing.assert_allclose(back.max(axis=0), np.add(start, size)[::-1], atol=1e-6)


def test_a_region_keeps_boxes_whose_middle_it_holds() -> None:
    image = oblique((10, 20, 30))
    grid = image
    boxes = np.array([[2.0, 3, 4, 6, 7, 8], [20, 3, 4, 24, 7, 8]])
    found = boxes_in_space(boxes, [0.9, 0.8], [0, 0], grid, LESION, "centres")
    region = ((0, 0, 0), (10, 20, 15))
    assert [box.id for box in within(found, region, image)] == [1]
    assert part_of_grid(region, image, grid, margin=0) == [(0, 16), (0, 21), (0, 11)]
    assert within(found, None, image) == found


def test_the_corner_numbers_tell_the_ends_of_the_axes() -> None:
    grid = Geometry.from_spacing((4, 4, 4), (3.0, 2.0, 1.0))
    corners = box_corners(grid, (0, 0, 0), (1, 1, 1))
    assert corners[4] == (0, 0, 3)
    assert corners[2] == (0, 2, 0)
    assert corners[1] == (1, 0, 0)
