"""Which backend runs a model on this machine: measured on one window, once, and remembered."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_medcnn.core.errors import ModelError, OutOfMemory
from napari_medcnn.core.events import Event, Fallback, JobControl, Message
from napari_medcnn.inference.backends.base import Backend
from napari_medcnn.inference.backends.open import open_backend
from napari_medcnn.inference.backends.openvino_runtime import is_installed
from napari_medcnn.inference.calibration import Calibration, Measurement, recall, remember
from napari_medcnn.inference.memory import PeakMemory, give_back_freed_memory, resident_bytes
from napari_medcnn.inference.options import OPENVINO_ONLY, BackendName, RunOptions
from napari_medcnn.inference.plan import COMPILING_S, InferencePlan
from napari_medcnn.models.spec import Activation, ModelSpec

if TYPE_CHECKING:
    import torch

AGREEING_LOGITS = 1e-3
"""Largest difference of two backends' logits, as a share of the reference's range.

Sums in another order differ by some 1e-6; a layer that was read wrongly by far more than this."""

AGREEING_LABELS = 0.9995
"""Share of voxels with the same label. Untrained networks leave classes nearly equal, so that even
rounding decides some voxels."""

HALF_LABELS = 0.999
"""The same share for float16 against float32, where a border of labels may move by a voxel."""

MEASURING_PAYS_S = 1.0
"""Runs whose network takes less by torch are over before a comparison would be."""

_OUT_OF_THE_RACE = 1.5
"""A backend that is slower by this factor is not measured in its variants."""


def calibrated(
    spec: ModelSpec,
    plan: InferencePlan,
    options: RunOptions,
    image: torch.Tensor,
    control: JobControl,
) -> Generator[Event, None, Calibration | None]:
    """What is known of a model on this machine, measured now where it was not before.

    Parameters
    ----------
    plan : InferencePlan
        With the device that was chosen.
    image : torch.Tensor
        ``(channel, x, y, z)`` float32, ready for the network; its centre window is measured.

    Yields
    ------
    Event
        A `Message` that it takes a moment, and a `Fallback` for a backend that does not work.

    Returns
    -------
    Calibration, optional
        None where memory did not suffice to measure as the plan has it.

    Raises
    ------
    ModelError
        When no backend runs the model.
    Cancelled
        When the job was cancelled.
    """
    known = recall(spec, plan.device, plan.roi_size, options)
    wanted = "openvino" if spec.kind in OPENVINO_ONLY else options.backend
    if known is not None and (known.compared if wanted == "auto" else known.of(wanted)):
        return known
    race = _Race(
        spec, plan, _centre_window(image, plan), control, half_is_wanted=options.precision != "auto"
    )
    try:
        if wanted == "auto":
            yield from race.measure_all(with_openvino=plan.device == "cpu" and is_installed())
        else:
            yield from race.measure_only(wanted)
    except OutOfMemory as error:
        reason = error.what
    else:
        reason = ""
    if reason:
        yield Fallback("measuring the network", "a run without an expected time", reason)
        return known
    result = race.result(known, compared=wanted == "auto" or spec.kind in OPENVINO_ONLY)
    if race.is_worth_keeping:
        remember(spec, plan.device, plan.roi_size, options, result)
    return result


def disagreement(
    reference: torch.Tensor, other: torch.Tensor, activation: Activation, labels: float
) -> str:
    """Why two backends' logits ``(batch, class, x, y, z)`` are not the same; "" where they are.

    Parameters
    ----------
    labels : float
        The share of voxels that must have the same label. Below `AGREEING_LABELS` logits may
        differ.
    """
    span = float(reference.max() - reference.min())
    largest = float((reference - other).abs().max())
    if labels >= AGREEING_LABELS and largest > AGREEING_LOGITS * max(span, 1e-6):
        return f"its logits differ by {largest:.3g} in a range of {span:.3g}"
    if activation == "softmax":
        same = (reference.argmax(1) == other.argmax(1)).float().mean()
    else:
        same = ((reference > 0) == (other > 0)).float().mean()
    return "" if same >= labels else f"only {float(same):.2%} of its labels are the same"


_MEASURING = Message("measuring the network on this machine, once for this model")


@dataclass(frozen=True)
class _Variant:
    """One way in which a backend may run."""

    channels_last: bool = False
    compiled: bool = False


class _Race:
    """Measures backends one after the other and keeps what is needed to compare them."""

    def __init__(
        self,
        spec: ModelSpec,
        plan: InferencePlan,
        window: torch.Tensor,
        control: JobControl,
        *,
        half_is_wanted: bool,
    ) -> None:
        self._half_is_wanted = half_is_wanted
        self._spec, self._plan, self._window, self._control = spec, plan, window, control
        self._best: dict[tuple[BackendName, bool], Measurement] = {}
        self._logits: dict[BackendName, torch.Tensor] = {}
        self._refused: dict[str, str] = {}
        self.is_worth_keeping = True

    def measure_only(self, name: BackendName) -> Iterator[Event]:
        """Measure the one backend that may run; raises what it raises."""
        yield _MEASURING
        self._measure(name, _Variant())
        if name == "torch":
            self._measure_variants()
            yield from self._half_checked()

    def measure_all(self, *, with_openvino: bool) -> Iterator[Event]:
        """Measure torch, and OpenVINO where the run takes long enough for it to matter."""
        glance = self._measure("torch", _Variant(), calls=1)
        if glance.seconds * self._plan.windows * self._plan.answers < MEASURING_PAYS_S:
            self.is_worth_keeping = False
            return
        yield _MEASURING
        if with_openvino:
            yield from self._against_openvino()
        fastest = min(m.seconds for m in self._best.values())
        if glance.seconds < 2 * _OUT_OF_THE_RACE * fastest:
            self._measure("torch", _Variant())
            self._measure_variants()
        yield from self._half_checked()

    def result(self, known: Calibration | None, *, compared: bool) -> Calibration:
        """The best of each backend, and the fastest of those that agree."""
        measured = dict(self._best)
        for old in known.measurements if known is not None else ():
            measured.setdefault((old.backend, old.compiled), old)
        plain = [m for m in measured.values() if not m.compiled and m.backend not in self._refused]
        fastest = min(plain, key=lambda m: m.seconds).backend
        return Calibration(
            self._plan.device,
            fastest,
            tuple(measured.values()),
            tuple(self._refused.items()),
            compared or (known is not None and known.compared),
        )

    def _against_openvino(self) -> Iterator[Event]:
        """Measure OpenVINO, unless it fails or its logits are not torch's."""
        try:
            self._measure("openvino", _Variant())
            why = disagreement(
                self._logits["torch"],
                self._logits["openvino"],
                self._spec.activation,
                AGREEING_LABELS,
            )
        except (ModelError, OutOfMemory) as error:
            # What does not fit today may fit tomorrow.
            self.is_worth_keeping = not isinstance(error, OutOfMemory)
            why = error.what
        if why:
            self._best.pop(("openvino", False), None)
            self._refused["openvino"] = why
            yield Fallback("the backend openvino", "the backend torch", why)

    def _half_checked(self) -> Iterator[Event]:
        """Leave float16 where it changes labels; where the user wants it, say that it does."""
        plan = self._plan
        if plan.precision == "float32":
            return
        half = self._logits["torch"]
        self._plan = replace(plan, precision="float32")
        best = self._best.pop(("torch", False))
        self._measure("torch", _Variant(best.channels_last))
        why = disagreement(self._logits["torch"], half, self._spec.activation, HALF_LABELS)
        if why and not self._half_is_wanted:
            self._best.pop(("torch", True), None)
            yield Fallback("float16", "float32", why)
            return
        self._plan = plan
        self._best["torch", False] = best
        if why:
            yield Message(f"float16, as chosen, is not float32: {why}", "warning")

    def _measure_variants(self) -> None:
        plain = self._best["torch", False]
        if plain.seconds > _OUT_OF_THE_RACE * min(m.seconds for m in self._best.values()):
            return
        self._measure("torch", _Variant(channels_last=True))
        best = self._best["torch", False]
        run_s = best.seconds * self._plan.windows * self._plan.answers
        if self._plan.device.startswith("cuda") and run_s > 2 * COMPILING_S:
            self._measure("torch", _Variant(best.channels_last, compiled=True))

    def _measure(self, name: BackendName, variant: _Variant, calls: int = 2) -> Measurement:
        """Open a backend, run the window, and close it; the fastest variant is kept."""
        self._control.checkpoint()
        plan, batch = self._plan, self._plan.batch
        give_back_freed_memory()
        before = resident_bytes()
        _reset_device_peak(plan.device)
        backend = open_backend(
            self._spec,
            name,
            device=plan.device,
            precision=plan.precision,
            roi=plan.roi_size,
            batch=batch,
            channels_last=variant.channels_last,
            compiled=variant.compiled,
        )
        try:
            opened = resident_bytes()
            windows = self._window[None].expand(batch, *self._window.shape)
            with PeakMemory() as peak:
                seconds, logits = _timed(backend, windows)
                for _ in range(calls - 1):  # the first call prepares what later ones reuse
                    self._control.checkpoint()
                    again, logits = _timed(backend, windows)
                    seconds = min(seconds, again)
            self._logits[name] = logits.cpu().clone()
            del logits
        finally:
            backend.close()
        measured = Measurement(
            name,
            plan.precision,
            batch,
            seconds / batch,
            max(0.0, opened - before),
            peak.growth,
            _device_peak(plan.device),
            variant.channels_last,
            variant.compiled,
        )
        key = (name, variant.compiled)
        if key not in self._best or measured.seconds < self._best[key].seconds:
            self._best[key] = measured
        return measured


