"""Run a detection model on an image: the job behind every front door."""

from __future__ import annotations

import time
import traceback
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_medcnn.core.detection import Detection, Detections
from napari_medcnn.core.errors import ModelError
from napari_medcnn.core.events import Done, Event, Fallback, Job, JobControl, Message, Progress
from napari_medcnn.core.geometry import Geometry, Index
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference import preprocess, windows
from napari_medcnn.inference.boxes_in_space import boxes_in_space, part_of_grid, within
from napari_medcnn.inference.detect_plan import (
    divisible,
    halved,
    resolve_detection,
    smaller_window_text,
    window_of,
)
from napari_medcnn.inference.device import choose_device, release_memory
from napari_medcnn.inference.memory import this_machine
from napari_medcnn.inference.options import Precision, RunOptions
from napari_medcnn.inference.plan import facts_of
from napari_medcnn.inference.run_frame import READING, check_findings, out_of_memory, running
from napari_medcnn.inference.survive import is_out_of_memory
from napari_medcnn.models.detector import Detector
from napari_medcnn.models.spec import ModelSpec

if TYPE_CHECKING:
    import torch

    from napari_medcnn.inference.box_windows import Outputs

CHOOSING = "choosing boxes"
"""The last stage; before it ``reading model``, ``preparing image`` and ``network``."""

REGION_MARGIN = 32
"""Voxels of the network's grid around a region that are seen, too: a box may come from beside it.
MONAI's anchors are some 10 to 40 voxels long."""


def detect(
    volume: Volume | Sequence[Volume],
    spec: ModelSpec,
    control: JobControl | None = None,
    options: RunOptions = RunOptions(),
) -> Job:
    """Find objects in an image as boxes; a generator of events that ends in ``Done(Detections)``.

    Parameters
    ----------
    volume : Volume or sequence of Volume
        The image; for a model of several channels one volume each, in the model's order.
    spec : ModelSpec
        A model that detects.
    control : JobControl, optional
        Cancels (between layers of the network), pauses and resumes (between windows).
    options : RunOptions
        Device, precision, threads, region, and as ``threshold`` the score from which a box counts.
        Mirroring, maps and backends do not apply.

    Yields
    ------
    Event
        `Progress` of each stage and window, `Message`, `Fallback` where memory did not suffice for
        what was planned, and `Done` with :class:`~napari_medcnn.core.detection.Detections`.

    Raises
    ------
    InputMismatch
        When the image does not fit the model.
    ConsentNeeded
        When something was found that needs the user's yes.
    ModelError
        When the model cannot be loaded, or is none that detects.
    OutOfMemory
        When nothing that can be tried fits the memory.
    Cancelled
        When the job was cancelled.
    """
    volumes = (volume,) if isinstance(volume, Volume) else tuple(volume)
    control = control or JobControl()
    if spec.detector is None:
        raise ModelError(f"{spec.title} draws no boxes", hint="choose a model that detects")
    check_findings(volumes, options.accept_findings)
    resolve_detection(spec, facts_of(volumes), options)  # refuses before torch is loaded
    control.checkpoint()
    yield Progress(READING, 0, 1)
    run = _Run(volumes, spec, spec.detector, options, control, choose_device(options.device))
    with running(options.threads, lambda: run.device):
        yield from run.events()
    yield Done(run.detections())


