"""The folder of a run: what lies where, who may write to it, and what it says of itself."""

from __future__ import annotations

import json
import logging
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from napari_medcnn.core.atomic import write_json
from napari_medcnn.core.errors import MedcnnError, ReadError
from napari_medcnn.training.checkpoint import Standing
from napari_medcnn.training.job import Resources, TrainJob
from napari_medcnn.training.strict_json import read_record, write_record

Ended = Literal["finished", "early", "stopped", "failed"]
"""All epochs; no more gain; by the user; by an error."""

PACKAGES = ("napari-medcnn", "torch", "monai", "numpy", "SimpleITK")


@dataclass(frozen=True)
class RunState:
    """What ``state.json`` says: the standing of the last checkpoint, and how the run ended.

    Parameters
    ----------
    standing : Standing
        Of ``checkpoints/last.pt``, which is what a resumed run believes.
    ended : {"finished", "early", "stopped", "failed"}, optional
        None while it runs, and after it was killed.
    error : str
        Why it failed.
    """

    standing: Standing = field(default_factory=Standing)
    ended: Ended | None = None
    error: str = ""


class RunFolder:
    """A run's folder; `path` and what lies in it. Making the object touches nothing."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.job = self.path / "job.json"
        self.environment = self.path / "environment.json"
        self.state = self.path / "state.json"
        self.metrics = self.path / "metrics.csv"
        self.tensorboard = self.path / "tensorboard"
        self.last = self.path / "checkpoints" / "last.pt"
        self.best = self.path / "checkpoints" / "best.pt"
        self.previews = self.path / "previews"
        self.evaluation = self.path / "evaluation"
        self.bundle = self.path / "bundle"
        self.log = self.path / "run.log"

    @property
    def is_run(self) -> bool:
        """Whether a run was begun here."""
        return self.job.is_file()

    def begin(self, job: TrainJob) -> None:
        """Make the folder of a new run.

        Raises
        ------
        MedcnnError
            When there is a run already, or the folder holds something else.
        """
        if self.is_run:
            raise MedcnnError(
                "there is a run in this folder already",
                source=self.path,
                hint="resume it, or choose another folder",
            )
        strange = (
            [p.name for p in self.path.iterdir() if not p.name.startswith(".")]
            if (self.path.is_dir())
            else []
        )
        if strange:
            raise MedcnnError(
                f"the folder is not empty: it holds {strange[0]}",
                source=self.path,
                hint="choose a new folder for the run",
            )
        write_record(self.job, job)

    def read_job(self) -> TrainJob:
        """The job of the run.

        Raises
        ------
        ReadError
            When there is no run here, or its job cannot be read.
        """
        if not self.is_run:
            raise ReadError(
                "this is no folder of a training run: it has no job.json", source=self.path
            )
        return read_record(self.job, TrainJob)

    def read_state(self) -> RunState:
        """How the run stands; the beginning where it did not get to write that."""
        return read_record(self.state, RunState) if self.state.is_file() else RunState()

    def write_state(self, state: RunState) -> None:
        """Say how the run stands."""
        write_record(self.state, state)

    def add_environment(self, job: TrainJob, resources: Resources, device: str, ranks: int) -> None:
        """Add an entry of this start to ``environment.json``."""
        entries = self.read_environment()
        write_json(self.environment, [*entries, _environment(job, resources, device, ranks)])

    def read_environment(self) -> list[dict[str, Any]]:
        """The entries of ``environment.json``, one for each start."""
        if not self.environment.is_file():
            return []
        try:
            entries: list[dict[str, Any]] = json.loads(self.environment.read_bytes())
        except ValueError as error:
            raise ReadError(f"this is no JSON: {error}", source=self.environment) from error
        return entries

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep the folder for this process; the system opens the lock when a process dies.

        Raises
        ------
        MedcnnError
            When another process, or another run of this one, has it.
        """
        from filelock import FileLock, Timeout

        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / ".lock", timeout=0, thread_local=False)
        try:
            lock.acquire()
        except Timeout as error:
            raise MedcnnError(
                "another process trains in this folder",
                source=self.path,
                hint="wait for it to end, or stop it",
            ) from error
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def logging(self) -> Iterator[logging.Logger]:
        """A logger that writes to ``run.log`` within the block."""
        handler = logging.FileHandler(self.log, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger = logging.Logger(f"run {self.path.name}", logging.INFO)
        logger.addHandler(handler)
        try:
            yield logger
        finally:
            handler.close()


def _environment(job: TrainJob, resources: Resources, device: str, ranks: int) -> dict[str, Any]:
    import torch

    entry: dict[str, Any] = {
        "started_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": platform.platform(),
        "versions": {"python": platform.python_version(), **{p: version(p) for p in PACKAGES}},
        "commit": commit_of(Path(__file__).parent),
        "device": device,
        "device_name": _device_name(device),
        "precision": resources.precision,
        "torch_threads": resources.threads or torch.get_num_threads(),
        "workers": resources.workers,
        "cores": os.cpu_count(),
        "processes": ranks,
        "seed": job.seed,
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }
    if device.startswith("cuda"):
        entry["cuda"] = torch.version.cuda
    return entry


def _device_name(device: str) -> str:
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()


def commit_of(folder: Path) -> str | None:
    """The commit that a folder of source code is at, with ``+`` when changed; None elsewhere."""
    command = ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--dirty=+"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    inside = folder.parent.parent.parent / ".git"
    return told.stdout.strip() if told.returncode == 0 and inside.exists() else None
