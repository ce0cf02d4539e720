from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.registry import (
    MODELS_FOLDER_VARIABLE,
    find_model,
    list_models,
    look_through,
    user_models_folder,
)
from tests.bundle_factory import make_bundle


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(MODELS_FOLDER_VARIABLE, str(tmp_path / "models"))
    return tmp_path / "models"


def test_the_users_models_are_found_by_name_in_any_case_and_by_folder(models: Path) -> None:
    bundle = make_bundle(models / "Bright_spots")
    assert "Bright_spots" in [spec.id for spec in list_models()]
    for name in ("bright_SPOTS", bundle, str(bundle)):
        assert find_model(name).path == bundle


def test_an_unknown_name_is_answered_with_names_that_come_near(models: Path) -> None:
    make_bundle(models / "bright_spots")
    with pytest.raises(ModelError, match="did you mean bright_spots"):
        find_model("brigth_spot")
    with pytest.raises(ModelError, match=r"models at hand: .*bright_spots"):
        find_model("zzz")
    with pytest.raises(ModelError, match="no such folder"):
        find_model("some/where/else")


def test_a_broken_model_hides_no_other_and_says_why_when_asked_for(models: Path) -> None:
    make_bundle(models / "whole")
    make_bundle(models / "broken", weights="")
    (models / "no_model").mkdir()
    shelf = look_through()
    assert "whole" in [spec.id for spec in shelf.models]
    assert any("no weights" in str(problem) for problem in shelf.problems)
    with pytest.raises(ModelError, match="no weights"):
        find_model("broken")


def test_of_two_models_with_one_name_the_first_counts_and_it_is_said(models: Path) -> None:
    for folder in ("a", "b"):
        make_bundle(models / folder, medcnn={"id": "same"})
    shelf = look_through()
    assert find_model("same").path == models / "a"
    assert any("called same already" in str(problem) for problem in shelf.problems)


def test_helper_models_are_found_but_not_listed(models: Path) -> None:
    make_bundle(models / "helper", medcnn={"listed": False})
    assert "helper" not in [spec.id for spec in list_models()]
    assert find_model("helper").id == "helper"


def test_without_a_choice_the_models_lie_in_the_users_data_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(MODELS_FOLDER_VARIABLE, raising=False)
    assert user_models_folder().parts[-2:] == ("napari-medcnn", "models")


def test_listing_and_planning_load_neither_torch_nor_monai(models: Path) -> None:
    make_bundle(models / "bright")
    script = """
import sys
from napari_medcnn.inference.plan import ImageFacts, describe, resolve
from napari_medcnn.models.registry import find_model, list_models
from napari_medcnn.models import weights
from napari_medcnn.inference import device, postprocess, preprocess, segment, windows
assert list_models()
plan = resolve(find_model("bright"), ImageFacts((20, 20, 20), (1.0, 1.0, 1.0), ("MR",)))
assert describe(plan) and weights.sha256(find_model("bright").weights)
loaded = {"torch", "monai"} & set(sys.modules)
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
