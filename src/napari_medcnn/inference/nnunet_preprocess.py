"""nnU-Net's preprocessing as one transform: transpose, crop, normalise, resample.

It works on MetaTensors ``(channel, x, y, z)`` in the file's own order, as MONAI loads them, and
makes nnU-Net's array of them: ``(channel, z, y, x)`` with the plans' transposition. The affine is
that of the new grid, and `stages` the way back.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from napari_medcnn.core.errors import InputMismatch, ModelError
from napari_medcnn.core.events import JobControl
from napari_medcnn.inference.nnunet_grid import (
    Resampling,
    crop_stage,
    resampled_shape,
    resampling_stage,
    slice_axis,
)
from napari_medcnn.inference.nnunet_resample import resized
from napari_medcnn.inference.way_back import Span, Stage

_EPSILON = 1e-8
"""nnU-Net's smallest divisor."""

Floats = npt.NDArray[np.float32]


class NnunetPreprocessd(MapTransform):  # type: ignore[misc]
    """Bring an image to the grid and the values that an nnU-Net was trained on.

    Parameters
    ----------
    keys : str or sequence of str
        Images on one grid; each is taken by itself.
    transpose_forward : sequence of int
        Of the plans, of axes ``(z, y, x)``.
    spacing : sequence of float
        Of the configuration in mm, of axes after the transposition.
    normalization : sequence of str
        nnU-Net's scheme of each channel.
    use_mask : sequence of bool
        Whether a channel is normalised by its nonzero voxels alone.
    intensities : sequence of mapping
        Of each channel ``mean``, ``std``, ``percentile_00_5`` and ``percentile_99_5`` of the
        training's foreground.
    data, logits : mapping
        The arguments of nnU-Net's resampling, forth and back.

    Attributes
    ----------
    control : JobControl, optional
        Cancels or pauses between the steps.
    stages : tuple of Stage, optional
        Of the image that was worked on last: how its grid came about.
    """

    def __init__(
        self,
        keys: KeysCollection,
        transpose_forward: Sequence[int],
        spacing: Sequence[float],
        normalization: Sequence[str],
        use_mask: Sequence[bool],
        intensities: Sequence[Mapping[str, float]],
        data: Mapping[str, Any],
        logits: Mapping[str, Any],
    ) -> None:
        super().__init__(keys)
        unknown = sorted(set(normalization) - _SCHEMES.keys())
        if unknown:
            raise ModelError(f"the normalisation {', '.join(unknown)} is not known")
        self.forward = tuple(transpose_forward)
        self.spacing = tuple(spacing)
        self.normalization = tuple(normalization)
        self.use_mask = tuple(use_mask)
        self.intensities = tuple(intensities)
        self.data, self.logits = Resampling(**data), Resampling(**logits)
        self.control: JobControl | None = None
        self.stages: tuple[Stage, ...] | None = None

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The case with images on nnU-Net's grid."""
        case = dict(data)
        for key in self.key_iterator(case):
            case[key] = self._prepared(case[key])
        return case

    def _prepared(self, image: MetaTensor) -> MetaTensor:
        if len(image) != len(self.normalization):
            raise InputMismatch(
                f"the model takes {len(self.normalization)} channels, the image has {len(image)}"
            )
        affine = image.affine.cpu().numpy().astype(np.float64)
        sizes = np.linalg.norm(affine[:3, :3], axis=0)  # of x, y, z
        spacing = [float(sizes[2 - axis]) for axis in self.forward]
        # nnU-Net's axes: the file's in reverse, transposed.
        array = image.as_tensor().cpu().float().numpy().transpose(0, 3, 2, 1)
        array = array.transpose(0, *(axis + 1 for axis in self.forward))
        crop = nonzero_box(array)
        part = array[(slice(None), *(slice(*span) for span in crop))]
        shape = resampled_shape(part.shape[1:], spacing, self.spacing)
        if min(shape) < 1:
            raise InputMismatch("nothing would be left of the image at the model's voxel size")
        values = self._resampled(self._normalised(part), shape, spacing)
        # Back, nnU-Net asks the spacings in the other order.
        slices = slice_axis(self.spacing, spacing, self.logits)
        self.stages = (
            crop_stage(image.shape[1:], self.forward, crop),
            resampling_stage(part.shape[1:], shape, self.logits.order, slices),
        )
        return _on_grid(values, image, affine @ _to_older(self.stages))

    def _normalised(self, part: Floats) -> list[Floats]:
        mask = _nonzero_mask(part) if any(self.use_mask) else None
        channels = []
        for number, scheme in enumerate(self.normalization):
            self._checkpoint()
            chosen = mask if self.use_mask[number] else None
            channels.append(_SCHEMES[scheme](part[number], chosen, self.intensities[number]))
        return channels

    def _resampled(
        self, channels: list[Floats], shape: Sequence[int], spacing: Sequence[float]
    ) -> torch.Tensor:
        slices = slice_axis(spacing, self.spacing, self.data)
        values = torch.empty((len(channels), *shape), dtype=torch.float32)
        for number, channel in enumerate(channels):
            for step in resized(torch.from_numpy(channel), shape, self.data.order, slices):
                self._checkpoint()
                made = step
            values[number] = made
        return values

    def _checkpoint(self) -> None:
        if self.control is not None:
            self.control.checkpoint()


