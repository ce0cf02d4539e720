"""Regions of interest: what was drawn or labelled becomes exactly those voxels."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medcnn.app.layers import placement
from napari_medcnn.app.region_of_interest import (
    bounding_box,
    region_of_label,
    region_of_shapes,
    region_text,
    shown_grid,
)
from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Source, Volume, canonical_volume

SHAPE = (12, 20, 16)


def rotation(angle: float) -> np.ndarray:
    """A turn about x and then z, both by `angle` in radians."""
    c, s = np.cos(angle), np.sin(angle)
    about_x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    about_z = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return about_z @ about_x


def turned_volume(angle: float, spacing=(2.0, 0.5, 1.5)) -> Volume:
    """A volume whose axes are turned against the patient's, away from the origin."""
    affine = np.eye(4)
    affine[:3, :3] = rotation(angle) @ np.diag(spacing)[::-1]
    affine[:3, 3] = (-30.0, 12.5, 100.0)
    return Volume(np.zeros(SHAPE, np.int16), Geometry(SHAPE, affine), name="turned")


def shown(volume: Volume, *index: tuple[float, float, float]) -> np.ndarray:
    """Where indices ``(z, y, x)`` of a volume appear, in mm, as its layer has them."""
    place = placement(volume)
    return np.asarray(index) * place.scale + place.translate


def rectangle(volume: Volume, z: float, y: tuple[float, float], x: tuple[float, float]):
    """A rectangle in an axial slice."""
    return shown(volume, *((z, b, c) for b, c in itertools.product(y, x)))


@pytest.mark.parametrize("angle", [0.0, 0.3, -1.0])
def test_a_rectangle_bounds_its_plane_and_goes_through_all_slices(angle):
    volume = turned_volume(angle)
    drawn = [rectangle(volume, 5, (3, 9), (2, 7))]
    assert region_of_shapes(volume, drawn, all_slices=True) == ((0, 3, 2), (12, 10, 8))


@pytest.mark.parametrize("angle", [0.0, 0.3, -1.0])
def test_rectangles_on_two_slices_bound_the_slices_between(angle):
    volume = turned_volume(angle)
    drawn = [rectangle(volume, 8, (3, 9), (2, 7)), rectangle(volume, 4, (5, 11), (1, 3))]
    assert region_of_shapes(volume, drawn, all_slices=False) == ((4, 3, 1), (9, 12, 8))


def test_a_rectangle_in_another_plane_bounds_the_slices():
    volume = turned_volume(0.4)
    axial = rectangle(volume, 5, (3, 9), (2, 7))
    coronal = shown(volume, (2, 6, 2), (2, 6, 7), (8, 6, 7), (8, 6, 2))
    assert region_of_shapes(volume, [axial, coronal], all_slices=True) == ((2, 3, 2), (9, 10, 8))
    assert region_of_shapes(volume, [coronal], all_slices=True) == ((2, 0, 2), (9, 20, 8))
    assert region_of_shapes(volume, [coronal], all_slices=False) == ((2, 6, 2), (9, 7, 8))


def test_shapes_of_two_axes_lie_over_all_slices():
    volume = turned_volume(0.4)
    flat = rectangle(volume, 0, (3, 9), (2, 7))[:, 1:]
    assert region_of_shapes(volume, [flat], all_slices=False) == ((0, 3, 2), (12, 10, 8))


@given(
    st.tuples(*(st.floats(-0.49, n - 0.51) for n in SHAPE)),
    st.tuples(*(st.floats(0.02, 8.0) for _ in SHAPE)),
    st.floats(-3.0, 3.0),
)
def test_every_voxel_that_a_shape_touches_is_in_its_region(low, size, angle):
    volume = turned_volume(angle)
    high = np.add(low, size)
    drawn = shown(volume, *itertools.product(*zip(low, high, strict=True)))
    start, stop = region_of_shapes(volume, [drawn], all_slices=False)
    for axis in range(3):
        inside = np.arange(SHAPE[axis])
        overlap = np.minimum(inside + 0.5, high[axis]) - np.maximum(inside - 0.5, low[axis])
        clear = np.flatnonzero(overlap > 1e-5)
        assert start[axis] <= clear[0] and clear[-1] < stop[axis]
        assert (overlap[start[axis] : stop[axis]] > -1e-5).all()


def test_a_shape_beside_the_image_is_refused():
    volume = turned_volume(0.2)
    with pytest.raises(InputMismatch, match="outside of the image"):
        region_of_shapes(volume, [rectangle(volume, 5, (30, 40), (2, 7))], all_slices=True)
    with pytest.raises(InputMismatch, match="no shape is drawn yet"):
        region_of_shapes(volume, [], all_slices=True)


