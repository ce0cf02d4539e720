"""Which lesions of two studies are one, by one rule, from how much they cover each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from napari_medcnn.core.geometry import FloatArray

Pairs: TypeAlias = npt.NDArray[np.intp]
Group: TypeAlias = tuple[frozenset[int], frozenset[int]]
"""Numbers of the lesions before and of those after that are one."""

_TIE = 1e-9
"""Covers that differ by less are equal: rounding must not decide between two lesions."""


@dataclass(frozen=True)
class CoverRule:
    """How much cover is evidence.

    Parameters
    ----------
    join : float
        A lesion of which so much lies in another one is a part of it.
    least : float
        Weaker evidence is none.
    """

    join: float = 0.5
    least: float = 0.25


def group_lesions(
    before: frozenset[int],
    after: frozenset[int],
    pairs: Pairs,
    of_before: FloatArray,
    of_after: FloatArray,
    rule: CoverRule,
) -> set[Group]:
    """Put every lesion into one group, see :mod:`.matching` for the steps.

    Parameters
    ----------
    before, after : frozenset of int
        Numbers of all lesions.
    pairs : numpy.ndarray
        ``(pair, 2)``: numbers of those that come near each other.
    of_before, of_after : numpy.ndarray
        ``(pair,)``: cover of the one before by the one after, and the reverse.
    rule : CoverRule
        The thresholds.
    """
    cover = np.maximum(of_before, of_after)
    edges = _assigned(pairs, cover, cover >= rule.join)
    edges += _joined(pairs, of_before, rule.join, {i for i, _ in edges}, side=0)
    edges += _joined(pairs, of_after, rule.join, {j for _, j in edges}, side=1)
    used = [{edge[side] for edge in edges} for side in (0, 1)]
    left = ~(np.isin(pairs[:, 0], list(used[0])) | np.isin(pairs[:, 1], list(used[1])))
    edges += _assigned(pairs, cover, left & (cover >= rule.least))
    groups = _connected(edges)
    alone: set[Group] = {(frozenset([i]), frozenset()) for i in before - {i for i, _ in edges}}
    alone |= {(frozenset(), frozenset([j])) for j in after - {j for _, j in edges}}
    return groups | alone


def _assigned(
    pairs: Pairs, cover: FloatArray, eligible: npt.NDArray[np.bool_]
) -> list[tuple[int, int]]:
    """Pairs of the one-to-one assignment with the largest sum of covers."""
    if not eligible.any():
        return []
    rows, row = np.unique(pairs[eligible, 0], return_inverse=True)
    columns, column = np.unique(pairs[eligible, 1], return_inverse=True)
    table = np.zeros((len(rows), len(columns)))
    table[row, column] = cover[eligible]
    chosen = zip(*linear_sum_assignment(table, maximize=True), strict=True)
    return [(int(rows[r]), int(columns[c])) for r, c in chosen if table[r, c] > 0]


def _joined(
    pairs: Pairs, cover: FloatArray, least: float, linked: set[int], *, side: int
) -> list[tuple[int, int]]:
    """For every lesion of a side without a partner, the one in which most of it lies."""
    best: dict[int, int] = {}
    for number in np.flatnonzero(cover >= least):
        lesion = int(pairs[number, side])
        if lesion in linked:
            continue
        if lesion not in best or cover[number] > cover[best[lesion]] + _TIE:
            best[lesion] = int(number)
    return [(int(pairs[n, 0]), int(pairs[n, 1])) for n in best.values()]


def _connected(edges: list[tuple[int, int]]) -> set[Group]:
    """Groups of lesions that edges hold together."""
    groups: list[tuple[set[int], set[int]]] = []
    for i, j in edges:
        touching = [g for g in groups if i in g[0] or j in g[1]]
        joined = ({i}.union(*(g[0] for g in touching)), {j}.union(*(g[1] for g in touching)))
        groups = [g for g in groups if g not in touching] + [joined]
    return {(frozenset(first), frozenset(second)) for first, second in groups}
