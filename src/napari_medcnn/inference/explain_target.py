"""Which class is explained, by its name, and over which region of a segmentation."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.events import Event, JobControl
from napari_medcnn.core.geometry import Geometry, Index
from napari_medcnn.core.segmentation import Label
from napari_medcnn.core.volume import Volume
from napari_medcnn.imaging.resample import resample
from napari_medcnn.inference import postprocess
from napari_medcnn.inference.loaded import load_model
from napari_medcnn.inference.network_stage import NetworkStage
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.inference.plan import facts_of, resolve
from napari_medcnn.inference.preprocess import Prepared
from napari_medcnn.inference.result_maps import ResultMaps, Wanted
from napari_medcnn.models.card import channel_values
from napari_medcnn.models.spec import ModelSpec

if TYPE_CHECKING:
    import torch

Region: TypeAlias = npt.NDArray[Any] | tuple[Index, Index]
"""A mask ``(z, y, x)`` on the first volume's grid, other than 0 inside, or a box ``(z, y, x)`` of
its voxels from start to stop."""


def label_to_explain(spec: ModelSpec, name: str | None) -> Label | None:
    """The model's class of that name, in any case; None leaves a classifier its likeliest one.

    Raises
    ------
    InputMismatch
        When there is no such class, or a segmentation has several and none is named.
    """
    names = ", ".join(label.name for label in spec.labels)
    if name is not None:
        found = [lb for lb in spec.labels if lb.name.lower() == name.lower()]
        if not found:
            raise InputMismatch(f"{spec.title} has no class {name!r}", hint=f"its classes: {names}")
        return found[0]
    if spec.task == "classification":
        return None
    if len(spec.labels) != 1:
        raise InputMismatch(f"{spec.title} has several classes", hint=f"name one of them: {names}")
    return spec.labels[0]


def channel_of(spec: ModelSpec, label: Label, count: int) -> int:
    """The place of a class among `count` outputs of the network.

    Raises
    ------
    InputMismatch
        When no output stands for it alone.
    """
    if spec.task == "classification":
        return spec.labels.index(label)
    values = channel_values(count, spec.postprocessing)
    channels = [channel for channel, value in values.items() if value == label.value]
    if not channels:
        raise InputMismatch(
            f"no output of {spec.title} stands for {label.name} alone",
            hint="choose another of its classes",
        )
    return channels[0]


def likeliest(spec: ModelSpec, logits: torch.Tensor) -> Label:
    """The class with the largest logit ``(batch, class)``, on the mean of the batch."""
    return spec.labels[int(logits.mean(0).argmax())]


def region_mask(region: Region, geometry: Geometry) -> npt.NDArray[np.bool_]:
    """The region as a mask ``(z, y, x)`` of a grid.

    Raises
    ------
    InputMismatch
        When it does not fit the grid, or is empty.
    """
    if isinstance(region, tuple):
        mask = np.zeros(geometry.shape, dtype=bool)
        start, stop = region
        mask[tuple(slice(max(a, 0), b) for a, b in zip(start, stop, strict=True))] = True
    else:
        mask = np.asarray(region) != 0
        if mask.shape != geometry.shape:
            raise InputMismatch(
                f"a region of {mask.shape} voxels does not fit an image of {geometry.shape}"
            )
    if not mask.any():
        raise InputMismatch("the region to explain is empty")
    return mask


def on_network_grid(
    mask: npt.NDArray[np.bool_], geometry: Geometry, grid: Geometry
) -> npt.NDArray[np.float32]:
    """The mask's share ``(x, y, z)`` 0..1 at the voxels of the network's grid.

    Interpolated rather than taken from the nearest voxel: a lesion that is smaller than a voxel of
    that grid keeps its weight.
    """
    share = resample(mask.astype(np.float32), geometry, grid).transpose(2, 1, 0)
    return np.ascontiguousarray(share, dtype=np.float32)


def predicted_mask(
    volumes: Sequence[Volume],
    spec: ModelSpec,
    prepared: Prepared,
    label: Label,
    options: RunOptions,
    control: JobControl,
) -> Generator[Event, None, npt.NDArray[np.bool_]]:
    """Where the model itself sees a class; a generator of events that returns the mask.

    Raises
    ------
    InputMismatch
        When it sees none.
    """
    wanted = Wanted(probability=False)
    maps = ResultMaps(volumes[0], spec, wanted)
    plan = resolve(spec, facts_of(volumes), options)
    with load_model(spec, options) as loaded:
        stage = NetworkStage(prepared, spec, options, plan, control, loaded, maps, wanted)
        yield from stage.run(plan.placement)
    for step in spec.postprocessing.cleanup:
        control.checkpoint()
        maps.labels[...] = postprocess.cleaned(maps.labels, step, volumes[0].geometry)
    mask: npt.NDArray[np.bool_] = maps.labels == label.value
    if not mask.any():
        raise InputMismatch(
            f"{spec.title} finds no {label.name} in this image",
            source=volumes[0].name,
            hint="give the region to explain",
        )
    return mask
