"""From a run folder to a model in the list: a MONAI Bundle of its best state, verified."""

from __future__ import annotations

import io
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_medcnn.core.atomic import write_bytes, write_json, write_text
from napari_medcnn.core.errors import ModelError, WriteError
from napari_medcnn.core.events import Done, Job, JobControl, Message, Progress, result_of
from napari_medcnn.evaluation.cases import Rules
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.networks import load_network, mismatches, network_of
from napari_medcnn.models.weights import sha256
from napari_medcnn.training.bundle_config import WEIGHTS, inference_config, metadata
from napari_medcnn.training.calibrate import calibrate, calibration_entry, temperature_of
from napari_medcnn.training.card import Making, model_card, training_statement
from napari_medcnn.training.checkpoint import Checkpoint, read_checkpoint
from napari_medcnn.training.held_out import FILE, USUAL, HeldOut, evaluate_held_out
from napari_medcnn.training.installing import install_bundle
from napari_medcnn.training.job import Resources, TrainJob
from napari_medcnn.training.networks import network_definition
from napari_medcnn.training.provenance import (
    advised_min_volume_mm3,
    licence_of,
    licence_text,
    origin_reference,
    provenance,
)
from napari_medcnn.training.run_folder import RunFolder
from napari_medcnn.training.steps import preprocessing_steps
from napari_medcnn.training.strict_json import read_record

if TYPE_CHECKING:
    import torch

STAGE = "exporting"

TOLERANCE = 1e-5
"""Of logits before and after: the same weights and class on the same machine."""


@dataclass(frozen=True)
class Exported:
    """What a run came to.

    Parameters
    ----------
    bundle : Path
        In the run folder.
    installed : Path, optional
        Among the user's models; None where that was not asked for.
    held_out : HeldOut, optional
        Its figures.
    """

    bundle: Path
    installed: Path | None
    held_out: HeldOut | None


def finish(
    run_folder: str | Path,
    control: JobControl | None = None,
    resources: Resources | None = None,
    rules: Rules = USUAL,
    *,
    install: bool = True,
) -> Job:
    """Export a run's best state, judge it on held-out cases and put it into the list of models.

    A generator of events that ends in ``Done(Exported)``.

    Parameters
    ----------
    run_folder : path
        Of a run with at least one checkpoint.
    control : JobControl, optional
        Cancels, pauses and resumes; a cancelled evaluation leaves the bundle, without figures.
    resources : Resources, optional
        Device and threads of the evaluation.
    rules : Rules
        How segmentations are measured.
    install : bool
        Whether it is put into the user's folder of models.

    Raises
    ------
    ReadError
        When the folder is no run's or has no checkpoint.
    ModelError
        When what was written is not the model that was trained.
    """
    yield Progress(STAGE, 0, 1)
    bundle = export_bundle(run_folder, install=False)
    yield Progress(STAGE, 1, 1)
    held_out: HeldOut | None = None
    run = RunFolder(run_folder)
    job = run.read_job()
    if job.manifest.task == "classification" and job.split.validation:
        fitted = yield from calibrate(run, bundle, control, resources)
        if fitted is not None:
            bundle = export_bundle(run_folder, install=False)
    if job.split.test or job.split.validation:
        judging = evaluate_held_out(run_folder, bundle, control, resources, rules)
        held_out = yield from result_of(judging, HeldOut)
        bundle = export_bundle(run_folder, install=False)
    installed = None
    if install:
        installed = install_bundle(bundle)
        yield Message(f"the model is in the list as {installed.name}")
    yield Done(Exported(bundle, installed, held_out))


def export_bundle(run_folder: str | Path, *, install: bool = True) -> Path:
    """Write a run's best state as a MONAI Bundle into its folder ``bundle``.

    It takes its place when it is complete, and has been read and run as a user's model would be.
    Its card has the figures of :func:`~napari_medcnn.training.held_out.evaluate_held_out`, where
    these weights were judged.

    Parameters
    ----------
    run_folder : path
        Of a run with at least one checkpoint.
    install : bool
        Whether it is put into the user's folder of models, too.

    Raises
    ------
    ReadError
        When the folder is no run's or has no checkpoint.
    ModelError
        When what was written is not the model that was trained.
    WriteError
        When the disk is full or the folder cannot be written to.
    """
    run = RunFolder(run_folder)
    job = run.read_job()
    source = run.best if run.best.is_file() else run.last
    checkpoint = read_checkpoint(source)
    definition = network_definition(job)
    network = _trained(job, definition, checkpoint)
    with _in_place_of(run.bundle) as folder:
        _write(folder, run, job, definition, checkpoint, network, last=source == run.last)
        _verify(folder, job, network)
    if install:
        install_bundle(run.bundle)
    return run.bundle


