"""A stage of a registration improves a transform, or gives back what it began with."""

from __future__ import annotations

import math

import numpy as np
import SimpleITK as sitk

from napari_medcnn.core.events import Event, JobControl
from napari_medcnn.followup.optimise import Level, optimised, value_at
from napari_medcnn.followup.registration_scan import (
    fixed_image_at,
    mask_at,
    moving_image_at,
    scan_of,
)
from tests.followup.test_register import phantom


def level() -> Level:
    fixed, moving = scan_of(phantom((3.0, 2.0, 2.0))), scan_of(phantom((2.0, 2.0, 3.0)))
    images = fixed_image_at(fixed, 4.0), moving_image_at(moving, 4.0)
    return Level(*images, mask_at(fixed, 4.0), 4.0, seed=1)


def improved(start: sitk.Transform, step_mm: float) -> tuple[sitk.Transform, float]:
    def configure(method: sitk.ImageRegistrationMethod) -> None:
        method.SetOptimizerAsRegularStepGradientDescent(step_mm, 0.01, 60, relaxationFactor=0.6)

    events: list[Event] = []
    job = optimised(level(), start, configure, "stage", 60, JobControl())
    while True:
        try:
            events.append(next(job))
        except StopIteration as end:
            found: tuple[sitk.Transform, float] = end.value
            return found


def test_a_careful_optimiser_comes_closer() -> None:
    start = sitk.AffineTransform(3)
    start.SetTranslation((3.0, -2.0, 2.0))
    found, value = improved(start, 1.0)
    assert value_at(level(), found) < value_at(level(), start)
    assert math.isfinite(value)
    assert np.linalg.norm(found.TransformPoint((0.0, 0.0, 0.0))) < 1.0
    assert start.GetTranslation() == (3.0, -2.0, 2.0)


def test_an_optimiser_that_strays_gives_back_its_start() -> None:
    start = sitk.AffineTransform(3)
    found, value = improved(start, 300.0)
    assert found.GetParameters() == start.GetParameters()
    assert value == math.inf


def test_images_beside_each_other_have_no_value() -> None:
    far = sitk.AffineTransform(3)
    far.SetTranslation((500.0, 0.0, 0.0))
    assert value_at(level(), far) == math.inf
