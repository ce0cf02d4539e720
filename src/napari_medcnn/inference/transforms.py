"""Preprocessing of the package's own that MONAI bundles name by ``_target_``.

Dictionary transforms on MetaTensors ``(C, x, y, z)`` with any affine. They change values, never the
grid, and so leave no trace among the applied operations: `Invertd` undoes what stands before and
after them. They are deterministic and hold nothing but their arguments and, where someone may
cancel them, the `control` that is set on them.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.events import JobControl
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.imaging.bias_field import correct_bias_field
from napari_medcnn.imaging.intensity import normalise_by_brain_median
from napari_medcnn.inference.brain import brain_mask
from napari_medcnn.inference.nnunet_preprocess import NnunetPreprocessd

__all__ = [
    "BrainMaskd",
    "CurvatureAnisotropicDiffusiond",
    "N4BiasCorrectiond",
    "NnunetPreprocessd",
    "NormalizeByBrainMediand",
]

Case: TypeAlias = dict[Hashable, Any]

BRAIN_MASK_FACTS = "brain_mask"
"""Key of an image's `meta` under which `BrainMaskd` leaves method, volume and warnings."""


class CancellableTransform(MapTransform):  # type: ignore[misc]
    """A transform that takes seconds: whoever sets its `control` can cancel or pause it within."""

    control: JobControl | None = None


class BrainMaskd(CancellableTransform):
    """Find the brain, keep its mask beside the image, and clear what is outside.

    Parameters
    ----------
    keys : str or sequence of str
        Images on one grid; the brain is sought in the first channel of the first.
    mask_key : str
        Where the mask goes: ``(1, x, y, z)`` float32 of 0 and 1 on the image's grid, with the
        image's affine and history, so that later steps can resample and invert both alike.
    apply : bool
        Set voxels outside the brain to 0.

    Notes
    -----
    How the mask came about is written to the image's ``meta["brain_mask"]``: ``method``,
    ``volume_ml``, ``note``, ``warnings`` and ``plausible``. Whoever runs the bundle shows it to the
    user.
    """

    def __init__(
        self, keys: KeysCollection, mask_key: str = "brain_mask", apply: bool = True
    ) -> None:
        super().__init__(keys)
        self.mask_key = mask_key
        self.apply = apply

    def __call__(self, data: Mapping[Hashable, Any]) -> Case:
        """The case with its mask."""
        case = dict(data)
        first = _image(case, self.keys[0])
        array = _channel_zyx(first, 0)
        found = brain_mask(array, _geometry(array, first), control=self.control)
        mask = torch.from_numpy(np.ascontiguousarray(found.mask.transpose(2, 1, 0)))[None]
        mask = mask.to(first.device)
        facts = {
            "method": found.method,
            "volume_ml": found.volume_ml,
            "note": found.note,
            "warnings": list(found.warnings),
            "plausible": found.plausible,
        }
        for key in self.key_iterator(case):
            image = _image(case, key)
            values = torch.where(mask, image.as_tensor(), 0) if self.apply else image.as_tensor()
            case[key] = _like(values, image)
            case[key].meta[BRAIN_MASK_FACTS] = facts
        case[self.mask_key] = _like(mask.float(), first)
        return case


class N4BiasCorrectiond(CancellableTransform):
    """Even out the slow brightness changes of the coil within the brain (N4).

    Parameters
    ----------
    keys : str or sequence of str
        Images; every channel is corrected by itself.
    mask_key : str
        The brain mask on the same grid, as `BrainMaskd` leaves it.
    """

    def __init__(self, keys: KeysCollection, mask_key: str = "brain_mask") -> None:
        super().__init__(keys)
        self.mask_key = mask_key

    def __call__(self, data: Mapping[Hashable, Any]) -> Case:
        """The case with corrected images."""
        case = dict(data)
        for key in self.key_iterator(case):
            image = _image(case, key)
            mask = _mask_of(case, self.mask_key, image)
            spacing = _geometry(mask, image).spacing
            case[key] = _from_channels(
                [
                    correct_bias_field(_channel_zyx(image, c), spacing, mask, control=self.control)
                    for c in range(image.shape[0])
                ],
                image,
            )
        return case


class NormalizeByBrainMediand(MapTransform):  # type: ignore[misc]
    """Scale every channel so that the median of its brain is 1.

    Parameters
    ----------
    keys : str or sequence of str
        Images.
    mask_key : str
        The brain mask on the same grid, as `BrainMaskd` leaves it.
    """

    def __init__(self, keys: KeysCollection, mask_key: str = "brain_mask") -> None:
        super().__init__(keys)
        self.mask_key = mask_key

    def __call__(self, data: Mapping[Hashable, Any]) -> Case:
        """The case with scaled images."""
        case = dict(data)
        for key in self.key_iterator(case):
            image = _image(case, key)
            mask = _mask_of(case, self.mask_key, image)
            case[key] = _from_channels(
                [
                    normalise_by_brain_median(_channel_zyx(image, c), mask)
                    for c in range(image.shape[0])
                ],
                image,
            )
        return case


