"""Maps against masks: every figure against one worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medcnn.core.errors import GeometryError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.evaluation.localisation import FLAT, NO_MASK, NOT_POSITIVE, localise

GRID = Geometry.from_spacing((1, 2, 5), (4.0, 2.0, 3.0), (10.0, 20.0, 30.0))
MASK = np.array([[[0, 1, 1, 0, 0], [0, 0, 0, 0, 0]]])


def values(*rows: list[float]) -> np.ndarray:
    return np.array([rows], dtype=np.float32)


def test_a_peak_inside_hits_and_energy_is_the_share_inside() -> None:
    found = localise(values([1, 6, 2, 0, 0], [1, 0, 0, 0, 0]), MASK, GRID)
    assert (found.hit, found.distance_mm) == (True, 0.0)
    assert found.peak_lps_mm == (13.0, 20.0, 30.0)
    assert found.energy == pytest.approx(8 / 10)
    assert found.mask_share == pytest.approx(2 / 10)
    assert found.iou == 1.0  # the two strongest voxels are the mask
    assert found.undefined == ""


def test_a_peak_outside_is_as_far_as_the_nearest_voxel_of_the_mask() -> None:
    beside = values([0, 1, 0, 0, 0], [0, 0, 0, 0, 9])
    found = localise(beside, MASK, GRID)
    # from (x 4, y 1) to (x 2, y 0): 6 mm and 2 mm
    assert found.distance_mm == pytest.approx(np.hypot(6.0, 2.0))
    assert found.hit is False
    assert localise(beside, MASK, GRID, tolerance_mm=6.4).hit is True
    assert localise(beside, MASK, GRID, tolerance_mm=6.3).hit is False
    assert found.iou == pytest.approx(1 / 3)  # 9 and 1 against the mask: one of three


def test_of_several_peaks_all_must_hit() -> None:
    found = localise(values([0, 5, 0, 0, 5], [0, 0, 0, 0, 0]), MASK, GRID)
    assert (found.hit, found.distance_mm) == (False, 6.0)
    assert found.peak_lps_mm == (17.5, 20.0, 30.0)
    assert localise(values([0, 5, 5, 0, 0], [0, 0, 0, 0, 0]), MASK, GRID).hit is True


def test_ties_at_the_masks_volume_count_by_their_expectation() -> None:
    # one voxel above, in the mask; the second is drawn from four, one of which is in the mask
    found = localise(values([3, 9, 3, 3, 3], [0, 0, 0, 0, 0]), MASK, GRID)
    assert found.iou == pytest.approx(1.25 / (4 - 1.25))


def test_negative_values_are_no_energy() -> None:
    found = localise(values([-9, 1, 0, 0, 3], [0, 0, 0, 0, 0]), MASK, GRID)
    assert found.energy == pytest.approx(1 / 4)
    below = localise(values([-9, -1, -2, -3, -3], [-4, -4, -4, -4, -4]), MASK, GRID)
    assert (below.hit, below.energy, below.undefined) == (True, None, NOT_POSITIVE)


def test_what_does_not_exist_is_none_with_its_reason() -> None:
    some = values([0, 1, 0, 0, 0], [0, 0, 0, 0, 0])
    empty = localise(some, np.zeros_like(MASK), GRID)
    assert (empty.hit, empty.energy, empty.iou, empty.undefined) == (None, None, None, NO_MASK)
    flat = localise(np.ones_like(some), MASK, GRID)
    assert (flat.hit, flat.distance_mm, flat.undefined) == (None, None, FLAT)
    with pytest.raises(GeometryError, match="do not fit"):
        localise(some[:, :, 1:], MASK, GRID)


def test_distances_are_those_in_the_patient_on_a_turned_and_sheared_grid() -> None:
    affine = np.array([[0.0, 1, 3, 0], [0, 2, 0, 0], [5, 0, 0, 0], [0, 0, 0, 1]])
    grid = Geometry((1, 2, 5), affine)  # rows lean: one row further is (1, 2) mm in (x, y)
    found = localise(values([0, 0, 0, 0, 0], [0, 9, 0, 0, 0]), MASK, grid)
    assert found.distance_mm == pytest.approx(np.hypot(1.0, 2.0))  # straight above, not (-2, 2)
