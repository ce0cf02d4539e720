"""Figures of masks against brute force and other libraries, on anisotropic and oblique grids."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter
from sklearn import metrics

from napari_medcnn.core.errors import GeometryError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.evaluation.overlap import (
    BOTH_EMPTY,
    NO_SPACING,
    PREDICTION_EMPTY,
    SHEARED,
    TRUTH_EMPTY,
    Overlap,
    dice,
    hd95_mm,
    measure_overlap,
    nsd,
)

SHAPE = (7, 9, 11)
SPACING = (3.0, 1.2, 0.7)
GRID = Geometry.from_spacing(SHAPE, SPACING)

Mask = npt.NDArray[np.bool_]

masks = arrays(np.bool_, (3, 4, 5))
SMALL = Geometry.from_spacing((3, 4, 5), SPACING)


def blobs(seed: int, shape: tuple[int, int, int] = SHAPE, level: float = 0.02) -> Mask:
    noise = np.random.default_rng(seed).normal(size=shape)
    return gaussian_filter(noise, 1.2) > level


def oblique(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Geometry:
    """The same spacing, turned about an axis that is none of the grid's."""
    axis = np.array([1.0, 2.0, -0.5]) / np.linalg.norm([1.0, 2.0, -0.5])
    cross = np.cross(np.eye(3), axis)
    turn = np.eye(3) + np.sin(0.6) * cross + (1 - np.cos(0.6)) * cross @ cross
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(spacing)[::-1]
    affine[:3, 3] = (-40.0, 12.0, 7.0)
    return Geometry(shape, affine)


def edge_points(mask: Mask, geometry: Geometry) -> npt.NDArray[np.float64]:
    """Patient positions of voxels that have one of six neighbours outside, one by one."""
    found = []
    for index in np.argwhere(mask):
        for axis in range(3):
            for step in (-1, 1):
                other = index.copy()
                other[axis] += step
                inside = (other >= 0).all() and (other < mask.shape).all()
                if not (inside and mask[tuple(other)]):
                    found.append(tuple(index))
    return geometry.index_to_lps(np.array(sorted(set(found))))


def brute_force_hd95(one: Mask, other: Mask, geometry: Geometry) -> float:
    a, b = edge_points(one, geometry), edge_points(other, geometry)
    distances = np.linalg.norm(a[:, None] - b[None], axis=2)
    return float(max(np.percentile(distances.min(1), 95), np.percentile(distances.min(0), 95)))


@pytest.mark.parametrize("seed", range(5))
def test_counted_figures_are_scikit_learns(seed: int) -> None:
    found, true = blobs(seed), blobs(seed + 100)
    figures = measure_overlap(found, true, GRID)
    a, b = true.ravel(), found.ravel()
    assert figures.dice == pytest.approx(metrics.f1_score(a, b), abs=1e-12)
    assert figures.jaccard == pytest.approx(metrics.jaccard_score(a, b), abs=1e-12)
    assert figures.sensitivity == pytest.approx(metrics.recall_score(a, b), abs=1e-12)
    assert figures.precision == pytest.approx(metrics.precision_score(a, b), abs=1e-12)
    assert dice(found, true) == figures.dice
    assert figures.undefined == ""


@pytest.mark.parametrize("grid", [GRID, oblique(SHAPE, SPACING)], ids=["straight", "oblique"])
@pytest.mark.parametrize("seed", range(3))
def test_hausdorff_is_brute_force_in_patient_space(seed: int, grid: Geometry) -> None:
    found, true = blobs(seed), blobs(seed + 100, level=0.1)
    expected = brute_force_hd95(found, true, grid)
    assert hd95_mm(found, true, grid) == pytest.approx(expected, abs=1e-6)


def test_masks_at_the_border_have_a_surface_there() -> None:
    whole = np.ones(SHAPE, bool)
    part = whole.copy()
    part[:2] = False
    expected = brute_force_hd95(part, whole, GRID)
    assert hd95_mm(part, whole, GRID) == pytest.approx(expected, abs=1e-6)
    assert hd95_mm(whole, whole, GRID) == 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of surface-distance itself