@dataclass
class _Run:
    """One run on its way, and what is known of it afterwards."""

    volumes: tuple[Volume, ...]
    spec: ModelSpec
    detector: Detector
    options: RunOptions
    control: JobControl
    device: str
    precision: Precision = "float32"
    roi: Index = (0, 0, 0)
    windows: int = 0
    weights_sha256: str = ""
    found: tuple[Detection, ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def events(self) -> Generator[Event, None, None]:
        """The stages one after the other."""
        from napari_medcnn.models.weights import combined_sha256

        clock = time.perf_counter()
        spec, options = self.spec, self.options
        self.weights_sha256 = combined_sha256(spec.weight_files)
        machine = this_machine() if self.device == "cpu" else None
        plan = resolve_detection(spec, facts_of(self.volumes), options, machine)
        yield from (Message(warning, "warning") for warning in plan.warnings)
        yield Progress(READING, 1, 1)
        clock = self._note(READING, clock)

        prepared = yield from preprocess.prepare(
            self.volumes, spec, self.control, accept_findings=options.accept_findings
        )
        clock = self._note(preprocess.STAGE, clock)

        wanted = "float16" if self.device.startswith("cuda") else "float32"
        self.precision = wanted if options.precision == "auto" else options.precision  # type: ignore[assignment]
        self.roi = self._first_window(prepared.grid.shape, plan.roi_size)
        outputs = yield from self._outputs(prepared.tensor, prepared.grid)
        clock = self._note(windows.STAGE, clock)

        yield Progress(CHOOSING, 0, 1)
        self._choose(outputs, prepared.grid)
        yield Progress(CHOOSING, 1, 1)
        self._note(CHOOSING, clock)
        self.parameters = self._facts(prepared)

    def detections(self) -> Detections:
        """The result."""
        return Detections(
            boxes=self.found,
            volume_id=self.volumes[0].id,
            geometry=self.volumes[0].geometry,
            labels=self.spec.labels,
            model=self.spec.reference(self.weights_sha256),
            parameters=self.parameters | {"seconds": dict(self.seconds)},
        )

    def _first_window(self, shape: Index, planned: Index) -> Index:
        """The bundle's window of the grid as it came out; a smaller one where the plan says so."""
        own = window_of(self.spec, shape)
        a, b, c = (min(n, p) for n, p in zip(own, planned, strict=True))
        return a, b, c

    def _outputs(self, image: torch.Tensor, grid: Geometry) -> Generator[Event, None, Outputs]:
        """The network's maps of the whole image; smaller and slower where memory ends."""
        while True:
            try:
                outputs: Outputs = yield from self._slid(image, grid)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                traceback.clear_frames(error.__traceback__)
                reason = str(error).strip().partition("\n")[0] or type(error).__name__
                yield self._with_less(error, reason)
                release_memory(self.device)
                continue
            if self.precision == "float16" and not _finite(outputs):
                self.precision = "float32"
                yield Fallback("float16", "float32", "the network's numbers left its range")
                continue
            return outputs

    def _with_less(self, error: Exception, reason: str) -> Fallback:
        """Go on with less memory."""
        if self.device != "cpu":
            wanted, self.device, self.precision = self.device, "cpu", "float32"
            return Fallback(wanted, "cpu", reason)
        smaller = halved(self.spec, self.roi)
        if smaller is None:
            raise out_of_memory(error) from error
        text = smaller_window_text(self.roi, smaller)
        wanted = " × ".join(str(n) for n in reversed(self.roi))
        self.roi = smaller
        used = " × ".join(str(n) for n in reversed(smaller))
        return Fallback(f"windows of {wanted}", f"windows of {used}", f"{reason}; {text}")

    def _slid(self, image: torch.Tensor, grid: Geometry) -> Generator[Event, None, Outputs]:
        import torch
        from torch.nn.functional import pad

        from napari_medcnn.inference.box_windows import cancelling, slide
        from napari_medcnn.models.networks import load_network

        network = load_network(self.spec, self.device)
        filled = divisible(grid.shape, self.spec)
        more = [n - m for n, m in zip(filled, grid.shape, strict=True)]
        image = pad(image, [side for m in more for side in (0, m)]) if any(more) else image
        part = part_of_grid(
            self.options.region, self.volumes[0].geometry, grid, margin=REGION_MARGIN
        )
        half = self.precision == "float16"
        kind = self.device.partition(":")[0]

        def run(window: torch.Tensor) -> Outputs:
            with torch.inference_mode(), torch.autocast(kind, torch.float16, enabled=half):
                given = network(window.to(self.device))
                keys = (self.detector.class_key, self.detector.box_key)
                return [values.float().cpu() for key in keys for values in given[key]]

        with cancelling(network, self.control):
            roi = tuple(reversed(self.roi))
            outputs, self.windows = yield from slide(run, image, roi, self.spec, self.control, part)
        return outputs

    def _choose(self, outputs: Outputs, grid: Geometry) -> None:
        from napari_medcnn.inference.box_selection import select_boxes

        levels = len(outputs) // 2
        found = select_boxes(
            outputs[:levels],
            outputs[levels:],
            self.detector,
            padded=tuple(reversed(divisible(grid.shape, self.spec))),
            shape=tuple(reversed(grid.shape)),
            score_threshold=self._threshold,
        )
        placed = boxes_in_space(
            found.boxes,
            found.scores,
            found.classes,
            grid,
            self.spec.labels,
            self.detector.box_coordinates,
        )
        self.found = within(placed, self.options.region, self.volumes[0].geometry)

    @property
    def _threshold(self) -> float:
        chosen = self.options.threshold
        return self.detector.score_threshold if chosen is None else chosen

    def _note(self, stage: str, since: float) -> float:
        now = time.perf_counter()
        self.seconds[stage] = round(now - since, 3)
        return now

    def _facts(self, prepared: preprocess.Prepared) -> dict[str, Any]:
        """What the model was run with, JSON-able."""
        region = self.options.region
        return {
            "device": self.device,
            "backend": "torch",
            "precision": self.precision,
            "threads": self.options.threads,
            "score_threshold": self._threshold,
            "nms_overlap": self.detector.nms_overlap,
            "most_boxes": self.detector.most_boxes,
            "box_coordinates": self.detector.box_coordinates,
            "region_zyx": None if region is None else [list(corner) for corner in region],
            "network_shape": list(prepared.grid.shape),
            "network_spacing_mm": list(prepared.grid.spacing),
            "roi_size": list(self.roi),
            "overlap": self.spec.overlap,
            "windows": self.windows,
            "accepted_findings": [
                *(f.code for v in self.volumes for f in v.blocking_findings),
                *prepared.accepted,
            ],
        }


def _finite(outputs: Outputs) -> bool:
    """Whether no number overflowed; places without a number are those without a window."""
    return not any(values.isinf().any() for values in outputs)
