"""Decide how a detector will be run on an image before anything is run. Pure: no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from napari_medcnn.core.geometry import Index
from napari_medcnn.inference.image_facts import ImageFacts, check, doubts
from napari_medcnn.inference.memory import Machine
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.inference.plan import InferencePlan
from napari_medcnn.inference.plan_grid import cheapest_axis, count_windows, index, network_grid
from napari_medcnn.inference.plan_memory import PROGRAM_BYTES, Memory
from napari_medcnn.models.spec import ModelSpec

SMALLEST_WINDOW = 4
"""A window is not made smaller than this many times what the network divides by, along any axis:
what is found depends on what is seen around it."""

_FLOAT32 = 4
_COPIES_IN_A_STEP = 3
_LIVE_STEMS, _LIVE_LEVELS = 3, 5
"""Feature maps that are held at once at the backbone's first resolution, and at the pyramid's."""

_PYRAMID_CHANNELS = 256
_FIRST_CHANNELS = 64
_CHOOSING_BYTES = 64e6
"""Of some thousand boxes and their overlaps."""


def resolve_detection(
    spec: ModelSpec,
    facts: ImageFacts,
    options: RunOptions = RunOptions(),
    machine: Machine | None = None,
) -> InferencePlan:
    """How a detector will be run on an image with these facts.

    Raises
    ------
    InputMismatch
        When the model cannot be run on such an image, with what to do instead.
    """
    check(spec, facts)
    shape, spacing, _ = network_grid(spec, facts.shape, facts.spacing_mm, facts.axes)
    wanted = roi = window_of(spec, shape)
    shape = divisible(shape, spec)
    on_device = options.device.partition(":")[0] in ("cuda", "mps")
    if not on_device and machine is not None:
        roi = fitting(spec, roi, machine.free_bytes - _held(spec, facts, shape))
    memory = Memory(
        network=2.0 * sum(p.stat().st_size for p in spec.weight_files if p.is_file()),
        preparing=float(math.prod(shape) * facts.channels * _FLOAT32 * _COPIES_IN_A_STEP),
        image=float(math.prod(shape) * facts.channels * _FLOAT32),
        window=window_bytes(spec, roi),
        sums=2.0 * _map_bytes(spec, shape),
        reducing=_CHOOSING_BYTES,
        results=0.0,
    )
    resident = PROGRAM_BYTES + math.prod(facts.shape) * facts.voxel_bytes
    resident = resident if machine is None else machine.resident_bytes
    on_host = memory.peak - (memory.window if on_device else 0)
    plan = InferencePlan(
        model=spec.id,
        title=spec.title,
        device=options.device,
        backend="torch",
        precision="float16" if options.device.startswith("cuda") else "float32",
        source_shape=facts.shape,
        network_shape=shape,
        network_spacing_mm=spacing,
        roi_size=roi,
        overlap=spec.overlap,
        windows=count_windows(shape, roi, spec.overlap),
        batch=1,
        outputs=len(spec.labels),
        answers=1,
        stream_axis=cheapest_axis(shape, roi),
        memory=memory,
        peak_memory_bytes=resident + on_host,
        added_memory_bytes=on_host,
        peak_device_bytes=memory.window + memory.network if on_device else 0.0,
        seconds_unknown="unknown: detectors are not timed beforehand",
    )
    if options.precision != "auto":
        plan = replace(plan, precision=options.precision)
    smaller = (smaller_window_text(wanted, roi),) if roi != wanted else ()
    return replace(plan, warnings=(*doubts(spec, facts), *smaller))


def divisible(shape: Sequence[int], spec: ModelSpec) -> Index:
    """A grid ``(z, y, x)`` filled up to what the network divides by."""
    by = _by(spec)
    return index(math.ceil(n / k) * k for n, k in zip(shape, by, strict=True))


def window_of(spec: ModelSpec, shape: Index) -> Index:
    """The window ``(z, y, x)`` that the bundle's own inferer would take of such a grid.

    An image of fewer voxels than a window is seen as a whole, unless the bundle says otherwise.
    """
    whole = divisible(shape, spec)
    roi = index(r or n for r, n in zip(spec.roi_size, whole, strict=True))
    always = spec.detector is not None and spec.detector.always_windows
    return roi if always or math.prod(shape) >= math.prod(roi) else whole


def fitting(spec: ModelSpec, roi: Index, free_bytes: float) -> Index:
    """The window, halved along its longest axes until the network's work on it fits."""
    while window_bytes(spec, roi) > free_bytes:
        smaller = halved(spec, roi)
        if smaller is None:
            return roi
        roi = smaller
    return roi


def halved(spec: ModelSpec, roi: Index) -> Index | None:
    """The window of half the size along the axis with the most steps; None at the smallest."""
    by = _by(spec)
    steps = [math.ceil(n / k) for n, k in zip(roi, by, strict=True)]
    axis = steps.index(max(steps))
    half = math.ceil(steps[axis] / 2)
    if half < SMALLEST_WINDOW:
        return None
    return index(half * by[a] if a == axis else n for a, n in enumerate(roi))


def smaller_window_text(wanted: Index, used: Index) -> str:
    """What people read when a window does not fit the memory."""
    names = [" × ".join(str(n) for n in reversed(size)) for size in (wanted, used)]
    return (
        f"the model's window of {names[0]} voxels does not fit the free memory, {names[1]} does: "
        "boxes near its edges may differ"
    )


def window_bytes(spec: ModelSpec, roi: Index) -> float:
    """What the network holds while it looks at one window; estimated from its widths."""
    backbone = spec.network["backbone"]
    wide = _FIRST_CHANNELS * float(backbone.get("widen_factor", 1.0))
    planes = backbone.get("block_inplanes")
    stem = _stem(spec)
    level = stem * 8 * 8 ** (min(spec.network["returned_layers"]) - 1)
    width = float(planes[0]) if planes else wide
    values = _LIVE_STEMS * width / stem + _LIVE_LEVELS * _PYRAMID_CHANNELS / level + 2
    return float(math.prod(roi) * values * _FLOAT32)


def _stem(spec: ModelSpec) -> int:
    stride = spec.network["backbone"].get("conv1_t_stride", 1)
    return math.prod(stride) if isinstance(stride, list | tuple) else int(stride) ** 3


def _map_bytes(spec: ModelSpec, shape: Index) -> float:
    """Class and box maps of all levels on the whole image."""
    level = _stem(spec) * 8 * 8 ** (min(spec.network["returned_layers"]) - 1)
    channels = spec.network["num_anchors"] * (spec.network["num_classes"] + 6)
    return float(math.prod(shape) / level * channels * _FLOAT32 * 8 / 7)


def _held(spec: ModelSpec, facts: ImageFacts, shape: Index) -> float:
    """What is held beside the window while the network runs."""
    image = math.prod(shape) * facts.channels * _FLOAT32
    return image + 2.0 * _map_bytes(spec, shape) + _CHOOSING_BYTES


def _by(spec: ModelSpec) -> Index:
    if spec.detector is None:
        raise ValueError(f"{spec.id} is no detector")
    return index(reversed(spec.detector.size_divisible))
