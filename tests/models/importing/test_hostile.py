"""Nothing of a hostile model is executed, and each is refused with its reason."""

from __future__ import annotations

import json
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_medcnn.core.errors import ConsentNeeded, ModelError
from napari_medcnn.models.importing import archive
from napari_medcnn.models.registry import find_model
from napari_medcnn.models.trust import is_trusted
from tests.bundle_factory import make_bundle
from tests.models.importing.conftest import imported, nothing_left

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

CARD = {
    "licence": "none",
    "channels": [{"name": "image"}],
    "labels": [{"name": "bright"}],
    "activation": "sigmoid",
    "roi_size": [8, 8, 8],
}


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """Exists when something was executed."""
    return tmp_path / "executed"


def changed(bundle: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    file = bundle / "configs" / "inference.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    return bundle


def attacks(canary: Path) -> dict[str, Callable[[dict[str, Any]], None]]:
    """What a configuration may try; every one of them works under a runner that uses `eval`."""
    call = f"__import__('os').system('touch {canary}')"
    command = {"_target_": "os.system", "command": f"touch {canary}"}
    opened = {"_target_": "builtins.open", "file": str(canary), "mode": "w"}
    return {
        "an expression as an argument": lambda c: c["network_def"].update(in_channels=f"${call}"),
        "an expression as a step": lambda c: c["preprocessing"]["transforms"].append(f"${call}"),
        "a class of os as network": lambda c: c.update(network_def=command),
        "a class of os as step": lambda c: c["preprocessing"]["transforms"].append(command),
        "a class of os after it": lambda c: c["postprocessing"]["transforms"].append(command),
        "a class of os as inferer": lambda c: c.update(inferer=command),
        "a file opened": lambda c: c["network_def"].update(act=opened),
        "through a reference": lambda c: (
            c.update(evil=f"${call}"),
            c["network_def"].update(in_channels="@evil"),
        ),
        "a lambda after it": lambda c: c["postprocessing"]["transforms"].append(
            {"_target_": "Lambdad", "keys": "pred", "func": f"$lambda x: {call}"}
        ),
        "in _requires_": lambda c: c["network_def"].update(_requires_=f"${call}"),
        "in _disabled_": lambda c: c["preprocessing"]["transforms"][2].update(
            _disabled_=f"${call}"
        ),
        "as a debugger": lambda c: c["network_def"].update(_mode_="debug"),
        "as a partial call": lambda c: c["network_def"].update(_mode_="callable"),
        "through an attribute": lambda c: c["network_def"].update(
            in_channels="$().__class__.__base__.__subclasses__()"
        ),
        "weights elsewhere": lambda c: c["checkpointloader"].update(load_path="/etc/passwd"),
        "weights above": lambda c: c["checkpointloader"].update(load_path="../../secret.pt"),
        "a configuration elsewhere": lambda c: c["network_def"].update(
            in_channels="%/etc/passwd::in_channels"
        ),
    }


@pytest.mark.parametrize("attack", attacks(Path("x")))
def test_a_configuration_that_asks_to_run_something_is_refused(
    tmp_path: Path, models: Path, canary: Path, attack: str
) -> None:
    bundle = changed(make_bundle(tmp_path / "evil"), attacks(canary)[attack])
    with pytest.raises(ModelError) as caught:
        imported(bundle)
    assert str(bundle) in str(caught.value)
    assert nothing_left(models)
    assert not canary.exists()


def test_lines_that_are_never_needed_are_never_run(tmp_path: Path, canary: Path) -> None:
    call = f"$__import__('os').system('touch {canary}')"

    def change(content: dict[str, Any]) -> None:
        content.update(imports=[call, "$import os"], initialize=[call], run=[call], dataset=call)
        content["handlers"] = [{"_target_": "os.system", "command": f"touch {canary}"}]

    assert imported(changed(make_bundle(tmp_path / "noisy"), change)).id == "noisy"
    assert not canary.exists()


class Payload:
    """A pickle that makes a folder when it is opened."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.canary),)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("form", ["bundle", "checkpoint", "architecture"])
def test_a_pickle_with_a_payload_is_refused(
    tmp_path: Path, models: Path, canary: Path, form: str, legacy: bool
) -> None:
    content = {"w": Payload(canary)}
    bundle = make_bundle(tmp_path / "evil")
    options: dict[str, Any] = {}
    if form == "bundle":
        evil, source = bundle / "models" / "model.pt", bundle
    elif form == "checkpoint":
        evil = source = tmp_path / "evil.pth"
        (tmp_path / "evil.json").write_text(json.dumps(CARD))
        options["network"] = "UNet"
    else:
        evil, source = bundle / "models" / "codes.pt", bundle
        changed(
            bundle,
            lambda c: c["network_def"].update(
                channels="$torch.load(@bundle_root + '/models/codes.pt')['w']"
            ),
        )
    torch.save(content, evil, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ModelError, match="would run code"):
        imported(source, **options)
    assert nothing_left(models)
    assert not canary.exists()


class Writer(torch.nn.Module):
    """TorchScript that writes a file as soon as it is loaded."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return (self.path, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.path = state[0]
        self.training = state[1]
        torch.save(torch.zeros(1), self.path)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return windows


def test_torchscript_that_writes_files_is_not_even_loaded(
    tmp_path: Path, models: Path, canary: Path
) -> None:
    program = tmp_path / "evil.ts"
    torch.jit.save(torch.jit.script(Writer(str(canary))), program)
    assert not canary.exists()
    torch.jit.load(program)
    assert canary.exists(), "this file does nothing evil: the test would show nothing"
    canary.unlink()
    (tmp_path / "evil.json").write_text(json.dumps(CARD))
    with pytest.raises(ConsentNeeded, match=r"is a program.*Nothing of it was run"):
        imported(program)
    assert nothing_left(models)
    assert not canary.exists()


def test_an_exported_file_with_a_payload_is_not_even_loaded(
    tmp_path: Path, models: Path, canary: Path
) -> None:
    program = tmp_path / "evil.pt2"
    torch.export.save(
        torch.export.export(torch.nn.Conv3d(1, 1, 1), (torch.zeros(1, 1, 8, 8, 8),)), program
    )
    evil = tmp_path / "payload.pt"
    torch.save((Payload(canary),), evil)
    rewritten = tmp_path / "rewritten.pt2"
    with zipfile.ZipFile(program) as old, zipfile.ZipFile(rewritten, "w") as new:
        for entry in old.infolist():
            sample = entry.filename.endswith("sample_inputs/model.pt")
            new.writestr(entry.filename, evil.read_bytes() if sample else old.read(entry))
    (tmp_path / "card.json").write_text(json.dumps(CARD))
    with pytest.raises(ConsentNeeded, match="may run any code"):
        imported(rewritten)
    assert nothing_left(models)
    assert not canary.exists()


def test_a_program_is_refused_when_its_file_is_exchanged_after_trust(tmp_path: Path) -> None:
    from napari_medcnn.models.networks import load_network

    spec = find_model(imported_program(tmp_path).path)
    assert load_network(spec) is not None
    other = tmp_path / "other.ts"
    torch.jit.save(torch.jit.script(torch.nn.Conv3d(1, 1, 3, padding=1)), other)
    spec.weights.write_bytes(other.read_bytes())
    with pytest.raises(ConsentNeeded):
        load_network(spec)


def imported_program(tmp_path: Path) -> Any:
    from napari_medcnn.models.weights import sha256

    program = tmp_path / "honest.ts"
    torch.jit.save(torch.jit.script(torch.nn.Conv3d(1, 1, 1)), program)
    (tmp_path / "honest.json").write_text(json.dumps(CARD))
    spec = imported(program, trust=True)
    assert is_trusted(sha256(program))
    return spec


def entry(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize(
    ("name", "mode", "reason"),
    [
        ("../escaped", stat.S_IFREG, "leads out of the folder"),
        ("evil/../../escaped", stat.S_IFREG, "leads out of the folder"),
        ("/tmp/escaped", stat.S_IFREG, "absolute path"),
        ("C:/escaped", stat.S_IFREG, "absolute path"),
        ("..\\escaped", stat.S_IFREG, "absolute path"),
        ("evil/models/link", stat.S_IFLNK, "link or a device"),
        ("evil/models/pipe", stat.S_IFIFO, "link or a device"),
        ("evil/CONFIGS/inference.json", stat.S_IFREG, "the same file"),
    ],
)
def test_archives_that_lead_out_of_their_folder_are_refused(
    tmp_path: Path, models: Path, name: str, mode: int, reason: str
) -> None:
    bundle = make_bundle(tmp_path / "evil")
    source = tmp_path / "deep" / "evil.zip"
    source.parent.mkdir()
    with zipfile.ZipFile(source, "w") as archive_file:
        for file in sorted(bundle.rglob("*")):
            archive_file.write(file, Path("evil") / file.relative_to(bundle))
        archive_file.writestr(entry(name, mode), "/etc/passwd")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ModelError, match=reason):
        imported(source)
    assert nothing_left(models)
    after = [p for p in tmp_path.rglob("*") if tmp_path / "user" not in (p, *p.parents)]
    assert sorted(after) == before


def test_a_zip_bomb_is_refused_before_it_grows(tmp_path: Path, models: Path) -> None:
    source = tmp_path / "bomb.zip"
    with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("bomb/configs/inference.json", b"\0" * 50_000_000)
    with pytest.raises(ModelError, match="grows more than 100 times"):
        imported(source)
    assert nothing_left(models)


def test_an_archive_of_too_many_or_too_large_files_is_refused(
    tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "many.zip"
    with zipfile.ZipFile(source, "w") as many:
        for number in range(6):
            many.writestr(f"many/{number}", bytes(1000))
    monkeypatch.setattr(archive, "MAX_FILES", 5)
    with pytest.raises(ModelError, match="holds 6 files"):
        imported(source)
    monkeypatch.setattr(archive, "MAX_FILES", 50)
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 5000)
    with pytest.raises(ModelError, match="unpacks to more than"):
        imported(source)
    assert nothing_left(models)


def test_an_archive_whose_headers_lie_is_refused(tmp_path: Path, models: Path) -> None:
    source = tmp_path / "liar.zip"
    with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as liar:
        liar.writestr("liar/configs/inference.json", b"\0" * 50_000_000)
        info = liar.infolist()[0]
        info.file_size = 1000  # what the directory at the archive's end then says
    with pytest.raises(ModelError):
        imported(source)
    assert nothing_left(models)


def test_a_link_out_of_a_bundles_folder_is_refused(tmp_path: Path, models: Path) -> None:
    bundle = make_bundle(tmp_path / "evil")
    secret = (bundle / "models" / "model.pt").rename(tmp_path / "secret.pt")
    (bundle / "models" / "model.pt").symlink_to(secret)
    with pytest.raises(ModelError, match="a link out of the model's folder"):
        imported(bundle)
    assert nothing_left(models)


def test_weights_of_another_shape_are_refused_with_the_difference(
    tmp_path: Path, models: Path
) -> None:
    bundle = make_bundle(tmp_path / "evil")
    other = make_bundle(tmp_path / "other", channels=2)
    (other / "models" / "model.pt").replace(bundle / "models" / "model.pt")
    with pytest.raises(ModelError, match=r"is \(1, 2, 3, 3, 3\), expected \(1, 1, 3, 3, 3\)"):
        imported(bundle)
    assert nothing_left(models)


def test_label_names_that_disagree_are_refused(tmp_path: Path, models: Path) -> None:
    bundle = make_bundle(tmp_path / "evil", classes=("left", "right"), thresholds=(0.3, 0.6))
    card = tmp_path / "card.json"
    labels = [{"name": "right"}, {"name": "left"}]
    names = [{"name": "image 0"}]
    card.write_text(json.dumps(CARD | {"labels": labels, "channels": names}))
    with pytest.raises(ModelError, match=r"number 0 is 'right' there and 'left' here"):
        imported(bundle, card=card)
    assert nothing_left(models)
    own = {"labels": [[1, "right", [1, 0, 0]], [2, "left", [0, 1, 0]]]}
    with pytest.raises(ModelError, match=r"medcnn\.labels calls 1 'right', channel_def 'left'"):
        imported(
            make_bundle(
                tmp_path / "two", classes=("left", "right"), thresholds=(0.3, 0.6), medcnn=own
            )
        )
    assert nothing_left(models)


@pytest.mark.parametrize("name", ["../up", "/tmp/x", ".hidden", "a/b", "", "a" * 65, "CON\n"])
def test_a_model_gets_no_name_that_leads_elsewhere(tmp_path: Path, models: Path, name: str) -> None:
    with pytest.raises(ModelError, match="is no name for a model"):
        imported(make_bundle(tmp_path / "tiny"), name=name)
    assert nothing_left(models)
