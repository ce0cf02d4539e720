"""Segmentation networks and their arguments where the job states none.

All are of MONAI. Their arguments are in the network's own order of axes, ``(x, y[, z])``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.training.job import TrainJob
from napari_medcnn.training.topology import Topology, topology

FIRST_FILTERS = 32
MOST_FILTERS = {2: 512, 3: 320}
"""Features double with each stage up to here, as nnU-Net's do."""

FEWEST_STAGES = 3
MOST_SUPERVISED = 3
"""Coarser resolutions that a loss looks at besides the full one."""

SWIN_MULTIPLE = 32
"""Of SwinUNETR: MONAI asks for ``patch_size ** 5``, and its decoder for a `patch_size` of 2."""

_ATTENTION_STAGES = 5
_NORMS = {
    "UNet": "instance",
    "BasicUNet": "instance",
    "DynUNet": "instance",
    "SwinUNETR": "instance",
    "AttentionUnet": "batch",
}
"""What normalises the coarsest resolution, unless the arguments say otherwise."""


def segmentation_defaults(name: str, job: TrainJob) -> dict[str, Any]:
    """Class and arguments of a segmentation network, without those that the job states itself."""
    return {
        "spatial_dims": job.network.dimensions,
        "in_channels": len(job.manifest.channels),
        "out_channels": len(job.manifest.classes) + 1,
        **_DEFAULTS[name](job),
    }


def _unet(job: TrainJob) -> dict[str, Any]:
    stages = _stages(job, "channels")
    return {
        "_target_": "UNet",
        "channels": _filters(job, stages.stages),
        "strides": _lists(stages.strides)[1:],
        "num_res_units": 2,
        "norm": ["INSTANCE", {"affine": True}],
    }


def _attention_unet(job: TrainJob) -> dict[str, Any]:
    stages = _stages(job, "channels", most=_ATTENTION_STAGES)
    return {
        "_target_": "AttentionUnet",
        "channels": _filters(job, stages.stages),
        "strides": _lists(stages.strides)[1:],
    }


def _segresnet(job: TrainJob) -> dict[str, Any]:
    return {
        "_target_": "SegResNet",
        "init_filters": 16,
        "blocks_down": [1, 2, 2, 4],
        "blocks_up": [1, 1, 1],
        "norm": ["GROUP", {"num_groups": 8}],
        "upsample_mode": "nontrainable",
    }


def _dynunet(job: TrainJob) -> dict[str, Any]:
    stages = _stages(job, "filters")
    strides = _lists(stages.strides)
    return {
        "_target_": "DynUNet",
        "kernel_size": _lists(stages.kernels),
        "strides": strides,
        "upsample_kernel_size": strides[1:],
        "filters": _filters(job, stages.stages),
        "norm_name": ["INSTANCE", {"affine": True}],
        "deep_supervision": True,
        "deep_supr_num": min(MOST_SUPERVISED, stages.stages - 2),
    }


def _swinunetr(job: TrainJob) -> dict[str, Any]:
    return {"_target_": "SwinUNETR", "feature_size": 24, "norm_name": "instance"}


_DEFAULTS: Mapping[str, Callable[[TrainJob], dict[str, Any]]] = {
    "unet": _unet,
    "attention_unet": _attention_unet,
    "segresnet": _segresnet,
    "dynunet": _dynunet,
    "swinunetr": _swinunetr,
}

SEGMENTATION_NETWORKS = tuple(_DEFAULTS)


def segmentation_multiple(definition: Mapping[str, Any]) -> tuple[int, ...]:
    """What each axis of a patch must be a multiple of, in the network's order of axes."""
    axes = int(definition.get("spatial_dims", 3))
    name = definition["_target_"]
    if "strides" in definition:
        product = [1] * axes
        for stride in definition["strides"]:
            each = [stride] * axes if isinstance(stride, int) else stride
            product = [a * int(b) for a, b in zip(product, each, strict=True)]
        return tuple(product)
    if name in ("SegResNet", "SegResNetDS"):
        # SegResNetDS halves after each of its stages but the last, as SegResNet does.
        return (2 ** (len(definition.get("blocks_down", (1, 2, 2, 4))) - 1),) * axes
    if name == "SwinUNETR":
        return (SWIN_MULTIPLE,) * axes
    return (16,) * axes  # BasicUNet, VNet, UNETR, MedNeXt and HighResNet halve four times at most


def fewest_coarsest_voxels(definition: Mapping[str, Any], batch: int) -> int:
    """How many voxels the coarsest resolution of a patch must have for the network to run.

    Instance norm divides by the deviation of a channel over the voxels of one patch, batch norm
    over those of the batch: torch refuses both where that is a single number.
    """
    known = _NORMS.get(definition["_target_"])
    stated = definition.get("norm", definition.get("norm_name", known))
    kind = stated if isinstance(stated, str | None) else stated[0]
    if known is None or kind is None:
        return 1
    if kind.lower() == "batch":
        return 1 if batch > 1 else 2
    return 2 if kind.lower() == "instance" else 1


def _stages(job: TrainJob, counted: str, most: int = 6) -> Topology:
    """The stages for the job's patch; as many as `counted`, an argument of the job, has numbers."""
    dimensions = job.network.dimensions
    spacing = (job.preprocessing.spacing_mm or (1.0, 1.0, 1.0))[::-1][:dimensions]
    stated = job.network.arguments.get(counted)
    wanted = len(stated) if isinstance(stated, list | tuple) else None
    found = topology(job.sampling.patch[::-1][:dimensions], spacing, wanted or most)
    if found.stages < (wanted or FEWEST_STAGES):
        raise MedcnnError(
            f"a patch of {job.sampling.patch} voxels is too small for the {wanted or FEWEST_STAGES}"
            f" resolutions of {job.network.name}",
            source=job.name,
            hint="take a larger patch, or a network of fewer resolutions",
        )
    return found


def _filters(job: TrainJob, stages: int) -> list[int]:
    most = MOST_FILTERS[job.network.dimensions]
    return [min(FIRST_FILTERS * 2**stage, most) for stage in range(stages)]


def _lists(rows: tuple[tuple[int, ...], ...]) -> list[list[int]]:
    return [list(row) for row in rows]
