"""Whole commands, measured."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.commands import run_measured

HOLDS = """
import subprocess, sys, time
held = b"1" * {size}
if {deeper!r}:
    subprocess.run([sys.executable, "-c", {deeper!r}])
time.sleep(2)
print("done")
"""


def test_memory_is_that_of_the_command_and_what_it_starts(tmp_path: Path) -> None:
    inner = HOLDS.format(size=150_000_000, deeper="")
    outer = HOLDS.format(size=100_000_000, deeper=inner)
    found = run_measured([sys.executable, "-c", outer], tmp_path / "log", interval_s=0.2)
    assert 0.25 < found.peak_gb < 0.4
    assert found.seconds > 4
    assert (tmp_path / "log").read_text() == "done\ndone\n"


def test_a_command_gets_its_variables(tmp_path: Path) -> None:
    show = [sys.executable, "-c", "import os; print(os.environ['HERE'])"]
    run_measured(show, tmp_path / "log", {"HERE": "yes"})
    assert (tmp_path / "log").read_text() == "yes\n"


def test_a_failed_command_ends_with_what_it_printed(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="what went wrong"):
        run_measured(
            [sys.executable, "-c", "raise SystemExit('what went wrong')"], tmp_path / "log"
        )
