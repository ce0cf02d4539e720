"""Register a follow-up to its baseline: the job behind every front door.

From coarse to fine: several starts at the coarsest resolution, the best of them followed; rigid
first, then what more is allowed. The result is judged by :mod:`.registration_check`, apart from the
optimiser.
"""

from __future__ import annotations

import math
from collections.abc import Generator

import numpy as np
import SimpleITK as sitk

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.events import Done, Event, Job, JobControl, Message
from napari_medcnn.core.registration import Registration, RegistrationKind
from napari_medcnn.core.volume import Volume
from napari_medcnn.followup.optimise import Level, optimised
from napari_medcnn.followup.region import guided_scans
from napari_medcnn.followup.registration_check import assess
from napari_medcnn.followup.registration_options import RegistrationOptions
from napari_medcnn.followup.registration_scan import (
    Scan,
    fixed_image_at,
    mask_at,
    moving_image_at,
    scan_of,
)
from napari_medcnn.followup.spatial_transform import from_sitk
from napari_medcnn.followup.starts import best_starts, candidate_starts

COARSEST_MM = 8.0
"""Where starts are compared: blurred so far, a head leads the optimiser home from 15 degrees."""

BEND_FROM_MM = 4.0
"""A deformation starts at this resolution; it follows the noise of finer ones."""

FIRST_STEP, CAREFUL_STEP = 1 / 2, 1 / 4
"""Of the resolution: how far the optimiser's first step moves the image. What may stretch or bend
begins near its end, and strays with the larger one."""

ITERATIONS = 100
"""The most at each resolution; some 20 to 40 are used."""


def register(
    fixed: Volume,
    moving: Volume,
    options: RegistrationOptions | None = None,
    control: JobControl | None = None,
) -> Job:
    """Find where the points of the baseline lie in the follow-up.

    Parameters
    ----------
    fixed, moving : Volume
        Baseline and follow-up of one patient, one frame each, of any sequences and spacings.
    options : RegistrationOptions, optional
        What the transform may do, and what guides it.
    control : JobControl, optional
        Cancels or pauses, within the optimiser too.

    Yields
    ------
    Event
        `Progress` of each stage, `Fallback` where another region guides, warnings as `Message`,
        and `Done` with a :class:`~napari_medcnn.core.registration.Registration`. Neither volume
        is changed.

    Raises
    ------
    InputMismatch
        When an image cannot be registered, or both do not overlap.
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
    found = yield from _rigid(here, there, options, control)
    if options.kind is not RegistrationKind.RIGID:
        found = yield from _affine(here, there, found, options, control)
    if options.kind is RegistrationKind.BSPLINE:
        found = yield from _bspline(here, there, found, options, control)
    control.checkpoint()
    transform = from_sitk(found)
    quality = assess(here, there, transform, options.landmarks)
    for warning in quality.warnings:
        yield Message(f"registration: {warning}", "warning")
    method = {
        "options": options.to_json(),
        "region": region,
        "simpleitk": sitk.Version.VersionString(),
    }
    yield Done(Registration(transform, options.kind, fixed.id, moving.id, quality, method))


def _levels(finest_mm: float) -> list[float]:
    """Halved from the coarsest down to the finest."""
    count = max(0, math.ceil(math.log2(COARSEST_MM / finest_mm)))
    return [max(COARSEST_MM / 2**n, finest_mm) for n in range(count + 1)]


def _level(fixed: Scan, moving: Scan, resolution_mm: float, options: RegistrationOptions) -> Level:
    return Level(
        fixed_image_at(fixed, resolution_mm),
        moving_image_at(moving, resolution_mm),
        mask_at(fixed, resolution_mm),
        resolution_mm,
        options.seed,
    )


def _rigid(
    fixed: Scan, moving: Scan, options: RegistrationOptions, control: JobControl
) -> Generator[Event, None, sitk.Transform]:
    starts: list[sitk.Transform] = []
    for resolution in _levels(options.finest_mm):
        control.checkpoint()
        level = _level(fixed, moving, resolution, options)
        if not starts:
            starts = best_starts(level, candidate_starts(fixed, moving, options.start))
        if not starts:
            raise InputMismatch(
                "the images do not overlap where their headers put them",
                source=moving.name,
                hint="let the registration start from their centres",
            )
        starts = [(yield from _best_end(level, starts, control))]
    return starts[0]


def _best_end(
    level: Level, starts: list[sitk.Transform], control: JobControl
) -> Generator[Event, None, sitk.Transform]:
    best, least = starts[0], math.inf
    for start in starts:
        end, value = yield from _improved(level, start, control, "registering", step=FIRST_STEP)
        if value < least:
            best, least = end, value
    return best


def _affine(
    fixed: Scan,
    moving: Scan,
    rigid: sitk.Transform,
    options: RegistrationOptions,
    control: JobControl,
) -> Generator[Event, None, sitk.Transform]:
    found = sitk.AffineTransform(3)
    matrix = from_sitk(rigid).matrix
    middle = fixed.middle_lps_mm
    found.SetCenter(middle.tolist())
    found.SetMatrix(matrix[:3, :3].ravel().tolist())
    found.SetTranslation((matrix[:3, :3] @ middle + matrix[:3, 3] - middle).tolist())
    for resolution in _levels(options.finest_mm)[1:] or [options.finest_mm]:
        control.checkpoint()
        level = _level(fixed, moving, resolution, options)
        found, _ = yield from _improved(level, found, control, "registering affinely")
    return found


def _bspline(
    fixed: Scan,
    moving: Scan,
    affine: sitk.Transform,
    options: RegistrationOptions,
    control: JobControl,
) -> Generator[Event, None, sitk.Transform]:
    """The affine transform with a deformation of the fixed image before it."""
    extent = np.asarray(fixed.geometry.shape) * fixed.geometry.spacing
    mesh = np.maximum(1, np.rint(extent[::-1] / options.control_point_mm)).astype(int)
    bend: sitk.Transform | None = None
    for resolution in (BEND_FROM_MM, max(BEND_FROM_MM / 2, options.finest_mm)):
        control.checkpoint()
        level = _level(fixed, moving, resolution, options)
        if bend is None:
            bend = sitk.BSplineTransformInitializer(level.fixed, mesh.tolist(), order=3)
        bend, _ = yield from _improved(level, bend, control, "bending", after=affine)
    return sitk.CompositeTransform([affine, bend])


def _improved(
    level: Level,
    start: sitk.Transform,
    control: JobControl,
    what: str,
    after: sitk.Transform | None = None,
    step: float = CAREFUL_STEP,
) -> Generator[Event, None, tuple[sitk.Transform, float]]:
    def configure(method: sitk.ImageRegistrationMethod) -> None:
        if after is not None:
            method.SetMovingInitialTransform(after)
        method.SetOptimizerAsRegularStepGradientDescent(
            learningRate=level.resolution_mm * step,
            minStep=level.resolution_mm / 500,
            numberOfIterations=ITERATIONS,
            relaxationFactor=0.6,
        )

    stage = f"{what} at {level.resolution_mm:g} mm"
    return (yield from optimised(level, start, configure, stage, ITERATIONS, control))
