"""Which lesion of one study is which of another, and how sure that is.

The evidence is how much lesions lie in each other: their *share* in one another as they are
registered, and their *cover*, which forgives what the registration may be wrong by, see
:mod:`.nearness`.

1. Lesions of which one lies in the other by at least half are assigned one to one, so that the sum
   of their covers, both ways, is the largest (Kuhn 1955, Naval Research Logistics Quarterly
   2:83-97, the Hungarian method).
2. What is left over joins a pair when at least half of it lies in the one of the other study: two
   before become one (merged), one before becomes two (split).
3. What is still left is assigned as in 1, with a cover of a quarter: a lesion so small, or a
   registration so poor, that the lesion misses itself.
4. The rest has no partner: new, or resolved.

A link's *confidence* is the answer to: could it have come out otherwise? All is done again with the
lesions before moved by each of 64 shifts, drawn from what the registration's residual allows, and
with another half and quarter each time. The confidence is the share of these variations in which
the very same link comes out: the same lesions, and no other. As is usual for shares of few trials
(Laplace's rule of succession), one is added on both sides, so that it is never quite 0 or 1. How
often links of each confidence are right is measured on phantoms, see `docs/followup_change.md`; it
does not hold how sure it is that something is a lesion at all.

Nothing depends on the lesions' numbers, or on where the patient lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_medcnn.core.change import Link
from napari_medcnn.core.geometry import FloatArray
from napari_medcnn.core.lesion import Lesion
from napari_medcnn.followup.assignment import Evidence, Group, group_lesions
from napari_medcnn.followup.nearness import Nearness, gap_mm, nearness
from napari_medcnn.followup.placed import PlacedLesions

EVIDENCE = Evidence(join=0.5, least=0.25)
VARIATIONS = 64
_JOINS, _LEASTS = (0.35, 0.65), (0.1, 0.4)
"""Between which both thresholds are varied."""


def match_lesions(
    before: PlacedLesions,
    after: PlacedLesions,
    residual_mm: float,
    *,
    given: Sequence[Link] = (),
) -> tuple[Link, ...]:
    """Link the lesions of two studies.

    Parameters
    ----------
    before, after : PlacedLesions
        Both with their transforms from one common space. Lesions of different labels are never
        linked.
    residual_mm : float
        Root mean square error of the registration that is still to be expected, 0 or more.
    given : sequence of Link
        Links that stand already: those with `by_user` are kept as they are, and their lesions
        matched with nothing else. Others are ignored.

    Returns
    -------
    tuple of Link
        Every lesion of both studies that takes part is in exactly one, those without partner too.
        First in order of the lesions before, then of those after.

    Raises
    ------
    ValueError
        When the residual is negative or no number.
    """
    if not (np.isfinite(residual_mm) and residual_mm >= 0):
        raise ValueError(f"a registration's residual is 0 mm or more, not {residual_mm}")
    kept = [link for link in given if link.by_user]
    held = {key for link in kept for key in (*link.before, *link.after)}
    free = tuple(
        side.of(_in_order_of_place(le for le in side.lesions if side.key(le) not in held))
        for side in (before, after)
    )
    near = nearness(free[0], free[1], residual_mm, _shifts(before, residual_mm))
    return in_order([*kept, *_links(free[0], free[1], near)])


def in_order(links: Sequence[Link]) -> tuple[Link, ...]:
    """Links sorted by their lesions before; those without one come last, by their lesions after."""
    return tuple(sorted(links, key=lambda link: (not link.before, link.before, link.after)))


def _in_order_of_place(lesions: Iterable[Lesion]) -> list[Lesion]:
    """So that even a tie is decided by where lesions are, not by their numbers."""
    return sorted(lesions, key=lambda lesion: lesion.anchor_index)


def _shifts(before: PlacedLesions, residual_mm: float) -> FloatArray:
    """No shift, then those of the variations: ``(1 + VARIATIONS, 3)`` LPS mm of the baseline.

    Along the grid's axes, so that they turn with the patient; each with its opposite, so that the
    answer is the same from either study's side.
    """
    half = np.random.default_rng(0).normal(size=(VARIATIONS // 2, 3))
    drawn = np.concatenate([half, -half])
    covariance = drawn.T @ drawn / len(drawn)
    even = drawn @ np.linalg.inv(np.linalg.cholesky(covariance)).T
    of_study = even @ before.geometry.direction.T * residual_mm / np.sqrt(3)
    of_baseline = of_study @ np.linalg.inv(before.transform.matrix[:3, :3]).T
    return np.concatenate([np.zeros((1, 3)), of_baseline])


def _evidences() -> list[Evidence]:
    """The stated thresholds, then those of the variations; a shift's opposite has the same."""
    steps = (np.arange(VARIATIONS // 2) + 0.5) / (VARIATIONS // 2)
    joins = np.interp(np.random.default_rng(1).permutation(steps), (0, 1), _JOINS)
    leasts = np.interp(np.random.default_rng(2).permutation(steps), (0, 1), _LEASTS)
    half = [Evidence(float(join), float(least)) for join, least in zip(joins, leasts, strict=True)]
    return [EVIDENCE, *half, *half]


def _links(before: PlacedLesions, after: PlacedLesions, near: Nearness) -> Iterator[Link]:
    """Every group of every cluster of lesions that no pair connects with the others."""
    rows, columns = len(before.lesions), len(after.lesions)
    ends = near.pairs + np.array([0, rows])
    graph = coo_array(
        (np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(rows + columns, rows + columns)
    )
    count, cluster = connected_components(graph, directed=False)
    members = np.split(np.argsort(cluster, kind="stable"), np.cumsum(np.bincount(cluster))[:-1])
    of_pair = cluster[ends[:, 0]]
    for number in range(count):
        lesions = members[number]
        part = near.part(of_pair == number)
        for group, votes in _voted(lesions[lesions < rows], lesions[lesions >= rows] - rows, part):
            yield _link(before, after, group, votes, part)


def _voted(
    before: npt.NDArray[np.intp], after: npt.NDArray[np.intp], near: Nearness
) -> Iterator[tuple[Group, int]]:
    """Groups among some lesions, each with the number of variations in which it comes out."""
    sides = frozenset(before.tolist()), frozenset(after.tolist())
    if not len(near.pairs):
        yield sides, VARIATIONS  # a lesion with none of the other study near it
        return
    answers = [
        group_lesions(*sides, near.pairs, shares, covers, evidence)
        for shares, covers, evidence in zip(near.shares, near.covers, _evidences(), strict=True)
    ]
    for group in answers[0]:
        yield group, sum(group in answer for answer in answers[1:])


def _link(
    before: PlacedLesions, after: PlacedLesions, group: Group, votes: int, near: Nearness
) -> Link:
    earlier, later = (
        [side.lesions[n] for n in numbers]
        for side, numbers in zip((before, after), group, strict=True)
    )
    closest = _closest(group, near) if earlier and later else {}
    gaps = [gap_mm(before, before.lesions[i], after, after.lesions[j]) for i, j in closest]
    return Link(
        tuple(sorted(before.key(lesion) for lesion in earlier)),
        tuple(sorted(after.key(lesion) for lesion in later)),
        confidence=(votes + 1) / (VARIATIONS + 2),
        overlap=min(closest.values(), default=None),
        distance_mm=max(gaps, default=None),
    )


def _closest(group: Group, near: Nearness) -> dict[tuple[int, int], float]:
    """For each lesion of a group's larger side, its pair with most cover, and the larger share."""
    side = 0 if len(group[0]) >= len(group[1]) else 1
    covers, shares = near.covers[0].sum(axis=1), near.shares[0].max(axis=1)
    found = {}
    for lesion in group[side]:
        within = [
            n for n, pair in enumerate(near.pairs)
            if pair[side] == lesion and pair[1 - side] in group[1 - side]
        ]  # fmt: skip
        best = max(within, key=lambda n: float(covers[n]))
        found[int(near.pairs[best, 0]), int(near.pairs[best, 1])] = float(shares[best])
    return found
