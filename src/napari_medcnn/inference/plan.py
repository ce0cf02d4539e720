"""Decide how a model will be run on an image before anything is run.

Pure: no torch, no network, no voxels. What it predicts is shown before the run and can be tested
without one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.geometry import AxisMap, Index
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference import nnunet_grid, nnunet_windows
from napari_medcnn.inference.options import Precision as Precision
from napari_medcnn.models.spec import ModelSpec, Step, WindowLayout

COARSE_FACTOR = 4.0
"""Voxels that are longer than the model's by more than this hide what it was trained to see.

Slices of 3 mm are every day's MR, and models at 1 mm are trained with them."""

PROGRAM_BYTES = 800e6
"""Resident memory of Python with torch and monai loaded, measured on Linux."""

_FLOAT32 = 4
_RESAMPLING_BYTES = 24 + 8 + 8
"""A voxel that is interpolated: three float64 coordinates, the result in float64, a copy."""

_LIVE_MAPS = 4
"""Feature maps of the full window that a U-shaped network holds at once: skip, join, in, out."""


@dataclass(frozen=True)
class ImageFacts:
    """What a plan must know of an image, without its voxels.

    Parameters
    ----------
    shape, spacing_mm : tuple
        ``(z, y, x)`` of the volume's canonical array.
    modalities : tuple of str
        One an image: several images are the channels of one case. ``""`` where unknown.
    orientation : str
        Where z, y, x point to, e.g. ``"SPL"``.
    axes : AxisMap
        From the file's own axis order to the volume's.
    is_2d, spacing_known : bool
        As :class:`~napari_medcnn.core.volume.Volume` says.
    frames : int
        More than 1 for a series in time, echo or the like.
    """

    shape: Index
    spacing_mm: tuple[float, float, float]
    modalities: tuple[str, ...] = ("",)
    orientation: str = "SPL"
    axes: AxisMap = AxisMap()
    is_2d: bool = False
    spacing_known: bool = True
    frames: int = 1

    @property
    def channels(self) -> int:
        """Number of images."""
        return len(self.modalities)


@dataclass(frozen=True)
class InferencePlan:
    """How a model will be run on an image.

    Parameters
    ----------
    model, title : str
        Id and name of the model.
    device : str
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``, or ``"auto"`` while not chosen yet.
    precision : {"float32", "float16"}
        Of the network's arithmetic.
    source_shape, network_shape : tuple of int
        ``(z, y, x)`` of the image, and of the network's own grid before padding and cropping.
    network_spacing_mm : tuple of float
        Of the network's grid, as the axes of `network_shape`.
    roi_size : tuple of int
        The window, as the axes of `network_shape`.
    overlap : float
        Of neighbouring windows.
    windows, batch : int
        How many there are, and how many run at once.
    outputs : int
        Channels that the network gives.
    peak_memory_bytes : float
        Expected peak of the process's main memory, within some 50 %.
    warnings : tuple of str
        What the user should read before the run.
    """

    model: str
    title: str
    device: str
    precision: Precision
    source_shape: Index
    network_shape: Index
    network_spacing_mm: tuple[float, float, float]
    roi_size: Index
    overlap: float
    windows: int
    batch: int
    outputs: int
    peak_memory_bytes: float
    warnings: tuple[str, ...] = ()


def facts_of(volume: Volume | Sequence[Volume]) -> ImageFacts:
    """The facts of a volume, or of the volumes that are one case's channels."""
    volumes = (volume,) if isinstance(volume, Volume) else tuple(volume)
    if not volumes:
        raise InputMismatch("there is no image", hint="choose one")
    first = volumes[0]
    return ImageFacts(
        shape=first.geometry.shape,
        spacing_mm=first.geometry.spacing,
        modalities=tuple(v.modality for v in volumes),
        orientation=first.geometry.orientation,
        axes=first.source.axes,
        is_2d=any(v.is_2d for v in volumes),
        spacing_known=all(v.spacing_known for v in volumes),
        frames=max(v.frame_count for v in volumes),
    )


