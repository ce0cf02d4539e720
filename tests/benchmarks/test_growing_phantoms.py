"""Phantoms of change: what they say of themselves is true of what they show."""

from __future__ import annotations

import cc3d
import numpy as np
import pytest
from scipy.spatial import KDTree

from benchmarks.growing_phantoms import (
    GAP_MM,
    KINDS,
    GrowingPhantom,
    Recipe,
    Study,
    phantom,
)

SEEDS = range(20_000, 20_003)


@pytest.fixture(scope="module")
def phantoms() -> list[GrowingPhantom]:
    return [phantom(seed) for seed in SEEDS]


def points(study: Study, numbers: tuple[int, ...]) -> np.ndarray:
    return study.geometry.index_to_lps(np.argwhere(np.isin(study.lesions, numbers)))


def test_every_lesion_has_one_fate_and_is_in_one_piece(phantoms: list[GrowingPhantom]) -> None:
    for made in phantoms:
        for study, side in ((made.before, "before"), (made.after, "after")):
            told = sorted(n for fate in made.fates for n in getattr(fate, side))
            pieces = cc3d.connected_components(study.lesions > 0, connectivity=26).max()
            assert told == list(range(1, pieces + 1))
            assert study.lesions.max() == pieces


def test_a_fate_tells_the_volume_that_is_marked(phantoms: list[GrowingPhantom]) -> None:
    ratios = []
    for made in phantoms:
        for fate in made.fates:
            assert fate.kind in KINDS
            assert (fate.volume_before_mm3 == 0) == (fate.kind == "new")
            assert (fate.volume_after_mm3 == 0) == (fate.kind == "gone")
            if fate.volume_after_mm3:
                ratios.append(3 * len(points(made.after, fate.after)) / fate.volume_after_mm3)
    # Readers who mark voxels from a quarter to three quarters full differ by so much.
    assert np.mean(ratios) == pytest.approx(1, abs=0.2)
    assert min(ratios) > 0.5
    assert max(ratios) < 1.6


def test_growth_and_its_lack_are_what_was_drawn(phantoms: list[GrowingPhantom]) -> None:
    for made in phantoms:
        for fate in made.fates:
            before, after = fate.volume_before_mm3, fate.volume_after_mm3
            if fate.kind == "stable":
                assert after == pytest.approx(before, rel=0.02)
            if fate.kind == "grown":
                assert after > 1.5 * before
            if fate.kind == "shrunk":
                assert before > 1.5 * after


def test_lesions_of_a_cluster_are_near_each_other_and_apart(
    phantoms: list[GrowingPhantom],
) -> None:
    slack = 2.5  # marked voxels reach up to so far beyond the true surface, or end before it
    for made in phantoms:
        for first, second in zip(made.fates[::2], made.fates[1::2], strict=True):
            clouds = []
            for fate in (first, second):
                after = points(made.after, fate.after)
                back = (after - made.motion[:3, 3]) @ made.motion[:3, :3]
                clouds.append(np.concatenate([points(made.before, fate.before), back]))
            gap = KDTree(clouds[0]).query(clouds[1])[0].min()
            assert 0 < gap < GAP_MM[1] + slack


@pytest.mark.parametrize("residual_mm", [1.0, 3.0])
def test_the_registration_errs_by_as_much_as_is_said(residual_mm: float) -> None:
    made = phantom(20_010, Recipe(residual_mm=residual_mm))
    error = np.linalg.inv(made.motion) @ made.registration
    lesions = np.concatenate([points(made.before, f.before) for f in made.fates if f.before])
    moved = np.linalg.norm(lesions @ error[:3, :3].T + error[:3, 3] - lesions, axis=1)
    assert np.sqrt((moved**2).mean()) == pytest.approx(residual_mm, rel=0.35)


def test_a_seed_gives_the_same_phantom_again(phantoms: list[GrowingPhantom]) -> None:
    again = phantom(SEEDS[0])
    np.testing.assert_array_equal(again.after.lesions, phantoms[0].after.lesions)
    np.testing.assert_array_equal(again.after.image, phantoms[0].after.image)
    assert again.fates == phantoms[0].fates
