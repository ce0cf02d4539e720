"""Where planes of voxels cut boxes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_medcnn.core.detection import box_corners
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.imaging.box_sections import section_of, slices_of

UNIT = Geometry.from_spacing((50, 50, 50), (1.0, 1.0, 1.0))


def corners(start: tuple[float, ...], stop: tuple[float, ...]) -> np.ndarray:
    return UNIT.lps_to_index(np.array(box_corners(UNIT, start, stop)))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_straight_box_is_cut_in_its_own_rectangle(axis: int) -> None:
    box = corners((2.5, 4, 6), (8.5, 9, 20))
    others = [a for a in range(3) if a != axis]
    outline = section_of(box, axis, 7)
    assert outline is not None and len(outline) == 4
    np.testing.assert_allclose(outline.min(axis=0), np.array((2.5, 4, 6))[others])
    np.testing.assert_allclose(outline.max(axis=0), np.array((8.5, 9, 20))[others])


def test_slices_are_those_whose_centres_the_box_holds() -> None:
    assert slices_of(corners((2.5, 4, 6), (8.5, 9, 20)), 0, 50) == range(3, 9)
    assert slices_of(corners((2.6, 4, 6), (2.9, 9, 20)), 0, 50) == range(3, 4)
    assert slices_of(corners((-5, 4, 6), (99, 9, 20)), 0, 50) == range(50)
    assert section_of(corners((2.6, 4, 6), (2.9, 9, 20)), 0, 3) is not None
    assert section_of(corners((2.5, 4, 6), (8.5, 9, 20)), 0, 30) is None


def test_an_oblique_box_is_cut_in_up_to_six_corners_of_the_right_area() -> None:
    turn = Rotation.from_euler("xyz", (35, 35, 0), degrees=True).as_matrix()
    box = (corners((-5, -5, -5), (5, 5, 5)) @ turn.T) + 20
    outline = section_of(box, 0, 20.0)
    assert outline is not None and 4 <= len(outline) <= 6
    y, x = outline.T
    area = abs(np.dot(y, np.roll(x, 1)) - np.dot(x, np.roll(y, 1))) / 2
    inside = np.stack(np.meshgrid(np.arange(0, 40, 0.1), np.arange(0, 40, 0.1), indexing="ij"), -1)
    points = np.concatenate([np.full((*inside.shape[:2], 1), 20.0), inside], -1) - 20
    share = (np.abs(points @ turn) <= 5).all(-1).mean() * 1600
    assert area == pytest.approx(share, rel=0.02)
