"""Change without labels: the follow-up minus its baseline, in units of what noise explains.

What differs between two scans is mostly not the patient: resolution, shading and grey values are
made alike first (:mod:`.comparable`). What is left is divided by the standard deviation to expect
at each voxel, that of the noise and that of edges under a registration which is off by a part of a
millimetre: ``sqrt(noise² + (slope · residual)²)``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import cc3d
import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.filters import apply_hysteresis_threshold

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.events import Done, Job, JobControl, Message, Progress
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.registration import Registration
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Finding, Severity, Source, Volume
from napari_medcnn.followup.comparable import (
    FloatImage,
    blurred_like,
    matched_values,
    without_relative_shading,
)
from napari_medcnn.followup.on_baseline import seen_on_grid, values_on_grid
from napari_medcnn.followup.registration_scan import scan_of
from napari_medcnn.imaging.bias_field import correct_bias_field
from napari_medcnn.imaging.body import looks_like_ct
from napari_medcnn.imaging.brain import MaskArray

BRIGHTER = Label(1, "brighter", (1.0, 0.3, 0.2))
DARKER = Label(2, "darker", (0.2, 0.5, 1.0))

_STEPS = ("evening out the baseline", "evening out the follow-up", "subtracting")
_SD_PER_MAD = 1.4826
"""Standard deviation of a normal distribution by its median absolute deviation."""


@dataclass(frozen=True)
class SubtractionOptions:
    """What counts as a candidate of change.

    Parameters
    ----------
    seed_sd, extent_sd : float
        A candidate reaches `seed_sd` somewhere and `extent_sd` everywhere.
    min_volume_mm3 : float
        Smaller candidates are left out.
    smoothing_mm : float
        Full width at half maximum of the blur within slices before the noise is judged.
    residual_mm : float
        How far the registration may be off: edges are trusted the less, the larger it is.

    Raises
    ------
    InputMismatch
        When a figure is out of its range.
    """

    seed_sd: float = 5.0
    extent_sd: float = 3.0
    min_volume_mm3: float = 30.0
    smoothing_mm: float = 2.0
    residual_mm: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.extent_sd <= self.seed_sd:
            raise InputMismatch("a candidate's extent is set by a lower threshold than its seed")
        if min(self.min_volume_mm3, self.smoothing_mm, self.residual_mm) < 0:
            raise InputMismatch("a volume, a blur or a residual cannot be negative")


@dataclass(frozen=True, eq=False)
class Subtraction:
    """What differs between two studies, and where it may be change.

    Parameters
    ----------
    difference : Volume
        On the baseline's grid, in standard deviations; 0 outside of `mask`. Above 0, the follow-up
        is brighter.
    candidates : Segmentation
        Of `difference`: 1 brighter (of lesions that are bright in the sequence: new or growing), 2
        darker. They are to be looked at; nothing here knows what a lesion is.
    mask : numpy.ndarray
        ``(z, y, x)`` bool: what was compared.
    noise_sd : float
        Of the difference, in the baseline's grey values.
    method : dict
        Settings, JSON-able.
    """

    difference: Volume
    candidates: Segmentation
    mask: MaskArray
    noise_sd: float
    method: dict[str, Any]


def subtract(
    fixed: Volume,
    moving: Volume,
    registration: Registration,
    mask: npt.NDArray[Any],
    options: SubtractionOptions | None = None,
    control: JobControl | None = None,
) -> Job:
    """Subtract the baseline from the registered follow-up.

    Parameters
    ----------
    fixed, moving : Volume
        Baseline and follow-up of one sequence, one frame each, on right-angled grids.
    registration : Registration
        Of the two.
    mask : numpy.ndarray
        ``(z, y, x)`` on the baseline's grid: the brain or the body part that is compared.
    options : SubtractionOptions, optional
        What counts as a candidate.
    control : JobControl, optional
        Cancels or pauses, within the correction of shading too.

    Yields
    ------
    Event
        `Progress`, a warning where the registration is not plausible, and `Done` with a
        :class:`Subtraction`.

    Raises
    ------
    InputMismatch
        When an image cannot be compared, or the images share too little of the mask.
    Cancelled
        When the job was cancelled.

    Notes
    -----
    CT has a scale of its own: neither shading nor grey values are touched.
    """
    options, control = options or SubtractionOptions(), control or JobControl()
    here, there = scan_of(fixed, accept_blocking=True), scan_of(moving, accept_blocking=True)
    if here.geometry != fixed.geometry or mask.shape != fixed.geometry.shape:
        raise InputMismatch("the baseline needs a right-angled grid, and a mask on it")
    if not registration.quality.plausible:
        yield Message("the registration looks wrong: so will the subtraction", "warning")
    yield Progress(_STEPS[0], 0, len(_STEPS))
    seen = seen_on_grid(there.geometry, registration.transform, fixed.geometry)
    compared = seen & (mask != 0)
    if compared.sum() < 0.1 * max(int((mask != 0).sum()), 1):
        raise InputMismatch("the follow-up shows too little of what is to be compared")
    own = blurred_like(here.array, fixed.geometry, there.geometry)
    other = values_on_grid(
        blurred_like(there.array, there.geometry, fixed.geometry),
        there.geometry,
        registration.transform,
        fixed.geometry,
        fill=float(there.array.min()),
    )
    spacing = fixed.geometry.spacing
    if not (looks_like_ct(own) or looks_like_ct(other)):
        own = correct_bias_field(own, spacing, compared, control=control)
        yield Progress(_STEPS[1], 1, len(_STEPS))
        other = correct_bias_field(other, spacing, compared, control=control)
        other = matched_values(other, own, compared)
        other = without_relative_shading(other, own, compared, spacing)
    yield Progress(_STEPS[2], 2, len(_STEPS))
    control.checkpoint()
    yield Done(_result(fixed, moving, own, other, compared, options))


def _result(
    fixed: Volume,
    moving: Volume,
    own: FloatImage,
    other: FloatImage,
    mask: MaskArray,
    options: SubtractionOptions,
) -> Subtraction:
    difference, noise_sd = in_standard_deviations(own, other, mask, fixed.geometry, options)
    finding = Finding("subtraction", Severity.INFO, "values are differences of two studies")
    volume = Volume(
        difference,
        fixed.geometry,
        name=f"{moving.name} minus {fixed.name}",
        unit="SD",
        source=Source(),
        findings=(*fixed.findings, *moving.findings, finding),
        resampled=True,
    )
    marked = Segmentation(
        candidates(difference, fixed.geometry, options),
        fixed.geometry,
        (BRIGHTER, DARKER),
        volume.id,
        parameters={"subtraction": asdict(options)},
    )
    return Subtraction(volume, marked, mask, noise_sd, asdict(options))


def in_standard_deviations(
    fixed: FloatImage,
    moved: FloatImage,
    mask: MaskArray,
    geometry: Geometry,
    options: SubtractionOptions,
) -> tuple[FloatImage, float]:
    """The difference ``(z, y, x)`` of comparable images by its standard deviation, and the noise's.

    The noise is that of the middle half of all differences (their median absolute deviation), which
    no lesion moves; the slope is the steeper one of both images.
    """
    steps = geometry.spacing
    within = [0.0, *(0.425 * options.smoothing_mm / step for step in steps[1:])]
    ours, theirs = (ndimage.gaussian_filter(image, within) for image in (fixed, moved))
    difference = theirs - ours
    middle = float(np.median(difference[mask]))
    noise_sd = _SD_PER_MAD * float(np.median(np.abs(difference[mask] - middle)))
    if noise_sd == 0:
        raise InputMismatch("both images are the same: there is nothing to subtract")
    slope = np.maximum(*(_slope(image, steps) for image in (ours, theirs)))
    expected = np.hypot(noise_sd, slope * options.residual_mm)
    scaled = np.where(mask, (difference - middle) / expected, 0)
    return np.asarray(scaled, dtype=np.float32), noise_sd


def candidates(
    difference: FloatImage, geometry: Geometry, options: SubtractionOptions
) -> npt.NDArray[np.uint8]:
    """Where the difference is more than noise explains: 1 brighter, 2 darker, ``(z, y, x)``."""
    least = int(np.ceil(options.min_volume_mm3 / geometry.voxel_volume_mm3))
    marked = np.zeros(difference.shape, dtype=np.uint8)
    for label, signed in ((BRIGHTER, difference), (DARKER, -difference)):
        found = apply_hysteresis_threshold(  # type: ignore[no-untyped-call]
            signed, options.extent_sd, options.seed_sd
        )
        kept = cc3d.dust(np.ascontiguousarray(found), threshold=least, connectivity=26)
        marked[kept > 0] = label.value
    return marked


def _slope(image: FloatImage, steps_mm: tuple[float, float, float]) -> FloatImage:
    """Grey values a millimetre."""
    parts = np.gradient(image, *steps_mm)
    return np.asarray(np.sqrt(sum(part**2 for part in parts)), dtype=np.float32)
