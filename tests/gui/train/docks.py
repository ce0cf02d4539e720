"""What tests of the dock Train do to it, and read off it."""

from __future__ import annotations

from pathlib import Path

from napari_medcnn.core.volume import Severity
from napari_medcnn.gui.train_widget import TrainWidget
from napari_medcnn.training.job import TrainJob
from napari_medcnn.training.manifest import write_manifest
from tests.training.tiny_run import tiny_job

PATIENCE_MS = 120_000


def settle(qtbot, train: TrainWidget) -> None:
    runners = (train.runner, train.predicting, train.data.runner, train.model.runner,
               train.model.previewing, train.data.adding.runner)  # fmt: skip
    qtbot.waitUntil(
        lambda: not train.model._settling.isActive() and not any(r.is_running for r in runners),
        timeout=PATIENCE_MS,
    )


def texts(train: TrainWidget, severity: Severity) -> list[str]:
    return [n.text for n in train.foot.board.notices if n.severity is severity]


def small(job: TrainJob, train: TrainWidget) -> None:
    """Let the dock's job be as small as the tiny one."""
    train.model.job = lambda: job  # type: ignore[method-assign]


def ready(train: TrainWidget, qtbot, folder: Path) -> TrainJob:
    """Six cases, proposed for, with a job that takes two seconds."""
    job = tiny_job(folder / "data")
    write_manifest(job.manifest, folder / "data" / "data.json")
    train.data.splitting.test.setValue(20)
    train.data.open(folder / "data" / "data.json")
    settle(qtbot, train)
    return job
