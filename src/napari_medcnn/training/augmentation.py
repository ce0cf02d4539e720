"""Presets of augmentation, and patches augmented by them as a function of a random generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from napari_medcnn.training.deformation import (
    KNOTS,
    Deformation,
    Shape,
    affine_in_mm,
    cut,
    deformed,
    rotation,
)
from napari_medcnn.training.intensity_changes import (
    at_low_resolution,
    blurred,
    shifted,
    stretched,
    with_gamma,
    with_noise,
)
from napari_medcnn.training.job import AugmentationName, TrainJob
from napari_medcnn.training.prepared_case import PreparedCase

if TYPE_CHECKING:
    import torch

Truth: TypeAlias = "torch.Tensor | int"

FLAT_SPACING = 3.0
"""Where slices are so many times thicker than their pixels, nothing is turned out of its slice:
the interpolation between thick slices would be seen and not the turn."""


@dataclass(frozen=True)
class Chance:
    """How often something is done, and between which bounds its strength is drawn evenly."""

    probability: float
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True)
class Preset:
    """What may happen to a patch; values change in each channel by itself.

    Parameters
    ----------
    turn : Chance
        Rotation about each axis, in degrees.
    scale : Chance
        Factor of the size, the same along all axes.
    bend : Chance
        Elastic deformation: standard deviation of the knots as a share of the patch's extent.
    mirror : bool
        Along each of the job's `mirror_axes`, every other time.
    noise, brightness : Chance
        As a share of the patch's standard deviation.
    blur : Chance
        Sigma in voxels of the finest spacing.
    contrast, gamma : Chance
        Factor about the mean; exponent of values on 0..1.
    coarse : Chance
        How many times coarser than it is.
    """

    turn: Chance = Chance(0)
    scale: Chance = Chance(0)
    bend: Chance = Chance(0)
    mirror: bool = False
    noise: Chance = Chance(0)
    blur: Chance = Chance(0)
    brightness: Chance = Chance(0)
    contrast: Chance = Chance(0)
    gamma: Chance = Chance(0)
    coarse: Chance = Chance(0)


PRESETS: Mapping[AugmentationName, Preset] = {
    "none": Preset(),
    "light": Preset(
        turn=Chance(0.2, -10, 10),
        scale=Chance(0.2, 0.9, 1.1),
        mirror=True,
        noise=Chance(0.1, 0.0, 0.1),
        brightness=Chance(0.15, -0.1, 0.1),
        contrast=Chance(0.15, 0.85, 1.15),
        gamma=Chance(0.15, 0.85, 1.2),
    ),
    "standard": Preset(
        turn=Chance(0.2, -30, 30),
        scale=Chance(0.2, 0.7, 1.4),
        mirror=True,
        noise=Chance(0.1, 0.0, 0.3),
        blur=Chance(0.1, 0.5, 1.0),
        brightness=Chance(0.15, -0.25, 0.25),
        contrast=Chance(0.15, 0.75, 1.25),
        gamma=Chance(0.3, 0.7, 1.5),
        coarse=Chance(0.125, 1.0, 2.0),
    ),
    "strong": Preset(
        turn=Chance(0.5, -45, 45),
        scale=Chance(0.4, 0.6, 1.6),
        bend=Chance(0.3, 0.01, 0.03),
        mirror=True,
        noise=Chance(0.25, 0.0, 0.4),
        blur=Chance(0.2, 0.5, 1.5),
        brightness=Chance(0.3, -0.5, 0.5),
        contrast=Chance(0.3, 0.6, 1.5),
        gamma=Chance(0.4, 0.6, 1.7),
        coarse=Chance(0.25, 1.0, 3.0),
    ),
}
"""Rates and ranges; those of ``standard`` are near nnU-Net's (Isensee et al., Nat Methods 2021)."""


