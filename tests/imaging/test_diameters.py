"""Diameters against phantoms of known size, by brute force, and against published figures."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from scipy.spatial.transform import Rotation

from napari_medcnn.core.geometry import Geometry
from napari_medcnn.imaging.diameters import axial_axes, max_diameter_3d
from tests.imaging.phantoms import ellipsoid

SPACINGS = [(1.0, 1.0, 1.0), (2.0, 0.7, 0.7), (1.0, 0.5, 1.5)]


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("radius_voxels", [3.0, 6.0, 9.0])
def test_a_sphere_s_diameters_are_within_a_voxel_and_nearly_unbiased(
    spacing: tuple[float, float, float], radius_voxels: float
) -> None:
    rng = np.random.default_rng(int(radius_voxels))
    radius = radius_voxels * max(spacing)
    differences = []
    for _ in range(6):
        sphere = ellipsoid(rng, (radius,) * 3, spacing)
        axes = axial_axes(sphere.mask, sphere.geometry)
        lengths = (
            axes.long.length_mm,
            axes.short.length_mm,
            max_diameter_3d(sphere.mask, sphere.geometry).length_mm,
        )
        in_plane, in_space = max(spacing[1:]), max(spacing)
        differences.append(np.subtract(lengths, 2 * radius) / (in_plane, in_plane, in_space))
    assert np.abs(differences).max() < 1
    assert np.abs(np.mean(differences, axis=0)).max() < 0.5


def test_ellipsoids_in_any_orientation_are_unbiased_within_half_a_voxel() -> None:
    rng = np.random.default_rng(0)
    differences = []
    for _ in range(60):
        semi_axes = rng.uniform(7, 12), rng.uniform(5, 7), rng.uniform(4, 7)
        shape = ellipsoid(rng, semi_axes, (1.0, 1.0, 1.0))
        axes = axial_axes(shape.mask, shape.geometry)
        differences.append(
            (
                axes.long.length_mm - shape.long_axis_mm,
                axes.short.length_mm - shape.short_axis_mm,
                max_diameter_3d(shape.mask, shape.geometry).length_mm - shape.diameter_3d_mm,
            )
        )
    assert np.abs(np.mean(differences, axis=0)).max() < 0.5
    assert (np.abs(differences) < 1).mean() > 0.95


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 7), (1, 7, 1), (7, 1, 1)])
def test_a_voxel_and_lines_measure_their_count(shape: tuple[int, int, int]) -> None:
    geometry = Geometry.from_spacing(shape, (3.0, 2.0, 1.5))
    mask = np.ones(shape, dtype=bool)
    axes = axial_axes(mask, geometry)
    in_plane = sorted((shape[1] * 2.0, shape[2] * 1.5))
    assert axes.long.length_mm == pytest.approx(in_plane[1], rel=0.03)
    assert axes.short.length_mm == pytest.approx(in_plane[0], rel=0.03)
    lengths = np.multiply(shape, geometry.spacing)
    assert max_diameter_3d(mask, geometry).length_mm == pytest.approx(lengths.max(), rel=0.05)


@pytest.mark.parametrize("flat_axis", [0, 1, 2])
def test_flat_lesions_have_diameters(flat_axis: int) -> None:
    shape = [9, 9, 9]
    shape[flat_axis] = 1
    mask = np.ones(shape, dtype=bool)
    geometry = Geometry.from_spacing(mask.shape, (1.0, 1.0, 1.0))
    assert 11 < max_diameter_3d(mask, geometry).length_mm < np.sqrt(2) * 9
    assert axial_axes(mask, geometry).long.length_mm >= 9


def test_an_empty_mask_is_refused() -> None:
    mask = np.zeros((2, 2, 2), dtype=bool)
    with pytest.raises(ValueError, match="empty"):
        axial_axes(mask, Geometry.from_spacing(mask.shape, (1.0, 1.0, 1.0)))


def test_the_short_axis_is_the_widest_place_across_the_long_one() -> None:
    mask = np.zeros((1, 40, 40), dtype=bool)
    mask[0, 18:22, 2:38] = True
    mask[0, 10:29, 30:33] = True  # a bar across, near one end
    axes = axial_axes(mask, Geometry.from_spacing(mask.shape, (1.0, 1.0, 1.0)))
    assert axes.long.length_mm == pytest.approx(36, abs=1)
    assert axes.short.length_mm == pytest.approx(19, abs=1)
    assert abs(axes.long.direction @ axes.short.direction) < 1e-9


def test_the_long_axis_is_taken_in_the_slice_where_it_is_longest() -> None:
    mask = np.zeros((3, 9, 12), dtype=bool)
    mask[0, 4, 2:5] = mask[1, 4, 1:11] = mask[2, 4, 2:9] = True
    axes = axial_axes(mask, Geometry.from_spacing(mask.shape, (5.0, 1.0, 1.0)))
    assert axes.slice_index == 1
    assert axes.long.length_mm == pytest.approx(10, abs=0.1)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_turning_or_shearing_the_grid_moves_the_axes_with_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((5, 9, 8)) < 0.3
    mask[2, 4, 4] = True
    affine = np.eye(4)
    affine[:3, :3] = Rotation.random(rng=rng).as_matrix() * rng.uniform(0.3, 4, 3)
    affine[:3, 1] += rng.uniform(-0.2, 0.2) * affine[:3, 2]
    affine[:3, 3] = rng.uniform(-200, 200, 3)
    geometry = Geometry(mask.shape, affine)
    axes = axial_axes(mask, geometry)
    space = max_diameter_3d(mask, geometry)
    voxel = np.abs(affine[:3, :3]).sum()
    for diameter in (axes.long, axes.short, space):
        first, second = np.asarray(diameter.ends_lps_mm)
        assert np.linalg.norm(second - first) == pytest.approx(diameter.length_mm)
        ends = geometry.lps_to_index([first, second])
        assert (ends > -0.5 - 1e-9).all() and (ends < np.array(mask.shape) - 0.5 + 1e-9).all()
    in_slice = geometry.lps_to_index(axes.long.ends_lps_mm + axes.short.ends_lps_mm)[:, 0]
    np.testing.assert_allclose(in_slice, axes.slice_index, atol=1e-6)
    assert axes.short.length_mm <= axes.long.length_mm + 1e-9
    centres = geometry.index_to_lps(np.argwhere(mask))
    farthest = np.linalg.norm(centres[:, None] - centres, axis=-1).max()
    assert farthest <= space.length_mm + 1e-9 <= farthest + voxel


def test_a_published_tumour_has_its_published_diameters(shared_data: Path) -> None:
    label = sitk.ReadImage(str(shared_data / "radiomics" / "brain1_label.nrrd"))
    mask = sitk.GetArrayFromImage(label) == 1
    geometry = Geometry.from_sitk(
        label.GetSize(), label.GetSpacing(), label.GetOrigin(), label.GetDirection()
    )
    # PyRadiomics measures a mesh half a voxel outside the voxel centres; ours is a quarter in.
    slack = 0.5 * float(np.linalg.norm(geometry.spacing))
    assert 69.6009903059 - slack <= max_diameter_3d(mask, geometry).length_mm <= 69.6009903059
    # Its "slice" diameter also joins mesh points between two slices, i.e. points of either slice
    # where the other has none: 53.594 mm here, while no single slice is so long.
    between = [np.argwhere(a ^ b) * geometry.spacing[1] for a, b in pairwise(mask)]
    assert max(pdist(p).max() for p in between if len(p) > 1) == pytest.approx(53.5939777692)
    within = max(pdist(np.argwhere(k)).max() for k in mask if k.any()) * geometry.spacing[1]
    assert within <= axial_axes(mask, geometry).long.length_mm <= within + geometry.spacing[1]
