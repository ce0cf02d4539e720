"""A ball is round in millimetres, whatever the grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medcnn.app.ball import ball, paint_ball
from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import Label, Segmentation

SHAPE = (14, 20, 18)


def rotated(spacing: tuple[float, float, float], angle: float) -> Geometry:
    geometry = Geometry.from_spacing(SHAPE, spacing, (5.0, -40.0, 17.0))
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    tilt = np.eye(4)
    tilt[1:3, 1:3] = turn[:2, :2]
    return Geometry(SHAPE, turn @ tilt @ geometry.affine)


@settings(max_examples=60, deadline=None)
@given(
    spacing=st.tuples(*[st.floats(0.4, 6.0)] * 3),
    angle=st.floats(-1.5, 1.5),
    centre=st.tuples(*[st.floats(0, n - 1) for n in SHAPE]),
    radius=st.floats(0.1, 12.0),
)
def test_a_ball_holds_exactly_the_voxels_within_its_radius(
    spacing: tuple[float, float, float],
    angle: float,
    centre: tuple[float, float, float],
    radius: float,
) -> None:
    geometry = rotated(spacing, angle)
    box, mask = ball(geometry, centre, radius)
    painted = np.zeros(SHAPE, bool)
    painted[box.slices] = mask

    points = geometry.index_to_lps(np.moveaxis(np.indices(SHAPE), 0, -1))
    distance = np.linalg.norm(points - geometry.index_to_lps(centre), axis=-1)
    nearest = tuple(np.rint(centre).astype(int))
    assert painted[nearest]
    painted[nearest] = expected_centre = bool(distance[nearest] <= radius)
    expected = distance <= radius
    assert expected[nearest] == expected_centre
    undecided = np.abs(distance - radius) < 1e-9
    assert np.array_equal(painted[~undecided], expected[~undecided])


def blank() -> Segmentation:
    geometry = Geometry.from_spacing(SHAPE, (3.0, 1.0, 1.0))
    return Segmentation(np.zeros(SHAPE, np.uint8), geometry, (Label(1, "lesion"),), "v")


def test_painting_fills_background_only() -> None:
    segmentation = blank()
    segmentation.array[7, 10, 9] = 2
    box = paint_ball(segmentation, (7.0, 10.0, 9.0), 3.0, 1)
    assert segmentation.array[7, 10, 9] == 2
    assert (box.start, box.stop) == ((6, 7, 6), (9, 14, 13))
    assert segmentation.array[box.slices].astype(bool).sum() == np.count_nonzero(segmentation.array)
    with pytest.raises(MedcnnError, match="already"):
        paint_ball(segmentation, (7.0, 10.0, 9.0), 0.5, 1)


@pytest.mark.parametrize(("centre", "radius"), [((20.0, 3.0, 3.0), 2.0), ((2.0, 3.0, 3.0), 0.0)])
def test_a_centre_outside_or_a_radius_of_zero_is_refused(
    centre: tuple[float, float, float], radius: float
) -> None:
    with pytest.raises(MedcnnError, match="inside the image"):
        paint_ball(blank(), centre, radius, 1)
