"""The one geometry convention, held by properties over random and all axis-aligned grids."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_medcnn.core.errors import GeometryError
from napari_medcnn.core.geometry import AxisMap, Geometry

SHAPES = st.tuples(*[st.integers(1, 9)] * 3)
SPACINGS = st.tuples(*[st.floats(0.1, 10)] * 3)
ORIGINS = st.tuples(*[st.floats(-500, 500)] * 3)
AXIS_MAPS = [
    AxisMap(order, flip)
    for order in permutations(range(3))
    for flip in product((False, True), repeat=3)
]


@st.composite
def oblique_grids(draw: st.DrawFn) -> Geometry:
    """Any rotation, spacing, origin and shape."""
    rotation = Rotation.random(rng=draw(st.integers(0, 2**32 - 1))).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = rotation * draw(SPACINGS)
    affine[:3, 3] = draw(ORIGINS)
    return Geometry(draw(SHAPES), affine)


def voxel_centres(geometry: Geometry) -> np.ndarray:
    return geometry.index_to_lps(np.stack(np.indices(geometry.shape), -1))


@pytest.mark.parametrize("axes", AXIS_MAPS)
def test_reordering_moves_voxels_and_their_positions_together(axes: AxisMap) -> None:
    geometry = Geometry.from_spacing((2, 3, 4), (3.0, 2.0, 1.0), (5.0, -6.0, 7.0))
    centres = voxel_centres(geometry)
    reordered = geometry.reordered(axes)
    for component in range(3):
        moved = axes.apply(centres[..., component])
        np.testing.assert_allclose(voxel_centres(reordered)[..., component], moved, atol=1e-9)


@pytest.mark.parametrize("axes", AXIS_MAPS)
def test_every_axis_order_returns_to_the_canonical_one(axes: AxisMap) -> None:
    canonical = Geometry.from_spacing((2, 3, 4), (3.0, 2.0, 1.0))
    stored = canonical.reordered(axes)
    assert stored.reordered(stored.canonical_axes()).is_close(canonical, 1e-9)
    array = np.arange(24).reshape(2, 3, 4)
    assert np.array_equal(stored.canonical_axes().apply(axes.apply(array)), array)


@given(oblique_grids())
def test_canonical_axes_turn_by_at_most_what_a_permutation_leaves(geometry: Geometry) -> None:
    canonical = geometry.reordered(geometry.canonical_axes())
    trace = np.trace(canonical.direction[::-1])
    for axes in AXIS_MAPS:
        assert np.trace(geometry.reordered(axes).direction[::-1]) <= trace + 1e-6


@given(oblique_grids())
def test_axis_map_and_its_inverse_cancel(geometry: Geometry) -> None:
    axes = geometry.canonical_axes()
    assert geometry.reordered(axes).reordered(axes.inverse()).is_close(geometry, 1e-6)


@given(oblique_grids(), st.tuples(*[st.floats(-20, 20)] * 3))
def test_lps_and_index_are_inverse(geometry: Geometry, index: tuple[float, ...]) -> None:
    there_and_back = geometry.lps_to_index(geometry.index_to_lps(index))
    np.testing.assert_allclose(there_and_back, index, atol=1e-6)


@given(oblique_grids())
def test_sitk_places_every_voxel_where_we_do(geometry: Geometry) -> None:
    image = sitk.Image([int(n) for n in reversed(geometry.shape)], sitk.sitkUInt8)
    grid = geometry.to_sitk()
    image.SetSpacing(grid["spacing"])
    image.SetOrigin(grid["origin"])
    image.SetDirection(grid["direction"])
    corner = tuple(n - 1 for n in geometry.shape)
    theirs = image.TransformIndexToPhysicalPoint([int(n) for n in reversed(corner)])
    np.testing.assert_allclose(geometry.index_to_lps(corner), theirs, atol=1e-6)
    again = Geometry.from_sitk(
        image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()
    )
    assert again.is_close(geometry, 1e-6)


@given(oblique_grids())
def test_ras_affine_round_trip_keeps_the_grid(geometry: Geometry) -> None:
    again = Geometry.from_ras_affine(geometry.shape, geometry.to_ras_affine())
    assert again.is_close(geometry, 1e-9)


def test_ras_affine_is_nifti_s_index_order_and_signs() -> None:
    geometry = Geometry.from_spacing((2, 3, 4), (3.0, 2.0, 1.0), (10.0, 20.0, 30.0))
    i, j, k = 3, 2, 1
    right, anterior, superior, _ = geometry.to_ras_affine() @ (i, j, k, 1)
    np.testing.assert_allclose(geometry.index_to_lps((k, j, i)), (-right, -anterior, superior))


@given(oblique_grids(), st.floats(0.02, 0.5))
def test_shear_is_noticed_and_refused_by_sitk(geometry: Geometry, shear: float) -> None:
    affine = geometry.affine.copy()
    affine[:3, 0] += shear * affine[:3, 1] / np.linalg.norm(affine[:3, 1]) * geometry.spacing[0]
    sheared = Geometry(geometry.shape, affine)
    assert sheared.is_sheared and not geometry.is_sheared
    assert sheared.voxel_volume_mm3 == pytest.approx(geometry.voxel_volume_mm3)
    with pytest.raises(GeometryError):
        sheared.to_sitk()


def test_distance_between_grids_is_that_of_their_farthest_corner() -> None:
    a = Geometry.from_spacing((11, 11, 11), (1.0, 1.0, 1.0))
    b = Geometry.from_spacing((11, 11, 11), (1.0, 1.0, 1.01))
    assert a.max_distance_mm(b) == pytest.approx(0.1)
    assert not a.is_close(b)


def test_cropping_keeps_positions() -> None:
    geometry = Geometry.from_spacing((9, 9, 9), (3.0, 2.0, 1.0), (1.0, 2.0, 3.0))
    part = geometry.cropped((1, 2, 3), (4, 4, 4))
    np.testing.assert_allclose(part.index_to_lps((0, 0, 0)), geometry.index_to_lps((1, 2, 3)))


@pytest.mark.parametrize(
    ("shape", "affine"),
    [
        ((1, 2), np.eye(4)),
        ((0, 2, 3), np.eye(4)),
        ((1, 2, 3), np.eye(3)),
        ((1, 2, 3), np.diag([1.0, 0.0, 1.0, 1.0])),
        ((1, 2, 3), np.full((4, 4), np.nan)),
    ],
)
def test_impossible_grids_are_refused(shape: tuple[int, ...], affine: np.ndarray) -> None:
    with pytest.raises(GeometryError):
        Geometry(shape, affine)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("degrees", "oblique"), [(0.0, False), (0.03, False), (0.2, True), (20.0, True)]
)
def test_oblique_means_turned_by_more_than_rounding(degrees: float, oblique: bool) -> None:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("z", degrees, degrees=True).as_matrix()[:, ::-1]
    assert Geometry((2, 2, 2), affine).is_oblique is oblique
