"""While jobs run beside the window, Python's lock changes hands quickly; else as before."""

from __future__ import annotations

import sys

import pytest

from napari_medcnn.core.events import Done
from napari_medcnn.gui.bridge import JobRunner
from napari_medcnn.gui.quick_turns import TURN_S, QuickTurns


def test_turns_are_short_while_any_job_runs():
    before = sys.getswitchinterval()
    turns = QuickTurns()
    with turns:
        with turns:
            assert sys.getswitchinterval() == pytest.approx(TURN_S)
        assert sys.getswitchinterval() == pytest.approx(TURN_S)
    assert sys.getswitchinterval() == before


def test_they_are_as_before_when_a_job_fails():
    before = sys.getswitchinterval()
    with pytest.raises(RuntimeError), QuickTurns():
        raise RuntimeError
    assert sys.getswitchinterval() == before


def test_a_job_in_a_worker_has_them(qtbot):
    before = sys.getswitchinterval()
    runner = JobRunner()

    def job(control):
        yield Done(sys.getswitchinterval())

    with qtbot.waitSignal(runner.done) as got:
        runner.start("Looking", job)
    assert got.args == [pytest.approx(TURN_S)]
    assert sys.getswitchinterval() == before
