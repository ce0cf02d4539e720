"""Look at a data set before training, and list every problem at once with the case's name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import Done, Job, JobControl, Progress
from napari_medcnn.training.case_findings import Examined, Problem, Severity, examine
from napari_medcnn.training.look_alikes import alike, copies
from napari_medcnn.training.manifest import Manifest, Split, TrainCase
from napari_medcnn.training.reading_ahead import in_order
from napari_medcnn.training.split_checks import listed, require_no_leak

__all__ = ["Problem", "Severity", "problems"]

STAGE = "checking cases"

_NAMES = {"train": "training", "validation": "validation", "test": "test"}


def problems(
    manifest: Manifest, split: Split | None = None, control: JobControl | None = None
) -> Job:
    """Read every case and list what is wrong; nothing that is found ends the list.

    Parameters
    ----------
    manifest : Manifest
        The data set.
    split : Split, optional
        Whose parts are held apart; without it those that the data set's makers gave. Cases that
        it leaves out need no truth.
    control : JobControl, optional
        Cancels between two cases.

    Yields
    ------
    Event
        `Progress`, and ``Done(tuple of Problem)``: those of the whole first, then by case.

    Raises
    ------
    Cancelled
        When the job was cancelled.
    """
    control = control or JobControl()
    part_of = _parts(manifest, split)

    def look(case: TrainCase) -> Examined:
        needed = case.id in part_of if split is not None else case.part != "test"
        return examine(manifest, case, truth_needed=needed)

    examined: list[Examined] = []
    yield Progress(STAGE, 0, len(manifest.cases))
    for seen in in_order(look, manifest.cases, control):
        examined.append(seen)
        yield Progress(STAGE, len(examined), len(manifest.cases))
    found = [
        *_of_split(manifest, split),
        *_of_parts(manifest, examined, part_of, drawn=split is not None),
        *_of_dimensions(examined),
        *(problem for seen in examined for problem in seen.problems),
        *_of_repeats(examined, part_of, control),
    ]
    order = {case.id: number for number, case in enumerate(manifest.cases, start=1)}
    yield Done(tuple(sorted(found, key=lambda problem: order.get(problem.case, 0))))


def _parts(manifest: Manifest, split: Split | None) -> dict[str, str]:
    """The part of each case, of those that are in one."""
    if split is None:
        return {case.id: case.part for case in manifest.cases if case.part is not None}
    return {name: part for part, names in split.parts.items() for name in names}


def _of_split(manifest: Manifest, split: Split | None) -> Iterator[Problem]:
    if split is None:
        return
    try:
        require_no_leak(manifest, split)
    except MedcnnError as error:
        yield Problem("", "leak", "error", f"{error.what[:1].upper()}{error.what[1:]}.")


def _of_parts(
    manifest: Manifest, examined: Sequence[Examined], part_of: Mapping[str, str], *, drawn: bool
) -> Iterator[Problem]:
    """Parts without cases, and classes that a part lacks."""
    if not drawn:
        yield from _lacking("data set", manifest.classes, examined)
        return
    for part, name in _NAMES.items():
        inside = [seen for seen in examined if part_of.get(seen.case.id) == part]
        if inside:
            yield from _lacking(f"{name} part", manifest.classes, inside, needed=part == "train")
        elif part != "test":
            yield Problem("", "empty-part", "error", f"The {name} part has no case.")


def _lacking(
    where: str, classes: Sequence[str], examined: Sequence[Examined], *, needed: bool = True
) -> Iterator[Problem]:
    seen = {name for one in examined for name in one.classes}
    for name in classes:
        if name not in seen:
            severity: Severity = "error" if needed else "warning"
            yield Problem("", "absent-class", severity, f"No case of the {where} has {name}.")


def _of_dimensions(examined: Sequence[Examined]) -> Iterator[Problem]:
    """Single slices among volumes: a network is made for one of them."""
    counts = Counter(seen.is_2d for seen in examined if seen.is_2d is not None)
    if len(counts) < 2:
        return
    odd = counts.most_common()[-1][0]
    text = (
        "It is one slice; most others are volumes."
        if odd
        else ("It is a volume; most others are one slice.")
    )
    for seen in examined:
        if seen.is_2d == odd:
            yield Problem(seen.case.id, "dimensions", "error", text)


def _of_repeats(
    examined: Sequence[Examined], part_of: Mapping[str, str], control: JobControl
) -> Iterator[Problem]:
    """Images that are there twice: an error between two parts, worth knowing within one."""
    looks = {seen.case.id: seen.appearance for seen in examined if seen.appearance is not None}
    patient = {seen.case.id: seen.case.patient for seen in examined}
    equal = copies(looks)
    for group in equal:
        for name, others, apart in _each(group, part_of):
            text = f"Its voxels are those of {listed(others)}"
            where = f", of the {_NAMES[part_of[others[0]]]} part." if apart else "."
            yield Problem(name, "duplicate", "error" if apart else "warning", text + where)
    known = {name for group in equal for name in group}
    for group in alike(looks, control):
        if known.issuperset(group) or len({patient[name] for name in group} - {None}) == 1:
            continue
        for name, others, apart in _each(group, part_of):
            if apart:
                text = f"It looks like {listed(others)}, of the {_NAMES[part_of[others[0]]]} part."
                yield Problem(name, "look-alike", "warning", text)


def _each(
    group: Sequence[str], part_of: Mapping[str, str]
) -> Iterator[tuple[str, list[str], bool]]:
    """A group's later cases: those in other parts that it repeats, else those before it."""
    first = group[0]
    for number, name in enumerate(group[1:], start=1):
        mine = part_of.get(name)
        elsewhere = [other for other in group if part_of.get(other, mine) != mine] if mine else []
        if elsewhere:
            yield name, elsewhere, True
        elif mine == part_of.get(first):
            yield name, list(group[:number]), False
