"""A viewer that is killed while its user paints gives the edits back at the next start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtWidgets import QPushButton

from napari_medcnn.app.settings import Settings
from napari_medcnn.gui.load_widget import LoadWidget

LOST_AT_MOST_S = 60

PAINTER = """
import sys, time
import napari, numpy as np
from qtpy.QtWidgets import QApplication
from napari_medcnn.app.result import new_result
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.gui import session_saving
from napari_medcnn.gui.viewer_state import state_of
from napari_medcnn.io.read import read

viewer = napari.Viewer(show=False)
state = state_of(viewer)
(volume,) = read(sys.argv[1])
state.add_volumes([volume])
empty = np.zeros(volume.geometry.shape, np.uint8)
labels = Segmentation(empty, volume.geometry, (Label(1, "lesion"),), volume.id)
result = new_result(labels, volume, 0)
state.add_result(result)
layer = state.labels_layer(result.id)
layer.mode = "paint"
for step in range(10_000):
    layer.paint((4, 4 + step % 8, 4 + step % 8), 1)
    print("painted", flush=True)
    until = time.monotonic() + 0.1
    while time.monotonic() < until:
        QApplication.processEvents()
"""


@pytest.mark.slow
def test_after_sigkill_in_the_middle_of_painting_the_session_is_offered_and_restored(
    make_napari_viewer, qtbot, sample_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    image = sample_data / "flair_baseline.nii.gz"
    painter = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PAINTER, str(image)],
        stdout=subprocess.PIPE,
        env=os.environ | {"NAPARI_CONFIG": str(tmp_path / "napari.yaml")},
    )
    try:
        saved = _first_autosave(tmp_path, painter)
        time.sleep(1)  # it goes on painting after the save
    finally:
        painter.send_signal(signal.SIGKILL)
        painter.communicate()
    assert painter.returncode == -signal.SIGKILL
    assert time.time() - saved.stat().st_mtime < LOST_AT_MOST_S

    widget = LoadWidget(make_napari_viewer())
    qtbot.addWidget(widget)
    (restore,) = [b for b in widget.findChildren(QPushButton) if b.text() == "Restore"]
    restore.click()
    qtbot.waitUntil(lambda: len(widget.state.session.results) == 1, timeout=20_000)
    (result,) = widget.state.session.results.values()
    assert np.count_nonzero(result.segmentation.array) > 0
    qtbot.waitUntil(lambda: len(result.table.lesions) > 0, timeout=20_000)


def _first_autosave(folder: Path, painter: subprocess.Popen[bytes]) -> Path:
    deadline = time.monotonic() + 2 * Settings().autosave_interval_s + 20
    while time.monotonic() < deadline and painter.poll() is None:
        found = list(folder.rglob("[!.]*.medcnn"))
        if found:
            return found[0]
        time.sleep(0.1)
    raise AssertionError("nothing was saved by itself")
