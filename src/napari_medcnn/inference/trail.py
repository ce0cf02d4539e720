"""The grids that an image passes through on its way to a network, and hence its way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_medcnn.inference.way_back import Matrix, Stage, WayBack, compose, stage_between
from napari_medcnn.models.spec import Step

INTERPOLATING = "Spacingd"
"""The step of MONAI's that interpolates."""

RESIZING = "Resized"
"""MONAI's step to a fixed number of voxels: only its own inverse knows how it interpolates."""

UNCHANGED = 1e-3
"""MONAI leaves an image as it is when the new grid differs by less, in voxels a voxel or in mm."""

_TYPING = ("EnsureTyped", "CastToTyped")
_FLOATS = (None, "float32", "torch.float32", np.float32)


class Trail:
    """Collects the stages of one image.

    Parameters
    ----------
    affine : numpy.ndarray
        4 × 4, from voxel ``(x, y, z)`` in the file's order to RAS mm.
    shape : sequence of int
        ``(x, y, z)``.
    """

    def __init__(self, affine: Matrix, shape: Sequence[int]) -> None:
        self._start = tuple(shape)
        self._affine, self._shape = affine, tuple(shape)
        self._stages: list[Stage] = []
        self._straight = True

    @property
    def affine(self) -> Matrix:
        """Of the grid that was reached last."""
        return self._affine

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the grid that was reached last."""
        return self._shape

    @property
    def is_straight(self) -> bool:
        """Whether every axis stayed an axis so far."""
        return self._straight

    @property
    def takes_nearest(self) -> bool:
        """Whether values were taken from nearest voxels, on any axis."""
        return any(any(stage.nearest) for stage in self._stages)

    def follow(self, step: Step, transform: Any, affine: Matrix, shape: Sequence[int]) -> None:
        """Go on to the grid that a step has made.

        A transform of the package's own may say itself which stages it makes (`stages`).
        """
        own = getattr(transform, "stages", None)
        if own is not None:
            self._stages.extend(own)
        elif tuple(shape) != self._shape or not np.allclose(affine, self._affine, atol=1e-9):
            stage = stage_between(
                self._affine,
                self._shape,
                affine,
                shape,
                clamped=step.target == INTERPOLATING,
                nearest=_mode(step) == "nearest",
            )
            if stage is None or not _linear(step):
                self._straight = False
            else:
                self._stages.append(stage)
        self._affine, self._shape = affine, tuple(shape)

    def way_back(self) -> WayBack | None:
        """From the grid that was reached last to the first one; None where it bends."""
        return compose(self._stages, self._start) if self._straight else None


def leading_steps(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The first steps that do nothing but choose a grid, with linear interpolation at most once.

    The rest must not interpolate again: then MONAI's own history of the image is needed. Nor may it
    ask which voxels are zero: MONAI's interpolation leaves some 1e-13 beside a true zero where ours
    leaves zero, and the mean over the others would not be the same.
    """
    leading = []
    for step in steps:
        known = step.target == "Orientationd" or (step.target == INTERPOLATING and _linear(step))
        typing = step.target in _TYPING and step.arguments.get("dtype") in _FLOATS
        if not (known or typing):
            break
        leading.append(step)
    if any(step.arguments.get("nonzero") for step in steps[len(leading) :]):
        return ()
    times = sum(step.target in (INTERPOLATING, RESIZING) for step in steps)
    inside = [step.target for step in leading].count(INTERPOLATING)
    return tuple(leading) if times == inside and times <= 1 else ()


def planned(trail: Trail, steps: Sequence[Step], transforms: Sequence[Any], key: str) -> Trail:
    """The trail after MONAI's transforms, which say without running (lazily) what they would make.

    Parameters
    ----------
    trail : Trail
        Is lengthened, and returned.
    steps, transforms : sequence
        The steps and their transforms, one each.
    key : str
        The name of the image in the steps' arguments.
    """
    import torch
    from monai.data import MetaTensor

    # One value stands for all: MONAI plans with shapes and affines alone.
    one = torch.zeros(1).expand(1, *trail.shape)
    image = MetaTensor(one, affine=torch.from_numpy(trail.affine))
    for step, transform in zip(steps, transforms, strict=True):
        if step.target in _TYPING:
            continue
        transform.lazy = True
        made = transform({key: image})[key]
        affine = np.asarray(made.peek_pending_affine(), dtype=np.float64)
        shape = tuple(int(n) for n in made.peek_pending_shape())
        if shape != trail.shape or not _is_unchanged(trail.affine, affine):
            trail.follow(step, transform, affine, shape)
            image = made
    return trail


def _is_unchanged(old: Matrix, new: Matrix) -> bool:
    moved = np.linalg.solve(old, new)
    return any(np.allclose(a, b, atol=UNCHANGED) for a, b in ((old, new), (moved, np.eye(4))))


def _mode(step: Step) -> Any:
    mode = step.arguments.get("mode", "bilinear")
    return mode[0] if isinstance(mode, list | tuple) and len(mode) == 1 else mode


def _linear(step: Step) -> bool:
    """Whether a step is none that interpolates in another way than along straight lines."""
    if step.target != INTERPOLATING:
        return step.target != RESIZING
    padding = step.arguments.get("padding_mode", "border")
    return (
        _mode(step) in ("bilinear", "nearest")
        and padding == "border"
        and not step.arguments.get("recompute_affine")
    )
