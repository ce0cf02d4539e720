"""``medcnn models``: import, show, verify and remove."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from napari_medcnn.models.registry import MODELS_FOLDER_VARIABLE
from tests.bundle_factory import make_bundle


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(MODELS_FOLDER_VARIABLE, str(tmp_path / "models"))
    monkeypatch.setenv("MEDCNN_CONFIG", str(tmp_path / "config"))
    return tmp_path / "models"


def test_a_model_is_imported_shown_verified_and_removed(
    medcnn: Callable, tmp_path: Path, models: Path
) -> None:
    bundle = make_bundle(tmp_path / "bright", metadata={"intended_use": "Only for tests"})
    outcome = medcnn("models", "add", bundle, "--name", "spots", "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["id"] == "spots"
    assert "BSD-3-Clause" in outcome.err and "Only for tests" in outcome.err
    assert "spots" in medcnn("models", "list").out
    shown = medcnn("models", "show", "spots").out
    for text in ("BSD-3-Clause", "Only for tests", "1 bright", "UNet (monai)"):
        assert text in shown
    digest = next(
        iter(json.loads(medcnn("models", "verify", "spots", "--json").out)["weights"].values())
    )
    assert digest in medcnn("models", "verify", "spots").out
    assert medcnn("models", "remove", "spots").code == 0
    assert not list(models.iterdir())


def test_what_a_bundle_wants_to_run_is_shown(medcnn: Callable, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "wild")
    file = bundle / "configs" / "inference.json"
    content = json.loads(file.read_text())
    content["network_def"]["_target_"] = "scripts.net.Own"
    content["preprocessing"]["transforms"].append({"_target_": "scripts.steps.Strange"})
    file.write_text(json.dumps(content))
    outcome = medcnn("models", "show", bundle)
    assert outcome.code == 1
    assert "scripts.net.Own" in outcome.err and "scripts.steps.Strange" in outcome.err


def test_a_refusal_names_the_reason_and_the_way_out(medcnn: Callable, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"x")
    outcome = medcnn("models", "add", tmp_path / "net.onnx")
    assert outcome.code == 1
    assert "needs a card" in outcome.err and "net.json" in outcome.err
