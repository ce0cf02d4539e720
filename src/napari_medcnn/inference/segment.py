"""Run a segmentation model on an image: the job behind every front door."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from napari_medcnn.core.events import Done, Event, Job, JobControl, Message, Progress
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference import postprocess, preprocess, windows
from napari_medcnn.inference.backends.choice import calibrated
from napari_medcnn.inference.device import choose_device
from napari_medcnn.inference.loaded import LoadedModel
from napari_medcnn.inference.memory import this_machine
from napari_medcnn.inference.network_stage import NetworkStage, Report
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.inference.plan import InferencePlan, answers_of, facts_of, resolve
from napari_medcnn.inference.result_maps import ResultMaps, Wanted
from napari_medcnn.inference.run_frame import READING, check_findings, running
from napari_medcnn.models.spec import ModelSpec

MEASURING = "measuring the machine"
"""Takes time in the first run of a model alone; it has no progress of its own."""


def segment(
    volume: Volume | Sequence[Volume],
    spec: ModelSpec,
    control: JobControl | None = None,
    options: RunOptions = RunOptions(),
    loaded: LoadedModel | None = None,
) -> Job:
    """Segment an image; a generator of events that ends in ``Done(Segmentation)``.

    Parameters
    ----------
    volume : Volume or sequence of Volume
        The image; for a model of several channels one volume each, in the model's order. They are
        brought onto the first one's grid by their geometry.
    spec : ModelSpec
        The model.
    control : JobControl, optional
        Cancels (within one window, or one step of preparing, about 2 s), pauses and resumes.
    options : RunOptions
        Device, backend, threshold, region and which maps to keep.
    loaded : LoadedModel, optional
        Keeps the network for the next image; of the same model.

    Yields
    ------
    Event
        `Progress` of each stage and window, `Message`, `Fallback` where memory did not suffice for
        what was planned, and `Done` with a `Segmentation` on the first volume's own grid.

    Raises
    ------
    InputMismatch
        When the image does not fit the model.
    ConsentNeeded
        When something was found that needs the user's yes.
    ModelError
        When the model cannot be loaded.
    OutOfMemory
        When nothing that can be tried fits the memory.
    Cancelled
        When the job was cancelled.
    """
    volumes = (volume,) if isinstance(volume, Volume) else tuple(volume)
    control = control or JobControl()
    check_findings(volumes, options.accept_findings)
    resolve(spec, facts_of(volumes), options)  # what cannot run is refused before torch is loaded
    control.checkpoint()
    yield Progress(READING, 0, 1)
    if loaded is not None and loaded.spec != spec:
        raise ValueError(f"{loaded.spec.title} is loaded, not {spec.title}")
    kept = loaded or LoadedModel(spec, options)
    run = _Run(volumes, spec, options, control, kept, choose_device(options.device))
    with running(options.threads, lambda: run.device):
        try:
            yield from run.events()
        finally:
            if loaded is None:
                kept.close()
    yield Done(run.segmentation())


@dataclass
class _Run:
    """One run on its way: what it works on, and what is known of it afterwards."""

    volumes: tuple[Volume, ...]
    spec: ModelSpec
    options: RunOptions
    control: JobControl
    loaded: LoadedModel
    device: str
    plan: InferencePlan | None = None
    maps: ResultMaps | None = None
    weights_sha256: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def events(self) -> Generator[Event, None, None]:
        """The stages one after the other."""
        from napari_medcnn.models.weights import combined_sha256

        clock = time.perf_counter()
        spec, options, volume = self.spec, self.options, self.volumes[0]
        self.weights_sha256 = combined_sha256(spec.weight_files)
        facts, machine = facts_of(self.volumes), this_machine()
        options = replace(options, device=self.device)
        self.plan = plan = resolve(spec, facts, options)
        yield from (Message(warning, "warning") for warning in plan.warnings)
        yield Progress(READING, 1, 1)
        clock = self._note(READING, clock)

        prepared = yield from preprocess.prepare(
            self.volumes, spec, self.control, accept_findings=options.accept_findings
        )
        clock = self._note(preprocess.STAGE, clock)

        calibration = yield from calibrated(spec, plan, options, prepared.tensor, self.control)
        self.plan = plan = resolve(spec, facts, options, calibration, machine)
        clock = self._note(MEASURING, clock)

        wanted = _wanted(spec, options, straight=prepared.way_back is not None)
        self.maps = maps = ResultMaps(volume, spec, wanted, options.region)
        stage = NetworkStage(prepared, spec, options, plan, self.control, self.loaded, maps, wanted)
        report = yield from stage.run(plan.placement)
        clock = self._note(windows.STAGE, clock)

        yield Progress(postprocess.STAGE, 0, 1)
        for step in spec.postprocessing.cleanup:
            self.control.checkpoint()
            maps.labels[...] = postprocess.cleaned(maps.labels, step, volume.geometry)
        yield Progress(postprocess.STAGE, 1, 1)
        self._note(postprocess.STAGE, clock)
        self.parameters = self._facts(plan, report, prepared)

    def segmentation(self) -> Segmentation:
        """The result."""
        if self.maps is None:
            raise RuntimeError("the run has not ended")
        return Segmentation(
            array=self.maps.labels,
            geometry=self.volumes[0].geometry,
            labels=self.spec.labels,
            volume_id=self.volumes[0].id,
            probability=self.maps.probability,
            uncertainty=self.maps.uncertainty,
            model=self.spec.reference(self.weights_sha256),
            parameters=self.parameters | {"seconds": dict(self.seconds)},
        )

    def _note(self, stage: str, since: float) -> float:
        now = time.perf_counter()
        self.seconds[stage] = round(now - since, 3)
        return now

    def _facts(
        self,
        plan: InferencePlan,
        report: Report,
        prepared: preprocess.Prepared,
    ) -> dict[str, Any]:
        """What the model was run with, JSON-able."""
        spec, options, placement = self.spec, self.options, report.placement
        thresholded = spec.postprocessing.discretise == "threshold"
        own = spec.threshold if thresholded else None
        return {
            "device": placement.device,
            "backend": placement.backend,
            "precision": placement.precision,
            "batch": placement.batch,
            "threads": options.threads,
            "threshold": own if options.threshold is None else options.threshold,
            "region_zyx": None if options.region is None else [list(r) for r in options.region],
            "answers_per_window": report.answers,
            "advised_min_volume_mm3": spec.min_lesion_volume_mm3,
            "network_shape": [int(n) for n in reversed(prepared.tensor.shape[1:])],
            "network_spacing_mm": list(plan.network_spacing_mm),
            "roi_size": list(plan.roi_size),
            "overlap": plan.overlap,
            "windows": report.counts.windows,
            "windows_reused": report.counts.reused,
            "streamed": prepared.way_back is not None,
            "predicted_seconds": plan.seconds,
            "predicted_peak_memory_bytes": round(plan.peak_memory_bytes),
            "accepted_findings": [
                *(f.code for v in self.volumes for f in v.blocking_findings),
                *prepared.accepted,
            ],
        }


def _wanted(spec: ModelSpec, options: RunOptions, *, straight: bool) -> Wanted:
    unsure = options.keep_uncertainty and straight
    return Wanted(options.keep_probability, unsure, unsure and answers_of(spec, options) > 1)