@pytest.mark.parametrize("codes", list(itertools.product((1, -1), repeat=3)))
def test_a_flipped_file_gives_voxels_of_the_canonical_array(codes):
    """What is drawn over the bright block bounds it, whichever way the file stores its axes."""
    array = np.zeros((16, 12, 20), np.float32)  # the file's x, z, y
    array[4:7, 2:5, 8:12] = 1
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for axis, (row, sign, step) in enumerate(zip((0, 2, 1), codes, (1.5, 2.0, 0.5), strict=True)):
        affine[row, axis] = sign * step
    affine[:3, 3] = (-30.0, 12.5, 100.0)
    volume = canonical_volume(array, Geometry(array.shape, affine), source=Source())
    assert volume.geometry.orientation == "SPL"
    bright = np.argwhere(volume.array)
    first, last = bright.min(axis=0), bright.max(axis=0)
    drawn = shown(volume, *itertools.product(*zip(first, last, strict=True)))
    start, stop = region_of_shapes(volume, [drawn], all_slices=False)
    assert (start, stop) == (tuple(first), tuple(last + 1))
    assert volume.array[tuple(map(slice, start, stop))].all()


@pytest.mark.parametrize("angle", [0.0, 0.3, -1.0])
def test_the_margin_around_a_label_is_in_millimetres_along_each_axis(angle):
    volume = turned_volume(angle, spacing=(2.0, 0.5, 1.0))
    labels = np.zeros(SHAPE, np.uint8)
    labels[5:7, 8:11, 6] = 3
    labels[0, 0, 0] = 1
    grid = volume.geometry
    assert region_of_label(volume, labels, grid, 3, 0.0) == ((5, 8, 6), (7, 11, 7))
    assert region_of_label(volume, labels, grid, 3, 2.0) == ((4, 4, 4), (8, 15, 9))
    assert region_of_label(volume, labels, grid, None, 0.0) == ((0, 0, 0), (7, 11, 7))
    assert region_of_label(volume, labels, grid, 3, 500.0) == ((0, 0, 0), SHAPE)


def test_the_margin_is_kept_on_a_sheared_grid():
    affine = turned_volume(0.0).geometry.affine.copy()
    affine[1, 0] = 0.8  # slices drift along y, as under a gantry tilt
    volume = Volume(np.zeros(SHAPE, np.int16), Geometry(SHAPE, affine))
    labels = np.zeros(SHAPE, np.uint8)
    labels[6, 10, 8] = 1
    start, stop = region_of_label(volume, labels, volume.geometry, 1, 2.0)
    index = np.argwhere(np.ones(SHAPE, bool))
    near = np.linalg.norm(
        volume.geometry.index_to_lps(index) - volume.geometry.index_to_lps((6, 10, 8)), axis=1
    )
    inside = index[near <= 2.0]
    assert (inside >= start).all() and (inside < stop).all()


def test_a_label_on_another_grid_is_found_where_it_lies_in_the_patient():
    volume = turned_volume(0.5)
    coarse = volume.geometry.cropped((2, 4, 2), (4, 4, 4))
    affine = coarse.affine.copy()
    affine[:3, :3] *= 2.0
    grid = Geometry((4, 4, 4), affine)
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[1, 2, 1] = 1  # centre at index (4, 8, 4), two voxels wide
    assert region_of_label(volume, labels, grid, 1, 0.0) == ((3, 7, 3), (6, 10, 6))


def test_labels_that_were_drawn_by_hand_lie_where_they_are_shown():
    volume = turned_volume(0.5)
    place = placement(volume)
    grid = shown_grid(volume, SHAPE, place.scale, place.translate)
    assert grid.is_close(volume.geometry)


def test_a_label_that_does_not_occur_is_refused():
    volume = turned_volume(0.0)
    with pytest.raises(InputMismatch, match="no label 4 is drawn yet"):
        region_of_label(volume, np.zeros(SHAPE, np.uint8), volume.geometry, 4, 5.0)


def test_a_label_beside_the_image_is_refused():
    volume = turned_volume(0.0)
    affine = volume.geometry.affine.copy()
    affine[:3, 3] += 1000.0
    far = replace(volume.geometry, affine=affine)
    with pytest.raises(InputMismatch, match="outside of the image"):
        region_of_label(volume, np.ones(SHAPE, np.uint8), far, None, 5.0)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2))
def test_the_bounding_box_is_that_of_all_its_voxels(seed, value):
    labels = np.random.default_rng(seed).integers(0, 40, (3, 4, 5)).astype(np.uint8)
    mask = labels == value if value else labels != 0
    box = bounding_box(labels, value or None)
    if not mask.any():
        assert box is None
    else:
        where = np.argwhere(mask)
        assert box == (tuple(where.min(axis=0)), tuple(where.max(axis=0) + 1))


def test_a_region_in_words_says_its_size_and_share():
    text = region_text(((0, 0, 0), (10, 20, 40)), (10, 40, 80))
    assert text == "only 40 × 20 × 10 voxels (x × y × z), 25% of the image"
    assert "less than 1%" in region_text(((0, 0, 0), (1, 1, 1)), (10, 40, 80))
