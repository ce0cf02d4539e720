"""Docks that run a model on an image list those that find something in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_medcnn.gui.model_choice import ModelChoice
from napari_medcnn.gui.models_widget import ModelsWidget
from napari_medcnn.gui.train_start import TrainStart
from napari_medcnn.models import registry
from tests.bundle_factory import make_bundle
from tests.classification_factory import picture_classifier


@pytest.fixture
def classifier(tmp_path, monkeypatch) -> Path:
    """A model that classifies among the user's, beside one that segments."""
    monkeypatch.setattr(registry, "SHIPPED", tmp_path / "nothing")
    monkeypatch.setenv(registry.MODELS_FOLDER_VARIABLE, str(tmp_path / "models"))
    make_bundle(tmp_path / "models" / "bright")
    bundle = picture_classifier(tmp_path / "made")
    return bundle.rename(tmp_path / "models" / "greys")


def test_a_classifier_is_left_out_and_told_when_it_is_chosen(qtbot, classifier) -> None:
    choice = ModelChoice("bright")
    qtbot.addWidget(choice)
    told: list[str] = []
    choice.problem.connect(told.append)
    choice.refresh()
    assert choice.list.count() == 1
    choice.choose(classifier)
    assert choice.spec is not None
    assert choice.spec.id == "bright"
    assert told == ["Brightness tells classes apart: the dock Classify runs it."]


def test_a_dock_that_classifies_lists_classifiers_first(qtbot, classifier) -> None:
    choice = ModelChoice("", tasks=("classification", "segmentation"))
    qtbot.addWidget(choice)
    choice.refresh()
    shown = [choice.list.itemText(n) for n in range(choice.list.count())]
    assert shown == ["Brightness", "Bright voxels"]


def test_the_dock_of_all_models_says_what_it_does(make_napari_viewer, classifier) -> None:
    widget = ModelsWidget(make_napari_viewer())
    lines = [widget.list.item(n).text() for n in range(widget.list.count())]
    assert any("Brightness" in line and "classifies images" in line for line in lines)


def test_the_list_of_what_a_training_starts_from_says_its_task(qtbot, classifier) -> None:
    start = TrainStart()
    lines = [start.model.itemText(n) for n in range(start.model.count())]
    assert "Brightness (classification)" in lines
    start.model.deleteLater()