def resolve(spec: ModelSpec, facts: ImageFacts, device: str = "auto") -> InferencePlan:
    """How `spec` will be run on an image with these facts.

    Raises
    ------
    InputMismatch
        When the model cannot be run on such an image, with what to do instead.
    """
    _check(spec, facts)
    shape, spacing = _network_grid(spec, facts)
    roi = _index(r or n for r, n in zip(spec.roi_size, shape, strict=True))
    on_gpu = device.startswith("cuda")
    batch = spec.window_batch if on_gpu else 1
    outputs = output_channels(spec)
    windows = count_windows(shape, roi, spec.overlap, spec.window_layout)
    return InferencePlan(
        model=spec.id,
        title=spec.title,
        device=device,
        precision="float16" if on_gpu else "float32",
        source_shape=facts.shape,
        network_shape=shape,
        network_spacing_mm=spacing,
        roi_size=roi,
        overlap=spec.overlap,
        windows=windows,
        batch=batch,
        outputs=outputs,
        peak_memory_bytes=_peak_memory(spec, facts, shape, roi, 0 if on_gpu else batch),
        warnings=tuple(_warnings(spec, facts)),
    )


def describe(plan: InferencePlan) -> list[str]:
    """The plan in a few lines for people, who say sizes as x × y × z."""
    grid = " × ".join(f"{n}" for n in reversed(plan.network_shape))
    spacing = " × ".join(f"{s:.3g}" for s in reversed(plan.network_spacing_mm))
    window = " × ".join(f"{n}" for n in reversed(plan.roi_size))
    device = "chosen when the run starts" if plan.device == "auto" else plan.device
    return [
        f"Model: {plan.title} ({plan.model})",
        f"Grid: {grid} voxels of {spacing} mm (x × y × z)",
        f"Windows: at most {plan.windows} of {window} voxels, overlap {plan.overlap:.0%}",
        f"Device: {device}, {plan.precision}",
        f"Memory: about {plan.peak_memory_bytes / 1e9:.1f} GB at the peak",
        *(f"Note: {warning}" for warning in plan.warnings),
    ]


def window_starts(
    size: int, window: int, overlap: float, layout: WindowLayout = "monai"
) -> tuple[int, ...]:
    """First voxels of the windows along one axis, as MONAI's or nnU-Net's sliding window lays them.

    MONAI's neighbours start ``int(window × (1 − overlap))`` voxels apart; the last is moved back so
    that it ends with the axis. An axis shorter than the window is padded and holds one.
    """
    if layout == "nnunet":
        return nnunet_windows.window_starts(size, window, overlap)
    size = max(size, window)
    step = window if window == size else max(int(window * (1 - overlap)), 1)
    count = math.ceil((size - window) / step) + 1
    return tuple(min(number * step, size - window) for number in range(count))


def count_windows(
    shape: Index, roi_size: Index, overlap: float, layout: WindowLayout = "monai"
) -> int:
    """How many windows cover a grid."""
    axes = zip(shape, roi_size, strict=True)
    return math.prod(len(window_starts(n, r or n, overlap, layout)) for n, r in axes)


def output_channels(spec: ModelSpec) -> int:
    """How many channels the network of a model gives."""
    background = 1 if spec.postprocessing.discretise == "argmax" else 0
    return int(spec.network.get("out_channels", len(spec.labels) + background))


def _check(spec: ModelSpec, facts: ImageFacts) -> None:
    if facts.is_2d:
        raise InputMismatch(
            f"{spec.title} works on volumes, this is a single picture",
            hint="open the whole series, or choose a model for pictures",
        )
    if facts.frames > 1:
        raise InputMismatch(
            f"the image has {facts.frames} frames, {spec.title} takes one",
            hint="choose a frame",
        )
    if facts.channels != len(spec.channels):
        names = ", ".join(channel.name for channel in spec.channels)
        raise InputMismatch(
            f"{spec.title} takes {len(spec.channels)} image(s) ({names}), not {facts.channels}",
            hint="give one image a channel, in this order",
        )
    if not facts.spacing_known:
        raise InputMismatch(
            "the image's voxel size is unknown, so that nothing can be measured",
            hint="open the original DICOM or NIfTI file",
        )


def _warnings(spec: ModelSpec, facts: ImageFacts) -> Iterator[str]:
    for channel, modality in zip(spec.channels, facts.modalities, strict=True):
        if channel.modality and modality and channel.modality != modality:
            yield f"the image is {modality}; {spec.title} was made for {channel.modality}"
    if spec.spacing_mm is not None:
        model = max(spec.spacing_mm)
        image = max(facts.spacing_mm)
        if model > 0 and image > COARSE_FACTOR * model:
            yield (
                f"the image's voxels are up to {image:.3g} mm long, the model works at "
                f"{model:.3g} mm: small lesions may be missed"
            )


