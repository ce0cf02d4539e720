"""Lesions find themselves again: whatever their numbers, wherever the patient lies."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_medcnn.core.change import LesionKey, Link
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.lesion import Review, Verdict
from napari_medcnn.core.registration import SpatialTransform
from napari_medcnn.followup.matching import VARIATIONS, match_lesions
from napari_medcnn.followup.placed import PlacedLesions
from tests.followup.marked_studies import GRID, Ball, balls, ids, moved, study

BALL = st.tuples(
    st.integers(6, 33), st.integers(6, 33), st.integers(6, 33), st.sampled_from([2.5, 4.0, 6.0])
)
SCENE = st.lists(BALL, max_size=4)
FEW = settings(max_examples=10)

A: Ball = (12, 10, 10, 4)
B: Ball = (24, 28, 28, 5)


def both_ways(links: tuple[Link, ...]) -> set[tuple[frozenset[int], frozenset[int]]]:
    return {(frozenset(before), frozenset(after)) for before, after in ids(links)}


def test_lesions_that_stay_are_linked_with_high_confidence() -> None:
    scene = balls([A, B])
    links = match_lesions(study("first", scene), study("second", scene), 1.0)
    assert ids(links) == [([1], [1]), ([2], [2])]
    for link in links:
        assert link.confidence == pytest.approx((VARIATIONS + 1) / (VARIATIONS + 2))
        assert link.overlap == pytest.approx(1.0)
        assert link.distance_mm == 0


def test_new_and_resolved_lesions_stand_alone() -> None:
    links = match_lesions(study("first", balls([A])), study("second", balls([B])), 1.0)
    assert ids(links) == [([1], []), ([], [1])]
    assert [(link.overlap, link.distance_mm) for link in links] == [(None, None)] * 2


def test_two_that_grow_into_one_are_merged_and_the_reverse_is_split() -> None:
    apart = study("first", balls([(18, 15, 12, 4), (18, 15, 22, 4)]))
    joined = study("second", balls([(18, 15, 13, 6), (18, 15, 21, 6)]))
    assert ids(match_lesions(apart, joined, 1.0)) == [([1, 2], [1])]
    assert ids(match_lesions(joined, apart, 1.0)) == [([1], [1, 2])]


def test_a_neighbour_that_grew_towards_a_lost_lesion_is_not_its_successor() -> None:
    before = study("first", balls([(18, 15, 12, 4), (18, 15, 24, 4)]))
    after = study("second", balls([(18, 15, 12, 6.5)]))
    left = before.table.by_id(int(before.table.id_map[6, 15, 12]))
    right = before.table.by_id(int(before.table.id_map[6, 15, 24]))
    assert both_ways(match_lesions(before, after, 1.0)) == {
        (frozenset([left.id]), frozenset([1])),
        (frozenset([right.id]), frozenset()),
    }


def test_a_small_lesion_that_the_registration_misses_is_found_but_less_surely() -> None:
    before = study("first", balls([(18, 15, 12, 1.2)]))
    after = study("second", balls([(18, 15, 15, 1.2)]))
    assert before.table.lesions[0].voxel_count == 5
    exact = match_lesions(before, after, 0.1)
    rough = match_lesions(before, after, 2.0)
    assert ids(exact) == [([1], []), ([], [1])]
    assert ids(rough) == [([1], [1])]
    (link,) = rough
    assert link.distance_mm == pytest.approx(1.0)
    assert link.confidence < 0.95


def test_confidence_falls_as_the_registration_gets_worse() -> None:
    before = study("first", balls([(18, 15, 12, 3), (18, 15, 20, 3)]))
    after = study("second", balls([(18, 15, 13, 3)]))
    said = [match_lesions(before, after, mm)[0].confidence for mm in (0.5, 4.0, 8.0)]
    assert all(first >= second for first, second in pairwise(said))
    assert said[-1] < 0.8


def test_lesions_of_different_labels_are_never_one() -> None:
    links = match_lesions(study("first", balls([A])), study("second", 2 * balls([A])), 1.0)
    assert ids(links) == [([1], []), ([], [1])]


def test_rejected_lesions_take_no_part() -> None:
    before = study("first", balls([A, B]))
    rejected = replace(before.table.by_id(1), review=Review(Verdict.REJECTED))
    table = replace(before.table, lesions=(rejected, before.table.by_id(2)))
    links = match_lesions(replace(before, table=table), study("second", balls([B])), 1.0)
    assert before.table.id_map[8, 28, 28] == 1  # the larger one is B
    assert ids(links) == [([2], []), ([], [1])]


def test_what_a_person_linked_stays_and_is_matched_with_nothing_else() -> None:
    scene = balls([A, B])
    before, after = study("first", scene), study("second", scene)
    drawn = Link((LesionKey("first", 1),), (LesionKey("second", 2),), by_user=True)
    ignored = Link((LesionKey("first", 2),), (LesionKey("second", 1),))
    links = match_lesions(before, after, 1.0, given=[drawn, ignored])
    assert links[0] == drawn
    assert ids(links[1:]) == [([2], []), ([], [1])]


def test_no_lesions_give_no_links() -> None:
    empty = study("first", np.zeros(GRID.shape, np.uint8))
    assert match_lesions(empty, replace(empty, study="second"), 1.0) == ()
    assert ids(match_lesions(empty, study("second", balls([A])), 1.0)) == [([], [1])]


@pytest.mark.parametrize("residual_mm", [-1.0, float("nan"), float("inf")])
def test_an_impossible_residual_is_refused(residual_mm: float) -> None:
    scene = study("first", balls([A]))
    with pytest.raises(ValueError, match="residual"):
        match_lesions(scene, replace(scene, study="second"), residual_mm)


def renumbered(placed: PlacedLesions, order: list[int]) -> tuple[PlacedLesions, dict[int, int]]:
    """The same lesions under other ids; and the old id of each new one."""
    table = placed.table
    new = {lesion.id: 10 + order[n] for n, lesion in enumerate(table.lesions)}
    lookup = np.zeros(table.id_map.max() + 1, dtype=np.uint32)
    for old, number in new.items():
        lookup[old] = number
    lesions = sorted((replace(le, id=new[le.id]) for le in table.lesions), key=lambda le: le.id)
    changed = replace(table, lesions=tuple(lesions), id_map=lookup[table.id_map])
    return replace(placed, table=changed), {number: old for old, number in new.items()}


@FEW
@given(first=SCENE, second=SCENE, order=st.permutations(range(8)))
def test_renumbering_lesions_changes_nothing(
    first: list[Ball], second: list[Ball], order: list[int]
) -> None:
    before, after = study("first", balls(first)), study("second", balls(second))
    plain = match_lesions(before, after, 1.0)
    (other_before, old_before), (other_after, old_after) = (
        renumbered(side, order) for side in (before, after)
    )
    other = match_lesions(other_before, other_after, 1.0)
    assert {
        (frozenset(old_before[n] for n in b), frozenset(old_after[n] for n in a))
        for b, a in ids(other)
    } == both_ways(plain)
    assert sorted(link.confidence for link in other) == sorted(link.confidence for link in plain)


@FEW
@given(first=SCENE, second=SCENE, seed=st.integers(0, 1000))
def test_moving_the_patient_in_both_studies_changes_nothing(
    first: list[Ball], second: list[Ball], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    motion = np.eye(4)
    motion[:3, :3] = Rotation.random(rng=rng).as_matrix()
    motion[:3, 3] = rng.uniform(-100, 100, 3)
    plain = match_lesions(study("first", balls(first)), study("second", balls(second)), 1.0)
    grid = moved(motion)
    elsewhere = match_lesions(
        study("first", balls(first), grid), study("second", balls(second), grid), 1.0
    )
    assert elsewhere == plain or all(
        (one.before, one.after) == (two.before, two.after)
        and one.confidence == pytest.approx(two.confidence, abs=2 / VARIATIONS)
        for one, two in zip(elsewhere, plain, strict=True)
    )


@FEW
@given(first=SCENE, second=SCENE)
def test_seen_from_the_other_study_links_are_the_same(
    first: list[Ball], second: list[Ball]
) -> None:
    before, after = study("first", balls(first)), study("second", balls(second))
    there = match_lesions(before, after, 1.0)
    back = match_lesions(after, before, 1.0)
    assert {(a, b) for b, a in both_ways(back)} == both_ways(there)
    assert sorted(link.confidence for link in back) == sorted(link.confidence for link in there)


def test_a_follow_up_on_a_turned_and_thicker_grid_is_matched_through_its_transform() -> None:
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_euler("xyz", (4, -6, 10), degrees=True).as_matrix()
    motion[:3, 3] = (7.0, -3.0, 5.0)
    fine = Geometry.from_spacing((42, 40, 40), (1.0, 1.0, 1.0), (-20.0, 5.0, 100.0))
    before = study("first", balls([A, B], fine), fine)
    # The same lesions, seen on a grid of thick slices around the place where they have moved to.
    thick = Geometry.from_spacing((16, 52, 52), (3.5, 1.2, 1.2), (-18.0, -6.0, 98.0))
    places = thick.index_to_lps(np.stack(np.indices(thick.shape), -1))
    index = fine.lps_to_index((places - motion[:3, 3]) @ motion[:3, :3])
    seen = nearest(before.table.id_map > 0, index)
    after = study("second", seen.astype(np.uint8), thick, SpatialTransform(motion))
    links = match_lesions(before, after, 1.0)
    assert len(links) == 2
    assert all(link.has_partners and link.overlap > 0.85 for link in links)
    unmoved = match_lesions(before, replace(after, transform=SpatialTransform.identity()), 1.0)
    assert not all(link.has_partners and link.overlap > 0.85 for link in unmoved)


def nearest(mask: np.ndarray, index: np.ndarray) -> np.ndarray:
    """A mask's values at fractional indices ``(..., 3)``, False outside."""
    rounded = np.rint(index).astype(int)
    inside = ((rounded >= 0) & (rounded < mask.shape)).all(axis=-1)
    values = np.zeros(index.shape[:-1], dtype=bool)
    values[inside] = mask[tuple(rounded[inside].T)]
    return values


