"""Models of other forms, described by a card, come back by the road of every bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_medcnn.core.errors import ConsentNeeded, ModelError
from napari_medcnn.core.segmentation import Label
from napari_medcnn.models.networks import load_network
from napari_medcnn.models.registry import find_model, list_models
from napari_medcnn.models.spec import Channel
from tests.models.importing.conftest import imported, nothing_left, told

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

CARD: dict[str, Any] = {
    "title": "Two organs",
    "version": "3",
    "licence": "CC-BY-4.0",
    "intended_use": "tests",
    "channels": [{"name": "CT", "modality": "CT"}],
    "labels": [{"name": "liver"}, {"name": "spleen"}],
    "activation": "softmax",
    "orientation": "LPS",
    "spacing_mm": [1.5, 2.0, 3.0],
    "roi_size": [16, 8, 24],
    "overlap": 0.25,
    "intensity": [{"step": "range", "from": [-100, 200], "to": [0, 1]}],
}


class Organs(torch.nn.Module):
    """Three classes a voxel, of one channel."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.convolution = torch.nn.Conv3d(1, 3, 3, padding=1)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return self.convolution(windows)


class LastChannels(torch.nn.Module):
    """The same as TensorFlow has it: channels last, probabilities out."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Organs()

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return self.inner(windows.movedim(-1, 1)).softmax(1).movedim(1, -1)


def with_card(source: Path, **changes: Any) -> Path:
    card = {k: v for k, v in (CARD | changes).items() if v is not None}
    source.with_suffix(".json").write_text(json.dumps(card))
    return source


def torchscript(path: Path, module: torch.nn.Module) -> Path:
    torch.jit.save(torch.jit.script(module.eval()), path)
    return path


WINDOW = torch.rand(2, 1, 16, 8, 24)


def expected() -> torch.Tensor:
    with torch.inference_mode():
        return Organs()(WINDOW)


def test_torchscript_runs_after_trust_which_is_remembered(tmp_path: Path) -> None:
    source = with_card(torchscript(tmp_path / "organs.ts", Organs()))
    with pytest.raises(ConsentNeeded):
        imported(source)
    spec, messages = told(source, trust=True)
    assert any("you trust this program" in text for text in messages)
    assert any("licence: CC-BY-4.0" in text for text in messages)
    assert any("intended use: tests" in text for text in messages)
    assert (spec.id, spec.title, spec.version, spec.kind) == (
        "organs",
        "Two organs",
        "3",
        "torchscript",
    )
    assert spec.channels == (Channel("CT", "CT"),)
    assert [(label.value, label.name) for label in spec.labels] == [(1, "liver"), (2, "spleen")]
    assert (spec.spacing_mm, spec.axcodes, spec.roi_size) == ((3.0, 2.0, 1.5), "LPS", (24, 8, 16))
    assert spec.activation == "softmax"
    with torch.inference_mode():
        torch.testing.assert_close(load_network(spec)(WINDOW), expected())
    assert imported(source, name="again").id == "again"  # trusted by its content
    assert {"organs", "again"} <= {model.id for model in list_models()}
    assert find_model("organs") == spec


def test_an_exported_program_of_one_fixed_batch_takes_any_number(tmp_path: Path) -> None:
    program = torch.export.export(Organs().eval(), (WINDOW[:1],))
    torch.export.save(program, tmp_path / "organs.pt2")
    spec = imported(with_card(tmp_path / "organs.pt2"), trust=True)
    assert spec.kind == "exported"
    with torch.inference_mode():
        torch.testing.assert_close(load_network(spec)(WINDOW), expected())


def test_channels_last_and_probabilities_become_what_the_engine_takes(tmp_path: Path) -> None:
    source = torchscript(tmp_path / "organs.ts", LastChannels())
    spec = imported(with_card(source, layout="channels_last", output="probabilities"), trust=True)
    with torch.inference_mode():
        given = load_network(spec)(WINDOW).softmax(1)
    torch.testing.assert_close(given, expected().softmax(1))


def test_a_program_that_gives_something_else_than_its_card_says_is_refused(
    tmp_path: Path, models: Path
) -> None:
    source = torchscript(tmp_path / "organs.ts", Organs())
    with pytest.raises(ModelError, match=r"makes \(1, 3, .*by the card it is \(1, 2, "):
        imported(with_card(source, labels=[{"name": "liver"}]), trust=True)
    with pytest.raises(ModelError, match="fails on a window"):
        imported(with_card(source, channels=[{"name": "a"}, {"name": "b"}]), trust=True)
    assert nothing_left(models)


def test_names_within_monais_own_torchscript_must_be_the_cards(tmp_path: Path) -> None:
    def metadata(*names: str) -> str:
        outputs = {"pred": {"channel_def": {str(n): name for n, name in enumerate(names)}}}
        return json.dumps({"network_data_format": {"outputs": outputs}})

    source = with_card(tmp_path / "organs.ts")
    program = torch.jit.script(Organs().eval())
    torch.jit.save(program, source, {"metadata.json": metadata("background", "Spleen", "Liver")})
    with pytest.raises(ModelError, match="'liver' there and 'Spleen' here"):
        imported(source, trust=True)
    torch.jit.save(program, source, {"metadata.json": metadata("background", "Liver", "Spleen")})
    assert imported(source, trust=True).labels[0].name == "liver"


@pytest.mark.filterwarnings("ignore")
def test_onnx_is_checked_by_openvinos_reader_and_read_back(tmp_path: Path, models: Path) -> None:
    pytest.importorskip("openvino")
    pytest.importorskip("onnx")
    source = with_card(tmp_path / "organs.onnx")
    torch.onnx.export(Organs().eval(), (WINDOW[:1],), source, dynamo=False)
    spec = imported(source)
    assert (spec.kind, spec.weights) == ("onnx", models / "organs" / "models" / "model.onnx")
    assert spec.network["out_channels"] == 3
    with pytest.raises(ModelError, match="PyTorch does not run"):
        load_network(spec)
    with pytest.raises(ModelError, match=r"takes \(1, 1, 16, 8, 24\), the card says"):
        imported(with_card(source, roi_size=[16, 16, 16]), name="other")
    with pytest.raises(ModelError, match=r"gives \(1, 3, 16, 8, 24\), the card says \(any, 2,"):
        imported(with_card(source, labels=[{"name": "liver"}]), name="other")
    source.write_bytes(b"no graph")
    with pytest.raises(ModelError, match="OpenVINO"):
        imported(with_card(source), name="other")
    assert [p.name for p in models.iterdir()] == ["organs"]


def test_a_damaged_saved_model_is_refused(tmp_path: Path, models: Path) -> None:
    pytest.importorskip("openvino")
    folder = tmp_path / "organs"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"no graph")
    (folder / "card.json").write_text(json.dumps(CARD))
    with pytest.raises(ModelError, match="OpenVINO"):
        imported(folder)
    assert nothing_left(models)


def test_colours_of_the_card_are_those_of_the_labels(tmp_path: Path) -> None:
    labels = [{"name": "liver", "colour": [1, 0, 0]}, {"name": "spleen", "colour": [0, 1, 0]}]
    source = with_card(torchscript(tmp_path / "organs.ts", Organs()), labels=labels)
    spec = imported(source, trust=True)
    assert spec.labels == (Label(1, "liver", (1, 0, 0)), Label(2, "spleen", (0, 1, 0)))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"licence": None}, "'licence' is a required property"),
        ({"channels": []}, "channels: "),
        ({"labels": [{"name": "a"}, {"name": "A"}]}, "labels: a stands there twice"),
        ({"labels": [{"name": "a", "value": 2}]}, r"labels\[0\].value is 2; .* so it is 1"),
        ({"activation": "relu"}, "activation: 'relu' is not one of"),
        ({"orientation": "RAR"}, "RAR does not name three axes"),
        ({"orientation": "XYZ"}, "orientation: 'XYZ' does not match"),
        ({"spacing_mm": [1, 1]}, r"spacing_mm: \[1, 1\] is too short"),
        ({"spacing_mm": [1, 1, 0]}, r"spacing_mm\[2\]: 0 is less than"),
        ({"roi_size": [16, 16, 1.5]}, r"roi_size\[2\]: 1.5 is not of type 'integer'"),
        ({"intensity": [{"step": "boil"}]}, r"intensity\[0\].step: 'boil' is not one of"),
        ({"intensity": [{"step": "range", "from": [0, 1]}]}, r"intensity\[0\]: 'to' is a required"),
        (
            {"intensity": [{"step": "range", "from": [2, 1], "to": [0, 1]}]},
            r"intensity\[0\].from: \[2, 1\] does not ascend",
        ),
        ({"threshold": 0.4}, "threshold: softmax takes the likeliest"),
        ({"_target_": "os.system"}, "Additional properties are not allowed"),
    ],
)
def test_a_card_that_does_not_hold_is_refused_with_the_place(
    tmp_path: Path, models: Path, change: dict[str, Any], reason: str
) -> None:
    source = with_card(torchscript(tmp_path / "organs.ts", Organs()), **change)
    with pytest.raises(ModelError, match=reason) as caught:
        imported(source, trust=True)
    assert caught.value.source == str(source.with_suffix(".json"))
    assert nothing_left(models)


def test_a_model_without_a_card_says_what_is_needed(tmp_path: Path) -> None:
    source = torchscript(tmp_path / "organs.ts", Organs())
    with pytest.raises(ModelError, match=r"needs a card.*organs\.json"):
        imported(source)


@pytest.mark.parametrize(
    ("name", "hint"), [("model.h5", "SavedModel"), ("model.tar.gz", "unpack it"), ("a.txt", "ONNX")]
)
def test_files_of_other_kinds_are_refused_with_a_way_out(
    tmp_path: Path, name: str, hint: str
) -> None:
    (tmp_path / name).write_bytes(b"123")
    with pytest.raises(ModelError, match=hint):
        imported(tmp_path / name)
