"""A transform that was made elsewhere, judged as one that was found here."""

from __future__ import annotations

from napari_medcnn.core.events import Done, Job, JobControl, Message
from napari_medcnn.core.registration import Registration, RegistrationKind, SpatialTransform
from napari_medcnn.core.volume import Volume
from napari_medcnn.followup.region import guided_scans
from napari_medcnn.followup.registration_check import assess
from napari_medcnn.followup.registration_options import RegistrationOptions
from napari_medcnn.followup.registration_scan import scan_of

RIGID_TOLERANCE = 1e-4
"""Of a rotation matrix that was written as text."""


def judge_transform(
    fixed: Volume,
    moving: Volume,
    transform: SpatialTransform,
    options: RegistrationOptions | None = None,
    control: JobControl | None = None,
) -> Job:
    """Judge a given transform; ends in ``Done(Registration)`` as a registration does.

    Parameters
    ----------
    fixed, moving : Volume
        Baseline and follow-up of one patient, one frame each.
    transform : SpatialTransform
        From the baseline's points to the follow-up's.
    options : RegistrationOptions, optional
        Its region, landmarks and `accept_blocking` apply.
    control : JobControl, optional
        Cancels or pauses.

    Raises
    ------
    InputMismatch
        When an image cannot be registered.
    ConsentNeeded
        When an image has blocking findings that were not accepted.
    Cancelled
        When the job was cancelled.
    """
    options, control = options or RegistrationOptions(), control or JobControl()
    control.checkpoint()
    here = scan_of(fixed, accept_blocking=options.accept_blocking)
    there = scan_of(moving, accept_blocking=options.accept_blocking)
    here, there, region = yield from guided_scans(here, there, options.region, control)
    quality = assess(here, there, transform, options.landmarks)
    for warning in quality.warnings:
        yield Message(f"registration: {warning}", "warning")
    method = {"given": True, "region": region}
    yield Done(Registration(transform, kind_of(transform), fixed.id, moving.id, quality, method))


def kind_of(transform: SpatialTransform) -> RegistrationKind:
    """What a transform does, whatever it was called."""
    if not transform.is_linear:
        return RegistrationKind.BSPLINE
    return (
        RegistrationKind.RIGID if transform.is_rigid(RIGID_TOLERANCE) else RegistrationKind.AFFINE
    )
