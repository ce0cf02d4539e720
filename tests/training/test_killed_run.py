"""A run that is killed at random moments ends with the weights of one that nobody touched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_medcnn.training.checkpoint import read_checkpoint
from napari_medcnn.training.curves import read_curves
from napari_medcnn.training.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")


def killed(folder: Path, kills: int, epochs: int) -> tuple[RunFolder, RunFolder]:
    """The folders of a run that was left alone, and of one that was killed so often."""
    command = [sys.executable, "-m", "tests.training.killed_run", str(folder)]
    outcome = subprocess.run(
        [*command, str(kills), str(epochs), str(kills)],
        capture_output=True,
        text=True,
        timeout=850,
        check=False,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MEDCNN_CACHE": str(folder / "cache")},
    )
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.strip() == str(kills)
    return RunFolder(folder / "whole"), RunFolder(folder / "pieces")


def same(one: Any, other: Any) -> bool:
    """Whether two nested states are equal to the last bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def assert_same_end(whole: RunFolder, pieces: RunFolder) -> None:
    for file in ("last", "best"):
        one, other = (read_checkpoint(getattr(run, file)) for run in (whole, pieces))
        for part in ("model", "average", "optimiser", "schedule"):
            assert same(getattr(one, part), getattr(other, part)), (file, part)
        assert one.standing.best == other.standing.best
        assert one.standing.epoch == other.standing.epoch
    assert pieces.read_state().ended == "finished"
    kept = ("epoch", "train_loss", "rate", "dice")
    rows, again = (
        [{k: row[k] for k in kept if k in row} for row in read_curves(run.metrics)]
        for run in (whole, pieces)
    )
    assert rows == again


@pytest.mark.slow
def test_a_kill_changes_no_bit_of_the_weights(tmp_path: Path) -> None:
    assert_same_end(*killed(tmp_path, kills=1, epochs=12))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_kills_change_no_bit_of_the_weights(tmp_path: Path) -> None:
    assert_same_end(*killed(tmp_path, kills=20, epochs=150))