@contextmanager
def _in_place_of(target: Path) -> Iterator[Path]:
    """A hidden folder beside `target` that takes its place when the block ends well."""
    folder = target.with_name(f".{target.name}-{uuid.uuid4().hex}")
    before = target.with_name(f".{target.name}-before-{uuid.uuid4().hex}")
    try:
        folder.mkdir()
        yield folder
        if target.exists():
            target.rename(before)
        folder.rename(target)
    except OSError as error:
        if before.exists() and not target.exists():
            before.rename(target)
        raise WriteError(f"cannot be written: {error.strerror or error}", source=target) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(before, ignore_errors=True)


def _write(
    folder: Path,
    run: RunFolder,
    job: TrainJob,
    definition: Mapping[str, Any],
    checkpoint: Checkpoint,
    network: torch.nn.Module,
    *,
    last: bool,
) -> None:
    """Weights, configuration, card and licence."""
    weights = folder / WEIGHTS
    _write_weights(weights, network.state_dict())
    fitted = temperature_of(run, weights)
    held_out = _figures_of(run, weights)
    origin, origin_licence = origin_reference(job)
    state = run.read_state()
    environment = run.read_environment()
    making = Making(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        definition=definition,
        steps=preprocessing_steps(job),
        epochs=state.standing.epoch,
        epochs_planned=state.standing.epochs_planned,
        best_epoch=checkpoint.standing.best_epoch,
        best=checkpoint.standing.best,
        ended=state.ended or "",
        seconds=state.standing.seconds,
        environment=environment,
        averaged=checkpoint.average is not None,
        last=last,
        origin=origin,
        origin_licence=origin_licence,
        calibration=fitted,
    )
    about = metadata(
        job,
        definition,
        licence=licence_of(job, origin, origin_licence),
        statement=training_statement(job),
        provenance=provenance(run, job, making, held_out),
        eval_metrics=_metrics(held_out),
        min_lesion_volume_mm3=advised_min_volume_mm3(job),
        calibration=None if fitted is None else calibration_entry(fitted),
    )
    temperature = 1.0 if fitted is None else fitted.temperature
    config = inference_config(job, definition, temperature)
    write_json(folder / "configs" / "inference.json", config)
    write_json(folder / "configs" / "metadata.json", about)
    write_text(folder / "docs" / "README.md", model_card(job, making, held_out))
    write_text(folder / "LICENSE", licence_text(job, origin, origin_licence))


def _write_weights(path: Path, state: Mapping[str, torch.Tensor]) -> None:
    """A plain dictionary of tensors.

    The same weights give the same bytes: their hash is how results name the model.
    """
    import torch

    plain = {name: value.detach().cpu().clone().contiguous() for name, value in state.items()}
    content = io.BytesIO()
    torch.save(plain, content)
    write_bytes(path, content.getvalue())


def _figures_of(run: RunFolder, weights: Path) -> HeldOut | None:
    """The run's held-out figures, where they are of these weights."""
    file = run.evaluation / FILE
    if not file.is_file():
        return None
    found = read_record(file, HeldOut)
    return found if found.weights_sha256 == sha256(weights) else None


def _metrics(held_out: HeldOut | None) -> dict[str, float]:
    """The figures that exist, by names as MONAI's metadata has them."""
    if held_out is None:
        return {}
    found: dict[str, float | None] = {}
    if held_out.classification is not None:
        for name in ("accuracy", "balanced_accuracy", "macro_auc"):
            found[name] = getattr(held_out.classification, name).estimate
    for one in held_out.segmentation:
        for figure in ("dice", "hd95_mm", "nsd"):
            if figure in one.figures:
                found[f"{figure} {one.name}"] = one.figures[figure].estimate
    return {name: round(value, 6) for name, value in found.items() if value is not None}


def _trained(
    job: TrainJob, definition: Mapping[str, Any], checkpoint: Checkpoint
) -> torch.nn.Module:
    """The network as it was trained, in evaluation mode."""
    network = network_of(definition, job.network.start_from)
    problems = mismatches(network.state_dict(), checkpoint.weights)
    if problems:
        raise ModelError(
            f"the checkpoint is not of this job's network: {problems[0]}", source=job.name
        )
    network.load_state_dict(checkpoint.weights)
    return network.eval()


def _verify(folder: Path, job: TrainJob, trained: torch.nn.Module) -> None:
    """Read the bundle as a user's model is read, and hold its logits to the trained network's.

    Raises
    ------
    ModelError
        When it cannot be read, or says something else.
    """
    import torch

    x, y, z = job.sampling.patch[::-1]
    generator = torch.Generator().manual_seed(job.seed)
    image = torch.randn((1, len(job.manifest.channels), x, y, z), generator=generator)
    flat = job.network.dimensions == 2
    with torch.inference_mode():
        expected = trained(image[..., 0] if flat else image)
        if flat and job.manifest.task == "segmentation":
            expected = expected[..., None]
        found = load_network(read_bundle(folder))(image)
    if not torch.allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE):
        raise ModelError("what was written answers otherwise than what was trained", source=folder)