@pytest.mark.parametrize(
    "patient", ["patient26", pytest.param("patient19", marks=pytest.mark.slow)]
)
def test_real_lesions_are_found_in_a_shifted_and_edited_copy(
    shared_data: Path, patient: str
) -> None:
    image = sitk.ReadImage(str(shared_data / "ms_flair" / patient / "lesions.nii.gz"))
    array = (sitk.GetArrayFromImage(image) > 0).astype(np.uint8)
    grid = Geometry.from_spacing(array.shape, (1.0, 1.0, 1.0))
    before = study("first", array, grid)
    # Every fifth lesion vanishes, and the study is one millimetre off along each axis.
    gone = {lesion.id for lesion in before.table.lesions[::5]}
    edited = np.where(np.isin(before.table.id_map, list(gone)), 0, array).astype(np.uint8)
    after = study("second", np.roll(edited, (1, 1, 1), (0, 1, 2)), grid)
    links = match_lesions(before, after, np.sqrt(3))
    right = 0
    for link in links:
        (key,) = link.before
        where = tuple(n + 1 for n in before.lesion(key).anchor_index)
        there = int(after.table.id_map[where])
        expected = () if key.lesion_id in gone else (LesionKey("second", there),)
        right += link.after == expected
    assert len(before.table.lesions) > 15
    assert right / len(before.table.lesions) >= 0.95
