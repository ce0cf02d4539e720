"""Hold a split, drawn or edited, to what every split has to be: no leak, and someone to judge."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.training.manifest import Manifest, Part, Split

_NEEDED: tuple[Part, ...] = ("train", "validation")


class LeakError(MedcnnError):
    """The same patient, or the same image, stands in two parts of a split."""


def require_no_leak(manifest: Manifest, split: Split) -> None:
    """Refuse a split in which something stands in two parts.

    That is a case, a patient of the manifest, a group of the split, or an image file.

    Raises
    ------
    LeakError
        Naming what stands where.
    MedcnnError
        When the split names a case that the data set does not have.
    """
    known = {case.id: case for case in manifest.cases}
    strange = sorted({name for part in split.parts.values() for name in part} - known.keys())
    if strange:
        raise MedcnnError(
            f"the split names cases that the data set {manifest.name} does not have: "
            + listed(strange),
            hint="make a new split of this data set",
        )
    for what, keys in (
        ("case", {name: [name] for name in known}),
        ("patient", {name: [case.patient] for name, case in known.items() if case.patient}),
        ("group", {name: [group] for name, group in split.groups.items()}),
        (
            "image",
            {
                name: [os.path.normpath(path.absolute()) for path in case.images]
                for name, case in known.items()
            },
        ),
    ):
        _require_apart(what, split, keys)


def require_usable(manifest: Manifest, split: Split) -> None:
    """Refuse a split that leaks, that nobody can learn from, or that nobody can judge.

    Raises
    ------
    LeakError
        As :func:`require_no_leak`.
    MedcnnError
        When the training or the validation part is empty, or one of its cases has no truth.
    """
    require_no_leak(manifest, split)
    for part in _NEEDED:
        if not split.parts[part]:
            raise MedcnnError(f"the split's {part} part is empty")
    taught = {case.id for case in manifest.cases if manifest.has_truth(case)}
    bare = [name for part in split.parts.values() for name in part if name not in taught]
    if bare:
        raise MedcnnError(f"cases of the split have no label or class: {listed(bare)}")


def listed(names: Iterable[str], most: int = 5) -> str:
    """Names for people: the first few, and how many more there are."""
    shown = list(names)
    return ", ".join(shown[:most]) + (f" and {len(shown) - most} more" if len(shown) > most else "")


def _require_apart(what: str, split: Split, keys: Mapping[str, Sequence[str]]) -> None:
    parts: defaultdict[str, list[str]] = defaultdict(list)
    for part, names in split.parts.items():
        for key in _keys(names, keys, once=what != "case"):
            parts[key].append(part)
    shared = {key: found for key, found in parts.items() if len(found) > 1}
    if shared:
        first = min(shared)
        where = " and ".join(f"{part} ({n})" for part, n in Counter(shared[first]).items())
        more = f"; so do {len(shared) - 1} more" if len(shared) > 1 else ""
        raise LeakError(
            f"the {what} {first} stands in several places: {where}{more}",
            hint="make a new split, or move all that belongs to it to one part",
        )


def _keys(names: Sequence[str], keys: Mapping[str, Sequence[str]], *, once: bool) -> Iterator[str]:
    found = [key for name in names for key in keys.get(name, ())]
    yield from sorted(set(found)) if once else found
