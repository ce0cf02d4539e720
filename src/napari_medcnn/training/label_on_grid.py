"""A case's true label map: the classes' numbers, and their voxels on the network's grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Volume
from napari_medcnn.imaging.resample import resample
from napari_medcnn.inference.way_back import Stage, stage_between, voxels_of
from napari_medcnn.training.manifest import Manifest, TrainCase

if TYPE_CHECKING:
    import torch

LabelMap = npt.NDArray[np.int16]


def label_on_grid(values: LabelMap, volume: Volume, grid: Geometry) -> torch.Tensor:
    """The label map on the grid that the network's image lies on, by the nearest voxel.

    Whatever the preprocessing did, the image's grid is the truth: turned, respaced, cropped or
    padded, each voxel takes the label of the place where it lies. A voxel of the network's that
    lies outside of the image by more than its own size is padding, and background.

    Parameters
    ----------
    values : numpy.ndarray
        ``(z, y, x)`` on the volume's grid.
    volume : Volume
        The case's first image.
    grid : Geometry
        As in :class:`~napari_medcnn.inference.preprocess.Prepared`.

    Returns
    -------
    torch.Tensor
        ``(x, y, z)`` int16.
    """
    import torch

    from napari_medcnn.inference.preprocess import file_order

    stored = file_order(volume)
    stage = stage_between(
        stored.to_ras_affine(),
        stored.shape[::-1],
        grid.to_ras_affine(),
        grid.shape[::-1],
        clamped=True,
        nearest=True,
    )
    if stage is None:  # A step turned the axes into each other.
        moved = resample(values, volume.geometry, grid, order=0).transpose(2, 1, 0)
    else:
        in_file = volume.source.axes.inverse().apply(values).transpose(2, 1, 0)
        moved = _nearest(in_file, stage)
    return torch.from_numpy(np.ascontiguousarray(moved))


def _nearest(values: LabelMap, stage: Stage) -> LabelMap:
    """The values ``(x, y, z)`` of the older grid at the newer grid's voxels."""
    picked = values[np.ix_(*(p.astype(np.intp) for p in voxels_of(stage)))]
    moved: LabelMap = picked.transpose(stage.axes)
    for axis, old in enumerate(stage.axes):
        scale, offset = stage.scale[axis], stage.offset[axis]
        where = (np.arange(stage.new_shape[axis]) - offset) / scale
        beyond = np.maximum(-where, where - (stage.old_shape[old] - 1))
        padding = beyond * abs(scale) > 1
        if padding.any():
            moved = moved.copy()
            moved[(slice(None),) * axis + (padding,)] = 0
    return moved


def label_values(manifest: Manifest, case: TrainCase, volume: Volume) -> LabelMap:
    """The label map on the image's grid ``(z, y, x)`` with values 0, 1, 2, ... of the classes.

    Raises
    ------
    InputMismatch
        When there is none, or it holds a value that no class has.
    """
    from napari_medcnn.io.read import read_segmentation

    if case.label is None:
        raise InputMismatch("has no label map")
    stored: npt.NDArray[Any] = read_segmentation(case.label, volume).array
    known: Sequence[int] = manifest.values or range(1, len(manifest.classes) + 1)
    present = [int(value) for value in np.unique(stored)]
    unknown = [value for value in present if value and value not in known]
    if unknown:
        raise InputMismatch(
            f"its label map has the value {', '.join(map(str, unknown[:5]))}, which no class has",
            hint=f"the classes have the values {', '.join(map(str, known))}",
        )
    values = np.zeros(stored.shape, np.int16)
    for number, value in enumerate(known, start=1):
        values[stored == value] = number
    return values
