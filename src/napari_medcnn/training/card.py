"""The card of a trained model, in Markdown: its data, its making, its figures and its limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from napari_medcnn.core.segmentation import ModelReference
from napari_medcnn.evaluation.calibration import Temperature
from napari_medcnn.models.spec import Step
from napari_medcnn.training.bundle_config import INTENDED_USE, one_liner
from napari_medcnn.training.card_figures import counted, figures_text, table
from napari_medcnn.training.held_out import HeldOut
from napari_medcnn.training.job import TrainJob
from napari_medcnn.training.manifest import TrainCase

UNKNOWN_PATIENTS = (
    "It is not known which cases are of one patient. If patients with several cases stand on two "
    "sides of the split, the figures are too good."
)

UNLIKE = (
    "- Nothing is known of images unlike those of the data set: other scanners, protocols, ages, "
    "diseases. Expect worse figures there."
)

TOO_FEW = 20
"""Below so many held-out patients an interval says little of patients elsewhere."""


@dataclass(frozen=True)
class Making:
    """What is known of how a model came to be.

    Parameters
    ----------
    parameters : int
        Weights of the network.
    definition : mapping
        The network's class and arguments.
    steps : tuple of Step
        The preprocessing.
    epochs, epochs_planned, best_epoch, best
        Of the run; None where it does not say.
    ended : str
        How the run ended: ``"finished"``, ``"early"``, ``"stopped"``, ``"failed"``, or ``""``.
    seconds : float
        For which it worked.
    environment : sequence of mapping
        One entry for each start.
    averaged : bool
        Whether the weights are the moving average's.
    last : bool
        Whether they are those of the last epoch, because no validation took place.
    origin : ModelReference, optional
        What it started from.
    origin_licence : str
        And its licence.
    calibration : Temperature, optional
        Of a classification whose probabilities are calibrated.
    """

    parameters: int
    definition: Mapping[str, Any]
    steps: tuple[Step, ...]
    epochs: int = 0
    epochs_planned: int | None = None
    best_epoch: int | None = None
    best: float | None = None
    ended: str = ""
    seconds: float = 0.0
    environment: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    averaged: bool = False
    last: bool = False
    origin: ModelReference | None = None
    origin_licence: str = ""
    calibration: Temperature | None = None


def model_card(job: TrainJob, making: Making, held_out: HeldOut | None) -> str:
    """The card of a job's result; without figures, it says that there are none."""
    parts = (
        (job.title, _purpose(job)),
        ("Data", _data(job)),
        ("Preprocessing", _preprocessing(job, making.steps)),
        ("Network", _network(job, making)),
        ("Training", _training(job, making)),
        ("Figures", _held_out(job, held_out)),
        ("Limits", _limits(job, making, held_out)),
        ("Software", _software(making)),
    )
    first, *others = (f"{title}\n\n{text}" for title, text in parts)
    return "\n\n".join([f"# {first}", *(f"## {part}" for part in others)]) + "\n"


def training_statement(job: TrainJob) -> str:
    """What the weights were made from, in a sentence or two."""
    used = job.split.train + job.split.validation
    text = (
        f"Trained on {len(job.split.train)} cases of {job.manifest.name}, "
        f"{len(job.split.validation)} more chose the best state ({_patients(job, used)})."
    )
    return f"{text} {UNKNOWN_PATIENTS}" if _unknown(job) else text


def _purpose(job: TrainJob) -> str:
    return f"**{INTENDED_USE}**\n\n{one_liner(job)}"


def _data(job: TrainJob) -> str:
    manifest, split = job.manifest, job.split
    rows = [
        (part, str(len(names)), _patients(job, names))
        for part, names in split.parts.items()
        if names
    ]
    licence = manifest.licence or "not stated by whoever made the data set's file"
    lines = [
        f"- Data set: {manifest.name}{_described(manifest.description)}",
        f"- Licence of the data: {licence}",
        f"- Channels: {', '.join(manifest.channels)}{_modality(manifest.modality)}",
        f"- Classes: {', '.join(manifest.classes)}",
        f"- Cases in the data set: {len(manifest.cases)}; drawn with seed {split.seed}"
        + (f", fold {split.fold + 1} of {split.folds}" if split.folds > 1 else ""),
        *(f"- {note}" for note in split.notes),
    ]
    if _unknown(job):
        lines.append(f"- {UNKNOWN_PATIENTS}")
    return "\n".join(lines) + "\n\n" + table(("part", "cases", "patients"), rows)


def _modality(name: str) -> str:
    return f" (modality {name})" if name else ""


def _described(text: str) -> str:
    return f". {text}" if text else ""


def _cases(job: TrainJob, names: Sequence[str]) -> list[TrainCase]:
    wanted = set(names)
    return [case for case in job.manifest.cases if case.id in wanted]


def _unknown(job: TrainJob) -> bool:
    used = [name for names in job.split.parts.values() for name in names]
    return any(case.patient is None for case in _cases(job, used))