def _network_grid(spec: ModelSpec, facts: ImageFacts) -> tuple[Index, tuple[float, float, float]]:
    """Shape and spacing of the network's grid, its three axes in reverse: z, y, x for RAS."""
    order = _axis_order(spec, facts)
    shape = [facts.shape[axis] for axis in order]
    spacing = [facts.spacing_mm[axis] for axis in order]
    for step in spec.preprocessing:
        shape, spacing = _after(step, shape, spacing)
    z, y, x = spacing
    return _index(shape), (z, y, x)


def _axis_order(spec: ModelSpec, facts: ImageFacts) -> Index:
    """Which axis of the canonical array each axis of the network's reversed grid is."""
    if spec.axcodes:
        return _index("SIPALR".find(code) // 2 for code in reversed(spec.axcodes))
    return facts.axes.inverse().order


def _after(step: Step, shape: list[int], spacing: list[float]) -> tuple[list[int], list[float]]:
    """Shape and spacing after one step; crops are left out, so that sizes are upper bounds."""
    if step.target == "Spacingd":
        wanted = [float(p) or s for p, s in zip(_reversed(step, "pixdim"), spacing, strict=True)]
        wanted = [w if w > 0 else s for w, s in zip(wanted, spacing, strict=True)]
        # MONAI keeps the first and last voxel's centre: (n - 1) intervals, rounded.
        steps = zip(shape, spacing, wanted, strict=True)
        return [round((n - 1) * s / w) + 1 for n, s, w in steps], wanted
    if step.target == "NnunetPreprocessd":
        forward, target = step.arguments["transpose_forward"], step.arguments["spacing"]
        now = [spacing[axis] for axis in forward]
        made = nnunet_grid.resampled_shape([shape[axis] for axis in forward], now, target)
        return [max(n, 1) for n in reversed(made)], [float(s) for s in reversed(target)]
    if step.target == "DivisiblePadd":
        blocks = zip(shape, _reversed(step, "k"), strict=True)
        return [math.ceil(n / max(k, 1)) * max(int(k), 1) for n, k in blocks], spacing
    if step.target in ("SpatialPadd", "ResizeWithPadOrCropd"):
        sizes = zip(shape, _reversed(step, "spatial_size"), strict=True)
        keep = step.target == "SpatialPadd"
        return [max(n, int(s)) if keep or s <= 0 else int(s) for n, s in sizes], spacing
    return shape, spacing


def _reversed(step: Step, name: str) -> list[float]:
    value: Any = step.arguments.get(name)
    values = list(value) if isinstance(value, list | tuple) else [value] * 3
    return [float(v or 0) for v in reversed(values)]


def _peak_memory(
    spec: ModelSpec, facts: ImageFacts, network_shape: Index, roi: Index, batch: int
) -> float:
    """Expected peak of main memory in bytes: the largest of three stages, and the program.

    Preparing interpolates all channels at once; the network holds its grid's logits and the maps of
    a window; finishing holds the logits and interpolates one class at a time back to the image.
    """
    source, network = math.prod(facts.shape), math.prod(network_shape)
    inputs, outputs = len(spec.channels), output_channels(spec)
    logits = network * _FLOAT32 * (outputs + 1)
    preparing = source * inputs * 3 * _FLOAT32 + network * (24 + inputs * 3 * _FLOAT32)
    window = batch * math.prod(roi) * _FLOAT32 * (_LIVE_MAPS * _width(spec) + 2 * outputs)
    running = network * inputs * 2 * _FLOAT32 + logits + window
    finishing = logits + source * (_RESAMPLING_BYTES + 4 * _FLOAT32) + network * 8
    return float(PROGRAM_BYTES + source * _FLOAT32 + max(preparing, running, finishing))


def _width(spec: ModelSpec) -> int:
    """Feature maps of the network at full resolution."""
    names = (
        "channels",
        "init_filters",
        "features",
        "features_per_stage",
        "filters",
        "feature_size",
    )
    for name in names:
        value = spec.network.get(name)
        if value:
            return int(value[0] if isinstance(value, list | tuple) else value)
    return 32


def _index(values: Any) -> Index:
    z, y, x = (int(v) for v in values)
    return z, y, x
