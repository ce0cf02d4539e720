"""Cut one patch of a prepared case as it was drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_medcnn.training.augmentation import augmented
from napari_medcnn.training.job import TrainJob
from napari_medcnn.training.prepared_case import PreparedCase
from napari_medcnn.training.sampling import Draw

if TYPE_CHECKING:
    import torch


def patch_of(
    job: TrainJob, case: PreparedCase, draw: Draw
) -> tuple[torch.Tensor, torch.Tensor | int]:
    """The augmented patch and its truth; see :func:`~.augmentation.augmented`."""
    rng = np.random.default_rng(draw.seed)
    centre = centre_of(job, case, draw, rng)
    return augmented(case.image, case.label, job, rng, centre=centre, spacing_mm=case.spacing_mm)


def centre_of(
    job: TrainJob, case: PreparedCase, draw: Draw, rng: np.random.Generator
) -> tuple[int, ...]:
    """The voxel ``(x, y, z)`` in the patch's middle.

    A voxel of a class where one is wanted and the case has one; else any. It moves as far as is
    needed for the patch to lie within the image; a patch larger than the image has the image in
    its middle, as the sliding window of inference does.
    """
    shape = tuple(reversed(job.sampling.patch))
    size = tuple(case.image.shape[1:])
    wanted: Sequence[int] | None = None
    if draw.wants_foreground:
        present = [c for c in draw.classes if len(case.foreground[c])]
        if present:
            voxels = case.foreground[present[0]]
            wanted = [int(n) for n in voxels[rng.integers(len(voxels))]]
    centre = []
    for axis, (count, length) in enumerate(zip(size, shape, strict=True)):
        free = count - length
        if free <= 0:
            start = -(-free // 2)
        elif wanted is None:
            start = int(rng.integers(free + 1))
        else:
            start = min(max(wanted[axis] - length // 2, 0), free)
        centre.append(start + length // 2)
    return tuple(centre)
