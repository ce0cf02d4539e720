"""Lesions where the baseline's space has them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_medcnn.core.change import LesionKey
from napari_medcnn.core.errors import GeometryError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.lesion import Review, Verdict
from napari_medcnn.core.registration import SpatialTransform
from napari_medcnn.followup.placed import MAX_POINTS
from tests.followup.marked_studies import GRID, balls, study


def motion() -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", (10, 20, -30), degrees=True).as_matrix()
    matrix[:3, 3] = (4.0, -7.0, 11.0)
    return matrix


def test_points_come_to_the_baseline_and_back_to_their_voxels() -> None:
    placed = study("second", balls([(20, 15, 18, 4)]), transform=SpatialTransform(motion()))
    (lesion,) = placed.lesions
    points = placed.points(lesion)
    assert len(points) == lesion.voxel_count
    voxels = np.argwhere(placed.table.id_map == lesion.id)
    np.testing.assert_allclose(placed.to_index(points), voxels, atol=1e-9)
    own = points @ motion()[:3, :3].T + motion()[:3, 3]
    np.testing.assert_allclose(own, GRID.index_to_lps(voxels), atol=1e-9)


def test_a_large_lesion_is_represented_by_some_of_its_voxels() -> None:
    placed = study("first", balls([(20, 20, 20, 15)]))
    (lesion,) = placed.lesions
    points = placed.points(lesion)
    assert lesion.voxel_count > 2 * MAX_POINTS
    assert len(points) == MAX_POINTS
    assert placed.holds(lesion, points).all()
    np.testing.assert_allclose(points.mean(axis=0), lesion.centroid_lps_mm, atol=1.0)


def test_holds_tells_points_inside_from_those_beside() -> None:
    placed = study("first", balls([(20, 20, 20, 5)]))
    (lesion,) = placed.lesions
    centre = GRID.index_to_lps((20 / 3, 20, 20))
    beside = centre + np.array([0, 0, 12])
    outside = centre + np.array([500, 0, 0])
    assert placed.holds(lesion, np.stack([centre, beside, outside])).tolist() == [
        True,
        False,
        False,
    ]


def test_a_shift_of_points_is_that_of_their_indices() -> None:
    placed = study("second", balls([(20, 15, 18, 4)]), transform=SpatialTransform(motion()))
    points = placed.points(placed.lesions[0])
    shift = np.array([(1.0, 2.0, -3.0)])
    np.testing.assert_allclose(
        placed.to_index(points + shift) - placed.to_index(points),
        np.broadcast_to(placed.shift_of_index(shift), points.shape),
        atol=1e-9,
    )


def test_the_view_ends_at_the_outermost_voxels_faces() -> None:
    placed = study("first", balls([(20, 20, 20, 5)]))
    faces = GRID.index_to_lps([(-0.4, 5, 5), (-0.6, 5, 5), (5, 39.4, 5), (5, 39.6, 5)])
    assert placed.share_in_view(faces) == 0.5
    assert placed.share_in_view(faces[[0, 2]]) == 1.0


def test_rejected_lesions_take_no_part_and_keys_name_their_study() -> None:
    placed = study("first", balls([(20, 10, 10, 5), (20, 30, 30, 3)]))
    rejected = replace(placed.table.by_id(2), review=Review(Verdict.REJECTED))
    table = replace(placed.table, lesions=(placed.table.by_id(1), rejected))
    placed = replace(placed, table=table)
    assert [placed.key(lesion) for lesion in placed.lesions] == [LesionKey("first", 1)]
    assert placed.lesion(LesionKey("first", 2)).id == 2
    with pytest.raises(KeyError):
        placed.lesion(LesionKey("second", 1))


def test_lesions_of_another_grid_are_refused() -> None:
    placed = study("first", balls([(20, 10, 10, 5)]))
    with pytest.raises(GeometryError, match="do not fit"):
        replace(placed, geometry=Geometry.from_spacing((3, 4, 5), (1.0, 1.0, 1.0)))
