"""What a trained model came from: its run, its data's licence, the model that it started from."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from typing import Any

from napari_medcnn.core.segmentation import ModelReference
from napari_medcnn.models.bundle import open_metadata
from napari_medcnn.models.card import section
from napari_medcnn.models.registry import read_model
from napari_medcnn.models.weights import combined_sha256, sha256
from napari_medcnn.training.bundle_config import WEIGHTS
from napari_medcnn.training.card import Making
from napari_medcnn.training.held_out import HeldOut
from napari_medcnn.training.job import TrainJob
from napari_medcnn.training.run_folder import RunFolder


def origin_reference(job: TrainJob) -> tuple[ModelReference | None, str]:
    """What the run started from, and its licence."""
    folder = job.network.start_from
    if folder is None:
        return None, ""
    if job.manifest.task == "segmentation":
        spec = read_model(folder)
        return spec.reference(combined_sha256(spec.weight_files)), spec.licence
    own = open_metadata(folder)
    said = section(own, "medcnn")
    name = str(said.get("id", folder.name))
    reference = ModelReference(
        name, str(own.get("version", "")), sha256(folder / WEIGHTS), str(said.get("title", name))
    )
    return reference, str(said.get("licence", ""))


def advised_min_volume_mm3(job: TrainJob) -> float:
    """Below it lesions are not reported, by the advice of the model that it started from; or 0."""
    if job.network.start_from is None or job.manifest.task != "segmentation":
        return 0.0
    return read_model(job.network.start_from).min_lesion_volume_mm3


def licence_of(job: TrainJob, origin: ModelReference | None, origin_licence: str) -> str:
    """One line: of the data, and of what it started from."""
    text = f"data: {job.manifest.licence or 'licence not stated'}"
    if origin is None:
        return text
    return f"{text}; started from {origin.id}: {origin_licence or 'licence not stated'}"


def licence_text(job: TrainJob, origin: ModelReference | None, origin_licence: str) -> str:
    """The content of the bundle's ``LICENSE``."""
    lines = [
        licence_of(job, origin, origin_licence),
        "",
        f"The weights in models/ were trained on the data set {job.manifest.name}. Whoever passes",
        "them on has to see to it that the licence of the data, and of the model that they started",
        "from, if any, allows it.",
    ]
    return "\n".join(lines) + "\n"


def provenance(
    run: RunFolder, job: TrainJob, making: Making, held_out: HeldOut | None
) -> dict[str, Any]:
    """Kept in the metadata; names no file and no folder of this machine."""
    last = making.environment[-1] if making.environment else {}
    return {
        "job_sha256": hashlib.sha256(run.job.read_bytes()).hexdigest(),
        "seed": job.seed,
        "epochs": making.epochs,
        "best_epoch": making.best_epoch,
        "parameters": making.parameters,
        "started_from": None if making.origin is None else making.origin.id,
        "judged_on": None if held_out is None else held_out.part,
        "software": version("napari-medcnn"),
        "commit": last.get("commit"),
    }
