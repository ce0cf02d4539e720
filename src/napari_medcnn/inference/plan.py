"""Decide how a model will be run on an image before anything is run.

Pure: no torch, no network, no voxels. What it predicts is shown before the run and can be tested
without one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.geometry import Index
from napari_medcnn.inference.calibration import Calibration, Measurement, threads
from napari_medcnn.inference.image_facts import ImageFacts as ImageFacts
from napari_medcnn.inference.image_facts import check, doubts
from napari_medcnn.inference.image_facts import facts_of as facts_of
from napari_medcnn.inference.memory import Machine
from napari_medcnn.inference.options import OPENVINO_ONLY, BackendName, Precision, RunOptions
from napari_medcnn.inference.placement import Placement
from napari_medcnn.inference.plan_grid import cheapest_axis, index, network_grid, windows_over
from napari_medcnn.inference.plan_memory import PROGRAM_BYTES, Load, Memory, memory_of
from napari_medcnn.inference.plan_text import describe as describe
from napari_medcnn.models.spec import ModelSpec

OPENING_S = 1.0
"""Reading the model and getting its network ready; estimated."""

PREPARING_S_PER_VOXEL = 2.0e-8
"""Bringing a voxel of the image, and one of the network's grid, to what the network takes; on one
thread; estimated."""

REDUCING_S_PER_VALUE = 4.0e-9
"""Making labels of one class of one voxel of the image, on one thread; estimated."""

COMPILING_S = 60.0
"""What ``torch.compile`` takes for a network, at least. On a CPU it saves nothing (25 s for
4 % of a UNet's window), so that it is tried on CUDA alone."""


@dataclass(frozen=True)
class InferencePlan:
    """How a model will be run on an image.

    Parameters
    ----------
    model, title : str
        Id and name of the model.
    device : str
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``, or ``"auto"`` while not chosen yet.
    backend : {"torch", "openvino", "auto"}
        What runs the network; ``"auto"`` while it was not measured which one is faster.
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
        How many there are, at most, and how many run at once.
    outputs : int
        Channels that the network gives.
    answers : int
        How often a window is answered: by every network of an ensemble, mirrored in every way.
    stream_axis : int
        Of `network_shape`, along which the windows advance.
    memory : Memory
        What the run holds beside the program and the image.
    peak_memory_bytes : float
        Expected peak of the process's main memory.
    added_memory_bytes : float
        How much of it the run adds to what the process holds.
    peak_device_bytes : float
        Expected peak of the device's own memory; 0 on the CPU.
    seconds : float, optional
        Expected time; None where `seconds_unknown` says why.
    seconds_unknown : str
        Why there is no expected time, ``""`` where there is one.
    channels_last, compiled : bool
        As :class:`~napari_medcnn.inference.backends.torch_backend.TorchBackend` says.
    warnings : tuple of str
        What the user should read before the run.
    """

    model: str
    title: str
    device: str
    backend: Literal["auto"] | BackendName
    precision: Precision
    source_shape: Index
    network_shape: Index
    network_spacing_mm: tuple[float, float, float]
    roi_size: Index
    overlap: float
    windows: int
    batch: int
    outputs: int
    answers: int
    stream_axis: int
    memory: Memory
    peak_memory_bytes: float
    added_memory_bytes: float
    peak_device_bytes: float = 0.0
    seconds: float | None = None
    seconds_unknown: str = ""
    channels_last: bool = False
    compiled: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def placement(self) -> Placement:
        """Where the run keeps its network and sums at first; torch while nothing was measured."""
        return Placement(
            device="cpu" if self.device == "auto" else self.device,
            backend="torch" if self.backend == "auto" else self.backend,
            precision=self.precision,
            batch=self.batch,
            sums_on="cpu" if self.device == "auto" else self.device,
            channels_last=self.channels_last,
            compiled=self.compiled,
        )


def resolve(
    spec: ModelSpec,
    facts: ImageFacts,
    options: RunOptions = RunOptions(),
    calibration: Calibration | None = None,
    machine: Machine | None = None,
) -> InferencePlan:
    """How `spec` will be run on an image with these facts.

    Parameters
    ----------
    options : RunOptions
        What the user chose.
    calibration : Calibration, optional
        What was measured of the model on this machine; there is no expected time without.
    machine : Machine, optional
        What the process holds and what it can get; a typical process without.

    Raises
    ------
    InputMismatch
        When the model cannot be run on such an image, with what to do instead.
    """
    if spec.task == "detection":
        raise InputMismatch(
            f"{spec.title} draws boxes, no outlines",
            hint="run it with medcnn detect, or choose a model that segments",
        )
    if spec.task == "classification":
        raise InputMismatch(
            f"{spec.title} tells classes apart, and marks nothing",
            hint="run it with medcnn classify, or choose a model that segments",
        )
    check(spec, facts)
    on_device = options.device.partition(":")[0] in ("cuda", "mps")
    backend = _backend(spec, options, calibration, on_device)
    windows = _windows(spec, facts, options)
    answers = answers_of(spec, options)
    measured = _measurement(calibration, backend, windows * answers)
    load = _load(spec, facts, options)
    memory = memory_of(load, *_measured_bytes(measured, load, on_device))
    resident = PROGRAM_BYTES + load.source_bytes if machine is None else machine.resident_bytes
    on_host = _on_host(memory) if on_device else memory.peak
    plan = InferencePlan(
        model=spec.id,
        title=spec.title,
        device=options.device,
        backend=backend,
        precision=_precision(options, measured),
        source_shape=facts.shape,
        network_shape=load.network_shape,
        network_spacing_mm=network_grid(spec, facts.shape, facts.spacing_mm, facts.axes)[1],
        roi_size=load.roi,
        overlap=spec.overlap,
        windows=windows,
        batch=load.batch,
        outputs=output_channels(spec),
        answers=load.answers,
        stream_axis=load.axis,
        memory=memory,
        peak_memory_bytes=float(resident + on_host),
        added_memory_bytes=float(on_host),
        peak_device_bytes=_on_device(memory, measured) if on_device else 0.0,
        channels_last=measured is not None and measured.channels_last,
        compiled=measured is not None and measured.compiled,
    )
    seconds, reason = _seconds(plan, load, measured)
    warnings = (*doubts(spec, facts), *_memory_warning(plan, machine))
    return replace(plan, seconds=seconds, seconds_unknown=reason, warnings=warnings)


def output_channels(spec: ModelSpec) -> int:
    """How many channels the network of a model gives."""
    background = 1 if spec.postprocessing.discretise == "argmax" else 0
    return int(spec.network.get("out_channels", len(spec.labels) + background))


def answers_of(spec: ModelSpec, options: RunOptions) -> int:
    """How often each window is answered: networks of the ensemble times ways to mirror."""
    axes = {"none": 0, "all": 3, "model": len(spec.mirror_axes)}[options.mirror]
    return int(len(spec.weight_files) * 2**axes)


def _backend(
    spec: ModelSpec, options: RunOptions, calibration: Calibration | None, on_device: bool
) -> Literal["auto"] | BackendName:
    if spec.kind in OPENVINO_ONLY:
        return "openvino"
    if options.backend != "auto":
        return options.backend
    if on_device:
        return "torch"
    return "auto" if calibration is None else calibration.fastest


def _measurement(
    calibration: Calibration | None, backend: Literal["auto"] | BackendName, windows: int
) -> Measurement | None:
    """What was measured of the backend; compiled, where that saves more than it costs."""
    if calibration is None or backend == "auto":
        return None
    plain, compiled = calibration.of(backend), calibration.of(backend, compiled=True)
    if plain and compiled and windows * (plain.seconds - compiled.seconds) > COMPILING_S:
        return compiled
    return plain


def _precision(options: RunOptions, measured: Measurement | None) -> Precision:
    if options.precision != "auto":
        return options.precision
    if measured is not None:
        return measured.precision
    return "float16" if options.device.startswith("cuda") else "float32"


def _load(spec: ModelSpec, facts: ImageFacts, options: RunOptions) -> Load:
    shape, _, order = network_grid(spec, facts.shape, facts.spacing_mm, facts.axes)
    roi = index(r or n for r, n in zip(spec.roi_size, shape, strict=True))
    part = _part(facts, options, order)
    _, reach = windows_over(shape, roi, spec.overlap, part, spec.window_layout)
    wanted = [(high - low) * n for n, (low, high) in zip(shape, part, strict=True)]
    answers = answers_of(spec, options)
    on_cuda = options.device.startswith("cuda")
    unsure = options.keep_uncertainty
    return Load(
        spec=spec,
        source_voxels=math.prod(facts.shape),
        source_bytes=math.prod(facts.shape) * facts.voxel_bytes,
        source_shape=index(facts.shape[axis] for axis in order),
        network_shape=shape,
        roi=roi,
        reach=reach,
        axis=cheapest_axis([math.ceil(n) for n in wanted], roi),
        channels=facts.channels,
        outputs=output_channels(spec) + (unsure and answers > 1),
        maps=options.keep_probability + unsure * (1 + (answers > 1)),
        batch=options.batch or (spec.window_batch if on_cuda else 1),
        answers=answers,
        threads=threads(options),
    )


def _windows(spec: ModelSpec, facts: ImageFacts, options: RunOptions) -> int:
    shape, _, order = network_grid(spec, facts.shape, facts.spacing_mm, facts.axes)
    roi = index(r or n for r, n in zip(spec.roi_size, shape, strict=True))
    part = _part(facts, options, order)
    return windows_over(shape, roi, spec.overlap, part, spec.window_layout)[0]


def _part(facts: ImageFacts, options: RunOptions, order: Index) -> list[tuple[float, float]]:
    """The region of interest along the network's axes, as shares of their length."""
    start, stop = options.region or ((0, 0, 0), facts.shape)
    shares = [
        (max(a, 0) / n, min(z, n) / n) for a, z, n in zip(start, stop, facts.shape, strict=True)
    ]
    return [shares[axis] for axis in order]


def _measured_bytes(
    measured: Measurement | None, load: Load, on_device: bool
) -> tuple[float | None, float | None]:
    """Bytes of the network and of its work, scaled to the batch; None where not measured."""
    if measured is None or on_device:
        return None, None
    members = len(load.spec.weight_files)
    return members * measured.network_bytes, (
        measured.working_bytes * load.batch / measured.batch
        + (members - 1) * measured.working_bytes * (measured.backend == "openvino")
    )


def _on_host(memory: Memory) -> float:
    """Main memory of a run whose network, sums and slabs are on a device."""
    return memory.network + max(memory.preparing, memory.image + memory.results)


def _on_device(memory: Memory, measured: Measurement | None) -> float:
    if measured is not None and measured.device_bytes:
        return measured.device_bytes + memory.sums + memory.reducing
    return memory.network + memory.sums + max(memory.window, memory.reducing)


def _seconds(
    plan: InferencePlan, load: Load, measured: Measurement | None
) -> tuple[float | None, str]:
    """Expected time, or None and why."""
    if plan.device == "auto":
        return None, "unknown until the device is chosen"
    if measured is None:
        return None, "unknown until the model has run once on this machine"
    voxels = load.source_voxels + math.prod(load.network_shape)
    preparing = PREPARING_S_PER_VOXEL * voxels * load.channels
    reducing = REDUCING_S_PER_VALUE * load.source_voxels * load.outputs
    network = measured.seconds * plan.windows * plan.answers
    return OPENING_S + network + (preparing + reducing) / load.threads, ""


def _memory_warning(plan: InferencePlan, machine: Machine | None) -> Iterator[str]:
    if machine is not None and plan.added_memory_bytes > machine.free_bytes:
        yield (
            f"the run needs about {plan.added_memory_bytes / 1e9:.1f} GB of memory, of which "
            f"{machine.free_bytes / 1e9:.1f} GB are free: close other programs, or run a region"
        )