def nonzero_box(array: Floats) -> tuple[Span, ...]:
    """First and last + 1 voxel of what is not zero in any channel; all where everything is.

    Parameters
    ----------
    array : numpy.ndarray
        ``(channel, a, b, c)``.
    """
    there = np.asarray(array.any(axis=0))
    spans = []
    for axis, size in enumerate(there.shape):
        filled = np.flatnonzero(np.moveaxis(there, axis, 0).reshape(size, -1).any(axis=1))
        spans.append((int(filled[0]), int(filled[-1]) + 1) if filled.size else (0, size))
    return tuple(spans)


def _nonzero_mask(part: Floats) -> npt.NDArray[np.bool_]:
    from scipy.ndimage import binary_fill_holes

    mask: npt.NDArray[np.bool_] = binary_fill_holes(part.any(axis=0))
    return mask


def _zscore(
    values: Floats, mask: npt.NDArray[np.bool_] | None, intensities: Mapping[str, float]
) -> Floats:
    chosen = values if mask is None else values[mask]
    scaled = (chosen - chosen.mean()) / max(chosen.std(), _EPSILON)
    if mask is None:
        return np.ascontiguousarray(scaled, dtype=np.float32)
    normalised = np.array(values)
    normalised[mask] = scaled
    return normalised


def _ct(
    values: Floats, mask: npt.NDArray[np.bool_] | None, intensities: Mapping[str, float]
) -> Floats:
    low, high = intensities["percentile_00_5"], intensities["percentile_99_5"]
    normalised: Floats = np.clip(values, np.float32(low), np.float32(high), order="C")
    normalised -= np.float32(intensities["mean"])
    normalised /= np.float32(max(intensities["std"], _EPSILON))
    return normalised


def _unchanged(
    values: Floats, mask: npt.NDArray[np.bool_] | None, intensities: Mapping[str, float]
) -> Floats:
    return np.ascontiguousarray(values)


def _to_unit_range(
    values: Floats, mask: npt.NDArray[np.bool_] | None, intensities: Mapping[str, float]
) -> Floats:
    normalised: Floats = np.subtract(values, values.min(), order="C")
    normalised /= max(normalised.max(), np.float32(_EPSILON))
    return normalised


def _from_colours(
    values: Floats, mask: npt.NDArray[np.bool_] | None, intensities: Mapping[str, float]
) -> Floats:
    if values.min() < 0 or values.max() > 255:
        raise InputMismatch("the model takes colours from 0 to 255, the image has other values")
    return np.divide(values, np.float32(255), order="C")


_SCHEMES = {
    "CTNormalization": _ct,
    "NoNormalization": _unchanged,
    "RGBTo01Normalization": _from_colours,
    "RescaleTo01Normalization": _to_unit_range,
    "ZScoreNormalization": _zscore,
}
"""nnU-Net's normalisations, as its plans name them."""


def _to_older(stages: Sequence[Stage]) -> npt.NDArray[np.float64]:
    """From voxels of the newest grid to voxels of the oldest, 4 × 4."""
    matrix = np.eye(4)
    for stage in stages:
        step = np.zeros((4, 4))
        step[3, 3] = 1
        for a, old in enumerate(stage.axes):
            step[old, a] = 1 / stage.scale[a]
            step[old, 3] = -stage.offset[a] / stage.scale[a]
        matrix = matrix @ step
    return matrix


def _on_grid(
    values: torch.Tensor, image: MetaTensor, affine: npt.NDArray[np.float64]
) -> MetaTensor:
    meta = copy.deepcopy(image.meta)
    meta["spatial_shape"] = np.array(values.shape[1:])
    meta["affine"] = torch.from_numpy(affine)
    operations = copy.deepcopy(image.applied_operations)
    return MetaTensor(values, meta=meta, applied_operations=operations)