@pytest.mark.parametrize("tolerance", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("seed", range(3))
def test_surface_dice_is_deepminds(seed: int, tolerance: float) -> None:
    surfaces = pytest.importorskip("surface_distance")
    found, true = blobs(seed), blobs(seed + 100)
    distances = surfaces.compute_surface_distances(true, found, SPACING)
    expected = surfaces.compute_surface_dice_at_tolerance(distances, tolerance)
    assert nsd(found, true, GRID, tolerance) == pytest.approx(expected, abs=1e-6)
    distances = surfaces.compute_surface_distances(true[3], found[3], SPACING[1:])
    expected = surfaces.compute_surface_dice_at_tolerance(distances, tolerance)
    flat = Geometry.from_spacing((1, *SHAPE[1:]), SPACING)
    assert nsd(found[3:4], true[3:4], flat, tolerance) == pytest.approx(expected, abs=1e-6)


def test_two_planes_apart_are_as_far_as_their_slices() -> None:
    grid = Geometry.from_spacing((9, 5, 5), (4.0, 1.0, 1.0))
    found, true = np.zeros((2, *grid.shape), np.uint8)
    found[2, 1:4, 1:4], true[5, 1:4, 1:4] = 1, 1
    figures = measure_overlap(found, true, grid)
    assert figures.hd95_mm == pytest.approx(12.0)
    assert (figures.dice, figures.jaccard, figures.nsd) == (0, 0, 0)


def test_volumes_are_millilitres_of_the_grid() -> None:
    found, true = np.zeros((2, *SHAPE), bool)
    true[1:3, 1:6, 1:6], found[1:3, 1:6, 1:5] = True, True
    figures = measure_overlap(found, true, oblique(SHAPE, SPACING))
    voxel_ml = 3.0 * 1.2 * 0.7 / 1000
    assert figures.truth_ml == pytest.approx(50 * voxel_ml)
    assert figures.predicted_ml == pytest.approx(40 * voxel_ml)
    assert figures.volume_error_ml == pytest.approx(-10 * voxel_ml)
    assert figures.volume_error_percent == pytest.approx(-20)


def empty_and_full() -> tuple[Mask, Mask]:
    full = np.zeros(SHAPE, bool)
    full[2:4, 2:5, 2:6] = True
    return np.zeros(SHAPE, bool), full


def test_two_empty_masks_have_no_ratio_and_say_so() -> None:
    empty, _ = empty_and_full()
    figures = measure_overlap(empty, empty, GRID)
    ratios = (figures.dice, figures.jaccard, figures.sensitivity, figures.precision, figures.nsd)
    assert ratios == (None,) * 5
    assert (figures.hd95_mm, figures.volume_error_percent) == (None, None)
    assert (figures.truth_ml, figures.predicted_ml, figures.volume_error_ml) == (0, 0, 0)
    assert figures.undefined == BOTH_EMPTY
    assert dice(empty, empty) is None
    assert nsd(empty, empty, GRID) is None


def test_nothing_to_find_and_something_found_is_all_wrong() -> None:
    empty, full = empty_and_full()
    figures = measure_overlap(full, empty, GRID)
    assert (figures.dice, figures.jaccard, figures.precision, figures.nsd) == (0, 0, 0, 0)
    assert (figures.sensitivity, figures.hd95_mm, figures.volume_error_percent) == (None,) * 3
    assert figures.undefined == TRUTH_EMPTY
    assert hd95_mm(full, empty, GRID) is None


def test_nothing_found_of_what_is_there_is_all_wrong() -> None:
    empty, full = empty_and_full()
    figures = measure_overlap(empty, full, GRID)
    assert (figures.dice, figures.jaccard, figures.sensitivity, figures.nsd) == (0, 0, 0, 0)
    assert (figures.precision, figures.hd95_mm) == (None, None)
    assert figures.volume_error_percent == -100
    assert figures.undefined == PREDICTION_EMPTY


def test_without_a_known_spacing_nothing_is_in_millimetres() -> None:
    _, full = empty_and_full()
    figures = measure_overlap(full, full, GRID, spacing_known=False)
    assert figures.dice == 1
    lengths = (figures.truth_ml, figures.predicted_ml, figures.volume_error_ml, figures.hd95_mm)
    assert lengths == (None,) * 4
    assert figures.nsd is None
    assert figures.undefined == NO_SPACING


def test_sheared_grids_have_volumes_and_no_distances() -> None:
    affine = GRID.affine.copy()
    affine[0, 0] = 0.8
    sheared = Geometry(SHAPE, affine)
    _, full = empty_and_full()
    figures = measure_overlap(full, full, sheared)
    assert figures.truth_ml == pytest.approx(full.sum() * sheared.voxel_volume_mm3 / 1000)
    assert (figures.hd95_mm, figures.nsd, figures.undefined) == (None, None, SHEARED)
    with pytest.raises(GeometryError, match="sheared"):
        hd95_mm(full, full, sheared)
    with pytest.raises(GeometryError, match="sheared"):
        nsd(full, full, sheared)


def test_masks_of_another_grid_are_refused() -> None:
    with pytest.raises(GeometryError, match="does not fit a grid"):
        measure_overlap(np.ones((2, 2, 2)), np.ones(SHAPE), GRID)
    with pytest.raises(GeometryError, match="two grids"):
        dice(np.ones((2, 2, 2)), np.ones(SHAPE))


@settings(max_examples=40)
@given(masks, masks)
def test_figures_are_symmetric_and_within_their_range(one: Mask, other: Mask) -> None:
    there, back = (measure_overlap(a, b, SMALL) for a, b in ((one, other), (other, one)))
    for name in ("dice", "jaccard", "nsd", "hd95_mm"):
        assert getattr(there, name) == pytest.approx(getattr(back, name), abs=1e-6)
    assert there.sensitivity == back.precision
    for name in ("dice", "jaccard", "sensitivity", "precision", "nsd"):
        value = getattr(there, name)
        assert value is None or 0 <= value <= 1
    if there.dice is not None and there.jaccard is not None:
        assert there.jaccard == pytest.approx(there.dice / (2 - there.dice))


@settings(max_examples=25)
@given(masks.filter(lambda mask: bool(mask.any())))
def test_a_mask_fits_itself(mask: Mask) -> None:
    figures = measure_overlap(mask, mask, SMALL)
    same = (figures.dice, figures.jaccard, figures.sensitivity, figures.precision, figures.nsd)
    assert same == pytest.approx((1,) * 5)
    assert (figures.hd95_mm, figures.volume_error_ml) == (0, 0)


@settings(max_examples=20)
@given(st.floats(0.2, 5), st.integers(0, 20))
def test_millimetres_scale_with_the_spacing(scale: float, seed: int) -> None:
    found, true = blobs(seed), blobs(seed + 50)
    larger = Geometry.from_spacing(SHAPE, tuple(scale * s for s in SPACING))  # type: ignore[arg-type]
    one = measure_overlap(found, true, GRID, tolerance_mm=1.0)
    other = measure_overlap(found, true, larger, tolerance_mm=scale)
    assert one.hd95_mm is not None and one.truth_ml is not None
    assert other.hd95_mm == pytest.approx(scale * one.hd95_mm, rel=1e-5)
    assert other.truth_ml == pytest.approx(scale**3 * one.truth_ml)
    assert other.dice == one.dice
    assert other.volume_error_percent == one.volume_error_percent


@pytest.mark.parametrize("axis", range(3))
def test_a_mirrored_or_shifted_label_map_is_worse(axis: int) -> None:
    true = np.zeros((12, 14, 16), bool)
    true[2:5, 3:7, 2:7] = True
    true[4:7, 6:9, 5:8] = True
    grid = Geometry.from_spacing(true.shape, SPACING)  # type: ignore[arg-type]
    right = measure_overlap(true, true, grid)
    for wrong in (np.flip(true, axis), np.roll(true, 2, axis)):
        figures = measure_overlap(wrong, true, grid)
        _assert_worse(figures, right)
    near, far = (measure_overlap(np.roll(true, n, axis), true, grid) for n in (1, 3))
    _assert_worse(far, near)


def _assert_worse(figures: Overlap, than: Overlap) -> None:
    for name in ("dice", "jaccard", "sensitivity", "precision", "nsd"):
        assert getattr(figures, name) < getattr(than, name)
    assert figures.hd95_mm is not None and than.hd95_mm is not None
    assert figures.hd95_mm > than.hd95_mm


def test_one_voxel_is_further_along_the_thicker_axis() -> None:
    true = np.zeros((9, 9, 9), bool)
    true[3:6, 3:6, 3:6] = True
    grid = Geometry.from_spacing(true.shape, (5.0, 2.0, 0.5))  # type: ignore[arg-type]
    distances = [hd95_mm(np.roll(true, 1, axis), true, grid) for axis in range(3)]
    assert distances == pytest.approx([5.0, 2.0, 0.5])
