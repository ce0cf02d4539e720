"""RECIST 1.1 at baseline: which lesions are measurable, and which become targets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.lesion import Measurement
from napari_medcnn.core.recist import Baseline, BaselineLesion, Method, Nature, Treated

MEASURABLE_MM = {
    Method.CT: 10.0,
    Method.MRI: 10.0,
    Method.CALIPER: 10.0,
    Method.CHEST_XRAY: 20.0,
}
"""Least longest diameter by method (3.1.1)."""

MEASURABLE_NODE_MM = 15.0
"""Least short axis of a measurable node (3.1.1)."""

NORMAL_NODE_MM = 10.0
"""A node with a shorter short axis is normal (3.1.1, 4.3.1)."""

THIN_SLICE_MM = 5.0
"""Of thicker slices, a lesion must span two (appendix II)."""

MOST_TARGETS = 5
MOST_PER_ORGAN = 2

TOLERANCE_MM = 1e-6
"""A nanometre: rounding in sums of decimal figures must decide nothing."""

_SLICED = (Method.CT, Method.MRI)


class InvalidRecist(MedcnnError):
    """Findings that RECIST 1.1 has no rule for, or that contradict each other."""


class Role(StrEnum):
    """What a lesion may become (3.1, 4.2)."""

    TARGET = "measurable"
    NON_TARGET = "not measurable"
    NORMAL_NODE = "normal node"
    """Neither recorded nor followed."""


@dataclass(frozen=True)
class Measurability:
    """What a lesion may become, by which rule of which section."""

    role: Role
    rule: str
    section: str


@dataclass(frozen=True)
class TargetChoice:
    """Lesions as they may be followed: a proposal, for a reader knows what can be measured again.

    Parameters
    ----------
    targets, non_targets, normal_nodes : tuple of BaselineLesion
        Targets in the order in which they were chosen.
    reasons : dict
        Why each lesion, by its id, stands where it stands, with the section.
    """

    targets: tuple[BaselineLesion, ...]
    non_targets: tuple[BaselineLesion, ...]
    normal_nodes: tuple[BaselineLesion, ...]
    reasons: dict[str, str]


def measurability(lesion: BaselineLesion) -> Measurability:
    """Whether a lesion is measurable at baseline (RECIST 1.1, 3.1 and appendix II)."""
    size = lesion.diameter_mm.value
    if lesion.nature in (Nature.NOT_MEASURABLE, Nature.BONE):
        section = "3.1.2" if lesion.nature is Nature.NOT_MEASURABLE else "3.1.3"
        return Measurability(Role.NON_TARGET, lesion.nature.value, section)
    if lesion.is_node and size is not None and _below(size, NORMAL_NODE_MM):
        rule = f"short axis {size:g} mm is below {NORMAL_NODE_MM:g} mm"
        return Measurability(Role.NORMAL_NODE, rule, "3.1.1")
    if lesion.treated is Treated.YES:
        rule = "local treatment before the study, and no growth shown since"
        return Measurability(Role.NON_TARGET, rule, "3.1.3")
    if size is None:
        rule = f"no diameter: {lesion.diameter_mm.reason}"
        return Measurability(Role.NON_TARGET, rule, "3.1.2")
    return _by_size(lesion, size)


def propose_targets(lesions: Sequence[BaselineLesion]) -> TargetChoice:
    """Targets by the rules of 4.2: the largest, all organs represented, five at most, two an organ.

    First the largest measurable lesion of each organ, then the second ones; in each round the
    larger go first, and solid lesions before cystic ones (3.1.3). A reader may choose otherwise
    where another lesion can be measured again more reliably (4.2).

    Parameters
    ----------
    lesions : sequence of BaselineLesion
        All of them, with distinct ids.

    Raises
    ------
    InvalidRecist
        When two lesions have one id.
    """
    _require_distinct(lesions)
    judged = {lesion.id: measurability(lesion) for lesion in lesions}
    measurable = [lesion for lesion in lesions if judged[lesion.id].role is Role.TARGET]
    targets = _chosen(measurable)
    reasons = {id_: f"{judged_.rule} ({judged_.section})" for id_, judged_ in judged.items()}
    for lesion in measurable:
        if lesion not in targets:
            full = len(targets) == MOST_TARGETS and not _organ_full(lesion, targets)
            limit = f"{MOST_TARGETS} in all" if full else f"{MOST_PER_ORGAN} per organ"
            reasons[lesion.id] += f"; the larger ones fill the limit of {limit} (4.2)"
    return TargetChoice(
        targets,
        tuple(
            lesion
            for lesion in lesions
            if lesion not in targets and judged[lesion.id].role is not Role.NORMAL_NODE
        ),
        tuple(lesion for lesion in lesions if judged[lesion.id].role is Role.NORMAL_NODE),
        reasons,
    )


def make_baseline(
    targets: Iterable[BaselineLesion],
    non_targets: Iterable[BaselineLesion] = (),
    *,
    markers_raised: bool = False,
) -> Baseline:
    """A baseline whose targets keep to the guideline, whoever chose them.

    Raises
    ------
    InvalidRecist
        When there is no disease at all, two lesions have one id, a target is not measurable, a
        normal node is followed, or there are more targets than 4.2 allows.
    """
    baseline = Baseline(tuple(targets), tuple(non_targets), markers_raised)
    if not baseline.targets and not baseline.non_targets:
        raise InvalidRecist("there is no lesion: RECIST 1.1 follows disease that can be seen (4.1)")
    _require_distinct((*baseline.targets, *baseline.non_targets))
    for lesion in baseline.targets:
        judged = measurability(lesion)
        if judged.role is not Role.TARGET:
            raise InvalidRecist(
                f"is no target: {judged.rule} (RECIST 1.1, {judged.section})", source=lesion.id
            )
    for lesion in baseline.non_targets:
        judged = measurability(lesion)
        if judged.role is Role.NORMAL_NODE:
            raise InvalidRecist(f"is not followed: {judged.rule} (4.2)", source=lesion.id)
    if len(baseline.targets) > MOST_TARGETS:
        raise InvalidRecist(
            f"{len(baseline.targets)} targets, and {MOST_TARGETS} are allowed (RECIST 1.1, 4.2)"
        )
    for organ, count in Counter(lesion.counted_organ for lesion in baseline.targets).items():
        if count > MOST_PER_ORGAN:
            raise InvalidRecist(
                f"{count} targets in {organ}, and {MOST_PER_ORGAN} are allowed (RECIST 1.1, 4.2)"
            )
    return baseline


def is_normal_node(short_axis_mm: Measurement) -> bool:
    """Whether a node's short axis is below 10 mm (3.1.1, 4.3.1)."""
    return short_axis_mm.value is not None and _below(short_axis_mm.value, NORMAL_NODE_MM)


