"""Patches of an image around points, on the grid that a classifier knows.

The crop takes the place at which the bundle brings an image to a fixed size (``Resized``): steps
before it see the whole image, steps from there on the patch alone, as they did when the network was
trained on files of patches. Without such a step all of them see the whole image.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace

import numpy as np

from napari_medcnn.core.errors import ModelError
from napari_medcnn.core.events import Event, JobControl
from napari_medcnn.core.geometry import Geometry, Index
from napari_medcnn.core.lesion import Point
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference.preprocess import Prepared, prepare
from napari_medcnn.models.spec import ModelSpec, Patch, Step

_TO_A_SIZE = ("Resized", "ResizeWithPadOrCropd")
_GRID = "Spacingd"


def around_crop(spec: ModelSpec) -> tuple[ModelSpec, ModelSpec]:
    """The model with the steps before its patches are cut, and with those after.

    Raises
    ------
    ModelError
        When it says nothing of patches.
    """
    if spec.patch is None:
        raise ModelError(f"{spec.title} does not say how much it sees around a lesion")
    steps = spec.preprocessing
    cut = next((n for n, step in enumerate(steps) if step.target in _TO_A_SIZE), len(steps))
    before = (*steps[:cut], *_resampling(spec, spec.patch, steps[:cut]))
    return replace(spec, preprocessing=before), replace(spec, preprocessing=steps[cut:])


def cut_patch(
    prepared: Prepared,
    centre: Point,
    spec: ModelSpec,
    volumes: Sequence[Volume],
    control: JobControl,
) -> Generator[Event, None, Prepared]:
    """A patch around a point as the network takes it; a generator of events.

    Its middle voxel, of an even size the later one of two, is the one nearest to the point, as in
    MONAI's ``SpatialCrop``. What lies outside of the image has each channel's smallest value.

    Parameters
    ----------
    prepared : Prepared
        The image after the steps before the crop.
    centre : Point
        LPS mm ``(x, y, z)`` of the image's geometry.
    spec : ModelSpec
        The second model of :func:`around_crop`.
    volumes : sequence of Volume
        The image's channels, for what they are called.
    """
    if spec.patch is None:
        raise ModelError(f"{spec.title} does not say how much it sees around a lesion")
    nearest = np.rint(prepared.grid.lps_to_index(centre)).astype(int)
    z, y, x = (int(c) - n // 2 for c, n in zip(nearest, spec.patch.size, strict=True))
    patches = _cut(prepared, (z, y, x), spec.patch.size, volumes)
    return (yield from prepare(patches, spec, control))


def _cut(
    prepared: Prepared, start: Index, size: Index, volumes: Sequence[Volume]
) -> tuple[Volume, ...]:
    """The patch that begins at `start`, one volume a channel."""
    inside = tuple(
        slice(max(a, 0), max(min(a + n, whole), 0))
        for a, n, whole in zip(start, size, prepared.grid.shape, strict=True)
    )
    into = tuple(slice(i.start - a, i.stop - a) for i, a in zip(inside, start, strict=True))
    grid: Geometry = prepared.grid.cropped(start, size)
    found = []
    for channel, volume in zip(prepared.tensor.numpy(), volumes, strict=True):
        whole = channel.transpose(2, 1, 0)
        patch = np.full(size, whole.min(), dtype=np.float32)
        patch[into] = whole[inside]
        found.append(Volume(patch, grid, name=volume.name, modality=volume.modality))
    return tuple(found)


def _resampling(spec: ModelSpec, patch: Patch, steps: Sequence[Step]) -> tuple[Step, ...]:
    """The step to the patch's spacing, where the bundle's own lead to another."""
    if patch.spacing_mm is None:
        return ()
    z, y, x = patch.spacing_mm
    pixdim = [x, y, 0.0 if spec.of_pictures else z]  # a picture keeps its one voxel in depth
    last = next((s for s in reversed(steps) if s.target == _GRID), None)
    if last is not None and np.allclose(last.arguments.get("pixdim", ()), pixdim):
        return ()
    return (Step(_GRID, {"keys": spec.image_key, "pixdim": pixdim, "mode": "bilinear"}),)
