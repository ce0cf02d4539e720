"""Resampling moves values to the right places, on grids of every kind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import affine_transform
from scipy.spatial.transform import Rotation

from napari_medcnn.core.errors import GeometryError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.imaging.resample import (
    grid_with_spacing,
    isotropic_grid,
    resample,
    straight_grid,
    straighten,
)


def sheared(seed: int, shape: tuple[int, int, int] = (7, 9, 11), tilt: float = 0.3) -> Geometry:
    """A rotated stack whose slices shift along the rows, as under a gantry tilt."""
    rng = np.random.default_rng(seed)
    affine = np.eye(4)
    affine[:3, :3] = Rotation.random(rng=rng).as_matrix() * rng.uniform(0.5, 3, 3)
    affine[:3, 0] += affine[:3, 1] / np.linalg.norm(affine[:3, 1]) * tilt
    affine[:3, 3] = rng.uniform(-200, 200, 3)
    return Geometry(shape, affine)


def linear_field(geometry: Geometry) -> np.ndarray:
    """Values that are a linear function of the position, so that linear interpolation is exact."""
    centres = geometry.index_to_lps(np.stack(np.indices(geometry.shape), -1))
    return np.asarray(centres @ (0.3, -0.7, 1.1) + 5.0)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.4, -0.9]))
@settings(deadline=None, max_examples=40)
def test_a_linear_field_keeps_its_values_in_patient_space(seed: int, tilt: float) -> None:
    source, target = sheared(seed, tilt=tilt), sheared(seed + 1, (5, 6, 4), tilt=tilt / 2)
    # Bring the target inside the source, so that no voxel needs the fill value.
    affine = target.affine.copy()
    affine[:3, :3] *= 0.2 * min(source.spacing) / max(target.spacing)
    affine[:3, 3] = source.index_to_lps((3.0, 4.0, 5.0))
    target = Geometry(target.shape, affine)
    result = resample(linear_field(source), source, target)
    np.testing.assert_allclose(result, linear_field(target), atol=1e-6)


@pytest.mark.parametrize("order", [0, 1])
def test_agrees_with_scipy_inside_the_source(order: int) -> None:
    source, target = sheared(3), sheared(3, tilt=0.0)
    array = np.random.default_rng(1).normal(size=source.shape)
    to_source = np.linalg.inv(source.affine) @ target.affine
    theirs = affine_transform(
        array, to_source[:3, :3], to_source[:3, 3], output_shape=target.shape, order=order, cval=9
    )
    ours = resample(array, source, target, order=order, fill=9)
    index = source.lps_to_index(target.index_to_lps(np.stack(np.indices(target.shape), -1)))
    # Scipy counts a voxel centre that rounding puts 1e-16 outside the source as outside.
    inside = ((index > 1e-6) & (index < np.asarray(source.shape) - 1 - 1e-6)).all(-1)
    assert inside.sum() > 100
    np.testing.assert_allclose(ours[inside], theirs[inside], atol=1e-9)


def test_labels_keep_their_type_and_values() -> None:
    geometry = sheared(5)
    for dtype in (bool, np.uint8, np.uint16, np.uint32, np.int16):
        labels = np.zeros(geometry.shape, dtype)
        labels[2:4, 3:5, 1:6] = 1
        there = resample(labels, geometry, straight_grid(geometry), order=0)
        assert there.dtype == dtype
        assert set(np.unique(there)) == {0, 1}


def test_the_same_grid_gives_the_same_voxels() -> None:
    geometry = sheared(8)
    array = np.random.default_rng(0).integers(-1000, 3000, geometry.shape).astype(np.int16)
    assert np.array_equal(resample(array, geometry, geometry, order=0), array)
    linear = resample(array, geometry, geometry)
    assert linear.dtype == np.float32
    np.testing.assert_allclose(linear, array, atol=1e-2)


def test_outside_is_filled() -> None:
    source = Geometry.from_spacing((4, 4, 4), (1.0, 1.0, 1.0))
    target = Geometry.from_spacing((4, 4, 4), (1.0, 1.0, 1.0), (100.0, 0.0, 0.0))
    assert (resample(np.ones((4, 4, 4)), source, target, fill=-7.0) == -7.0).all()


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=30)
def test_a_straight_grid_is_straight_and_covers_every_voxel_centre(seed: int) -> None:
    source = sheared(seed)
    straight = straight_grid(source)
    assert not straight.is_sheared
    centres = source.index_to_lps(np.stack(np.indices(source.shape), -1))
    index = straight.lps_to_index(centres)
    assert index.min() > -1e-4
    assert (index.max(axis=(0, 1, 2)) < np.asarray(straight.shape) - 1 + 1e-4).all()


def test_straightening_a_tilted_stack_leaves_slices_in_their_planes() -> None:
    affine = np.array([[0, 0, 0.5, 10], [1.2, 0.5, 0, -20], [3, 0, 0, 5], [0, 0, 0, 1.0]])
    source = Geometry((6, 30, 20), affine)
    array = linear_field(source)
    straightened, target = straighten(array, source)
    assert target.shape == (6, 42, 20)
    assert target.spacing == pytest.approx((3.0, 0.5, 0.5))
    inside = straightened != array.min()
    assert inside.mean() > 0.6
    np.testing.assert_allclose(straightened[inside], linear_field(target)[inside], atol=0.3)


def test_frames_are_straightened_each() -> None:
    source = sheared(4)
    frames = np.stack([linear_field(source), linear_field(source) * 2])
    straightened, target = straighten(frames, source, fill=0.0)
    assert straightened.shape == (2, *target.shape)
    np.testing.assert_allclose(straightened[1], 2 * straightened[0], rtol=1e-6)


def test_a_grid_without_shear_is_not_touched() -> None:
    geometry = sheared(2, tilt=0.0)
    assert straight_grid(geometry) is geometry


@given(st.integers(0, 2**32 - 1), st.floats(0.3, 4))
@settings(deadline=None, max_examples=30)
def test_an_isotropic_grid_keeps_the_middle_and_nearly_the_box(seed: int, spacing: float) -> None:
    source = sheared(seed, tilt=0.0)
    grid = isotropic_grid(source, spacing)
    assert grid.spacing == pytest.approx((spacing,) * 3)
    middles = [g.index_to_lps((np.asarray(g.shape) - 1) / 2) for g in (source, grid)]
    np.testing.assert_allclose(*middles, atol=1e-6)
    boxes = [np.asarray(g.shape) * g.spacing for g in (source, grid)]
    assert (np.abs(boxes[0] - boxes[1]) <= np.maximum(spacing / 2, spacing - boxes[0]) + 1e-6).all()


def test_the_same_spacing_gives_the_same_grid() -> None:
    source = sheared(6, tilt=0.0)
    assert grid_with_spacing(source, source.spacing).is_close(source, 1e-6)


def test_wrong_arguments_are_told() -> None:
    geometry = Geometry.from_spacing((2, 2, 2), (1.0, 1.0, 1.0))
    with pytest.raises(GeometryError, match="does not fit"):
        resample(np.zeros((3, 2, 2)), geometry, geometry)
    with pytest.raises(ValueError, match="order"):
        resample(np.zeros((2, 2, 2)), geometry, geometry, order=2)
