"""The whole road of a follow-up: read two studies, mark, register, compare, write."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from napari_medcnn.app.case import Case, one_volume, require_measurable
from napari_medcnn.app.case_folder import HOW_TO_REPLACE, require_writable
from napari_medcnn.app.case_options import CaseOptions
from napari_medcnn.app.followup_run import (
    BASELINE,
    CHANGE,
    DEFAULT_RULE,
    FOLLOW_UP,
    MATCHES,
    TRANSFORM,
    StudyInput,
    hold_against,
    register_studies,
    write_followup,
)
from napari_medcnn.app.study_origin import require_one_patient, study_origin
from napari_medcnn.core.change import ChangeRule
from napari_medcnn.core.errors import InputMismatch, WriteError
from napari_medcnn.core.events import Done, Event, Job, JobControl, Message, Progress, result_of
from napari_medcnn.core.followup import FollowUp
from napari_medcnn.core.registration import Registration
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.followup.registration_options import RegistrationOptions
from napari_medcnn.io.dicom_objects.source import why_no_dicom
from napari_medcnn.models.spec import ModelSpec

READING, COMPARING, WRITING = "reading images", "comparing lesions", "writing"
"""The stages beside the model's and the registration's own."""


@dataclass(frozen=True)
class FollowUpRequest:
    """What is compared, and how.

    Parameters
    ----------
    finder : ModelSpec, optional
        A model that segments, for the studies that have no label map.
    labels : tuple of Path or None
        Label maps of the baseline and of the follow-up.
    registration : RegistrationOptions
        How the images are registered.
    transform : Path, optional
        An ITK transform in place of a registration: from points of the baseline to points of the
        follow-up.
    rule : ChangeRule
        When a lesion is said to have changed.
    days : float, optional
        Between the studies; by default as DICOM headers tell.
    options : CaseOptions
        Of these `run`, `min_volume_mm3`, `dicom` and `overwrite` apply.
    accept_registration : bool
        The user's yes to a registration that looks wrong.

    Raises
    ------
    InputMismatch
        When a study has neither a label map nor a model that finds lesions, or the days are fewer
        than none.
    """

    finder: ModelSpec | None = None
    labels: tuple[Path | None, Path | None] = (None, None)
    registration: RegistrationOptions = field(default_factory=RegistrationOptions)
    transform: Path | None = None
    rule: ChangeRule = DEFAULT_RULE
    days: float | None = None
    options: CaseOptions = field(default_factory=CaseOptions)
    accept_registration: bool = False

    def __post_init__(self) -> None:
        if self.finder is None and None in self.labels:
            raise InputMismatch(
                "a study without a label map needs a model that finds its lesions",
                hint="give both label maps, or a model that segments",
            )
        if self.days is not None and not 0 <= self.days < math.inf:
            raise InputMismatch(f"{self.days:g} days cannot lie between a study and its follow-up")


@dataclass(frozen=True, eq=False)
class FollowUpResult:
    """What came out, and where it was written."""

    folder: Path
    found: FollowUp

    def to_json(self) -> dict[str, Any]:
        """The result for programs: where it is, the registration, and what became of lesions."""
        return {
            "folder": str(self.folder),
            "registration": self.found.registration.to_json(),
            **self.found.change.to_json(),
        }


def followup_case(
    before: Case,
    after: Case,
    out_dir: str | Path,
    request: FollowUpRequest,
    control: JobControl | None = None,
) -> Job:
    """Read two studies of one patient, find their lesions and write what became of them.

    Parameters
    ----------
    before, after : Case
        The baseline and the follow-up, one image each.
    out_dir : str or Path
        The folder of the results; made if needed.
    request : FollowUpRequest
        What is compared, and how.
    control : JobControl, optional
        Cancels, pauses and resumes.

    Yields
    ------
    Event
        Of reading, of the model, of registering and comparing; ``Done(FollowUpResult)`` at last.

    Raises
    ------
    ReadError, GeometryError, InputMismatch, ModelError, WriteError, Cancelled
        As reading, segmenting, registering and writing do; InputMismatch where the registration
        looks wrong and was not accepted, or the studies are of different patients.
    """
    control = control or JobControl()
    folder = Path(out_dir)
    require_writable(folder)
    _require_empty(folder, overwrite=request.options.overwrite)
    yield Progress(READING, 0, 1)
    volumes = [_read(case, request) for case in (before, after)]
    origins = [study_origin(volume) for volume in volumes]
    if not request.options.run.accept_findings:
        require_one_patient(*origins)
    days = _days([origin.day for origin in origins], request.days)
    yield Progress(READING, 1, 1)
    registration = yield from _registered(volumes[0], volumes[1], request, control)
    studies = []
    for place, name in enumerate((BASELINE, FOLLOW_UP)):
        study = yield from _marked(name, volumes[place], request.labels[place], request, control)
        studies.append(replace(study, day=days[place]))
    control.checkpoint()
    yield Progress(COMPARING, 0, 1)
    found = hold_against(studies[0], studies[1], registration, rule=request.rule)
    yield Progress(COMPARING, 1, 1)
    control.checkpoint()
    yield Progress(WRITING, 0, 1)
    _write(found, folder, request.options.dicom)
    yield Progress(WRITING, 1, 1)
    yield Done(FollowUpResult(folder, found))


def _require_empty(folder: Path, *, overwrite: bool) -> None:
    there = [name for name in (TRANSFORM, MATCHES, CHANGE) if (folder / name).exists()]
    if there and not overwrite:
        raise WriteError(
            f"holds a follow-up already ({', '.join(there)})", source=folder, hint=HOW_TO_REPLACE
        )


def _read(case: Case, request: FollowUpRequest) -> Volume:
    if len(case.images) > 1:
        raise InputMismatch("a follow-up compares one image of each study", source=case.id)
    volume = one_volume(case.images[0])
    require_measurable(volume, request.options.run.accept_findings)
    reason = why_no_dicom(volume) if request.options.dicom else ""
    if reason:  # told before minutes of computing
        raise WriteError(reason.rstrip("."), source=volume.name, hint="leave out DICOM objects")
    return volume


def _days(
    known: Sequence[float | None], between: float | None
) -> tuple[float | None, float | None]:
    """Days of both studies; as headers tell, unless it was said how far they are apart."""
    if between is not None:
        return 0.0, between
    before, after = known
    if before is None or after is None:
        return None, None
    if after < before:
        raise InputMismatch(
            f"the follow-up was acquired {before - after:g} days before the baseline",
            hint="swap them, or say how many days lie between them",
        )
    return 0.0, after - before


def _registered(
    before: Volume, after: Volume, request: FollowUpRequest, control: JobControl
) -> Generator[Event, None, Registration]:
    """The registration that was given or found, if it may be used."""
    from napari_medcnn.followup.given_transform import judge_transform
    from napari_medcnn.followup.transform_files import read_transform

    if request.transform is not None:
        transform = read_transform(request.transform)
        job = judge_transform(before, after, transform, request.registration, control)
    else:
        job = register_studies(before, after, request.registration, control)
    found = yield from result_of(job, Registration)
    if not found.quality.plausible and not request.accept_registration:
        raise InputMismatch(
            "the registration looks wrong: " + "; ".join(found.quality.warnings),
            source=after.name,
            hint="look at it in the dock Follow-up, try another kind or start, or accept it",
        )
    return found


def _marked(
    name: str,
    volume: Volume,
    labels: Path | None,
    request: FollowUpRequest,
    control: JobControl,
) -> Generator[Event, None, StudyInput]:
    """A study with its lesions: those of its label map, or those that the model finds."""
    from napari_medcnn.imaging.lesions import find_lesions
    from napari_medcnn.inference.segment import segment
    from napari_medcnn.io.read import read_segmentation

    options = request.options
    if labels is not None:
        segmentation = read_segmentation(labels, volume)
    else:
        assert request.finder is not None  # the request was checked
        yield Message(f"{request.finder.title} marks the {name}")
        job = segment(volume, request.finder, control, options.of_model())
        segmentation = yield from result_of(job, Segmentation)
    table = find_lesions(
        segmentation,
        volume,
        min_volume_mm3=_least_volume(segmentation, options),
        accept_blocking=options.run.accept_findings,
    )
    return StudyInput(name, volume, segmentation, table)


def _least_volume(segmentation: Segmentation, options: CaseOptions) -> float:
    chosen = options.min_volume_mm3
    return segmentation.advised_min_volume_mm3 if chosen is None else chosen


def _write(found: FollowUp, folder: Path, dicom: tuple[str, ...]) -> None:
    from napari_medcnn.app.dicom_export import write_objects
    from napari_medcnn.io.write import write_segmentation

    (folder / CHANGE).unlink(missing_ok=True)  # it is of the files that go now
    for study, name in ((found.before, "baseline"), (found.after, "followup")):
        write_segmentation(study.segmentation, study.volume, folder / f"{name}_labels.nii.gz")
        if dicom and study.table.lesions:
            uids = {
                k.lesion_id: uid for k, uid in found.uids.items() if k.study == study.point.study
            }
            write_objects(
                dicom, study.segmentation, study.volume, study.table, folder / name, uids=uids
            )
    write_followup(found, folder)
