"""Thousands of broken files: no crash, no hang, no absurd allocation, and always our own error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.io.fuzz_files import FORMATS, broken_file

REPOSITORY = Path(__file__).resolve().parents[2]
ALL, SAMPLE = 3000, 200
MAX_TAKEN = 2**30

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="memory is watched in /proc (Linux)"
)


def outcomes(first: int, stop: int, folder: Path) -> list[dict[str, Any]]:
    """What became of each broken file, read in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.io.fuzz_child"]
    child = subprocess.run(
        [*command, str(first), str(stop), str(folder)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    lines = [json.loads(line) for line in child.stdout.splitlines()]
    ends = [line for line in lines if line["state"] == "ends"]
    # A crash or a hang ends the process within a file.
    last = lines[-1] if lines else {}
    assert child.returncode == 0, f"file {last} ended the process:\n{child.stderr[-3000:]}"
    assert len(ends) == stop - first
    return ends


def check(first: int, stop: int, folder: Path) -> None:
    ends = outcomes(first, stop, folder)
    assert [end for end in ends if end["outcome"].startswith("bad")] == []
    assert [end for end in ends if end["taken"] > MAX_TAKEN] == []
    read = sum(end["outcome"] == "read" for end in ends)
    # Mutations that break everything, or nothing, would test nothing.
    assert 0.05 < read / len(ends) < 0.6


def test_200_broken_files_give_images_or_our_own_errors(tmp_path: Path) -> None:
    check(0, SAMPLE, tmp_path)


@pytest.mark.slow
def test_3000_broken_files_give_images_or_our_own_errors(tmp_path: Path) -> None:
    check(0, ALL, tmp_path)


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_seed_gives_the_same_broken_file_in_every_run(format_name: str) -> None:
    cases = [broken_file(format_name, seed) for seed in range(40)]
    assert len({case.content for case in cases}) > 30
    assert cases[:5] == [broken_file(format_name, seed) for seed in range(5)]