def _by_size(lesion: BaselineLesion, size: float) -> Measurability:
    if lesion.is_node:
        least, axis = MEASURABLE_NODE_MM, "short axis"
    else:
        least, axis = MEASURABLE_MM[lesion.method], "longest diameter"
    section, why = "3.1.1", ""
    slice_mm = lesion.slice_mm
    if lesion.method in _SLICED and slice_mm is not None and slice_mm > THIN_SLICE_MM:
        twice = 2 * slice_mm
        if twice > least:
            least, section, why = twice, "3.1.1 and appendix II", f", twice {slice_mm:g} mm slices"
    elif lesion.method in _SLICED and slice_mm is None:
        why = ", if no slice is thicker than 5 mm (their thickness is not known)"
    enough = not _below(size, least)
    relation = "reaches" if enough else "is below"
    rule = f"{axis} {size:g} mm {relation} {least:g} mm{why}"
    if not enough and lesion.is_node:
        rule += ": a pathological node, but not measurable"
    return Measurability(Role.TARGET if enough else Role.NON_TARGET, rule, section)


def _chosen(measurable: Sequence[BaselineLesion]) -> tuple[BaselineLesion, ...]:
    ranked = sorted(
        measurable,
        key=lambda one: (one.nature is Nature.CYSTIC_METASTASIS, -(one.diameter_mm.value or 0)),
    )
    seen: Counter[str] = Counter()
    rounds: list[tuple[int, BaselineLesion]] = []
    for lesion in ranked:
        rounds.append((seen[lesion.counted_organ], lesion))
        seen[lesion.counted_organ] += 1
    allowed = [one for one in rounds if one[0] < MOST_PER_ORGAN]
    # Sorting is stable: within a round the larger stay first.
    allowed.sort(key=lambda one: one[0])
    return tuple(lesion for _, lesion in allowed[:MOST_TARGETS])


def _organ_full(lesion: BaselineLesion, targets: Sequence[BaselineLesion]) -> bool:
    organs = [target.counted_organ for target in targets]
    return organs.count(lesion.counted_organ) == MOST_PER_ORGAN


def _below(value: float, limit: float) -> bool:
    return value < limit - TOLERANCE_MM


def _require_distinct(lesions: Sequence[BaselineLesion]) -> None:
    for id_, count in Counter(lesion.id for lesion in lesions).items():
        if count > 1:
            raise InvalidRecist(f"{count} lesions have this id", source=id_)
