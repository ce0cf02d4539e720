"""How much memory a run takes at its peak, from the sizes of what it holds."""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_medcnn.core.geometry import Index
from napari_medcnn.models.spec import ModelSpec

PROGRAM_BYTES = 560e6
"""Resident memory of Python with torch, monai and the readers of images, measured on Linux."""

_FLOAT32 = 4
_COPIES_IN_A_STEP = 3
"""What a step of preprocessing holds at once: what it got, a part of its way, and its result."""

_WAITING_PLANES = 16
"""Planes of the network's grid that are taken out of a slab at once."""

_GROUP_BYTES = 128e6
"""Interpolated classes of the planes of the image that are worked on at once, at most."""

_GROUP_COPIES = 3.0
"""Both neighbours and the result, while a group of planes is interpolated."""

_LIVE_MAPS = 4
"""Feature maps of the full window that a U-shaped network holds at once: skip, join, in, out."""


@dataclass(frozen=True)
class Load:
    """The sizes that memory follows from; axes as the network's grid in reverse, ``(z, y, x)``.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    source_voxels, source_bytes : float
        Of the image, all channels' voxels in memory for the bytes.
    source_shape : tuple of int
        The image's size along the axes of the network's grid.
    network_shape, roi : tuple of int
        The network's grid and the window.
    reach : tuple of int
        How many voxels of the padded grid the windows cover.
    axis : int
        Along which the windows advance.
    channels, outputs : int
        Going into the network and coming out, a channel of variance included.
    maps : int
        float16 maps kept beside the labels.
    batch, answers : int
        Windows at once, and answers a window.
    threads : int
        Planes that are interpolated at once.
    """

    spec: ModelSpec
    source_voxels: float
    source_bytes: float
    source_shape: Index
    network_shape: Index
    roi: Index
    reach: Index
    axis: int
    channels: int
    outputs: int
    maps: int
    batch: int
    answers: int
    threads: int


@dataclass(frozen=True)
class Memory:
    """What a run holds beside the program and the image, in bytes.

    Parameters
    ----------
    network : float
        Its parameters.
    preparing : float
        The image on the network's grid, while it is made.
    image : float
        The same once it is made.
    window : float
        The network's work on one batch of windows.
    sums : float
        Of logits, one window deep.
    reducing : float
        Classes on their way to labels.
    results : float
        Labels and maps on the image's grid.
    """

    network: float
    preparing: float
    image: float
    window: float
    sums: float
    reducing: float
    results: float

    @property
    def peak(self) -> float:
        """The largest sum that is held at once, where all of it is main memory."""
        running = self.image + self.sums + self.results + max(self.window, self.reducing)
        return self.network + max(self.preparing, running)


def memory_of(load: Load, network: float | None, window: float | None) -> Memory:
    """What a run with such sizes holds.

    Parameters
    ----------
    network, window : float, optional
        Bytes of the opened network and of its work on one batch, where they were measured.
    """
    voxels = math.prod(load.network_shape)
    image = voxels * load.channels * _FLOAT32
    padded = math.prod(max(n, r) for n, r in zip(load.network_shape, load.roi, strict=True))
    cross = math.prod(n for a, n in enumerate(load.reach) if a != load.axis)
    depth = min(load.roi[load.axis], load.reach[load.axis])
    logits = math.prod(load.roi) * load.outputs * load.batch * _FLOAT32
    return Memory(
        network=_parameters(load.spec) if network is None else network,
        preparing=image * _COPIES_IN_A_STEP,
        image=image + (padded * load.channels * _FLOAT32 if padded > voxels else 0),
        window=(_window(load) if window is None else window) + (load.answers > 1) * logits,
        sums=cross * depth * (load.outputs + 1) * _FLOAT32,
        reducing=_reducing(load, cross),
        results=load.source_voxels * (1 + 2 * load.maps),
    )


def _reducing(load: Load, cross: int) -> float:
    """Planes that wait on the network's grid, and a group of them on the image's."""
    plane = load.outputs * _FLOAT32
    image_cross = math.prod(n for a, n in enumerate(load.source_shape) if a != load.axis)
    group = max(image_cross * plane, min(_GROUP_BYTES, load.threads * image_cross * plane))
    return _WAITING_PLANES * cross * plane + _GROUP_COPIES * group


def _window(load: Load) -> float:
    """The network's feature maps, from its width alone."""
    one = math.prod(load.roi) * _FLOAT32 * (_LIVE_MAPS * _width(load.spec) + load.outputs)
    return float(load.batch * one)


def _parameters(spec: ModelSpec) -> float:
    try:
        size = sum(path.stat().st_size for path in spec.weight_files if path.is_file())
    except OSError:
        return 0.0
    return 2.0 * size  # as they are, and as the backend packs them


def _width(spec: ModelSpec) -> int:
    """Feature maps of the network at full resolution."""
    names = ("channels", "init_filters", "features", "features_per_stage")
    for name in (*names, "filters", "feature_size"):
        value = spec.network.get(name)
        if value:
            return int(value[0] if isinstance(value, list | tuple) else value)
    return 32
