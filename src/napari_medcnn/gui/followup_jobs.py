"""Jobs of the dock *Follow-up*, without Qt: register two images, and compare their lesions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.app.contrast import display_range
from napari_medcnn.app.followup_run import StudyInput, hold_against, register_studies
from napari_medcnn.app.result import Result, new_result
from napari_medcnn.core.change import Change, ChangeClass, ChangeRule, LesionKey, Link
from napari_medcnn.core.events import Done, Job, JobControl, Message, Progress
from napari_medcnn.core.followup import FollowUp
from napari_medcnn.core.registration import Registration
from napari_medcnn.core.volume import Volume
from napari_medcnn.followup.registration_options import RegistrationOptions
from napari_medcnn.gui.change_rows import ChangeRow, rows_of, summary_of
from napari_medcnn.gui.classify_jobs import Drawn

CLASS_VALUES: Mapping[ChangeClass, int] = {kind: n for n, kind in enumerate(ChangeClass, start=1)}
"""What stands for each class in a map of classes."""


@dataclass(frozen=True, eq=False)
class Pair:
    """Two images of one patient, and how they are to be registered."""

    before: Volume
    after: Volume
    options: RegistrationOptions

    def is_of(self, other: Pair) -> bool:
        """Whether the same is asked for, the user's yes to findings aside."""
        images = self.before is other.before and self.after is other.after
        return images and self.with_consent().options == other.with_consent().options

    def with_consent(self) -> Pair:
        """The same after the user's yes to what was found."""
        return replace(self, options=replace(self.options, accept_blocking=True))


@dataclass(frozen=True, eq=False)
class Registered:
    """A registered pair, and what there is to look at before it is used.

    Parameters
    ----------
    pair : Pair
        What was asked.
    registration : Registration
        What came out.
    aligned : Volume
        The follow-up's image on the baseline's grid.
    checkerboard : numpy.ndarray
        ``(z, y, x)`` float32 on that grid: cubes of both images, each from 0 to 1 in its window.
    """

    pair: Pair
    registration: Registration
    aligned: Volume
    checkerboard: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class DrawnStudy:
    """A study whose lesions are those of a labels layer, and not measured yet."""

    name: str
    volume: Volume
    drawn: Drawn
    day: float | None = None


@dataclass(frozen=True, eq=False)
class CompareRequest:
    """What is compared.

    Parameters
    ----------
    before, after : StudyInput or DrawnStudy
        The baseline and the follow-up.
    registration : Registration
        From the baseline to the follow-up.
    rule : ChangeRule
        When a lesion has changed.
    given : tuple of Link
        Those that the user drew.
    """

    before: StudyInput | DrawnStudy
    after: StudyInput | DrawnStudy
    registration: Registration
    rule: ChangeRule
    given: tuple[Link, ...] = ()


@dataclass(frozen=True, eq=False)
class Compared:
    """What came out.

    Parameters
    ----------
    request : CompareRequest
        What was asked, both studies measured.
    found : FollowUp
        The comparison.
    rows : tuple of ChangeRow
        For the table, what a reader wants to know first at the top.
    summary : str
        Counts and totals in words.
    classes : tuple of numpy.ndarray
        ``(z, y, x)`` uint8 on the baseline's grid, of the baseline and of the follow-up: what
        became of the lesion at each voxel, by :data:`CLASS_VALUES`; 0 elsewhere.
    measured : tuple of Result
        Those of labels layers that were measured first.
    """

    request: CompareRequest
    found: FollowUp
    rows: tuple[ChangeRow, ...]
    summary: str
    classes: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]
    measured: tuple[Result, ...] = ()

    def with_links(self, given: tuple[Link, ...]) -> CompareRequest:
        """The same studies, to be compared by other links of the user."""
        return replace(self.request, given=given)

    def is_of(self, found: FollowUp) -> bool:
        """Whether the same results were compared."""
        sides = ((self.found.before, found.before), (self.found.after, found.after))
        return all(one.point.study == other.point.study for one, other in sides)


