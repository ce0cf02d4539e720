"""The dock *Models*: what is at hand, and adding, checking and removing it."""

from __future__ import annotations

import pytest
from qtpy.QtWidgets import QPushButton

from napari_medcnn.core.volume import Severity
from napari_medcnn.gui.analyze_widget import AnalyzeWidget
from napari_medcnn.gui.model_adding import NewModel
from napari_medcnn.gui.models_widget import ModelsWidget
from napari_medcnn.models import registry
from tests.bundle_factory import make_bundle


@pytest.fixture
def widget(state, tmp_path, monkeypatch, same_process) -> ModelsWidget:
    monkeypatch.setenv(registry.MODELS_FOLDER_VARIABLE, str(tmp_path / "models"))
    make_bundle(tmp_path / "models" / "bright", medcnn={"one_liner": "Marks what is bright."})
    widget = ModelsWidget(state.viewer)
    state.viewer.window.add_dock_widget(widget, name="Models")
    return widget


def finish(qtbot, widget: ModelsWidget) -> None:
    runners = (widget.runner, widget.panel.runner)
    qtbot.waitUntil(lambda: not any(r.is_running for r in runners), timeout=60000)


def ids(widget: ModelsWidget) -> list[str]:
    return [spec.id for spec in widget._models]


def look_at(widget: ModelsWidget, name: str) -> None:
    widget.list.setCurrentRow(ids(widget).index(name))


def press(widget: ModelsWidget, text: str) -> None:
    (button,) = [b for b in widget.panel.findChildren(QPushButton) if b.text() == text]
    button.click()


def test_shipped_and_own_models_are_listed_and_only_own_ones_can_be_removed(widget):
    assert {"bright", "flair_lesions"} <= set(ids(widget))
    look_at(widget, "flair_lesions")
    assert not widget.remove.isEnabled()
    look_at(widget, "bright")
    assert widget.remove.isEnabled()
    assert widget.card.one_liner.text() == "Marks what is bright."


def test_a_sound_model_passes_the_check_and_says_its_hash(qtbot, widget):
    look_at(widget, "bright")
    widget.start_check()
    assert not widget.check.isEnabled()
    finish(qtbot, widget)
    (told,) = widget.board.notices
    assert told.severity is Severity.INFO
    assert "SHA-256" in told.text and widget.check.isEnabled()


def test_a_model_with_other_weights_fails_the_check(qtbot, widget, tmp_path):
    other = make_bundle(tmp_path / "other", classes=("a", "b"), activation="softmax")
    weights = tmp_path / "models" / "bright" / "models" / "model.pt"
    weights.write_bytes((other / "models" / "model.pt").read_bytes())
    look_at(widget, "bright")
    widget.start_check()
    finish(qtbot, widget)
    (told,) = widget.board.notices
    assert told.severity is Severity.BLOCKING
    assert "the weights do not fit" in told.text


def test_a_model_is_added_and_removed_and_other_docks_know(qtbot, widget, state, tmp_path):
    analyze = AnalyzeWidget(state.viewer)
    state.viewer.window.add_dock_widget(analyze, name="Analyze")
    source = make_bundle(tmp_path / "spots")
    widget.add.click()
    widget.panel.start(NewModel(str(source)))
    finish(qtbot, widget)
    assert "spots" in ids(widget)
    assert "spots" in [spec.id for spec in analyze.model._models]
    widget.panel.use.click()
    assert widget.spec is not None and widget.spec.id == "spots"
    widget.remove.click()
    press(widget, "Delete")
    finish(qtbot, widget)
    assert "spots" not in ids(widget)
    assert "spots" not in [spec.id for spec in analyze.model._models]
    assert source.is_dir()
