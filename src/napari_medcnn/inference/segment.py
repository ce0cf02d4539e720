"""Run a segmentation model on an image: the job behind every front door."""

from __future__ import annotations

import time
import traceback
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import ConsentNeeded
from napari_medcnn.core.events import Done, Event, Job, JobControl, Message, Progress
from napari_medcnn.core.geometry import Index
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference import postprocess, preprocess, windows
from napari_medcnn.inference.device import choose_device, release_memory, torch_threads
from napari_medcnn.inference.plan import InferencePlan, count_windows, facts_of, resolve
from napari_medcnn.models.spec import ModelSpec

READING = "reading model"
"""The first stage; then ``preparing image``, ``network`` and ``finishing``."""


def segment(
    volume: Volume | Sequence[Volume],
    spec: ModelSpec,
    control: JobControl | None = None,
    *,
    device: str = "auto",
    threshold: float | None = None,
    keep_probability: bool = True,
    accept_findings: bool = False,
    threads: int | None = None,
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
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
    threshold : float, optional
        Probability from which a voxel counts as foreground, in place of the model's own rule.
    keep_probability : bool
        Whether the result carries its probability map.
    accept_findings : bool
        Run although the reader found something that forbids measuring without the user's yes, or
        the brain mask is implausible.
    threads : int, optional
        Of torch on the CPU, for this job only; None leaves torch's choice, i.e. all cores.

    Yields
    ------
    Event
        `Progress` of each stage and window, `Message`, and `Done` with a `Segmentation` on the
        first volume's own grid.

    Raises
    ------
    InputMismatch
        When the image does not fit the model.
    ConsentNeeded
        When something was found that needs the user's yes.
    ModelError
        When the model cannot be loaded.
    Cancelled
        When the job was cancelled.
    """
    volumes = (volume,) if isinstance(volume, Volume) else tuple(volume)
    control = control or JobControl()
    _check_findings(volumes, accept_findings)
    resolve(spec, facts_of(volumes))  # what cannot be run is refused before torch is loaded
    control.checkpoint()
    yield Progress(READING, 0, 1)
    device = choose_device(device)
    plan = resolve(spec, facts_of(volumes), device)
    for warning in plan.warnings:
        yield Message(warning, "warning")
    run = _Run(volumes, spec, plan, control, threshold, accept_findings)
    try:
        with torch_threads(threads):
            array, probability = yield from run.events()
    except Exception as error:
        # The frames of a failed run hold tensors as long as someone holds the error.
        traceback.clear_frames(error.__traceback__)
        raise
    finally:
        release_memory(device)
    yield Done(
        Segmentation(
            array=array,
            geometry=volumes[0].geometry,
            labels=spec.labels,
            volume_id=volumes[0].id,
            probability=probability if keep_probability else None,
            model=spec.reference(run.weights_sha256),
            parameters=run.parameters(threads),
        )
    )


def _check_findings(volumes: Sequence[Volume], accepted: bool) -> None:
    for volume in volumes:
        findings = volume.blocking_findings
        if findings and not accepted:
            raise ConsentNeeded(
                f"this image must not be measured unseen: {findings[0].text}",
                source=volume.name,
                hint="look at the image, then accept its findings to go on",
            )


@dataclass
class _Run:
    """One run on its way: what it works on, and what is known of it afterwards."""

    volumes: tuple[Volume, ...]
    spec: ModelSpec
    plan: InferencePlan
    control: JobControl
    threshold: float | None
    accept_findings: bool
    accepted_on_the_way: tuple[str, ...] = ()
    weights_sha256: str = ""
    network_shape: Index = (0, 0, 0)
    seconds: dict[str, float] = field(default_factory=dict)

    def events(
        self,
    ) -> Generator[Event, None, tuple[npt.NDArray[Any], npt.NDArray[np.float16]]]:
        """The stages one after the other; returns labels and probability."""
        from napari_medcnn.models.networks import load_network
        from napari_medcnn.models.weights import sha256

        clock = time.perf_counter()
        self.weights_sha256 = sha256(self.spec.weights)
        network = load_network(self.spec, self.plan.device)
        yield Progress(READING, 1, 1)
        clock = self._note(READING, clock)

        prepared = yield from preprocess.prepare(
            self.volumes, self.spec, self.control, accept_findings=self.accept_findings
        )
        self.accepted_on_the_way = prepared.accepted
        self.network_shape = prepared.grid.shape
        clock = self._note(preprocess.STAGE, clock)

        logits = yield from windows.slide(
            network,
            prepared.tensor,
            self.spec,
            self.control,
            device=self.plan.device,
            precision=self.plan.precision,
            batch=self.plan.batch,
        )
        del network
        clock = self._note(windows.STAGE, clock)

        result = yield from postprocess.label_map(
            logits, prepared, self.spec, self.volumes[0].geometry, self.control, self.threshold
        )
        self._note(postprocess.STAGE, clock)
        return result

    def _note(self, stage: str, since: float) -> float:
        now = time.perf_counter()
        self.seconds[stage] = round(now - since, 3)
        return now

    def parameters(self, threads: int | None) -> dict[str, Any]:
        """What the model was run with, JSON-able."""
        plan, spec = self.plan, self.spec
        thresholded = spec.postprocessing.discretise == "threshold"
        return {
            "device": plan.device,
            "precision": plan.precision,
            "threads": threads,
            "threshold": self.threshold
            if self.threshold is not None
            else (spec.threshold if thresholded else None),
            "advised_min_volume_mm3": spec.min_lesion_volume_mm3,
            "network_shape": list(self.network_shape),
            "network_spacing_mm": list(plan.network_spacing_mm),
            "roi_size": list(plan.roi_size),
            "overlap": plan.overlap,
            "windows": count_windows(self.network_shape, spec.roi_size, spec.overlap),
            "predicted_peak_memory_bytes": round(plan.peak_memory_bytes),
            "accepted_findings": [
                *(f.code for v in self.volumes for f in v.blocking_findings),
                *self.accepted_on_the_way,
            ],
            "seconds": dict(self.seconds),
        }
