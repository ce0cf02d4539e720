"""Jobs of the dock *Train*, without Qt: read data, propose, preview, train, judge, open cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.events import Done, Job, JobControl, Progress, result_of
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.io.label_layers import numbered_label
from napari_medcnn.training.defaults import propose
from napari_medcnn.training.fingerprint import Fingerprint, measure
from napari_medcnn.training.grouping import Grouping, group_cases
from napari_medcnn.training.job import Device, Resources, TrainJob
from napari_medcnn.training.manifest import Manifest, Split
from napari_medcnn.training.proposal import Proposal
from napari_medcnn.training.run_folder import RunFolder
from napari_medcnn.training.sources import manifest_from

if TYPE_CHECKING:
    from napari_medcnn.training.export import Exported
    from napari_medcnn.training.run import Trained


@dataclass(frozen=True, eq=False)
class DataSet:
    """A data set, and which of its cases belong together."""

    manifest: Manifest
    grouping: Grouping


@dataclass(frozen=True)
class Wish:
    """What a proposal has to keep to; None where the rules decide."""

    name: str
    title: str
    minutes: float | None = None
    network: str | None = None
    device: Device = "auto"


@dataclass(frozen=True, eq=False)
class Proposed:
    """A proposal, and what it was made from."""

    fingerprint: Fingerprint
    proposal: Proposal


@dataclass(frozen=True, eq=False)
class Patches:
    """Augmented patches side by side: image and labels ``(z, y, x)``, in LPS order of axes."""

    image: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int16] | None
    spacing_mm: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Learnt:
    """What a run came to; `trained` is None of one that only became a model now, `exported` of
    one that was stopped.
    """

    trained: Trained | None
    exported: Exported | None


@dataclass(frozen=True, eq=False)
class SeenCase:
    """A case to look at: its images, its truth, and what a model says."""

    id: str
    volumes: tuple[Volume, ...]
    truth: Segmentation | None
    prediction: Segmentation | None = None


def read_data(source: Path, control: JobControl) -> Job:
    """Read a data set of any form; ends in ``Done(DataSet)``."""
    yield Progress("reading the data set", 0, 1)
    manifest = manifest_from(source, control)
    yield from group_data(manifest, control)


def group_data(manifest: Manifest, control: JobControl) -> Job:
    """Find out which cases belong together; ends in ``Done(DataSet)``."""
    for event in group_cases(manifest, control):
        yield Done(DataSet(manifest, event.result)) if isinstance(event, Done) else event


def check_data(manifest: Manifest, split: Split | None, control: JobControl) -> Job:
    """Look at every case; ends in ``Done(tuple of Problem)``."""
    from napari_medcnn.training.check import problems

    yield from problems(manifest, split, control)


def propose_job(
    manifest: Manifest,
    split: Split,
    wish: Wish,
    fingerprint: Fingerprint | None,
    control: JobControl,
) -> Job:
    """Measure the training cases, unless that was done, and propose; ends in ``Done(Proposed)``."""
    if fingerprint is None:
        fingerprint = yield from result_of(measure(manifest, split, control), Fingerprint)
    proposal = propose(
        manifest,
        split,
        fingerprint,
        name=wish.name,
        title=wish.title,
        minutes=wish.minutes,
        network=wish.network,
        device=wish.device,
    )
    yield Done(Proposed(fingerprint, proposal))


def preview_patches(job: TrainJob, count: int, control: JobControl) -> Job:
    """Patches of the first training case as the network will see them; ``Done(Patches)``."""
    from napari_medcnn.training.augmentation import preview
    from napari_medcnn.training.prepared_case import prepare_case
    from napari_medcnn.training.steps import is_of_pictures

    yield Progress("augmenting patches", 0, 1)
    case = job.manifest.case(job.split.train[0])
    prepared = prepare_case(job, case, control)
    examples = preview(job, prepared, count)
    turned = not is_of_pictures(job)
    images = [lps(image[0]) if turned else image[0] for image, _ in examples]
    labels = [truth for _, truth in examples if not isinstance(truth, int)]
    tiled = tile([lps(truth) if turned else truth for truth in labels]) if labels else None
    x, y, z = prepared.spacing_mm
    yield Done(Patches(tile(images), tiled, (z, y, x)))


def train_and_judge(job: TrainJob, folder: Path, resources: Resources, control: JobControl) -> Job:
    """Train, and make a model of it with its figures, unless it is stopped; ``Done(Learnt)``."""
    from napari_medcnn.training.run import train

    yield from _judged(train(job, folder, resources, control), resources, control)


def resume_and_judge(folder: Path, resources: Resources, control: JobControl) -> Job:
    """Go on with a run, and then as :func:`train_and_judge`."""
    from napari_medcnn.training.run import resume

    yield from _judged(resume(folder, resources, control), resources, control)


def make_model(folder: Path, resources: Resources, control: JobControl) -> Job:
    """Make a model of a run's best state, with its figures; ends in ``Done(Learnt)``."""
    from napari_medcnn.training.export import finish

    for event in finish(folder, control, resources):
        yield Done(Learnt(None, event.result)) if isinstance(event, Done) else event


