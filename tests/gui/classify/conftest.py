"""Models that classify, and docks with an image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from napari_medcnn.app.result import Result, new_result
from napari_medcnn.gui.classify_widget import ClassifyWidget
from napari_medcnn.models import registry
from tests.bundle_factory import make_bundle
from tests.classification_factory import picture_classifier, volume_classifier
from tests.gui.classify.docks import (
    PATCH,
)
from tests.gui.conftest import two_lesions


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Path]:
    """A classifier of slices, one of volumes that also knows patches, and one that segments."""
    folder = tmp_path_factory.mktemp("bundles")
    return {
        "slices": picture_classifier(folder / "flat"),
        "whole": volume_classifier(folder / "deep"),
        "patches": volume_classifier(folder / "small", lambda about: about.update(patch=PATCH)),
        "bright": make_bundle(folder / "bright"),
    }


@pytest.fixture
def shelf(tmp_path, monkeypatch, made) -> Path:
    """The user's models: those of `made`, under their names."""
    folder = tmp_path / "models"
    folder.mkdir()
    for name, bundle in made.items():
        (folder / name).symlink_to(bundle, target_is_directory=True)
    monkeypatch.setenv(registry.MODELS_FOLDER_VARIABLE, str(folder))
    monkeypatch.setattr(registry, "SHIPPED", tmp_path / "nothing")
    return folder


@pytest.fixture
def dock(state, shelf, flair) -> ClassifyWidget:
    dock = ClassifyWidget(state.viewer)
    state.viewer.window.add_dock_widget(dock, name="Classify")
    state.add_volumes([replace(flair, array=flair.array * 200)])
    return dock


@pytest.fixture
def two(state, flair) -> Result:
    """Two lesions in an image of the range that the classifiers know."""
    volume = replace(flair, array=flair.array * 200)
    state.add_volumes([volume])
    result = new_result(two_lesions(volume), volume, 0.0)
    state.add_result(result)
    return result
