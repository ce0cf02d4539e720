"""A brain mask for a head scan: our small network, or the foreground of a skull-stripped scan.

The steps before and after the network are those of the bundle ``brain_extraction`` itself, so that
MONAI's own runner gives the same mask. torch and monai are imported on the first use.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import InputMismatch, ModelError
from napari_medcnn.core.events import JobControl
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.imaging.brain import (
    MaskArray,
    clean_brain_mask,
    detect_skull_stripping,
    share_at_border,
)

if TYPE_CHECKING:
    import torch

Method: TypeAlias = Literal["network", "already skull-stripped"]

PLAUSIBLE_VOLUME_ML = (700.0, 2200.0)
"""Whole brains of adults and children with the fluid between their folds, with some margin."""

CUT_SHARE = 0.3
"""A face of the grid that holds this much of the brain's largest cross-section cuts the brain.

The brain stem, which every scan may cut, stays below 0.1."""

_SIDES = {
    "S": ("inferior", "superior"),
    "I": ("superior", "inferior"),
    "A": ("posterior", "anterior"),
    "P": ("anterior", "posterior"),
    "L": ("right", "left"),
    "R": ("left", "right"),
}
"""The sides of the patient at the first and the last slice of an axis that points to the letter."""


@dataclass(frozen=True, eq=False)
class BrainMask:
    """Where the brain is, and how we know.

    Parameters
    ----------
    mask : numpy.ndarray
        ``(z, y, x)`` bool on the image's grid.
    method : {"network", "already skull-stripped"}
        Where the mask comes from.
    volume_ml : float
        Its volume.
    note : str
        One sentence for people: why the scan counts as stripped, or which model found the brain.
    warnings : tuple of str
        What a careful reader would want to know: a volume that is no brain's, a cut field of view.
    plausible : bool
        Whether the volume is one of a brain. A mask that is far too large or only a part of one
        must not be used unseen.
    """

    mask: MaskArray
    method: Method
    volume_ml: float
    note: str = ""
    warnings: tuple[str, ...] = ()
    plausible: bool = True


def brain_bundle() -> Path:
    """The folder of the shipped bundle ``brain_extraction``."""
    return Path(str(resources.files("napari_medcnn.models") / "bundles" / "brain_extraction"))


def brain_mask(
    array_zyx: npt.NDArray[Any], geometry: Geometry, *, control: JobControl | None = None
) -> BrainMask:
    """Find the brain in a head scan.

    Parameters
    ----------
    array_zyx : numpy.ndarray
        ``(z, y, x)``, any real type, any orientation and spacing.
    geometry : Geometry
        Its grid.
    control : JobControl, optional
        Cancels or pauses between the steps.

    Raises
    ------
    InputMismatch
        When the array is not on the grid, holds only one value or no brain is found.
    Cancelled
        When the job was cancelled.
    """
    control = control or JobControl()
    control.checkpoint()
    if array_zyx.shape != geometry.shape:
        raise InputMismatch(f"the image {array_zyx.shape} is not on the grid {geometry.shape}")
    array = np.nan_to_num(np.asarray(array_zyx, dtype=np.float32))
    if array.min() == array.max():
        raise InputMismatch("the image has the same value everywhere", hint="choose another image")
    stripped = detect_skull_stripping(array, geometry)
    control.checkpoint()
    if stripped.mask is not None:
        return _described(stripped.mask, geometry, "already skull-stripped", stripped.reason)
    mask = clean_brain_mask(_network_mask(array, geometry, control))
    control.checkpoint()
    if not mask.any():
        raise InputMismatch(
            "no brain was found",
            hint="the model expects an MR scan of a head, 1 to 6 mm slices, most of the brain seen",
        )
    return _described(mask, geometry, "network", "found by the model brain_extraction")


def _described(mask: MaskArray, geometry: Geometry, method: Method, note: str) -> BrainMask:
    volume_ml = float(mask.sum()) * geometry.voxel_volume_mm3 / 1000.0
    cut = [
        face
        for axis, letter in enumerate(geometry.orientation)
        for side, face in zip((0, -1), _SIDES[letter], strict=True)
        if share_at_border(mask, axis, side) > CUT_SHARE
    ]
    warnings = []
    if cut:
        faces = " and ".join(cut)
        warnings.append(f"the field of view cuts the brain at its {faces} side")
    low, high = PLAUSIBLE_VOLUME_ML
    plausible = low <= volume_ml <= high
    if not plausible:
        warnings.append(
            f"the brain mask has {volume_ml:.0f} mL; whole brains have {low:.0f} to {high:.0f} mL"
        )
    return BrainMask(mask, method, volume_ml, note, tuple(warnings), plausible)


@dataclass(frozen=True, eq=False)
class _Model:
    """The bundle's parts, built once: transforms without loading and saving, network, inferer."""

    before: Any
    network: torch.nn.Module
    inferer: Any
    after: Any


@functools.lru_cache(maxsize=1)
def _load_model() -> _Model:
    import torch
    from monai.bundle import ConfigParser
    from monai.transforms import Compose

    folder = brain_bundle()
    weights = folder / "models" / "model.pt"
    if not weights.is_file():
        raise ModelError("the bundle has no weights", source=weights)
    parser = ConfigParser()
    parser.read_config(str(folder / "configs" / "inference.json"))
    parser["device"] = "$torch.device('cpu')"
    for part in ("preprocessing", "postprocessing"):
        kept = [
            step
            for step in parser[part]["transforms"]
            if step["_target_"] not in ("LoadImaged", "EnsureChannelFirstd", "SaveImaged")
        ]
        parser[part]["transforms"] = kept
    before = parser.get_parsed_content("preprocessing")
    after = parser.get_parsed_content("postprocessing")
    network = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    if not isinstance(before, Compose) or not isinstance(after, Compose):
        raise ModelError("the bundle's transforms are not a Compose", source=folder)
    return _Model(before, network.eval(), parser.get_parsed_content("inferer"), after)


def _network_mask(
    array: npt.NDArray[np.float32], geometry: Geometry, control: JobControl
) -> MaskArray:
    """The network's mask on the image's grid, by the bundle's own steps."""
    import torch
    from monai.data import MetaTensor

    model = _load_model()
    control.checkpoint()
    image = MetaTensor(
        torch.from_numpy(np.ascontiguousarray(array.transpose(2, 1, 0)))[None],
        affine=torch.from_numpy(geometry.to_ras_affine()),
        meta={"original_channel_dim": 0},
    )
    image.meta["spatial_shape"] = np.array(image.shape[1:])
    with torch.inference_mode():
        case = model.before({"image": image})
        control.checkpoint()
        logits = model.inferer(inputs=case["image"][None], network=model.network)[0]
        control.checkpoint()
        case["pred"] = MetaTensor(logits, meta=case["image"].meta)
        for step in model.after.transforms:
            case = step(case)
            control.checkpoint()
    mask: MaskArray = np.asarray(case["pred"][0]).transpose(2, 1, 0) > 0.5
    return mask