def _patients(job: TrainJob, names: Sequence[str]) -> str:
    """How many patients, as far as it is known."""
    cases = _cases(job, names)
    known = {case.patient for case in cases if case.patient is not None}
    if all(case.patient is not None for case in cases):
        return counted(len(known), "patient")
    groups = {job.split.groups.get(case.id, case.id) for case in cases}
    return f"patients unknown; {counted(len(groups), 'group')} of cases that do not look alike"


def _preprocessing(job: TrainJob, steps: Sequence[Step]) -> str:
    lines = [f"{number}. {_step(step)}" for number, step in enumerate(steps, 1)]
    z, y, x = job.sampling.patch
    if job.manifest.task == "segmentation":
        lines.append(
            f"\nWindows of {x} x {y} x {z} voxels (x, y, z), half overlapping, weighed by a "
            "Gaussian; probabilities are brought back to the image's grid, where the likeliest "
            "class is the label."
        )
    return "\n".join(lines)


def _step(step: Step) -> str:
    given = ", ".join(f"{k} {v}" for k, v in step.arguments.items() if k != "keys")
    return f"`{step.target}`" + (f": {given}" if given else "")


def _network(job: TrainJob, making: Making) -> str:
    arguments = ", ".join(f"{k} {v}" for k, v in making.definition.items() if k != "_target_")
    lines = [
        f"- {making.definition['_target_']}, {making.parameters:,} parameters: {arguments}",
        "- Weights: "
        + ("of the last epoch; no validation took place" if making.last else "of the best epoch")
        + (", an exponential moving average" if making.averaged else ""),
    ]
    if making.origin is None:
        lines.append("- From scratch: random weights that follow from the seed")
    else:
        licence = making.origin_licence or "not stated"
        lines.append(
            f"- Started from {making.origin.title or making.origin.id} "
            f"{making.origin.version} (`{making.origin.id}`, weights "
            f"{making.origin.weights_sha256[:16]}), licence: {licence}"
        )
    if job.manifest.task == "classification":
        lines.append(f"- Probabilities: {_calibrated(making.calibration)}")
    return "\n".join(lines)


def _calibrated(found: Temperature | None) -> str:
    if found is None:
        return "as the network gives them; nothing was calibrated"
    return (
        f"logits are divided by the temperature {found.temperature:.3f}, fitted on "
        f"{counted(found.cases, 'validation case')}, where the negative log-likelihood went from "
        f"{found.nll_before:.3f} to {found.nll_after:.3f} and the calibration error (ECE) from "
        f"{found.ece_before:.3f} to {found.ece_after:.3f}"
    )


def _training(job: TrainJob, making: Making) -> str:
    given, sampling = job.optimisation, job.sampling
    planned = f" of {making.epochs_planned}" if making.epochs_planned else ""
    length = f"{making.epochs}{planned} epochs of {sampling.steps_per_epoch} steps"
    rule = f"{given.optimiser}, rate {given.rate:g}, schedule {given.schedule}"
    minutes = f"{making.seconds / 60:.1f} minutes"
    lines = [
        f"- {length} with {sampling.batch} patches{_ended(making.ended)}; {minutes}",
        f"- Loss {given.loss}; {rule}; augmentation {job.augmentation}; seed {job.seed}",
    ]
    if making.best is not None:
        lines.append(
            f"- Best {job.ending.metric} in validation: {making.best:.4f}, after epoch "
            f"{making.best_epoch}; it chose the state and is no measure of the model"
        )
    if making.environment:
        last = making.environment[-1]
        lines.append(
            f"- Machine: {last.get('device', '?')} ({last.get('device_name') or 'unnamed'}), "
            f"{last.get('torch_threads', '?')} threads, {last.get('processes', 1)} processes, "
            f"{last.get('system', '?')}; starts: {len(making.environment)}"
        )
    return "\n".join(lines)


def _ended(how: str) -> str:
    words = {
        "early": ", ended early for lack of gain",
        "stopped": ", stopped by the user",
        "failed": ", ended by an error",
    }
    return words.get(how, "")


def _held_out(job: TrainJob, held_out: HeldOut | None) -> str:
    if held_out is None:
        return "None: the model was not measured on held-out cases."
    return figures_text(held_out, "group" if _unknown(job) else "patient")


def _limits(job: TrainJob, making: Making, held_out: HeldOut | None) -> str:
    lines = [
        f"- {INTENDED_USE}",
        UNLIKE,
    ]
    if held_out is None or held_out.patients < TOO_FEW:
        lines.append("- Few or no held-out patients: the figures say little of patients elsewhere.")
    if making.ended in ("stopped", "failed"):
        lines.append("- The run did not come to its planned end.")
    if making.origin is not None:
        lines.append(
            "- What it started from may have seen cases of the held-out part, which cannot be "
            "known here; and what that model could do before may be forgotten."
        )
    return "\n".join(lines)


def _software(making: Making) -> str:
    if not making.environment:
        return "Not recorded."
    last = making.environment[-1]
    versions = ", ".join(f"{name} {number}" for name, number in last.get("versions", {}).items())
    commit = last.get("commit")
    return versions + (f"; source code at commit {commit}" if commit else "")
