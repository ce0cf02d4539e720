"""Adding, trusting and removing models inline, with real imports of real files."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
import torch
from qtpy.QtWidgets import QPushButton

from napari_medcnn.core.events import Progress
from napari_medcnn.core.volume import Severity
from napari_medcnn.gui.model_choice import ModelChoice
from napari_medcnn.gui.model_panel import NO_LICENCE
from napari_medcnn.models import registry
from tests.bundle_factory import make_bundle

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

CARD = {
    "title": "A program",
    "channels": [{"name": "image", "modality": "MR"}],
    "labels": [{"name": "lesion"}],
    "activation": "softmax",
    "roi_size": [16, 16, 16],
    "licence": "MIT",
}


class Network(torch.nn.Module):
    """Two classes a voxel."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv3d(1, 2, 1)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return self.convolution(windows)


@pytest.fixture
def incoming(tmp_path) -> Path:
    """Where models come from."""
    folder = tmp_path / "incoming"
    folder.mkdir()
    return folder


@pytest.fixture
def choice(qtbot, tmp_path, monkeypatch) -> ModelChoice:
    """The drop-down with one model in the user's folder."""
    make_bundle(tmp_path / "models" / "bright")
    monkeypatch.setenv(registry.MODELS_FOLDER_VARIABLE, str(tmp_path / "models"))
    monkeypatch.setenv("MEDCNN_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("MEDCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(registry, "SHIPPED", tmp_path / "nothing")
    choice = ModelChoice("bright")
    qtbot.addWidget(choice)
    choice.refresh()
    choice.show()
    return choice


def add(qtbot, choice: ModelChoice, source: object) -> None:
    if not choice.panel.is_open:
        choice.add_button.click()
    choice.panel.form.source.setText(str(source))
    choice.panel.add.click()
    finish(qtbot, choice)


def finish(qtbot, choice: ModelChoice) -> None:
    qtbot.waitUntil(lambda: not choice.panel.runner.is_running, timeout=120000)


def press(choice: ModelChoice, text: str) -> None:
    notice = choice.panel.board.notices[-1]
    (button,) = [b for b in notice.findChildren(QPushButton) if b.text() == text]
    button.click()


def program(folder: Path) -> Path:
    """A TorchScript file with its card."""
    path = folder / "net.ts"
    torch.jit.script(Network()).save(str(path))
    path.with_suffix(".json").write_text(json.dumps(CARD))
    return path


def ids(choice: ModelChoice) -> list[str]:
    return [spec.id for spec in choice._models]


def test_licence_and_card_are_shown_before_a_new_model_is_used(qtbot, choice, incoming):
    source = make_bundle(incoming / "shiny", metadata={"intended_use": "Tests", "name": "Shiny"})
    add(qtbot, choice, source)
    panel = choice.panel
    assert "Licence: BSD-3-Clause" in panel.board.texts[0]
    assert "Tests" in panel.card.page.toPlainText()
    assert choice.spec.id == "bright", "it is there, and not chosen yet"
    assert ids(choice) == ["bright", "shiny"]
    panel.use.click()
    assert choice.spec.id == "shiny"
    assert not panel.is_open and choice.card.isVisible()


def test_a_model_without_a_licence_is_added_with_a_warning(qtbot, choice, incoming):
    add(qtbot, choice, make_bundle(incoming / "free", metadata={"license": ""}))
    (notice,) = choice.panel.board.notices
    assert notice.severity is Severity.WARNING and NO_LICENCE in notice.text


def test_a_new_model_can_be_removed_again(qtbot, choice, incoming, tmp_path):
    add(qtbot, choice, make_bundle(incoming / "shiny"))
    choice.panel.undo.click()
    finish(qtbot, choice)
    assert ids(choice) == ["bright"]
    assert not (tmp_path / "models" / "shiny").exists()
    add(qtbot, choice, incoming / "shiny")
    assert ids(choice) == ["bright", "shiny"]


def test_a_program_asks_first_and_a_no_adds_nothing(qtbot, choice, incoming, tmp_path):
    add(qtbot, choice, program(incoming))
    (notice,) = choice.panel.board.notices
    assert not notice.closable
    assert "net.ts is a program. Do you trust it?" in notice.text
    assert "read and write files" in notice.text and "SHA-256" in notice.text
    assert not any(b.isDefault() or b.hasFocus() for b in notice.findChildren(QPushButton))
    assert not choice.panel.buttons.isVisible()
    press(choice, "Do not add it")
    assert "nothing of it was run" in choice.panel.board.texts[0]
    assert ids(choice) == ["bright"]
    assert not (tmp_path / "config" / "trusted_models.json").exists()


def test_a_yes_adds_the_program_that_was_asked_about(qtbot, choice, incoming):
    add(qtbot, choice, program(incoming))
    press(choice, "I trust it: run it")
    finish(qtbot, choice)
    assert "A program was added. Licence: MIT." in choice.panel.board.texts[-1]
    choice.panel.use.click()
    assert choice.spec.kind == "torchscript"


def test_a_yes_is_not_for_a_file_that_was_exchanged_meanwhile(qtbot, choice, incoming, tmp_path):
    source = program(incoming)
    add(qtbot, choice, source)
    torch.jit.script(Network()).save(str(source))
    press(choice, "I trust it: run it")
    finish(qtbot, choice)
    assert "has the SHA-256" in choice.panel.board.texts[0]
    assert ids(choice) == ["bright"]
    assert not (tmp_path / "config" / "trusted_models.json").exists()


def test_a_bundles_own_program_asks_first(qtbot, choice, incoming):
    bundle = make_bundle(incoming / "own")
    (bundle / "scripts").mkdir()
    (bundle / "scripts" / "net.py").write_text("raise SystemExit('it was run')\n")
    change_network(bundle, "scripts.net.Net")
    add(qtbot, choice, bundle)
    (notice,) = choice.panel.board.notices
    assert "own is a program. Do you trust it?" in notice.text
    assert "scripts.net.Net" in notice.text and "scripts/net.py" in notice.text
    assert "--trust" not in notice.text
    press(choice, "Do not add it")
    assert ids(choice) == ["bright"]


def change_network(bundle: Path, target: str) -> None:
    file = bundle / "configs" / "inference.json"
    config = json.loads(file.read_text())
    config["network_def"]["_target_"] = target
    file.write_text(json.dumps(config))


def test_a_refused_bundle_is_told_with_all_that_it_wants(qtbot, choice, incoming):
    bundle = make_bundle(incoming / "bad")
    change_network(bundle, "os.system")
    file = bundle / "configs" / "inference.json"
    config = json.loads(file.read_text())
    step = {"_target_": "Lambdad", "keys": "image", "func": "$__import__('os').system('x')"}
    config["preprocessing"]["transforms"].append(step)
    file.write_text(json.dumps(config))
    add(qtbot, choice, bundle)
    (notice,) = choice.panel.board.notices
    assert notice.severity is Severity.BLOCKING
    assert "os.system" in notice.text and "__import__" in notice.text
    assert "\n• " in notice.text
    assert ids(choice) == ["bright"]
    choice.panel.form.source.setText(str(incoming))
    assert choice.panel.board.texts == (), "it was about another model"


def test_a_checkpoint_asks_for_its_network(qtbot, choice, incoming):
    from monai.networks.nets import BasicUNet

    features = (4, 4, 4, 4, 4, 4)
    torch.save(BasicUNet(3, 1, 2, features=features).state_dict(), incoming / "net.pth")
    (incoming / "net.json").write_text(json.dumps(CARD))
    choice.add_button.click()
    form = choice.panel.form
    assert not form.network.isVisible()
    add(qtbot, choice, incoming / "net.pth")
    assert form.network.isVisible()
    assert "choose the Network" in choice.panel.board.texts[0]
    form.network.setCurrentText("BasicUNet")
    choice.panel.add.click()
    finish(qtbot, choice)
    assert "A program was added" in choice.panel.board.texts[0]


def test_an_import_can_be_cancelled_and_started_again(qtbot, choice, incoming, monkeypatch):
    from napari_medcnn.models.importing import job

    entered = threading.Event()
    source = make_bundle(incoming / "shiny")

    def slowly(self):
        yield Progress(job.CHECKING, 0, 1)
        entered.set()
        while True:
            self.control.checkpoint()
            self.control._cancelled.wait(0.01)

    with monkeypatch.context() as patch:
        patch.setattr(job._Import, "_bundle", slowly)
        choice.add_button.click()
        choice.panel.form.source.setText(str(source))
        choice.panel.add.click()
        qtbot.waitUntil(entered.is_set, timeout=60000)
        choice.setEnabled(False)  # as a run does: the import stays in the user's hands
        assert choice.panel.progress.cancel_button.isEnabled()
        choice.panel.progress.cancel_button.click()
        finish(qtbot, choice)
    choice.setEnabled(True)
    assert choice.panel.board.texts == ("Cancelled; nothing was added.",)
    choice.panel.add.click()
    finish(qtbot, choice)
    assert ids(choice) == ["bright", "shiny"]


def test_a_model_is_removed_after_a_yes_only(qtbot, choice, incoming, tmp_path):
    add(qtbot, choice, make_bundle(incoming / "shiny"))
    choice.panel.use.click()
    choice.remove.trigger()
    press(choice, "Keep it")
    assert not choice.panel.is_open
    choice.remove.trigger()
    press(choice, "Delete")
    finish(qtbot, choice)
    assert ids(choice) == ["bright"] and choice.spec.id == "bright"
    assert not (tmp_path / "models" / "shiny").exists()


def test_models_from_elsewhere_are_not_offered_for_removal(choice, incoming):
    assert choice.remove.isEnabled()
    choice.choose(make_bundle(incoming / "lent"))
    assert choice.spec.id == "lent"
    assert not choice.remove.isEnabled()


def test_a_model_that_came_by_other_ways_is_there_when_the_list_opens(choice, tmp_path):
    make_bundle(tmp_path / "models" / "by_command")
    choice.list.showPopup()
    choice.list.hidePopup()
    assert ids(choice) == ["bright", "by_command"]
    assert choice.spec.id == "bright"
