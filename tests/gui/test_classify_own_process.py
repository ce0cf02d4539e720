"""The dock Classify with its models in a process of their own: the same results come back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from napari_medcnn.app.result import new_result
from napari_medcnn.core.job_process import end_all
from napari_medcnn.gui.classify_widget import ClassifyWidget
from napari_medcnn.models import registry
from tests.classification_factory import volume_classifier
from tests.gui.conftest import two_lesions

PATCH = {"size": [8, 10, 6], "spacing_mm": [2.0, 1.0, 1.0]}
PATIENCE_MS = 180000


@pytest.fixture(autouse=True)
def no_process_left():
    yield
    end_all()


@pytest.mark.slow
def test_scores_and_layers_arrive_as_from_this_process(
    qtbot, state, flair, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("MEDCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(registry.MODELS_FOLDER_VARIABLE, str(tmp_path / "models"))
    monkeypatch.setattr(registry, "SHIPPED", tmp_path / "nothing")
    bundle = volume_classifier(tmp_path / "made", lambda about: about.update(patch=PATCH))
    (tmp_path / "models").mkdir()
    bundle.rename(tmp_path / "models" / "patches")
    volume = replace(flair, array=flair.array * 200)
    state.add_volumes([volume])
    result = new_result(two_lesions(volume), volume, 0.0)
    state.add_result(result)
    dock = ClassifyWidget(state.viewer)
    dock.start()
    qtbot.waitUntil(lambda: not dock.runner.is_running, timeout=PATIENCE_MS)
    scored = result.scored
    assert scored is not None, dock.board.texts
    assert sorted(scored.scores) == [lesion.id for lesion in result.table.lesions]
    dock.explaining.list_layers.click()
    qtbot.waitUntil(lambda: not dock.runner.is_running, timeout=PATIENCE_MS)
    assert dock.explaining.layer.count() > 2, dock.board.texts
