"""A checkpoint is whole, safe to load, and outlives a full disk."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_medcnn.core.errors import ReadError
from napari_medcnn.training.checkpoint import (
    Checkpoint,
    Standing,
    generator_states,
    read_checkpoint,
    restore_generators,
    write_checkpoint,
)


def small(epoch: int = 3, size: int = 4) -> Checkpoint:
    network = torch.nn.Linear(size, 2)
    optimiser = torch.optim.AdamW(network.parameters())
    network(torch.ones(1, size)).sum().backward()
    optimiser.step()
    standing = Standing(epoch, 2, 10, best=0.5, best_epoch=2, loss_sum=1.25, seconds=9.5)
    return Checkpoint(
        standing,
        network.state_dict(),
        None,
        optimiser.state_dict(),
        {"last_epoch": 3},
        None,
        generator_states(),
    )


def test_everything_comes_back_as_it_was(tmp_path: Path) -> None:
    written = small()
    write_checkpoint(tmp_path / "last.pt", written)
    read = read_checkpoint(tmp_path / "last.pt")
    assert read.standing == written.standing
    for name, value in written.model.items():
        assert torch.equal(read.model[name], value)
    one, other = read.optimiser["state"][0], written.optimiser["state"][0]
    assert torch.equal(one["exp_avg"], other["exp_avg"])
    assert read.schedule == written.schedule
    assert list(tmp_path.iterdir()) == [tmp_path / "last.pt"]


def test_generators_go_on_where_they_were(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "last.pt", small())
    first = (torch.rand(3), np.random.rand(3), random.random())  # noqa: NPY002
    restore_generators(read_checkpoint(tmp_path / "last.pt").generators)
    again = (torch.rand(3), np.random.rand(3), random.random())  # noqa: NPY002
    assert torch.equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert first[2] == again[2]


@pytest.mark.parametrize("kept", [0, 100, 2000])
def test_a_torn_file_is_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "last.pt"
    write_checkpoint(path, small())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ReadError, match="no checkpoint"):
        read_checkpoint(path)


def test_a_program_hidden_in_a_file_is_not_run(tmp_path: Path) -> None:
    path, trace = tmp_path / "last.pt", tmp_path / "trace"

    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (trace,))

    torch.save({"format": 1, "model": Evil()}, path)
    with pytest.raises(ReadError):
        read_checkpoint(path)
    assert not trace.exists()


FULL_DISK = """
import resource, sys
from pathlib import Path
from tests.training.test_checkpoint import small
from napari_medcnn.training import checkpoint
path = Path(sys.argv[1])
checkpoint.write_checkpoint(path, small(epoch=1))
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    checkpoint.write_checkpoint(path, small(epoch=2, size=100_000))
except checkpoint.CheckpointNotWritten as error:
    print(error)
assert checkpoint.read_checkpoint(path).standing.epoch == 1
assert list(path.parent.iterdir()) == [path]
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of this kind are POSIX's")
def test_the_one_before_stays_valid_when_the_system_refuses_to_write_more(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    outcome = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "last.pt")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=root,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert "the disk is full" in outcome.stdout
    assert "free some space" in outcome.stdout
