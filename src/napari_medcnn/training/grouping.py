"""What a split has to know of cases: which belong together, and which are of one kind."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import Done, Event, Job, JobControl, Progress, result_of
from napari_medcnn.io.single_file import read_image
from napari_medcnn.training.look_alikes import LookAlikes, find_look_alikes, grouped
from napari_medcnn.training.manifest import Manifest, TrainCase
from napari_medcnn.training.reading_ahead import in_order

STAGE = "looking at labels"

MOST_LABEL_VOXELS = 4_000_000_000
"""Label maps with more voxels altogether are not read for a split: it would take minutes."""

SIZE_BANDS = 3
"""Cases with the same classes are told apart by how much is marked in them, in so many bands."""


@dataclass(frozen=True)
class Grouping:
    """Which cases belong together.

    Parameters
    ----------
    groups : dict
        The group of each case with truth: its patient, or itself and what looks like it.
    strata : dict
        The kind of each of these cases: its class, or which classes its label map contains and how
        much of them; empty where that is not known cheaply.
    notes : tuple of str
        What cannot be known, for the card.
    """

    groups: dict[str, str] = field(default_factory=dict)
    strata: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def group_cases(manifest: Manifest, control: JobControl | None = None) -> Job:
    """Find out which cases belong together; images are read where patients are not known.

    Parameters
    ----------
    manifest : Manifest
        The data set.
    control : JobControl, optional
        Cancels between two cases.

    Yields
    ------
    Event
        `Progress`, and ``Done(Grouping)``.

    Raises
    ------
    MedcnnError
        When no case has truth.
    """
    control = control or JobControl()
    cases = tuple(case for case in manifest.cases if manifest.has_truth(case))
    if not cases:
        raise MedcnnError("no case of the data set has a label or class", source=manifest.name)
    notes = _left_out(manifest)
    look_alikes = LookAlikes()
    if any(case.patient is None for case in cases):
        look_alikes = yield from result_of(find_look_alikes(manifest, control), LookAlikes)
        notes += _unknown_patients(cases, look_alikes)
    strata, more = yield from _strata(manifest, cases, control)
    yield Done(Grouping(_groups(cases, look_alikes), strata, (*notes, *more)))


def _left_out(manifest: Manifest) -> tuple[str, ...]:
    without = [case.id for case in manifest.cases if not manifest.has_truth(case)]
    if not without:
        return ()
    what = "label" if manifest.task == "segmentation" else "class"
    shown = ", ".join(without[:5]) + (", ..." if len(without) > 5 else "")
    are = "case without a {} is" if len(without) == 1 else "cases without a {} are"
    return (f"{len(without)} {are.format(what)} in no part: {shown}.",)


def _unknown_patients(cases: Sequence[TrainCase], found: LookAlikes) -> tuple[str, ...]:
    unknown = sum(case.patient is None for case in cases)
    of_all = "" if unknown == len(cases) else f" of {unknown} of {len(cases)} cases"
    together = (
        f"{sum(map(len, found.groups))} cases in {len(found.groups)} groups that look alike "
        "were kept together"
        if found.groups
        else "no two images looked alike"
    )
    text = (
        f"The patients{of_all} are unknown: different images of one patient may stand on both "
        f"sides of the split, and figures may be too good; {together}."
    )
    notes: tuple[str, ...] = (text,)
    if found.unread:
        notes += (f"{len(found.unread)} images could not be read and compared.",)
    return notes


def _groups(cases: Sequence[TrainCase], look_alikes: LookAlikes) -> dict[str, str]:
    """The group of each case: those of its patient; where it has none, what it looks like."""
    by_id = {case.id: case for case in cases}
    first_of: dict[str, str] = {}
    links = [
        (first_of.setdefault(case.patient, case.id), case.id)
        for case in cases
        if case.patient is not None
    ]
    for group in look_alikes.groups:
        inside = [name for name in group if name in by_id]
        unknown = [name for name in inside if by_id[name].patient is None]
        # Two patients who look alike stay two; a case of nobody goes to all that it looks like.
        links += [(unknown[0], name) for name in inside] if unknown else []
    named = {name: group for group in grouped(sorted(by_id), links) for name in group}
    return {case.id: _name(named.get(case.id, (case.id,)), by_id) for case in cases}


def _name(members: Sequence[str], by_id: dict[str, TrainCase]) -> str:
    """A group's name: its patient, or its first case where it has none or several."""
    patients = {by_id[name].patient for name in members} - {None}
    if len(patients) == 1:
        return f"patient {patients.pop()}"
    return f"{'case' if len(members) == 1 else 'like'} {min(members)}"


def _strata(
    manifest: Manifest, cases: Sequence[TrainCase], control: JobControl
) -> Generator[Event, None, tuple[dict[str, str], tuple[str, ...]]]:
    if manifest.task == "classification":
        return {case.id: str(case.target) for case in cases}, ()
    if _label_voxels(cases) > MOST_LABEL_VOXELS:
        return {}, ("The label maps are too large to be read for a stratified split.",)
    yield Progress(STAGE, 0, len(cases))
    contents: dict[str, tuple[tuple[int, ...], float] | None] = {}
    for number, (case, content) in enumerate(
        zip(cases, in_order(_content, cases, control), strict=True), start=1
    ):
        contents[case.id] = content
        yield Progress(STAGE, number, len(cases))
    return _banded(contents), ()


def _label_voxels(cases: Sequence[TrainCase]) -> int:
    """Voxels of all label maps by their headers; folders and DICOM objects count as nothing."""
    total = 0
    for case in cases:
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(case.label))
        try:
            reader.ReadImageInformation()
        except RuntimeError:
            continue  # no image file by itself, or broken: the check before training says so
        total += int(np.prod(reader.GetSize()))
    return total


def _content(case: TrainCase) -> tuple[tuple[int, ...], float] | None:
    """The values in a label map and the share of its voxels that are marked; None if unreadable."""
    if case.label is None or not case.label.is_file():
        return None
    try:
        array = read_image(case.label).array
    except MedcnnError:
        return None
    values = tuple(int(value) for value in np.unique(array) if value)
    return values, float(np.count_nonzero(array) / array.size)


def _banded(contents: dict[str, tuple[tuple[int, ...], float] | None]) -> dict[str, str]:
    """Strata by the values that a case contains and the band of how much of it is marked."""
    shares: dict[tuple[int, ...], list[float]] = {}
    for content in contents.values():
        if content is not None:
            shares.setdefault(content[0], []).append(content[1])
    steps = np.arange(1, SIZE_BANDS) / SIZE_BANDS
    limits = {values: np.quantile(of_them, steps) for values, of_them in shares.items()}
    strata = {}
    for name, content in contents.items():
        if content is None:
            strata[name] = "unknown"
            continue
        values, share = content
        band = int(np.searchsorted(limits[values], share))
        strata[name] = f"{'+'.join(map(str, values)) or 'none'} band {band}"
    return strata
