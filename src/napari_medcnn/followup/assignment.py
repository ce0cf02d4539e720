"""Which lesions of two studies are one, by one rule, from how much they lie in each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from napari_medcnn.core.geometry import FloatArray
from napari_medcnn.followup.nearness import Pairs

Group: TypeAlias = tuple[frozenset[int], frozenset[int]]
"""Numbers of the lesions before and of those after that are one."""


@dataclass(frozen=True)
class Evidence:
    """How much is evidence that lesions are one.

    Parameters
    ----------
    join : float
        A lesion of which this share lies in another one is that, or a part of it.
    least : float
        Cover with which lesions that have no other partner are still taken for one.
    """

    join: float = 0.5
    least: float = 0.25


def group_lesions(
    before: frozenset[int],
    after: frozenset[int],
    pairs: Pairs,
    shares: FloatArray,
    covers: FloatArray,
    evidence: Evidence,
) -> set[Group]:
    """Put every lesion into one group, see :mod:`.matching` for the steps.

    Parameters
    ----------
    before, after : frozenset of int
        Numbers of all lesions.
    pairs : numpy.ndarray
        ``(pair, 2)``: numbers of those that come near each other.
    shares, covers : numpy.ndarray
        ``(pair, 2)``: of the one before in the one after, and the reverse.
    evidence : Evidence
        The thresholds.
    """
    weights = covers.sum(axis=1)
    edges = _assigned(pairs, weights, shares.max(axis=1) >= evidence.join)
    for side in (0, 1):
        linked = {edge[side] for edge in edges}
        edges += _joined(pairs, shares[:, side], evidence.join, linked, side)
    first, second = ([edge[side] for edge in edges] for side in (0, 1))
    left = ~np.isin(pairs[:, 0], first) & ~np.isin(pairs[:, 1], second)
    edges += _assigned(pairs, weights, left & (covers.max(axis=1) >= evidence.least))
    alone: set[Group] = {(frozenset([i]), frozenset()) for i in before - {i for i, _ in edges}}
    alone |= {(frozenset(), frozenset([j])) for j in after - {j for _, j in edges}}
    return _connected(edges) | alone


def _assigned(
    pairs: Pairs, weights: FloatArray, eligible: npt.NDArray[np.bool_]
) -> list[tuple[int, int]]:
    """Pairs of the one-to-one assignment with the largest sum of weights."""
    if not eligible.any():
        return []
    rows, row = np.unique(pairs[eligible, 0], return_inverse=True)
    columns, column = np.unique(pairs[eligible, 1], return_inverse=True)
    table = np.zeros((len(rows), len(columns)))
    table[row, column] = weights[eligible]
    chosen = zip(*linear_sum_assignment(table, maximize=True), strict=True)
    return [(int(rows[r]), int(columns[c])) for r, c in chosen if table[r, c] > 0]


def _joined(
    pairs: Pairs, shares: FloatArray, least: float, linked: set[int], side: int
) -> list[tuple[int, int]]:
    """For every lesion of a side without a partner, the one in which most of it lies."""
    best: dict[int, int] = {}
    for number in np.flatnonzero(shares >= least):
        lesion = int(pairs[number, side])
        if lesion in linked:
            continue
        if lesion not in best or shares[number] > shares[best[lesion]]:
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