def register_pair(pair: Pair, control: JobControl) -> Job:
    """Register, and bring the follow-up onto the baseline's grid; ends in ``Done(Registered)``."""
    from napari_medcnn.followup.checkerboard import checkerboard
    from napari_medcnn.followup.on_baseline import image_on_baseline

    told: list[Message] = []
    for event in register_studies(pair.before, pair.after, pair.options, control):
        if isinstance(event, Message):
            told.append(event)
            continue
        if not isinstance(event, Done):
            yield event
            continue
        # The warnings of its quality stand beside its figures already.
        known = event.result.quality.warnings
        yield from (one for one in told if not any(text in one.text for text in known))
        yield Progress("bringing the follow-up onto the baseline's grid", 0, 1)
        control.checkpoint()
        aligned = image_on_baseline(pair.after, event.result.transform, pair.before)
        control.checkpoint()
        board = checkerboard(
            _windowed(pair.before.array, display_range(pair.before)),
            _windowed(aligned.array, display_range(pair.after)),
            pair.before.geometry.spacing,
        )
        yield Done(Registered(pair, event.result, aligned, board))


def compare_pair(request: CompareRequest, control: JobControl) -> Job:
    """Measure lesions where they are not yet, link and class them; ends in ``Done(Compared)``."""
    measured: list[Result] = []
    inputs: list[StudyInput] = []
    for side in (request.before, request.after):
        control.checkpoint()
        if isinstance(side, StudyInput):
            inputs.append(side)
            continue
        yield Progress(f"measuring the lesions of {side.name}", 0, 1)
        accepted = request.registration.method.get("accept_blocking", False)
        result = new_result(
            side.drawn.segmentation,
            side.volume,
            side.drawn.min_volume_mm3,
            accept_blocking=bool(accepted),
            name=side.drawn.name,
        )
        measured.append(result)
        inputs.append(input_of(result, side.volume, side.name, side.day))
    control.checkpoint()
    yield Progress("linking lesions", 0, 1)
    before, after = inputs
    given = links_that_stand(request.given, before, after)
    found = hold_against(before, after, request.registration, rule=request.rule, given=given)
    yield Done(
        Compared(
            replace(request, before=before, after=after, given=given),
            found,
            rows_of(found.change),
            summary_of(found),
            _classes(found),
            tuple(measured),
        )
    )


def input_of(result: Result, volume: Volume, name: str, day: float | None) -> StudyInput:
    """A result as a study; its lesions keep the tracking UIDs of its other exports."""
    return StudyInput(name, volume, result.segmentation, result.table, day, identity=result.id)


def links_that_stand(
    given: tuple[Link, ...], before: StudyInput, after: StudyInput
) -> tuple[Link, ...]:
    """The links whose lesions are still there: some may have been deleted since."""
    there = {
        LesionKey(side.identity, lesion.id)
        for side in (before, after)
        for lesion in side.table.lesions
    }
    return tuple(link for link in given if there.issuperset((*link.before, *link.after)))


def _windowed(array: npt.NDArray[Any], limits: tuple[float, float]) -> npt.NDArray[np.float32]:
    """Values from 0 to 1 as a layer shows them between its contrast limits."""
    low, high = limits
    scaled = (np.asarray(array, np.float32) - np.float32(low)) / np.float32(high - low)
    return np.clip(scaled, 0, 1, out=scaled)


def _classes(found: FollowUp) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    return (
        _class_map(found.before.table.id_map, found.change, "before"),
        _class_map(found.after_ids, found.change, "after"),
    )


def _class_map(ids: npt.NDArray[np.uint32], change: Change, side: str) -> npt.NDArray[np.uint8]:
    table = np.zeros(int(ids.max(initial=0)) + 1, np.uint8)
    for lesion in change.lesions:
        for key in getattr(lesion.link, side):
            if key.lesion_id < len(table):
                table[key.lesion_id] = CLASS_VALUES[lesion.kind]
    classes: npt.NDArray[np.uint8] = table[ids]
    return classes
