"""Docks of the phantom's two studies: opened, registered and compared."""

from __future__ import annotations

import pytest

from napari_medcnn.app.result import Result, new_result
from napari_medcnn.core.events import JobControl, run_to_end
from napari_medcnn.followup.registration_options import RegistrationOptions
from napari_medcnn.gui.followup_jobs import Pair, Registered, register_pair
from napari_medcnn.gui.followup_widget import (
    FollowUpWidget,
)
from tests.gui import followup_phantom as phantom
from tests.gui.followup.docks import (
    Marked,
    finish,
    opened,
)


@pytest.fixture(scope="module")
def patient() -> tuple[Marked, Marked]:
    return phantom.both()


@pytest.fixture(scope="module")
def known(patient) -> Registered:
    """The pair registered as the dock does it, once for all tests that need one."""
    (before, _), (after, _) = patient
    options = RegistrationOptions(region="body", start="header")
    job = register_pair(Pair(before, after, options), JobControl())
    return run_to_end(job, Registered)


@pytest.fixture
def results(state, patient) -> tuple[Result, Result]:
    """Both images with their lesions in the viewer."""
    made = []
    for volume, segmentation in patient:
        state.add_volumes([volume])
        made.append(new_result(segmentation, volume, 0.0))
        state.add_result(made[-1])
    return made[0], made[1]


@pytest.fixture
def dock(state, results) -> FollowUpWidget:
    dock = opened(state)
    state.viewer.window.add_dock_widget(dock, name="Follow-up")
    return dock


@pytest.fixture
def registered(dock, known) -> FollowUpWidget:
    """The dock at the end of a registration."""
    dock.runner.done.emit(known)
    dock.runner.finished.emit()
    return dock


@pytest.fixture
def compared(qtbot, registered) -> FollowUpWidget:
    registered.form.days.setValue(181)
    registered.start_comparing()
    finish(qtbot, registered)
    assert registered.results.compared is not None, registered.board.texts
    return registered
