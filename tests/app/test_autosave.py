"""A crash costs at most an interval of edits, and a running session is never taken for dead."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from napari_medcnn.app import autosave as module
from napari_medcnn.app.autosave import Autosave, recoverable
from napari_medcnn.app.result import Result
from napari_medcnn.app.session import Session
from napari_medcnn.app.session_file import save_session

INTERVAL_S = 0.5
PAINTER = Path(__file__).with_name("painter.py")


def test_after_a_kill_in_the_middle_of_painting_the_edits_are_there(tmp_path: Path) -> None:
    painter = subprocess.Popen(
        [sys.executable, str(PAINTER), str(tmp_path), str(INTERVAL_S)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert painter.stdout is not None
    painted_at: dict[int, float] = {}
    started: float | None = None
    for line in painter.stdout:
        count, at = line.split()
        painted_at[int(count)] = float(at)
        started = started or float(at)
        if float(at) - started > 6 * INTERVAL_S:
            assert recoverable(tmp_path) == [], "it is still running"
            painter.kill()
            break
    killed_at = time.time()
    painter.communicate()

    (recovery,) = recoverable(tmp_path)
    session = recovery.open()
    assert session.is_dirty
    (result,) = session.results.values()
    saved = int(np.count_nonzero(result.segmentation.array))
    assert saved > 1
    # One interval, and beside it the time of a tick and of writing on a busy machine.
    assert killed_at - painted_at[saved + 1] < INTERVAL_S + 2.0
    assert result.is_stale
    assert session.recompute(result.id).lesions[0].voxel_count == saved

    recovery.discard()
    assert recoverable(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_before_something_changes(tmp_path: Path, session: Session) -> None:
    session.mark_saved()
    autosave = Autosave(session, tmp_path, interval_s=0.0)
    autosave.tick()
    autosave.wait()
    assert not autosave.path.exists()
    autosave.close()


def test_a_recovered_session_is_saved_at_once(
    tmp_path: Path, result: Result, session: Session
) -> None:
    session.mark_saved(-1)
    autosave = Autosave(session, tmp_path)
    autosave.tick()
    autosave.wait()
    assert autosave.path.exists()
    autosave.close()


def test_within_the_interval_nothing_is_written_again(
    tmp_path: Path, session: Session, result: Result
) -> None:
    autosave = Autosave(session, tmp_path, interval_s=3600.0)
    autosave.tick()
    autosave.wait()
    first = autosave.path.stat().st_mtime_ns
    session.touch(result.id)
    autosave.tick()
    autosave.wait()
    assert autosave.path.stat().st_mtime_ns == first
    autosave.close()


def test_a_clean_end_leaves_nothing(tmp_path: Path, session: Session, result: Result) -> None:
    autosave = Autosave(session, tmp_path)
    autosave.tick()
    autosave.close()
    assert list(tmp_path.iterdir()) == []


def test_saving_by_itself_does_not_count_as_saved(
    tmp_path: Path, session: Session, result: Result
) -> None:
    autosave = Autosave(session, tmp_path)
    autosave.tick()
    autosave.wait()
    assert session.is_dirty
    autosave.close()


def test_what_is_written_is_the_moment_of_the_tick(
    tmp_path: Path, session: Session, result: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    write = module.write_snapshot

    def slow_write(*arguments: object) -> None:
        go_on.wait()
        write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "write_snapshot", slow_write)
    autosave = Autosave(session, tmp_path, interval_s=0.0)
    autosave.tick()
    result.segmentation.array[:] = 0
    session.touch(result.id)
    autosave.tick()  # a writing is under way: nothing happens
    go_on.set()
    autosave.wait()
    (saved,) = module.load_session(autosave.path).results.values()
    assert np.count_nonzero(saved.segmentation.array) == 28
    autosave.tick()
    autosave.wait()
    (saved,) = module.load_session(autosave.path).results.values()
    assert np.count_nonzero(saved.segmentation.array) == 0
    autosave.close()


def test_a_failure_is_told_on_the_next_tick_and_tried_again(
    tmp_path: Path, session: Session, result: Result
) -> None:
    told: list[str] = []
    autosave = Autosave(session, tmp_path, interval_s=0.0)
    autosave.failed.connect(told.append)
    result.segmentation.parameters["callable"] = print
    autosave.tick()
    autosave.wait()
    assert len(told) == 1
    assert "cannot be saved" in told[0]
    del result.segmentation.parameters["callable"]
    autosave.tick()
    autosave.wait()
    assert autosave.path.exists()
    autosave.close()


def test_a_foreign_or_damaged_file_is_left_alone(tmp_path: Path, session: Session) -> None:
    (tmp_path / "123-abc.medcnn").write_text("no session")
    save_session(session, tmp_path / "456-def.medcnn")
    assert [r.path.name for r in recoverable(tmp_path)] == ["456-def.medcnn"]
    assert (tmp_path / "123-abc.medcnn").exists()


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert recoverable(tmp_path / "none") == []
