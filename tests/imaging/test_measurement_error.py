"""The stated intervals hold the truth in at least 95 % of simulated lesions."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medcnn.core.geometry import Geometry
from napari_medcnn.imaging.diameters import axial_axes, max_diameter_3d
from napari_medcnn.imaging.measurement_error import (
    axial_diameter_error_mm,
    diameter_error_mm,
    exposed_faces,
    volume_error_mm3,
    voxel_extent_mm,
)
from tests.imaging.phantoms import Phantom, ellipsoid


def ratios_to_error(phantom: Phantom) -> tuple[float, ...]:
    """How far volume, 3D, long and short diameter are off, in units of the stated error."""
    mask, grid = phantom.mask, phantom.geometry
    volume = mask.sum() * grid.voxel_volume_mm3
    space = max_diameter_3d(mask, grid)
    axes = axial_axes(mask, grid)
    slices = int(mask.any(axis=(1, 2)).sum())
    pairs = [(axes.long, phantom.long_axis_mm), (axes.short, phantom.short_axis_mm)]
    return (
        (volume - phantom.volume_mm3) / volume_error_mm3(mask, grid.voxel_volume_mm3),
        (space.length_mm - phantom.diameter_3d_mm) / diameter_error_mm(space.direction, grid),
        *(
            (d.length_mm - truth) / axial_diameter_error_mm(d.length_mm, d.direction, grid, slices)
            for d, truth in pairs
        ),
    )


@pytest.mark.parametrize(
    "spacing",
    [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0), pytest.param((3.0, 0.5, 0.5), marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("kind", ["sphere", "ellipsoid"])
def test_intervals_hold_the_truth_in_95_percent(
    spacing: tuple[float, float, float], kind: str
) -> None:
    rng = np.random.default_rng(7)
    ratios = []
    while len(ratios) < 120:
        radius = rng.uniform(1, 8) * spacing[0] ** 0.5
        flattening = (1.0, 1.0) if kind == "sphere" else rng.uniform(0.4, 1, 2)
        semi_axes = (radius, radius * flattening[0], radius * flattening[1])
        phantom = ellipsoid(rng, semi_axes, spacing, threshold=rng.uniform(0.25, 0.75))
        if phantom.extent_voxels.min() >= 2 and phantom.mask.any():
            ratios.append(ratios_to_error(phantom))
    covered = (np.abs(ratios) <= 1).mean(axis=0)
    assert (covered >= 0.95).all(), covered
    # An interval that always holds by far would say nothing.
    assert (np.abs(ratios).max(axis=0) > 0.5).all()


def test_a_cube_s_faces_are_counted_by_plane() -> None:
    by_plane = exposed_faces(np.ones((2, 3, 4), dtype=bool))
    assert by_plane.sum() == 2 * (3 * 4 + 2 * 4 + 2 * 3)
    assert sorted(by_plane[by_plane > 0]) == [6, 6, 8, 8, 12, 12]


def test_the_volume_error_scales_with_the_voxel_and_shrinks_against_the_volume() -> None:
    rng = np.random.default_rng(0)
    relative = []
    for radius in (3.0, 6.0, 12.0):
        sphere = ellipsoid(rng, (radius,) * 3, (1.0, 1.0, 1.0))
        assert volume_error_mm3(sphere.mask, 8.0) == pytest.approx(
            8 * volume_error_mm3(sphere.mask, 1.0)
        )
        relative.append(volume_error_mm3(sphere.mask, 1.0) / sphere.mask.sum())
    assert relative[0] > 1.7 * relative[1] > 2.9 * relative[2]


def test_a_single_picture_has_no_error_of_missed_slices() -> None:
    along = np.array([1.0, 0.0, 0.0])
    picture = Geometry.from_spacing((1, 9, 9), (5.0, 1.0, 1.0))
    stack = Geometry.from_spacing((4, 9, 9), (5.0, 1.0, 1.0))
    assert axial_diameter_error_mm(6.0, along, picture, 1) == diameter_error_mm(along, picture)
    few, many = (axial_diameter_error_mm(6.0, along, stack, n) for n in (1, 4))
    assert few > many > diameter_error_mm(along, stack)


def test_a_voxel_reaches_farther_along_its_diagonal() -> None:
    grid = Geometry.from_spacing((4, 4, 4), (5.0, 1.0, 1.0))
    assert voxel_extent_mm(np.array([0.0, 0.0, 1.0]), grid) == pytest.approx(5)
    assert voxel_extent_mm(np.array([1.0, 1.0, 0.0]) / np.sqrt(2), grid) == pytest.approx(2**0.5)