def open_case(manifest: Manifest, case_id: str, control: JobControl) -> Job:
    """Read a case's images, and its truth where it has a label map; ends in ``Done(SeenCase)``."""
    yield Progress(f"reading {case_id}", 0, 1)
    yield Done(_seen(manifest, case_id))


def predict_case(run_folder: Path, case_id: str, resources: Resources, control: JobControl) -> Job:
    """Run the model of a run on one of its cases; ends in ``Done(SeenCase)``."""
    from napari_medcnn.evaluation.cases import NOTHING_KEPT
    from napari_medcnn.inference.segment import segment
    from napari_medcnn.models.bundle import read_bundle

    run = RunFolder(run_folder)
    job = run.read_job()
    seen = _seen(job.manifest, case_id)
    if job.manifest.task != "segmentation":
        yield Done(seen)
        return
    options = replace(NOTHING_KEPT, device=resources.device, threads=resources.threads)
    for event in segment(seen.volumes, read_bundle(run.bundle), control, options):
        yield Done(replace(seen, prediction=event.result)) if isinstance(event, Done) else event


def lps(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """``(z, y, x)`` on a network's RAS grid as the viewer shows volumes: L and P upwards."""
    return np.ascontiguousarray(array[:, ::-1, ::-1])


def tile(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Arrays ``(z, y, x)`` of one shape side by side in y and x, with a gap between them."""
    columns = int(np.ceil(np.sqrt(len(parts))))
    rows = -(-len(parts) // columns)
    z, y, x = parts[0].shape
    gap = max(1, min(y, x) // 16)
    size = (z, rows * (y + gap) - gap, columns * (x + gap) - gap)
    whole = np.full(size, min(part.min() for part in parts), parts[0].dtype)
    for number, part in enumerate(parts):
        row, column = divmod(number, columns)
        top, left = row * (y + gap), column * (x + gap)
        whole[:, top : top + y, left : left + x] = part
    return whole


def class_labels(manifest: Manifest) -> tuple[Label, ...]:
    """The classes as labels 1, 2, ... with colours to tell them apart."""
    return tuple(
        replace(numbered_label(value), name=name)
        for value, name in enumerate(manifest.classes, start=1)
    )


def _judged(events: Job, resources: Resources, control: JobControl) -> Job:
    from napari_medcnn.training.export import finish
    from napari_medcnn.training.run import Trained

    trained = yield from result_of(events, Trained)
    if trained.ended == "stopped":
        yield Done(Learnt(trained, None))
        return
    for event in finish(trained.folder, control, resources):
        yield Done(Learnt(trained, event.result)) if isinstance(event, Done) else event


def _seen(manifest: Manifest, case_id: str) -> SeenCase:
    from napari_medcnn.training.label_on_grid import label_values
    from napari_medcnn.training.prepared_case import case_volumes

    case = manifest.case(case_id)
    volumes = case_volumes(case, manifest)
    truth = None
    if case.label is not None:
        values = label_values(manifest, case, volumes[0]).astype(np.uint8)
        labels = class_labels(manifest)
        truth = Segmentation(values, volumes[0].geometry, labels, volumes[0].id)
    return SeenCase(case_id, volumes, truth)
