"""The whole recipe in order: volumes, patches, training, figures, bundle."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from napari_medcnn.core.atomic import write_json
from napari_medcnn.training.job_problems import require_sound
from napari_medcnn.training.run_folder import RunFolder
from napari_medcnn.training.strict_json import write_record
from recipes.flair_lesions.patients import PATIENTS
from recipes.lesion_classifier import evaluate
from recipes.lesion_classifier.bundle import FOLDER, finish, stage
from recipes.lesion_classifier.card import card, training_statement
from recipes.lesion_classifier.dataset import data_set, patch_cases
from recipes.lesion_classifier.training_job import job_of
from recipes.lesion_classifier.volumes import synthetic_volumes

FIGURES = Path(__file__).parent / "figures.json"


def build(data: Path, workspace: Path, threads: int) -> None:
    """Rebuild the bundle and its figures.

    Parameters
    ----------
    data : Path
        Folder that holds `ms_flair`.
    workspace : Path
        For volumes, patches and the run (some 2 GB); a run that is there is gone on with.
    threads : int
        Of the training; the volumes are made by as many processes.
    """
    publish(trained(workspace, threads), data)


def trained(workspace: Path, threads: int) -> RunFolder:
    """Make the data set and train on it by ``medcnn train``."""
    file, run = workspace / "job.json", workspace / "run"
    if not run.exists():
        volumes = synthetic_volumes(workspace / "synthetic", threads)
        cases = patch_cases(volumes, workspace / "patches", threads)
        job = job_of(*data_set(cases, volumes))
        require_sound(job)
        write_record(file, job)
    start = ["--resume", str(run)] if run.exists() else ["--job", str(file), "--out", str(run)]
    command = [sys.executable, "-m", "napari_medcnn.cli", "train", *start, "--no-install"]
    subprocess.run([*command, "--threads", str(threads)], check=True)
    return RunFolder(run)


def publish(run: RunFolder, data: Path) -> None:
    """Judge a run's bundle as it will ship, and write figures, card and bundle."""
    stage(run.bundle, FOLDER)
    standing, starts = run.read_state().standing, run.read_environment()
    figures: dict[str, Any] = {
        "command": "python -m recipes.lesion_classifier",
        "threads": starts[-1]["torch_threads"],
        "training_minutes": round(standing.seconds / 60),
        "best_epoch": standing.best_epoch,
        "synthetic": evaluate.synthetic(run),
        **evaluate.patients(FOLDER, data),
    }
    write_json(FIGURES, figures)
    finish(FOLDER, headline(figures), training_statement(), card(figures))


def headline(figures: dict[str, Any]) -> dict[str, float]:
    """The figures for the bundle's metadata: of patients that the weights never saw."""
    areas = figures["separability"]
    return {f"auc_{patient}": areas[patient]["classifier"]["auc"] for patient in PATIENTS}
