"""Hold a follow-up against its baseline: place its lesions, link them, measure what changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_medcnn.app.case_folder import require_writable
from napari_medcnn.app.volume_reference import fingerprint
from napari_medcnn.core.change import ChangeRule, Link, TimePoint
from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.events import Job, JobControl
from napari_medcnn.core.followup import FollowUp, Study
from napari_medcnn.core.lesion import LesionTable
from napari_medcnn.core.registration import Registration
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.followup.registration_options import RegistrationOptions

TRANSFORM, MATCHES, CHANGE = "transform.tfm", "matches.csv", "change.json"

BASELINE, FOLLOW_UP = "baseline", "follow-up"
"""What studies are called in files: names of images may tell who the patient is."""

DEFAULT_RULE = ChangeRule()

LEAST_RESIDUAL_MM = 1.0


@dataclass(frozen=True, eq=False)
class StudyInput:
    """One study as it was read and marked.

    Parameters
    ----------
    name : str
        What people call it; never a patient's identity.
    volume : Volume
        Its image.
    segmentation : Segmentation
        On the image's grid.
    table : LesionTable
        The lesions of that.
    day : float, optional
        Days since any one date that both studies share.
    identity : str
        Of the result, which tracking UIDs are made of; by default made of the label map itself.
    """

    name: str
    volume: Volume
    segmentation: Segmentation
    table: LesionTable
    day: float | None = None
    identity: str = ""

    def as_study(self) -> Study:
        """The study with its place among others."""
        from napari_medcnn.io.dicom_objects.tracking import content_identity

        identity = self.identity or content_identity(self.segmentation, self.volume)
        if not self.identity and self.volume.source.format != "dicom":
            # Only DICOM's series tell images apart: of others, two may have one label map.
            identity = f"{identity}/{fingerprint(self.volume)}"
        point = TimePoint(identity, self.name, self.day)
        return Study(point, self.volume, self.segmentation, self.table)


def register_studies(
    before: Volume, after: Volume, options: RegistrationOptions, control: JobControl
) -> Job:
    """Register a follow-up to its baseline; ends in ``Done(Registration)``.

    Raises
    ------
    MedcnnError
        As :func:`~napari_medcnn.followup.register.register` does.
    """
    from napari_medcnn.followup.register import register

    return register(before, after, options, control)


def hold_against(
    before: StudyInput,
    after: StudyInput,
    registration: Registration,
    *,
    rule: ChangeRule = DEFAULT_RULE,
    given: Sequence[Link] = (),
    residual_mm: float | None = None,
) -> FollowUp:
    """Link the lesions of two registered studies and measure what became of each.

    Parameters
    ----------
    before, after : StudyInput
        The baseline and the follow-up.
    registration : Registration
        From the baseline's points to the follow-up's.
    rule : ChangeRule
        When a lesion is said to have changed.
    given : sequence of Link
        Links that a person drew; they stay.
    residual_mm : float, optional
        Root mean square error of the registration that is still to be expected; by default that
        of :func:`expected_residual`.

    Raises
    ------
    InputMismatch
        When both studies are one and the same result.
    """
    from napari_medcnn.followup.compare import compare_studies
    from napari_medcnn.followup.matching import match_lesions
    from napari_medcnn.followup.on_baseline import image_on_baseline, labels_on_grid
    from napari_medcnn.followup.placed import PlacedLesions
    from napari_medcnn.followup.tracking import track_lesions, uids_of

    first, second = before.as_study(), after.as_study()
    if first.point.study == second.point.study:
        raise InputMismatch(
            "the baseline and the follow-up are one and the same result",
            source=after.name,
            hint="choose another study",
        )
    if residual_mm is None:
        residual_mm = expected_residual(before.volume, after.volume)
    transform = registration.transform
    studies = (
        PlacedLesions(first.point.study, first.table, first.volume.geometry),
        PlacedLesions(second.point.study, second.table, second.volume.geometry, transform),
    )
    links = match_lesions(*studies, residual_mm, given=given)
    uids = uids_of(track_lesions(studies, [links]))
    placed = {study.study: study for study in studies}
    return FollowUp(
        first,
        second,
        registration,
        image_on_baseline(after.volume, transform, before.volume),
        labels_on_grid(
            after.table.id_map,
            after.volume.geometry,
            transform,
            before.volume.geometry,
            keep_small=True,
        ),
        uids,
        compare_studies(first.point, second.point, placed, links, uids, rule),
    )


def without_names(found: FollowUp) -> FollowUp:
    """The follow-up with its studies called :data:`BASELINE` and :data:`FOLLOW_UP`."""
    before = replace(found.before.point, name=BASELINE)
    after = replace(found.after.point, name=FOLLOW_UP)
    return replace(
        found,
        before=replace(found.before, point=before),
        after=replace(found.after, point=after),
        change=replace(found.change, before=before, after=after),
    )


def expected_residual(before: Volume, after: Volume) -> float:
    """What a registration that looks right is still off, as root mean square in mm.

    A third of the longest edge of a voxel, and at least 1 mm: registrations of heads are off by a
    part of a voxel (West et al., J Comput Assist Tomogr 1997;21:554-566).
    """
    longest = max(*before.geometry.spacing, *after.geometry.spacing)
    return max(LEAST_RESIDUAL_MM, longest / 3)


def write_followup(found: FollowUp, folder: Path) -> tuple[Path, ...]:
    """Write transform, matches, report and change into a folder, each file atomically.

    ``change.json`` is written last: where it is, the other files are those of the same follow-up.

    Returns
    -------
    tuple of Path
        ``transform.tfm``, ``matches.csv``, ``report.html``, ``report.pdf``, ``change.json``.

    Raises
    ------
    WriteError
        When the folder cannot be written to.
    MedcnnError
        When the PDF cannot be typeset.
    """
    from napari_medcnn.followup.transform_files import write_transform
    from napari_medcnn.report.change_table import write_change_json, write_matches_csv
    from napari_medcnn.report.followup_report import write_followup_report

    require_writable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    transform, matches, change = (folder / name for name in (TRANSFORM, MATCHES, CHANGE))
    change.unlink(missing_ok=True)
    found = without_names(found)
    write_transform(transform, found.registration.transform)
    write_matches_csv(found.change, matches)
    reports = write_followup_report(folder, found)
    write_change_json(found, change)
    return (transform, matches, *reports, change)
