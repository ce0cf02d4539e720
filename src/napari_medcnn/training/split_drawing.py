"""Draw groups of cases at random so that each side has every kind of case in proportion."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.training.grouping import Grouping

_FINEST = 20
"""Shares are drawn in steps of a twentieth at best; finer ones cost time and change nothing."""

_MANY_GROUPS = 200


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
    best = min(candidates, key=_Likeness.of(pool, share).distance)
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
    if pool.group_count > _MANY_GROUPS:
        return _of_many(pool, count, seed)
    kinds = _spreadable(list(pool.strata().values()), count)
    groups = [pool.grouping.groups[case] for case in pool.cases]
    drawing = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    with _unwarned():
        chosen = [held for _, held in drawing.split(kinds, kinds, groups)]
    return tuple(tuple(pool.cases[place] for place in held) for held in chosen)


def _of_many(pool: Pool, count: int, seed: int) -> tuple[tuple[str, ...], ...]:
    """As :func:`k_folds`, each group as one of the kind that most of its cases are.

    StratifiedGroupKFold looks at every group and fold one by one, which takes many seconds for
    thousands; of so many, chance evens out how large groups are and what else they hold.
    """
    strata = pool.strata()
    members: defaultdict[str, list[str]] = defaultdict(list)
    for case in pool.cases:
        members[pool.grouping.groups[case]].append(case)
    groups = sorted(members)
    usual = [Counter(strata[case] for case in members[g]).most_common(1)[0][0] for g in groups]
    kinds = _spreadable(usual, count)
    drawing = StratifiedKFold(count, shuffle=True, random_state=seed)
    with _unwarned():
        chosen = [held for _, held in drawing.split(kinds, kinds)]
    return tuple(
        tuple(sorted(case for place in held for case in members[groups[place]])) for held in chosen
    )


def _spreadable(kinds: Sequence[str], count: int) -> npt.NDArray[np.intp]:
    """Kinds as numbers; all the same where none is common enough to stand in every fold."""
    if max(Counter(kinds).values()) < count:
        return np.zeros(len(kinds), dtype=np.intp)
    return np.unique(np.asarray(kinds), return_inverse=True)[1]


@contextmanager
def _unwarned() -> Iterator[None]:
    """A kind with fewer cases than folds is drawn as well as can be; nobody needs to be told."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def _most_common(pool: Pool) -> int:
    return max(Counter(pool.strata().values()).values())


@dataclass(frozen=True)
class _Likeness:
    """How well some cases stand for all of a pool.

    Parameters
    ----------
    strata : dict
        The kind of each case.
    whole : Counter
        How many cases of each kind there are.
    spreadable : frozenset
        Kinds of which more than one group has cases, so that both sides can have them.
    share : float
        The share that is wanted.
    """

    strata: dict[str, str]
    whole: Counter[str]
    spreadable: frozenset[str]
    share: float

    @classmethod
    def of(cls, pool: Pool, share: float) -> _Likeness:
        """Of a pool."""
        strata = pool.strata()
        groups: defaultdict[str, set[str]] = defaultdict(set)
        for case, kind in strata.items():
            groups[kind].add(pool.grouping.groups[case])
        spreadable = frozenset(kind for kind, found in groups.items() if len(found) > 1)
        return cls(strata, Counter(strata.values()), spreadable, share)

    def distance(self, cases: Sequence[str]) -> tuple[int, float]:
        """How many kinds stand on one side only, then how far kinds are from their share."""
        drawn = Counter(self.strata[case] for case in cases)
        one_sided = sum(drawn[kind] in (0, self.whole[kind]) for kind in self.spreadable)
        return one_sided, sum(
            abs(drawn[kind] - self.share * count) for kind, count in self.whole.items()
        )
