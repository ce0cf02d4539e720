"""What a training job contradicts itself in, all of it at once, before anything is computed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.training.job import TrainJob
from napari_medcnn.training.origin_steps import step_problem

METRICS = {
    "segmentation": ("dice", "loss"),
    "classification": ("balanced_accuracy", "auc", "accuracy", "loss"),
}
"""What may choose the best state, for each task."""

LOSSES = {
    "segmentation": ("cross_entropy", "focal", "dice_ce", "dice_focal", "tversky"),
    "classification": ("cross_entropy", "focal"),
}
WEIGHTED_LOSSES = ("cross_entropy", "focal", "dice_ce", "dice_focal")
"""Those with a term that weighs classes."""

_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class JobProblem:
    """One thing that is wrong with a job: the field ``where``, and what to say of it."""

    where: str
    text: str


class JobError(MedcnnError):
    """A job contradicts itself; `problems` has everything that is wrong."""

    def __init__(self, problems: tuple[JobProblem, ...]) -> None:
        told = "; ".join(f"{problem.where}: {problem.text}" for problem in problems)
        super().__init__(f"the job contradicts itself: {told}")
        self.problems = problems


def job_problems(job: TrainJob) -> tuple[JobProblem, ...]:
    """All contradictions of a job; empty when it can be run. Reads no file."""
    found: list[JobProblem] = []
    for part in (_names, _data, _network, _preprocessing, _sampling, _optimisation, _ending):
        found += [JobProblem(where, text) for where, text in part(job)]
    return tuple(found)


def require_sound(job: TrainJob) -> None:
    """Refuse a job that contradicts itself.

    Raises
    ------
    JobError
        With all its problems.
    """
    problems = job_problems(job)
    if problems:
        raise JobError(problems)


def _names(job: TrainJob) -> Iterator[tuple[str, str]]:
    if not _NAME.fullmatch(job.name) or job.name.startswith("."):
        yield "name", f"{job.name!r} is no name: letters, digits, '.', '_' and '-' only"
    if not job.title.strip():
        yield "title", "is empty"
    if job.seed < 0:
        yield "seed", "is below 0"


def _data(job: TrainJob) -> Iterator[tuple[str, str]]:
    manifest, split = job.manifest, job.split
    known = {case.id for case in manifest.cases}
    if len(known) < len(manifest.cases):
        yield "manifest.cases", "two cases have the same id"
    if not manifest.classes or (manifest.task == "classification" and len(manifest.classes) < 2):
        yield "manifest.classes", "there is nothing to tell apart"
    if manifest.values and len(manifest.values) != len(manifest.classes):
        yield "manifest.values", "there is not one for each of the classes"
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    for part, ids in parts.items():
        strange = sorted(set(ids) - known)
        if strange:
            yield f"split.{part}", f"no such case: {', '.join(strange[:3])}"
        if not ids and part != "test":
            yield f"split.{part}", "has no case"
    everyone = [id_ for part in parts.values() for id_ in part]
    if len(set(everyone)) < len(everyone):
        yield "split", "a case stands in two parts"
    truth = "label" if manifest.task == "segmentation" else "target"
    used = set(everyone)
    without = [c.id for c in manifest.cases if c.id in used and getattr(c, truth) is None]
    if without:
        yield "manifest.cases", f"without {truth}: {', '.join(without[:3])}"
    channels = [c.id for c in manifest.cases if len(c.images) != len(manifest.channels)]
    if channels:
        yield "manifest.cases", f"not one image a channel: {', '.join(channels[:3])}"


def _network(job: TrainJob) -> Iterator[tuple[str, str]]:
    from napari_medcnn.training.networks import (
        is_patch_too_small,
        network_definition,
        network_names,
        required_multiple,
    )

    network = job.network
    if network.dimensions not in (2, 3):
        yield "network.dimensions", f"{network.dimensions} is neither 2 nor 3"
        return
    if network.dimensions == 2 and job.sampling.patch[0] != 1:
        yield "sampling.patch", "a network of two dimensions sees one slice: (1, y, x)"
    if network.freeze_encoder and network.start_from is None:
        yield "network.freeze_encoder", "an encoder that learnt nothing stays useless"
    if not 0 <= network.encoder_rate <= 1:
        yield "network.encoder_rate", "is no share, 0..1"
    if network.start_from is not None:
        if not network.start_from.is_dir():
            yield "network.start_from", f"there is no folder {network.start_from}"
            return
    else:
        names = network_names(job.manifest.task, network.dimensions)
        if network.name not in names:
            yield "network.name", f"{network.name!r} is none of {', '.join(names)}"
            return
    try:
        definition = network_definition(job)
        multiple = required_multiple(definition)
    except MedcnnError as error:
        yield "network", str(error)
        return
    axes = zip("zyx", job.sampling.patch, multiple, strict=True)
    wrong = [f"{axis} {size} by {of}" for axis, size, of in axes if size % of]
    if wrong:
        yield "sampling.patch", f"{network.name} needs a patch divisible: {', '.join(wrong)}"
    elif is_patch_too_small(definition, job.sampling.patch, job.sampling.batch):
        z, y, x = job.sampling.patch
        text = f"{network.name} halves it down to a single voxel, which cannot be normalised: "
        yield (
            "sampling.patch",
            f"{text}twice as many along one axis, as in {z} {y} {2 * x}, will do",
        )


def _preprocessing(job: TrainJob) -> Iterator[tuple[str, str]]:
    steps, classifies = job.preprocessing, job.manifest.task == "classification"
    for step in steps.steps:
        problem = step_problem(step)
        if problem is not None:
            yield "preprocessing.steps", problem
    if classifies and steps.size is None:
        yield "preprocessing.size", "a classification needs the size of its images"
    if classifies and steps.size is not None and steps.size != job.sampling.patch:
        yield "sampling.patch", f"a classification sees whole images: {steps.size}"
    if not classifies and steps.size is not None:
        yield "preprocessing.size", "a segmentation keeps its spacing: use spacing_mm"
    if steps.spacing_mm is not None and not all(mm > 0 for mm in steps.spacing_mm):
        yield "preprocessing.spacing_mm", "is not above 0"
    if steps.normalisation in ("ct", "range") and steps.clip is None:
        yield "preprocessing.clip", f"{steps.normalisation} needs both bounds"
    if steps.clip is not None and not steps.clip[0] < steps.clip[1]:
        yield "preprocessing.clip", "the lower bound is not below the upper one"
    if steps.normalisation == "ct" and (steps.mean is None or not steps.std):
        yield "preprocessing.std", "ct needs a mean and a deviation above 0"


def _sampling(job: TrainJob) -> Iterator[tuple[str, str]]:
    sampling = job.sampling
    if min(sampling.patch) < 1:
        yield "sampling.patch", "is empty"
    for name in ("batch", "steps_per_epoch", "accumulate"):
        if getattr(sampling, name) < 1:
            yield f"sampling.{name}", "is below 1"
    if not 0 <= sampling.foreground_share <= 1:
        yield "sampling.foreground_share", "is no share, 0..1"
    axes = job.mirror_axes
    if len(set(axes)) < len(axes) or not set(axes) <= {0, 1, 2}:
        yield "mirror_axes", "are not distinct axes 0 (z), 1 (y), 2 (x)"


def _optimisation(job: TrainJob) -> Iterator[tuple[str, str]]:
    how, task = job.optimisation, job.manifest.task
    if not (math.isfinite(how.rate) and how.rate > 0):
        yield "optimisation.rate", "is not above 0"
    if how.weight_decay < 0:
        yield "optimisation.weight_decay", "is below 0"
    if not 0 <= how.momentum < 1:
        yield "optimisation.momentum", "is not in 0..1"
    if how.warmup_steps < 0:
        yield "optimisation.warmup_steps", "is below 0"
    if how.clip_norm is not None and how.clip_norm <= 0:
        yield "optimisation.clip_norm", "is not above 0"
    if how.ema_decay is not None and not 0 < how.ema_decay < 1:
        yield "optimisation.ema_decay", "is not between 0 and 1"
    if how.loss not in LOSSES[task]:
        yield "optimisation.loss", f"{how.loss} is none for {task}: {', '.join(LOSSES[task])}"
    if how.class_weights is not None:
        expected = len(job.manifest.classes) + (task == "segmentation")
        if how.loss not in WEIGHTED_LOSSES:
            yield "optimisation.class_weights", f"{how.loss} weighs no classes"
        if len(how.class_weights) != expected:
            background = ", the background first" if task == "segmentation" else ""
            yield "optimisation.class_weights", f"{expected} are needed{background}"
        if not all(weight >= 0 for weight in how.class_weights) or not any(how.class_weights):
            yield "optimisation.class_weights", "are not all at least 0 and one above it"


def _ending(job: TrainJob) -> Iterator[tuple[str, str]]:
    ending, task = job.ending, job.manifest.task
    if (ending.epochs is None) == (ending.minutes is None):
        yield "ending", "either epochs or minutes say when it ends, and not both"
    if ending.epochs is not None and ending.epochs < 1:
        yield "ending.epochs", "is below 1"
    if ending.minutes is not None and ending.minutes <= 0:
        yield "ending.minutes", "is not above 0"
    if ending.metric not in METRICS[task]:
        yield "ending.metric", f"{ending.metric!r} is none for {task}: {', '.join(METRICS[task])}"
    if ending.validate_every < 1:
        yield "ending.validate_every", "is below 1"
    if ending.patience is not None and ending.patience < 1:
        yield "ending.patience", "is below 1"
