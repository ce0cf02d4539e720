"""`medcnn train` as a child process, what its run did, and a folder to work in."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.commands import run_measured
from benchmarks.measuring import Measured
from napari_medcnn.training.networks import build
from napari_medcnn.training.run_folder import RunFolder

DATA = Path(os.environ.get("MEDCNN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def train(folder: Path, run: Path, threads: int, *options: str) -> Measured:
    """Train on the CPU by ``manifest.json`` and ``split.json`` of `folder`; no model is installed.

    Raises
    ------
    SystemExit
        When the command fails, with its last lines.
    """
    data = ("--manifest", str(folder / "manifest.json"), "--split", str(folder / "split.json"))
    how = (*options, "--threads", str(threads), "--device", "cpu", "--no-install")
    line = ("train", *data, *how, "--out", str(run))
    print("$ medcnn", *line, flush=True)
    command = (sys.executable, "-m", "napari_medcnn.cli", *line)
    return run_measured(command, run.with_suffix(".log"), surroundings(folder, threads))


def surroundings(folder: Path, threads: int) -> dict[str, str]:
    """Variables of a process of ours: its threads, and a cache that no other run has filled."""
    return {"OMP_NUM_THREADS": str(threads), "MEDCNN_CACHE": str(folder / "cache")}


def learning_of(run_folder: Path) -> dict[str, Any]:
    """What a finished run did: seconds, epochs, steps, batch, patch ``(z, y, x)``, parameters."""
    run = RunFolder(run_folder)
    job, standing = run.read_job(), run.read_state().standing
    return {
        "seconds": standing.seconds,
        "epochs": standing.epoch,
        "best_epoch": standing.best_epoch,
        "steps": standing.epoch * job.sampling.steps_per_epoch,
        "batch": job.sampling.batch,
        "patch": list(job.sampling.patch),
        "parameters": sum(parameter.numel() for parameter in build(job).parameters()),
    }


@contextmanager
def working_folder(given: Path | None) -> Iterator[Path]:
    """The given folder, new or empty, or one that is removed in the end."""
    if given is None:
        with tempfile.TemporaryDirectory() as name:
            yield Path(name)
        return
    given.mkdir(parents=True, exist_ok=True)
    if any(given.iterdir()):
        raise SystemExit(f"{given} is not empty")
    yield given.absolute()
