"""Patches of an image around points, on the grid that a classifier knows.

The crop takes the place at which the bundle brings an image to a fixed size (``Resized``): steps
before it see the whole image, steps from there on the patch alone, as they did when the network was
trained on files of patches. Without such a step all of them see the whole image.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

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


@dataclass(frozen=True, eq=False)
class CutPatch:
    """A patch of an image.

    Parameters
    ----------
    volumes : tuple of Volume
        One a channel, where they lie in space.
    start : Index
        Their first voxel ``(z, y, x)`` on the grid that they were cut from; may lie beside it.
    grid : Geometry
        That grid.
    """

    volumes: tuple[Volume, ...]
    start: Index
    grid: Geometry

    def put_back(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """A map ``(z, y, x)`` of the patch on the whole grid, 0 around it."""
        inside, into = _overlap(self.start, values.shape, self.grid.shape)
        whole = np.zeros(self.grid.shape, dtype=np.float32)
        whole[inside] = values[into]
        return whole


def patch_around(
    prepared: Prepared, centre: Point, size: Index, volumes: Sequence[Volume]
) -> CutPatch:
    """The patch around a point, as the steps before the crop left it.

    Its middle voxel, of an even size the later one of two, is the one nearest to the point, as in
    MONAI's ``SpatialCrop``. What lies outside of the image has each channel's smallest value.

    Parameters
    ----------
    prepared : Prepared
        The image after the steps before the crop.
    centre : Point
        LPS mm ``(x, y, z)`` of the image's geometry.
    size : tuple of int
        Voxels ``(z, y, x)``.
    volumes : sequence of Volume
        The image's channels, for what they are called.
    """
    nearest = np.rint(prepared.grid.lps_to_index(centre)).astype(int)
    z, y, x = (int(c) - n // 2 for c, n in zip(nearest, size, strict=True))
    start = (z, y, x)
    grid: Geometry = prepared.grid.cropped(start, size)
    inside, into = _overlap(start, size, prepared.grid.shape)
    found = []
    for channel, volume in zip(prepared.tensor.numpy(), volumes, strict=True):
        whole = channel.transpose(2, 1, 0)
        patch = np.full(size, whole.min(), dtype=np.float32)
        patch[into] = whole[inside]
        found.append(Volume(patch, grid, name=volume.name, modality=volume.modality))
    return CutPatch(tuple(found), start, prepared.grid)


def cut_patch(
    prepared: Prepared,
    centre: Point,
    spec: ModelSpec,
    volumes: Sequence[Volume],
    control: JobControl,
) -> Generator[Event, None, Prepared]:
    """A patch around a point as the network takes it; a generator of events.

    Parameters
    ----------
    prepared, centre, volumes
        As for :func:`patch_around`.
    spec : ModelSpec
        The second model of :func:`around_crop`.
    """
    if spec.patch is None:
        raise ModelError(f"{spec.title} does not say how much it sees around a lesion")
    patch = patch_around(prepared, centre, spec.patch.size, volumes)
    return (yield from prepare(patch.volumes, spec, control))


def _overlap(
    start: Sequence[int], size: Sequence[int], shape: Sequence[int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The voxels of a box that lie on a grid: where they are there, and where in the box."""
    inside = tuple(
        slice(max(a, 0), max(min(a + n, whole), 0))
        for a, n, whole in zip(start, size, shape, strict=True)
    )
    into = tuple(slice(i.start - a, i.stop - a) for i, a in zip(inside, start, strict=True))
    return inside, into


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
