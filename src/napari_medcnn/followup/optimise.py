"""One stage of a registration: ITK's optimiser at one resolution, followed step by step."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass

import SimpleITK as sitk

from napari_medcnn.core.errors import Cancelled, InputMismatch
from napari_medcnn.core.events import Event, JobControl
from napari_medcnn.inference.in_thread import followed

BINS = 32
"""Of the joint histogram: finer ones need more samples than a coarse level has voxels."""

SAMPLES = 60_000
"""Voxels of the fixed mask that are looked at in each iteration; more change nothing measurable."""


KEPT = 0.9
"""An optimiser that ends with less than this part of the likeness that it began with has strayed.
Smaller losses are differences of the samples: the metric is noisy, and is below 0."""


@dataclass(frozen=True, eq=False)
class Level:
    """Both images at one resolution, and where the fixed one is looked at.

    Parameters
    ----------
    fixed, moving : SimpleITK.Image
        Float images in LPS mm.
    mask : SimpleITK.Image
        On the grid of `fixed`.
    resolution_mm : float
        What both were thinned to.
    seed : int
        Of the sampling.
    """

    fixed: sitk.Image
    moving: sitk.Image
    mask: sitk.Image
    resolution_mm: float
    seed: int

    def metric(self) -> sitk.ImageRegistrationMethod:
        """A registration method that compares by Mattes' mutual information.

        It needs no relation of intensities but a statistical one, so sequences may differ (Mattes
        et al., PET-CT image registration in the chest using free-form deformations, IEEE Trans Med
        Imaging 22(1), 2003). Samples are jittered within their voxels, because voxels that lie on
        the other image's grid are not blurred by interpolation and would look better than others.
        """
        method = sitk.ImageRegistrationMethod()
        method.SetMetricAsMattesMutualInformation(BINS)
        method.SetInterpolator(sitk.sitkLinear)
        method.SetMetricFixedMask(self.mask)
        method.SetMetricSamplingStrategy(method.RANDOM)
        inside = float(sitk.GetArrayViewFromImage(self.mask).sum())
        share = min(1.0, SAMPLES / max(inside, 1.0))
        method.SetMetricSamplingPercentage(share, self.seed)
        return method


def value_at(level: Level, transform: sitk.Transform) -> float:
    """The metric at a transform, lower is better; infinite where the images do not overlap."""
    method = level.metric()
    method.SetInitialTransform(transform)
    return _value(method, level)


def optimised(
    level: Level,
    start: sitk.Transform,
    configure: Callable[[sitk.ImageRegistrationMethod], None],
    stage: str,
    iterations: int,
    control: JobControl,
) -> Generator[Event, None, tuple[sitk.Transform, float]]:
    """Improve a transform; returns it with the metric's last value, lower is better.

    Where the optimiser strayed, the start is returned with an infinite value. Later stages go on
    from it, and the registration is judged in any case.

    Parameters
    ----------
    level : Level
        What is compared.
    start : SimpleITK.Transform
        It is left as it is.
    configure : callable
        Sets the optimiser.
    stage : str
        Of the progress.
    iterations : int
        The most there can be.
    control : JobControl
        Cancels or pauses between two iterations.

    Raises
    ------
    InputMismatch
        When the images do not overlap.
    Cancelled
        When the job was cancelled.
    """
    method = level.metric()
    configure(method)
    method.SetOptimizerScalesFromPhysicalShift()
    found = type(start)(start)
    method.SetInitialTransform(found, inPlace=True)

    def work(step: Callable[[], None]) -> tuple[sitk.Transform, float]:
        before = _value(method, level)
        _execute(method, level, step)
        if _value(method, level) > KEPT * before:
            return type(start)(start), math.inf
        return found, float(method.GetMetricValue())

    return (yield from followed(work, stage, iterations, control))


def _value(method: sitk.ImageRegistrationMethod, level: Level) -> float:
    try:
        return float(method.MetricEvaluate(level.fixed, level.moving))
    except RuntimeError:  # ITK's way to say that no sample lies in the other image
        return math.inf


def _execute(method: sitk.ImageRegistrationMethod, level: Level, step: Callable[[], None]) -> None:
    cancelled: list[Cancelled] = []

    def before_next() -> None:
        # ITK may report once more after it was told to stop.
        if cancelled:
            return
        try:
            step()
        except Cancelled as error:
            cancelled.append(error)
            method.StopRegistration()

    method.AddCommand(sitk.sitkIterationEvent, before_next)
    try:
        method.Execute(level.fixed, level.moving)
    except RuntimeError as error:
        raise InputMismatch(
            "the images do not overlap enough to be compared",
            hint="are both of the same patient and part of the body? Start from their centres",
        ) from error
    if cancelled:
        raise cancelled[0]
