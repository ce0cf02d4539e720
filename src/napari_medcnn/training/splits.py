"""Divide a data set into those who teach, who choose and who judge; no patient on two sides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import run_to_end
from napari_medcnn.training.grouping import Grouping, group_cases
from napari_medcnn.training.manifest import Manifest, Part, Split
from napari_medcnn.training.split_checks import (
    LeakError,
    listed,
    require_no_leak,
    require_usable,
)
from napari_medcnn.training.split_drawing import Pool, held_out, k_folds
from napari_medcnn.training.split_file import read_split, read_splits, write_splits

__all__ = [
    "LeakError",
    "folds",
    "make_split",
    "read_split",
    "read_splits",
    "require_no_leak",
    "require_usable",
    "write_splits",
]

_FIRST: tuple[Part, ...] = ("test", "validation", "train")
"""Whose case stays where look-alikes stand in two parts: what judges must not shrink."""


def make_split(
    manifest: Manifest,
    *,
    validation: float = 0.2,
    test: float = 0.0,
    seed: int = 0,
    grouping: Grouping | None = None,
) -> Split:
    """One split, stratified, by patients or by groups that look alike.

    Parts that the data set's makers gave are kept; only what they did not give is drawn. Cases
    without truth are in no part.

    Parameters
    ----------
    manifest : Manifest
        The data set.
    validation, test : float
        Shares of the cases, ``0 < validation``, together below 1. At least one group each, unless
        `test` is 0.
    seed : int
        The same seed gives the same split, in whatever order the cases stand.
    grouping : Grouping, optional
        Of :func:`~napari_medcnn.training.grouping.group_cases`; worked out here if not given,
        which reads images and label maps.

    Raises
    ------
    LeakError
        When the makers' own parts share a patient.
    MedcnnError
        When a share is impossible, or there are not enough patients.
    """
    if not (0 < validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise MedcnnError(
            f"{validation:g} for validation and {test:g} for the test leave nothing to learn from",
            hint="validation above 0, both together below 1",
        )
    parts = _maker_parts(manifest, grouping)
    own, drawn_test, notes = _test_part(parts, test, seed)
    if parts.validation:
        chosen, train = parts.validation, own.cases
        notes += ("The validation part is that of the data set's makers.",)
    else:
        chosen = held_out(own, validation / (1 - (test if drawn_test else 0)), seed)
        train = own.without(chosen).cases
    split = Split(
        train=train,
        validation=chosen,
        test=drawn_test or parts.test,
        seed=seed,
        notes=(*parts.notes, *notes),
    )
    return _with_groups(manifest, split, parts.groups)


def folds(
    manifest: Manifest,
    count: int,
    *,
    test: float = 0.0,
    seed: int = 0,
    grouping: Grouping | None = None,
) -> tuple[Split, ...]:
    """`count` splits with the same test part; every other case is in one validation part.

    Parameters
    ----------
    manifest, test, seed, grouping
        As of :func:`make_split`.
    count : int
        At least 2, at most the number of patients or groups.

    Raises
    ------
    LeakError
        When the makers' own parts share a patient.
    MedcnnError
        When there are not enough patients.
    """
    if not 0 <= test < 1:
        raise MedcnnError(f"{test:g} is no share for the test", hint="0 or above, below 1")
    parts = _maker_parts(manifest, grouping)
    if parts.validation:
        note = "The makers' validation part is divided among the folds like their training part."
        parts = replace(
            parts,
            own=Pool.of((*parts.own.cases, *parts.validation), parts.own.grouping),
            validation=(),
            notes=(*parts.notes, note),
        )
    own, drawn_test, notes = _test_part(parts, test, seed)
    return tuple(
        _with_groups(
            manifest,
            Split(
                train=own.without(chosen).cases,
                validation=tuple(sorted(chosen)),
                test=drawn_test or parts.test,
                seed=seed,
                fold=number,
                folds=count,
                notes=(*parts.notes, *notes),
            ),
            parts.groups,
        )
        for number, chosen in enumerate(k_folds(own, count, seed))
    )


@dataclass(frozen=True)
class _MakerParts:
    """What the makers gave: `own` is what may be drawn from, the others stay as they are."""

    own: Pool
    validation: tuple[str, ...]
    test: tuple[str, ...]
    groups: Mapping[str, str]
    notes: tuple[str, ...]


def _maker_parts(manifest: Manifest, grouping: Grouping | None) -> _MakerParts:
    if grouping is None:
        grouping = run_to_end(group_cases(manifest), Grouping)
    part_of: dict[str, Part] = {
        case.id: case.part or "train" for case in manifest.cases if case.id in grouping.groups
    }
    _require_makers_apart(manifest, part_of)
    left_out = _shadowed(part_of, grouping.groups)
    kept: dict[Part, list[str]] = {"train": [], "validation": [], "test": []}
    for name in sorted(part_of):
        if name not in left_out:
            kept[part_of[name]].append(name)
    if not kept["train"]:
        raise MedcnnError("no case is left to learn from", source=manifest.name)
    notes = grouping.notes
    if left_out:
        text = f"{len(left_out)} cases look like one of a part that judges and are in no part"
        notes += (f"{text}: {listed(sorted(left_out))}.",)
    return _MakerParts(
        own=Pool.of(kept["train"], grouping),
        validation=tuple(kept["validation"]),
        test=tuple(kept["test"]),
        groups=grouping.groups,
        notes=notes,
    )


def _require_makers_apart(manifest: Manifest, part_of: Mapping[str, Part]) -> None:
    """Refuse makers' parts that share a patient: nobody but the user can say which is right."""
    parts: defaultdict[str, set[Part]] = defaultdict(set)
    for case in manifest.cases:
        if case.patient is not None and case.id in part_of:
            parts[case.patient].add(part_of[case.id])
    shared = sorted(patient for patient, found in parts.items() if len(found) > 1)
    if shared:
        raise LeakError(
            f"the data set's own parts share patients: {listed(shared)}",
            source=manifest.name,
            hint="change their part in the data set's file",
        )


def _shadowed(part_of: Mapping[str, Part], groups: Mapping[str, str]) -> set[str]:
    """Cases that look like one of a part that comes before theirs."""
    first: dict[str, int] = {}
    for name, part in part_of.items():
        rank = _FIRST.index(part)
        first[groups[name]] = min(rank, first.get(groups[name], rank))
    return {name for name, part in part_of.items() if _FIRST.index(part) > first[groups[name]]}


def _test_part(
    parts: _MakerParts, share: float, seed: int
) -> tuple[Pool, tuple[str, ...], tuple[str, ...]]:
    """What is left to draw from, the test part that was drawn, and notes."""
    if parts.test:
        return parts.own, (), ("The test part is that of the data set's makers.",)
    if not share:
        return parts.own, (), ()
    drawn = held_out(parts.own, share, seed, keep=1 if parts.validation else 2)
    return parts.own.without(drawn), drawn, ()


def _with_groups(manifest: Manifest, split: Split, groups: Mapping[str, str]) -> Split:
    """The split with the group of each of its cases, held to what every split is."""
    inside = sorted(name for part in split.parts.values() for name in part)
    whole = replace(split, groups={name: groups[name] for name in inside})
    require_usable(manifest, whole)
    return whole
