"""Graphs that only OpenVINO reads: ONNX files and SavedModels, by the logits that they give."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_medcnn.core.events import run_to_end
from napari_medcnn.inference.backends.open import open_backend
from napari_medcnn.models.importing.job import import_model
from napari_medcnn.models.registry import MODELS_FOLDER_VARIABLE
from napari_medcnn.models.spec import ModelSpec

pytest.importorskip("openvino")

DATA = Path(__file__).parents[2] / "data"
CARD: dict[str, Any] = {
    "title": "Two organs",
    "licence": "CC0-1.0",
    "channels": [{"name": "CT", "modality": "CT"}],
    "labels": [{"name": "liver"}, {"name": "spleen"}],
    "activation": "softmax",
    "roi_size": [8, 8, 8],
}
Importer = Callable[..., ModelSpec]


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Importer:
    """Imports a file with a card."""
    monkeypatch.setenv(MODELS_FOLDER_VARIABLE, str(tmp_path / "models"))
    monkeypatch.setenv("MEDCNN_CACHE", str(tmp_path / "cache"))

    def with_card(source: Path, **changes: Any) -> ModelSpec:
        source.with_suffix(".json").write_text(json.dumps(CARD | changes))
        return run_to_end(import_model(str(source)), ModelSpec)

    return with_card


def logits(spec: ModelSpec, windows: torch.Tensor) -> torch.Tensor:
    roi = (windows.shape[4], windows.shape[3], windows.shape[2])
    backend = open_backend(spec, "openvino", roi=roi, batch=len(windows))
    given = backend.logits(windows).clone()
    backend.close()
    return given


def keras_window() -> tuple[torch.Tensor, torch.Tensor]:
    """A window and what Keras made of it, channels first."""
    window = np.random.default_rng(0).random((1, 8, 8, 8, 1), dtype=np.float32)
    made = np.load(DATA / "keras_organs.npy")
    first = (torch.from_numpy(array).movedim(-1, 1) for array in (window, made))
    window_first, made_first = first
    return window_first.contiguous(), made_first


def keras_model(folder: Path) -> Path:
    return Path(shutil.copytree(DATA / "keras_organs", folder / "organs"))


def test_a_saved_model_of_keras_gives_what_keras_gives(imported: Importer, tmp_path: Path) -> None:
    source = keras_model(tmp_path)
    spec = imported(source, layout="channels_last", output="probabilities")
    window, made = keras_window()
    torch.testing.assert_close(logits(spec, window).softmax(1), made, atol=1e-6, rtol=1e-5)
    both = torch.cat([window, window.flip(2)])
    assert logits(spec, both).shape == (2, 3, 8, 8, 8)


def test_other_variables_of_the_same_graph_are_another_network(
    imported: Importer, tmp_path: Path
) -> None:
    source = keras_model(tmp_path)
    card = {"layout": "channels_last", "output": "probabilities"}
    window, made = keras_window()
    logits(imported(source, **card), window)
    variables = next((source / "variables").glob("*.data-*"))
    values = np.frombuffer(variables.read_bytes(), np.uint8).copy()
    whole = len(values) // 4 * 4
    floats = values[:whole].view(np.float32)
    plausible = (np.abs(floats) < 1) & (np.abs(floats) > 1e-3)
    floats[plausible] *= -1
    variables.write_bytes(values.tobytes())
    other = logits(imported(source, **card, name="other"), window).softmax(1)
    assert (other - made).abs().max() > 0.01


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("last", [False, True])
def test_an_onnx_file_gives_what_torch_gives(
    imported: Importer, tmp_path: Path, last: bool
) -> None:
    pytest.importorskip("onnx")
    torch.manual_seed(1)
    convolution = torch.nn.Conv3d(1, 3, 3, padding=1).eval()
    module: torch.nn.Module = ChannelsLast(convolution) if last else convolution
    window = torch.rand(1, 1, 8, 8, 8)
    example = window.movedim(1, -1) if last else window
    torch.onnx.export(module, (example,), tmp_path / "organs.onnx", dynamo=False)
    card = {"layout": "channels_last", "output": "probabilities"} if last else {}
    given = logits(imported(tmp_path / "organs.onnx", **card), window)
    with torch.inference_mode():
        expected = convolution(window)
    torch.testing.assert_close(given.softmax(1), expected.softmax(1), atol=1e-5, rtol=1e-4)
    if not last:
        torch.testing.assert_close(given, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_an_onnx_file_of_pictures_runs_slice_by_slice(imported: Importer, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    torch.manual_seed(1)
    convolution = torch.nn.Conv2d(1, 3, 3, padding=1).eval()
    picture = torch.rand(1, 1, 8, 12)
    torch.onnx.export(convolution, (picture,), tmp_path / "organs.onnx", dynamo=False)
    spec = imported(tmp_path / "organs.onnx", roi_size=[8, 12, 1], slice_axis=2)
    given = logits(spec, picture[..., None])
    with torch.inference_mode():
        torch.testing.assert_close(given[..., 0], convolution(picture), atol=1e-5, rtol=1e-4)


class ChannelsLast(torch.nn.Module):
    """As TensorFlow has it: channels last, probabilities out."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        first = windows.permute(0, 4, 1, 2, 3)
        made: torch.Tensor = self.inner(first).softmax(1).permute(0, 2, 3, 4, 1)
        return made
