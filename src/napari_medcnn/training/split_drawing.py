"""Draw groups of cases at random so that each side has every kind of case in proportion."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.training.grouping import Grouping

_FINEST = 20
"""Shares are drawn in steps of a twentieth at best; finer ones cost time and change nothing."""


@dataclass(frozen=True)
class Pool:
    """Cases to draw from.

    Parameters
    ----------
    cases : tuple of str
        Their ids, sorted, so that the order of a data set's file changes nothing.
    grouping : Grouping
        Whose groups stay whole.
    """

    cases: tuple[str, ...]
    grouping: Grouping

    @classmethod
    def of(cls, cases: Sequence[str], grouping: Grouping) -> Pool:
        """The pool of these cases in their stable order."""
        return cls(tuple(sorted(cases)), grouping)

    @property
    def group_count(self) -> int:
        """How many groups its cases have."""
        return len({self.grouping.groups[case] for case in self.cases})

    def strata(self) -> dict[str, str]:
        """The kind of each case; one for all where kinds are not known."""
        return {case: self.grouping.strata.get(case, "") for case in self.cases}

    def without(self, cases: Sequence[str]) -> Pool:
        """What is left when these are drawn."""
        drawn = set(cases)
        return Pool(tuple(case for case in self.cases if case not in drawn), self.grouping)


def held_out(pool: Pool, share: float, seed: int, *, keep: int = 1) -> tuple[str, ...]:
    """About `share` of the cases, in whole groups, alike in kinds to those that stay.

    Parameters
    ----------
    pool : Pool
        Where they are drawn from.
    share : float
        Between 0 and 1; at least one group is drawn whatever it is.
    seed : int
        The same seed draws the same cases.
    keep : int
        How many groups have to stay at least.

    Raises
    ------
    MedcnnError
        When there are not enough groups.
    """
    if pool.group_count < keep + 1:
        raise MedcnnError(
            f"the cases belong to {pool.group_count} patients or groups that look alike; "
            f"{keep + 1} are needed",
            hint="add cases of other patients",
        )
    most = min(_FINEST, pool.group_count, _most_common(pool))
    parts = Fraction(share).limit_denominator(max(most, keep + 1))
    count = max(parts.denominator, keep + 1)
    taken = min(max(1, round(share * count)), count - keep)
    drawn = k_folds(pool, count, seed)
    candidates: list[tuple[str, ...]] = [
        tuple(case for step in range(taken) for case in drawn[(first + step) % count])
        for first in range(count)
    ]
    best = min(candidates, key=lambda cases: _unlikeness(pool, cases, share))
    return tuple(sorted(best))


def k_folds(pool: Pool, count: int, seed: int) -> tuple[tuple[str, ...], ...]:
    """The cases in `count` parts of whole groups, none of them empty, alike in size and kinds.

    Raises
    ------
    MedcnnError
        When there are fewer groups than parts.
    """
    if not 2 <= count <= pool.group_count:
        raise MedcnnError(
            f"{count} folds are not possible with {pool.group_count} patients or groups",
            hint="at least 2, and at most one for each patient",
        )
    # More folds than the most common kind has cases: kinds cannot be spread over all of them.
    known = pool.strata() if _most_common(pool) >= count else dict.fromkeys(pool.cases, "")
    kinds = np.unique([known[case] for case in pool.cases], return_inverse=True)[1]
    groups = [pool.grouping.groups[case] for case in pool.cases]
    drawing = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A kind with fewer cases than folds is drawn as well as can be; nobody needs to be told.
        warnings.simplefilter("ignore", UserWarning)
        chosen = [held for _, held in drawing.split(np.zeros(len(kinds)), kinds, groups)]
    return tuple(tuple(pool.cases[place] for place in held) for held in chosen)


def _most_common(pool: Pool) -> int:
    return max(Counter(pool.strata().values()).values())


def _unlikeness(pool: Pool, cases: Sequence[str], share: float) -> tuple[int, float]:
    """How many kinds stand on one side only, then how far kinds are from their share."""
    strata = pool.strata()
    whole = Counter(strata.values())
    drawn = Counter(strata[case] for case in cases)
    one_sided = sum(
        drawn[kind] in (0, count) for kind, count in whole.items() if _groups_of(pool, kind) > 1
    )
    distance = sum(abs(drawn[kind] - share * count) for kind, count in whole.items())
    return one_sided, distance


def _groups_of(pool: Pool, kind: str) -> int:
    strata = pool.strata()
    return len({pool.grouping.groups[case] for case in pool.cases if strata[case] == kind})
