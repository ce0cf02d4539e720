"""Two processes learn what one learns from the same batches."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.training.checkpoint import read_checkpoint
from napari_medcnn.training.distributed import Ranks, ranks_of_environment
from napari_medcnn.training.run import train
from napari_medcnn.training.run_folder import RunFolder
from tests.training.one_of_several import shared_job
from tests.training.tiny_run import RESOURCES

ROOT = Path(__file__).resolve().parents[2]

TOLERANCE = 1e-5
"""Sums over two halves of a batch differ in the last digits, and steps carry that on."""


def test_a_process_without_torchrun_is_alone() -> None:
    assert ranks_of_environment() == Ranks(0, 1, 0)


def test_what_torchrun_says_is_taken_and_nonsense_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("WORLD_SIZE", "4"), ("RANK", "3"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    ranks = ranks_of_environment()
    assert ranks == Ranks(3, 4, 1)
    assert (ranks.device("cuda"), ranks.device("cpu")) == ("cuda:1", "cpu")
    monkeypatch.setenv("RANK", "4")
    with pytest.raises(MedcnnError, match="process 4 of 4"):
        ranks_of_environment()


@pytest.mark.slow
def test_two_processes_end_with_the_weights_of_one(tmp_path: Path) -> None:
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    list(train(shared_job(tmp_path / "data"), alone, RESOURCES))
    started = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    outcome = subprocess.run(
        [*started, "-m", "tests.training.one_of_several", str(shared)],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert outcome.returncode == 0, outcome.stderr
    one, two = (RunFolder(folder) for folder in (alone, shared))
    first, second = read_checkpoint(one.last), read_checkpoint(two.last)
    for name, value in first.model.items():
        assert torch.allclose(value, second.model[name], rtol=TOLERANCE, atol=TOLERANCE), name
    assert second.standing.best == pytest.approx(first.standing.best or 0, abs=1e-3)
    (entry,) = two.read_environment()
    assert entry["processes"] == 2
    assert two.read_state().ended == "finished"