def augmented(
    image: torch.Tensor,
    label: Truth,
    job: TrainJob,
    rng: np.random.Generator,
    *,
    centre: Sequence[int] | None = None,
    spacing_mm: Sequence[float] = (1.0, 1.0, 1.0),
) -> tuple[torch.Tensor, Truth]:
    """A patch of a prepared image and its truth, augmented by the job's preset.

    Image and label map move together, in millimetres, and are interpolated once, from the stored
    voxels: the label by its nearest voxel. What lies outside of the image is 0 in both.

    Parameters
    ----------
    image : torch.Tensor
        ``(channel, x, y, z)`` float32, whole; never changed.
    label : torch.Tensor or int
        ``(x, y, z)`` int16, or the class of the image, which is given back.
    job : TrainJob
        Its augmentation, mirror axes and the size of its patches.
    rng : numpy.random.Generator
        All that is random follows from it; safe in any thread.
    centre : sequence of int, optional
        The voxel in the patch's middle; by default that of the image.
    spacing_mm : sequence of float
        Of the image ``(x, y, z)``.

    Returns
    -------
    tuple
        ``(channel, x, y, z)`` float32 and ``(x, y, z)`` int16 of the patch's size.
    """
    preset = PRESETS[job.augmentation]
    shape: Shape = tuple(reversed(job.sampling.patch))
    middle = [n // 2 for n in image.shape[1:]] if centre is None else centre
    change = draw_deformation(preset, shape, spacing_mm, rng)
    patch, truth = _placed(image, label, middle, shape, change)
    axes = _mirrored_axes(preset, job.mirror_axes, shape, rng)
    if axes:
        patch = patch.flip([axis + 1 for axis in axes])
        truth = truth if isinstance(truth, int) else truth.flip(axes)
    _change_values(patch, preset, spacing_mm, rng)
    return patch, truth


def preview(
    job: TrainJob, case: PreparedCase, count: int
) -> tuple[tuple[npt.NDArray[np.float32], npt.NDArray[np.int16] | int], ...]:
    """Examples of what the job's augmentation makes of the middle of a case, to look at.

    Returns
    -------
    tuple
        `count` times an image ``(channel, z, y, x)`` and its label map ``(z, y, x)`` or class.
    """
    examples = []
    for number in range(count):
        rng = np.random.default_rng([job.seed, number])
        image, truth = augmented(case.image, case.label, job, rng, spacing_mm=case.spacing_mm)
        seen = truth if isinstance(truth, int) else truth.numpy().transpose(2, 1, 0)
        examples.append((image.numpy().transpose(0, 3, 2, 1), seen))
    return tuple(examples)


def draw_deformation(
    preset: Preset, shape: Shape, spacing_mm: Sequence[float], rng: np.random.Generator
) -> Deformation | None:
    """A deformation of a patch of `shape` ``(x, y, z)``; None where it stays as it is."""
    turns, scales, bends = (
        rng.random() < chance.probability for chance in (preset.turn, preset.scale, preset.bend)
    )
    if not (turns or scales or bends):
        return None
    angles = [0.0, 0.0, 0.0]
    if turns:
        drawn = np.radians(rng.uniform(preset.turn.low, preset.turn.high, 3))
        angles = [float(a) if _turns(n, shape, spacing_mm) else 0.0 for n, a in enumerate(drawn)]
    scale = float(rng.uniform(preset.scale.low, preset.scale.high)) if scales else 1.0
    bend = _bend(preset.bend, shape, spacing_mm, rng) if bends else None
    return Deformation(affine_in_mm(rotation(angles), [scale] * 3, spacing_mm), bend)


def _turns(axis: int, shape: Shape, spacing_mm: Sequence[float]) -> bool:
    """Whether a patch may turn about an axis: both others have depth, and alike fine voxels."""
    others = [other for other in range(3) if other != axis]
    steps = [spacing_mm[other] for other in others]
    return all(shape[other] > 1 for other in others) and max(steps) < FLAT_SPACING * min(steps)


def _bend(
    chance: Chance, shape: Shape, spacing_mm: Sequence[float], rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Offsets of the knots in voxels: alike in mm along the axes that have any depth.

    The smallest extent counts, so that folds cannot come about along any axis.
    """
    extent = [n * step for n, step in zip(shape, spacing_mm, strict=True) if n > 1]
    strength_mm = rng.uniform(chance.low, chance.high) * min(extent, default=0.0)
    knots = rng.standard_normal((3, *(KNOTS if n > 1 else 1 for n in shape)), dtype=np.float32)
    for axis, (step, size) in enumerate(zip(spacing_mm, shape, strict=True)):
        knots[axis] *= strength_mm / step if size > 1 else 0.0
    return knots


def _placed(
    image: torch.Tensor,
    label: Truth,
    centre: Sequence[int],
    shape: Shape,
    change: Deformation | None,
) -> tuple[torch.Tensor, Truth]:
    if change is None:
        truth = label if isinstance(label, int) else cut(label[None], centre, shape)[0]
        return cut(image, centre, shape), truth
    map_ = None if isinstance(label, int) else label
    patch, moved = deformed(image, map_, centre, shape, change)
    return patch, label if moved is None else moved


def _mirrored_axes(
    preset: Preset, allowed: Sequence[int], shape: Shape, rng: np.random.Generator
) -> list[int]:
    """Axes of ``(x, y, z)`` to mirror, of those of ``(z, y, x)`` that the job allows."""
    if not preset.mirror:
        return []
    drawn = rng.random(3) < 0.5
    return [axis for axis in range(3) if 2 - axis in allowed and shape[axis] > 1 and drawn[axis]]


def _change_values(
    patch: torch.Tensor, preset: Preset, spacing_mm: Sequence[float], rng: np.random.Generator
) -> None:
    """Noise last: a scanner's blur and contrast do not smooth the noise of its own receiver."""
    finest = min(spacing_mm)
    for channel in patch.numpy():
        values: Any = channel
        if (coarse := _drawn(preset.coarse, rng)) is not None:
            values = at_low_resolution(values, coarse, spacing_mm)
        if (sigma := _drawn(preset.blur, rng)) is not None:
            values = blurred(values, sigma * finest, spacing_mm)
        if (share := _drawn(preset.brightness, rng)) is not None:
            values = shifted(values, share)
        if (factor := _drawn(preset.contrast, rng)) is not None:
            values = stretched(values, factor)
        if (gamma := _drawn(preset.gamma, rng)) is not None:
            values = with_gamma(values, gamma)
        if (share := _drawn(preset.noise, rng)) is not None:
            values = with_noise(values, share, rng)
        if values is not channel:
            channel[...] = values


def _drawn(chance: Chance, rng: np.random.Generator) -> float | None:
    if rng.random() >= chance.probability:
        return None
    return float(rng.uniform(chance.low, chance.high))
