"""A trained model takes its place among the user's whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.registry import find_model, look_through
from napari_medcnn.training.export import export_bundle
from napari_medcnn.training.installing import install_bundle
from tests.training.made_run import make_run, picture_job, tiny_job


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "models"
    monkeypatch.setenv("MEDCNN_MODELS", str(folder))
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_copy_is_the_bundle_under_its_name(tmp_path: Path, models: Path) -> None:
    bundle = export_bundle(make_run(tmp_path / "run", tiny_job(tmp_path)).path, install=False)
    assert not models.exists()
    installed = install_bundle(bundle)
    assert installed == models / "balls" == find_model("balls").path
    for file in (path for path in bundle.rglob("*") if path.is_file()):
        if file.name != "metadata.json":
            assert (installed / file.relative_to(bundle)).read_bytes() == file.read_bytes()


def test_a_damaged_bundle_leaves_the_earlier_model_as_it_was(tmp_path: Path, models: Path) -> None:
    bundle = export_bundle(make_run(tmp_path / "run", tiny_job(tmp_path)).path)
    (bundle / "configs" / "inference.json").write_text("{}")
    with pytest.raises(ModelError):
        install_bundle(bundle)
    assert names(models) == ["balls"]
    assert find_model("balls").title == "Balls"
    assert not look_through().problems


def test_a_classifier_is_installed_like_any_other_model(tmp_path: Path, models: Path) -> None:
    export_bundle(make_run(tmp_path / "run", picture_job(tmp_path / "pictures")).path)
    assert names(models) == ["brightness"]
    assert find_model("brightness").task == "classification"


def test_what_is_no_bundle_is_not_installed(tmp_path: Path, models: Path) -> None:
    with pytest.raises(ModelError, match="no bundle of a run"):
        install_bundle(tmp_path)
    assert not models.exists()


def test_names_that_shipped_models_have_get_a_number(tmp_path: Path, models: Path) -> None:
    job = tiny_job(tmp_path, name="Flair_Lesions")
    export_bundle(make_run(tmp_path / "run", job).path)
    assert names(models) == ["Flair_Lesions_2"]
    assert not look_through().problems