def _centre_window(image: torch.Tensor, plan: InferencePlan) -> torch.Tensor:
    """The window ``(channel, x, y, z)`` at the centre of the image, filled up with its border."""
    from torch.nn import functional

    roi = tuple(reversed(plan.roi_size))
    starts = [max(0, (n - r) // 2) for n, r in zip(image.shape[1:], roi, strict=True)]
    window = image[(slice(None), *(slice(s, s + r) for s, r in zip(starts, roi, strict=True)))]
    missing = [r - n for r, n in zip(roi, window.shape[1:], strict=True)]
    sides = [side for m in reversed(missing) for side in (0, m)]
    return functional.pad(window[None], sides, mode="replicate")[0].contiguous()


def _timed(backend: Backend, windows: torch.Tensor) -> tuple[float, torch.Tensor]:
    """Seconds of a call, and its logits."""
    begin = time.perf_counter()
    logits = backend.logits(windows)
    _synchronise(backend.device)
    return time.perf_counter() - begin, logits


def _synchronise(device: str) -> None:
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device == "mps":
        torch.mps.synchronize()


def _reset_device_peak(device: str) -> None:
    import torch

    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)


def _device_peak(device: str) -> float:
    import torch

    return float(torch.cuda.max_memory_allocated(device)) if device.startswith("cuda") else 0.0