class CurvatureAnisotropicDiffusiond(MapTransform):  # type: ignore[misc]
    """Smooth within regions and not across their edges, every channel by itself.

    Parameters
    ----------
    keys : str or sequence of str
        Images.
    iterations : int
        Steps of the diffusion.
    conductance : float
        How steep an edge may be and still be smoothed, as a multiple of the mean gradient.
    time_step : float
        Of one iteration; stable up to 1/16 for volumes and 1/8 for pictures.

    Notes
    -----
    Whitaker and Xue, Variable-conductance, level-set curvature for image denoising, ICIP 2001, as
    ITK computes it. Distances count in the finest spacing, so that it is stable on every grid and
    reaches less far, in voxels, across thick slices.
    """

    def __init__(
        self,
        keys: KeysCollection,
        iterations: int = 5,
        conductance: float = 3.0,
        time_step: float = 0.0625,
    ) -> None:
        super().__init__(keys)
        self.iterations = iterations
        self.conductance = conductance
        self.time_step = time_step

    def __call__(self, data: Mapping[Hashable, Any]) -> Case:
        """The case with smoothed images."""
        case = dict(data)
        for key in self.key_iterator(case):
            image = _image(case, key)
            channels = [_channel_zyx(image, c) for c in range(image.shape[0])]
            spacing = _geometry(channels[0], image).spacing
            case[key] = _from_channels([self._diffused(c, spacing) for c in channels], image)
        return case

    def _diffused(
        self, array: npt.NDArray[np.float32], spacing: tuple[float, float, float]
    ) -> npt.NDArray[np.float32]:
        import SimpleITK as sitk

        flat = array.shape[0] == 1
        image = sitk.GetImageFromArray(array[0] if flat else array)
        steps = spacing[1:] if flat else spacing
        image.SetSpacing([step / min(steps) for step in reversed(steps)])
        smoothed = sitk.CurvatureAnisotropicDiffusion(
            image,
            timeStep=self.time_step,
            conductanceParameter=self.conductance,
            numberOfIterations=self.iterations,
        )
        values: npt.NDArray[np.float32] = sitk.GetArrayFromImage(smoothed)
        return values.reshape(array.shape)


def _image(case: Mapping[Hashable, Any], key: Hashable) -> MetaTensor:
    image = case[key]
    if not isinstance(image, MetaTensor) or image.ndim != 4:
        raise InputMismatch(
            f"'{key}' is not a volume (C, x, y, z) with an affine",
            hint="load it with LoadImaged and EnsureChannelFirstd first",
        )
    return image


def _geometry(array_zyx: npt.NDArray[Any], image: MetaTensor) -> Geometry:
    z, y, x = array_zyx.shape
    return Geometry.from_ras_affine((z, y, x), image.affine.cpu().numpy())


def _channel_zyx(image: MetaTensor, channel: int) -> npt.NDArray[np.float32]:
    array: npt.NDArray[np.float32] = np.ascontiguousarray(
        image.as_tensor()[channel].cpu().numpy().astype(np.float32).transpose(2, 1, 0)
    )
    return array


def _mask_of(
    case: Mapping[Hashable, Any], mask_key: str, image: MetaTensor
) -> npt.NDArray[np.bool_]:
    if mask_key not in case:
        raise InputMismatch(f"there is no '{mask_key}'", hint="BrainMaskd must come first")
    mask = _channel_zyx(_image(case, mask_key), 0) > 0.5
    if mask.shape != tuple(reversed(image.shape[1:])):
        raise InputMismatch(f"'{mask_key}' is not on the image's grid")
    return mask


def _from_channels(channels: list[npt.NDArray[np.float32]], image: MetaTensor) -> MetaTensor:
    arrays = [np.ascontiguousarray(channel.transpose(2, 1, 0)) for channel in channels]
    return _like(torch.from_numpy(np.stack(arrays)).float().to(image.device), image)


def _like(values: torch.Tensor, image: MetaTensor) -> MetaTensor:
    """The values with the image's affine (kept in its meta), meta and history."""
    return MetaTensor(
        values,
        meta=copy.deepcopy(image.meta),
        applied_operations=copy.deepcopy(image.applied_operations),
    )
