"""Groups of lesions from their shares and covers, by hand-made tables."""

from __future__ import annotations

import numpy as np

from napari_medcnn.followup.assignment import Evidence, Group, group_lesions


def groups(
    before: int, after: int, table: dict[tuple[int, int], tuple[float, float]], least: float = 0.25
) -> set[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Groups of numbered lesions; the table has share and cover alike, both ways."""
    pairs = np.array(list(table), dtype=np.intp).reshape(-1, 2)
    values = np.array(list(table.values()), dtype=float).reshape(-1, 2)
    found: set[Group] = group_lesions(
        frozenset(range(before)),
        frozenset(range(after)),
        pairs,
        values,
        values,
        Evidence(0.5, least),
    )
    return {(tuple(sorted(b)), tuple(sorted(a))) for b, a in found}


def test_the_sum_of_covers_decides_not_the_first_choice() -> None:
    table = {(0, 0): (0.8, 0.8), (0, 1): (0.7, 0.7), (1, 0): (0.7, 0.7), (1, 1): (0.0, 0.0)}
    assert groups(2, 2, table) == {((0,), (1,)), ((1,), (0,))}


def test_what_mostly_lies_in_one_merges_and_what_hardly_does_not() -> None:
    assert groups(2, 1, {(0, 0): (0.9, 0.5), (1, 0): (0.6, 0.2)}) == {((0, 1), (0,))}
    assert groups(2, 1, {(0, 0): (0.9, 0.5), (1, 0): (0.4, 0.2)}) == {((0,), (0,)), ((1,), ())}


def test_parts_of_one_are_a_split() -> None:
    table = {(0, 0): (0.5, 0.9), (0, 1): (0.3, 0.8), (0, 2): (0.1, 0.3)}
    assert groups(1, 3, table) == {((0,), (0, 1)), ((), (2,))}


def test_a_lesion_joins_where_most_of_it_lies() -> None:
    table = {(0, 0): (0.9, 0.9), (1, 1): (0.9, 0.9), (2, 0): (0.5, 0.1), (2, 1): (0.6, 0.1)}
    assert groups(3, 2, table) == {((0,), (0,)), ((1, 2), (1,))}


def test_weak_evidence_links_only_what_is_left() -> None:
    table = {(0, 0): (0.9, 0.9), (1, 0): (0.4, 0.1), (1, 1): (0.3, 0.3)}
    assert groups(2, 2, table) == {((0,), (0,)), ((1,), (1,))}
    assert groups(2, 2, table, least=0.35) == {((0,), (0,)), ((1,), ()), ((), (1,))}


def test_lesions_that_merge_and_split_at_once_are_one_group() -> None:
    table = {(0, 0): (0.5, 0.9), (0, 1): (0.5, 0.6), (1, 1): (0.7, 0.3), (1, 0): (0.0, 0.0)}
    found = groups(2, 2, table)
    assert found == {((0,), (0,)), ((1,), (1,))}  # one to one first
    table = {(0, 0): (1.0, 0.9), (0, 1): (0.0, 0.9), (1, 0): (0.6, 0.3)}
    assert groups(2, 2, table) == {((0, 1), (0, 1))}


def test_without_pairs_everybody_is_alone() -> None:
    assert groups(1, 2, {}) == {((0,), ()), ((), (0,)), ((), (1,))}
