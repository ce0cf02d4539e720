"""Classify an image, its slices or its lesions: the job behind every front door."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_medcnn.core.classification import Classification, Probabilities, Unit
from napari_medcnn.core.events import Done, Event, Job, JobControl, Message, Progress
from napari_medcnn.core.lesion import LesionTable
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference.classified_parts import Parts, parts_of
from napari_medcnn.inference.classifier import Classifier
from napari_medcnn.inference.classify_check import as_channels, check_classifies
from napari_medcnn.inference.image_facts import doubts, facts_of
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.inference.run_frame import READING, check_findings, running
from napari_medcnn.models.card import section
from napari_medcnn.models.spec import ModelSpec

if TYPE_CHECKING:
    import torch

STAGE = "classifying"
"""The last stage; before it ``reading model``, and of a whole volume ``preparing image``."""


def classify(
    volume: Volume | Sequence[Volume],
    spec: ModelSpec,
    *,
    unit: Unit = "volume",
    axis: int = 0,
    lesions: LesionTable | None = None,
    options: RunOptions = RunOptions(),
    control: JobControl | None = None,
    loaded: Classifier | None = None,
) -> Job:
    """Classify an image or its parts; a generator of events, ``Done(Classification)`` at last.

    Parameters
    ----------
    volume : Volume or sequence of Volume
        The image; for a model of several channels one volume each, in the model's order, or one
        whose frames are the channels.
    spec : ModelSpec
        A model that classifies.
    unit : {"volume", "slice", "lesion"}
        What gets a class: the whole image as the bundle's steps prepare it; each slice along
        `axis`, as :mod:`~napari_medcnn.inference.slice_pictures` shows it to a network of pictures;
        or each lesion, by a patch around its centroid of the size that the bundle states.
    axis : int
        Of ``(z, y, x)``. Of lesions, along which a network of pictures sees the slice that goes
        through each centroid.
    lesions : LesionTable, optional
        Those to classify, of the first volume.
    options : RunOptions
        Device, precision, batch and threads. All else does not apply.
    control : JobControl, optional
        Cancels (between layers of the network), pauses and resumes (between items).
    loaded : Classifier, optional
        Keeps the network for the next image; of the same model.

    Yields
    ------
    Event
        `Progress` of each stage and batch, `Message`, `Fallback` where memory did not suffice, and
        `Done` with a :class:`~napari_medcnn.core.classification.Classification`.

    Raises
    ------
    InputMismatch
        When image or lesions do not fit the model: channels, pictures or volumes, frames.
    ConsentNeeded
        When something was found that needs the user's yes.
    ModelError
        When the model cannot be loaded, or is none that classifies.
    OutOfMemory
        When nothing that can be tried fits the memory.
    Cancelled
        When the job was cancelled.
    """
    volumes = as_channels(volume, spec)
    control = control or JobControl()
    check_findings(volumes, options.accept_findings)
    check_classifies(spec, volumes, unit, axis, lesions)
    control.checkpoint()
    yield Progress(READING, 0, 1)
    if loaded is not None and loaded.spec != spec:
        raise ValueError(f"{loaded.spec.title} is loaded, not {spec.title}")
    classifier = loaded or Classifier(spec, options)
    run = _Run(volumes, spec, unit, axis, lesions, options, control, classifier)
    with running(options.threads, lambda: classifier.device):
        try:
            yield from run.events()
        finally:
            if loaded is None:
                classifier.close()
    yield Done(run.classification())


@dataclass
class _Run:
    """One run on its way, and what is known of it afterwards."""

    volumes: tuple[Volume, ...]
    spec: ModelSpec
    unit: Unit
    axis: int
    lesions: LesionTable | None
    options: RunOptions
    control: JobControl
    classifier: Classifier
    parts: Parts | None = None
    probabilities: list[Probabilities] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    seconds: dict[str, float] = field(default_factory=dict)

    def events(self) -> Generator[Event, None, None]:
        """The stages one after the other."""
        clock = time.perf_counter()
        for doubt in doubts(self.spec, facts_of(self.volumes)):
            yield from self._heard(Message(doubt, "warning"))
        self.classifier.network()
        yield Progress(READING, 1, 1)
        clock = self._note(READING, clock)
        self.parts = parts = yield from parts_of(
            self.volumes,
            self.spec,
            self.unit,
            self.axis,
            self.lesions,
            self.control,
            accept_findings=self.options.accept_findings,
        )
        total, done = len(parts.items), 0
        yield Progress(STAGE, 0, total)
        while done < total:
            stop = min(done + self.classifier.batch, total)
            images = yield from self._images(parts, done, stop)
            logits = yield from self.classifier.logits(images, self.control)
            self.probabilities.append(self.classifier.probabilities(logits))
            done = stop
            yield Progress(STAGE, done, total)
        self._note(STAGE, clock)

    def classification(self) -> Classification:
        """The result."""
        from napari_medcnn.models.weights import combined_sha256

        if self.parts is None:
            raise RuntimeError("the run has not ended")
        spec = self.spec
        none = np.zeros((0, len(spec.labels)), dtype=np.float32)
        in_slices = self.unit != "volume" and spec.of_pictures
        return Classification(
            unit=self.unit,
            classes=tuple(label.name for label in spec.labels),
            items=self.parts.items,
            probabilities=np.concatenate([none, *self.probabilities]),
            model=spec.reference(combined_sha256(spec.weight_files)),
            volume_id=self.volumes[0].id,
            geometry=self.volumes[0].geometry,
            axis=self.axis if in_slices else None,
            multi_label=spec.activation == "sigmoid",
            calibrated=bool(section(spec.metadata, "medcnn").get("calibration")),
            parameters=self._facts(self.parts),
        )

    def _images(
        self, parts: Parts, start: int, stop: int
    ) -> Generator[Event, None, list[torch.Tensor]]:
        """What the network sees of a batch of items."""
        images = []
        for number in range(start, stop):
            self.control.checkpoint()
            steps = parts.image(number)
            while True:
                try:
                    event = next(steps)
                except StopIteration as end:
                    images.append(end.value)
                    break
                yield from self._heard(event)
        return images

    def _heard(self, event: Event) -> Generator[Event, None, None]:
        """Pass an event on; of many items, each message once, and no steps of preparing."""
        if isinstance(event, Message):
            if event.text in self.told:
                return
            self.told.add(event.text)
        elif isinstance(event, Progress) and self.unit != "volume":
            return
        yield event

    def _note(self, stage: str, since: float) -> float:
        now = time.perf_counter()
        self.seconds[stage] = round(now - since, 3)
        return now

    def _facts(self, parts: Parts) -> dict[str, Any]:
        """What the model was run with, JSON-able."""
        patch = self.spec.patch if self.unit == "lesion" else None
        return {
            "unit": self.unit,
            "axis": self.axis if self.unit != "volume" and self.spec.of_pictures else None,
            "device": self.classifier.device,
            "backend": "torch",
            "precision": self.classifier.precision,
            "batch": self.classifier.batch,
            "threads": self.options.threads,
            "temperature": self.spec.temperature,
            "patch_zyx": None if patch is None else list(patch.size),
            "patch_spacing_mm": patch and patch.spacing_mm and list(patch.spacing_mm),
            "accepted_findings": [
                *(f.code for v in self.volumes for f in v.blocking_findings),
                *parts.accepted,
            ],
            "seconds": dict(self.seconds),
        }
