"""A viewer with a measured volume, its autosaves kept away from the user's own."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_medcnn.app.result import Result, new_result
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import Label, ModelReference, Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.gui import preferences
from napari_medcnn.gui.analyze_widget import AnalyzeWidget
from napari_medcnn.gui.viewer_state import ViewerState, state_of
from napari_medcnn.models import registry
from tests.bundle_factory import make_bundle

LABELS = (Label(1, "lesion", (1.0, 0.2, 0.1)), Label(2, "core", (0.1, 0.4, 1.0)))


@pytest.fixture(autouse=True)
def own_autosaves(tmp_path, monkeypatch):
    """Autosaves of these tests, and of no one else."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def same_process(monkeypatch):
    """Models run in this process, where a test can put something in an engine's place."""
    stored = SimpleNamespace(model_dump=lambda: {"separate_process": False})
    page = SimpleNamespace(analysis=stored)
    monkeypatch.setattr(preferences, "get_plugin_settings", lambda name: page)


@pytest.fixture
def flair() -> Volume:
    """A 24x40x32 volume of 2 x 1 x 1 mm with two bright blocks, of 96 and of 16 voxels."""
    geometry = Geometry.from_spacing((24, 40, 32), (2.0, 1.0, 1.0), (-30.0, 12.5, 100.0))
    rng = np.random.default_rng(0)
    array = rng.normal(0.1, 0.01, geometry.shape).astype(np.float32)
    array[8:12, 10:16, 12:16] = 1.0
    array[16:18, 30:34, 20:22] = 0.9
    return Volume(array, geometry, name="FLAIR", modality="MR")


def two_lesions(volume: Volume) -> Segmentation:
    """What is bright in `flair`."""
    labels = np.zeros(volume.geometry.shape, np.uint8)
    labels[8:12, 10:16, 12:16] = 1
    labels[16:18, 30:34, 20:22] = 2
    return Segmentation(
        labels,
        volume.geometry,
        LABELS,
        volume.id,
        np.where(labels > 0, 0.75, 0.125).astype(np.float16),
        model=ModelReference("bright", "1.0", "ab" * 32, "Bright voxels"),
    )


@pytest.fixture
def state(make_napari_viewer) -> ViewerState:
    """The state of a fresh viewer."""
    return state_of(make_napari_viewer())


@pytest.fixture
def result(state: ViewerState, flair: Volume) -> Result:
    """`flair` and its two lesions, shown in the viewer."""
    state.add_volumes([flair])
    result = new_result(two_lesions(flair), flair, 0.0)
    state.add_result(result)
    return result


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A folder of models that holds one which finds what is bright."""
    make_bundle(
        tmp_path / "models" / "bright",
        medcnn={"one_liner": "Marks what is bright.", "min_lesion_volume_mm3": 10.0},
        metadata={"intended_use": "Tests of this program"},
    )
    monkeypatch.setenv(registry.MODELS_FOLDER_VARIABLE, str(tmp_path / "models"))
    monkeypatch.setattr(registry, "SHIPPED", tmp_path / "nothing")
    return tmp_path / "models"


@pytest.fixture
def widget(state, models) -> AnalyzeWidget:
    widget = AnalyzeWidget(state.viewer)
    state.viewer.window.add_dock_widget(widget, name="Analyze")
    return widget


@pytest.fixture
def ready(widget, state, flair) -> AnalyzeWidget:
    state.add_volumes([flair])
    return widget
