"""Bundles come as a folder or a zip file, keep their texts and leave their programs behind."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import torch

from napari_medcnn.core.errors import Cancelled, ConsentNeeded, ModelError
from napari_medcnn.core.events import JobControl
from napari_medcnn.models.importing.job import import_model
from napari_medcnn.models.importing.placing import remove_model
from napari_medcnn.models.networks import load_network
from napari_medcnn.models.registry import find_model, list_models, look_through
from tests.bundle_factory import make_bundle
from tests.models.importing.conftest import imported, nothing_left


def decorated(bundle: Path) -> Path:
    for name, text in {
        "docs/README.md": "# A card",
        "LICENSE": "A licence",
        "scripts/network.py": "raise SystemExit",
        "models/model.ts": "another form of the weights",
    }.items():
        (bundle / name).parent.mkdir(exist_ok=True)
        (bundle / name).write_text(text)
    return bundle


@pytest.mark.parametrize("form", ["folder", "zip", "flat zip", "folder in a folder"])
def test_a_bundle_is_copied_with_its_texts_and_without_its_programs(
    tmp_path: Path, models: Path, form: str
) -> None:
    bundle = decorated(make_bundle(tmp_path / "in" / "bright", random_weights=True))
    source = {"folder": bundle, "folder in a folder": bundle.parent}.get(form)
    if source is None:
        source = tmp_path / "bright.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for file in bundle.rglob("*"):
                place = file.relative_to(bundle if form == "flat zip" else bundle.parent)
                archive.write(file, place)
    spec = imported(source)
    assert (spec.id, spec.path) == ("bright", models / "bright")
    files = {p.relative_to(spec.path).as_posix() for p in spec.path.rglob("*") if p.is_file()}
    assert files == {
        "LICENSE",
        "configs/inference.json",
        "configs/metadata.json",
        "docs/README.md",
        "models/model.pt",
        "origin.json",
    }
    origin = json.loads((spec.path / "origin.json").read_text())
    assert origin["source"] == str(source)
    assert len(origin["sha256"]) == 64
    state = torch.load(bundle / "models" / "model.pt", weights_only=True)
    assert all(torch.equal(v, state[k]) for k, v in load_network(spec).state_dict().items())


def test_a_name_is_kept_wherever_the_folder_is(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bright", medcnn={"id": "own_name"})
    assert imported(bundle).id == "own_name"
    assert imported(bundle, name="Mine-2").id == "Mine-2"
    assert find_model("mine-2").path.name == "Mine-2"
    with pytest.raises(ModelError, match="called own_name already"):
        imported(bundle)
    with pytest.raises(ModelError, match="called MINE-2 already"):
        imported(bundle, name="MINE-2")


def test_what_a_refused_bundle_wants_is_listed_in_full(tmp_path: Path, models: Path) -> None:
    bundle = make_bundle(tmp_path / "wild")
    file = bundle / "configs" / "inference.json"
    content = json.loads(file.read_text())
    content["network_def"]["_target_"] = "scripts.net.Own"
    content["preprocessing"]["transforms"] += [
        {"_target_": "scripts.steps.Strange", "keys": "image"},
        {"_target_": "Spacingd", "keys": "image", "pixdim": "$numpy.load('x')"},
    ]
    file.write_text(json.dumps(content))
    with pytest.raises(ModelError) as caught:
        imported(bundle)
    for wish in ("scripts.net.Own", "scripts.steps.Strange", "numpy.load('x')"):
        assert wish in str(caught.value)
    assert nothing_left(models)


def test_the_hash_of_a_file_is_checked(tmp_path: Path, models: Path) -> None:
    source = tmp_path / "bright.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("x", "y")
    with pytest.raises(ModelError, match="has the SHA-256"):
        imported(source, sha256="1" * 64)
    assert nothing_left(models)


def test_a_cancelled_import_leaves_nothing_behind(tmp_path: Path, models: Path) -> None:
    control = JobControl()
    job = import_model(make_bundle(tmp_path / "bright"), control=control)
    next(job)
    control.cancel()
    with pytest.raises(Cancelled):
        list(job)
    assert nothing_left(models)


def test_an_import_on_its_way_is_no_model_yet(tmp_path: Path, models: Path) -> None:
    make_bundle(models / ".importing-1234")
    assert not [p for p in look_through().problems if ".importing" in str(p)]
    assert not [m for m in list_models() if m.path.parent == models]


def test_only_the_users_own_models_are_removed(tmp_path: Path, models: Path) -> None:
    spec = imported(make_bundle(tmp_path / "bright", medcnn={"id": "mine"}))
    assert remove_model("MINE") == spec.path
    assert nothing_left(models)
    assert (tmp_path / "bright").is_dir()
    with pytest.raises(ModelError, match="came with the package"):
        remove_model("flair_lesions")
    with pytest.raises(ModelError, match="there is no model called"):
        remove_model("mine")
    with pytest.raises(ModelError, match="user's own folder"):
        remove_model(str(tmp_path / "bright"))
    assert (tmp_path / "bright").is_dir()


def test_a_broken_model_can_still_be_removed(models: Path) -> None:
    make_bundle(models / "broken", weights="")
    remove_model("broken")
    assert nothing_left(models)


OWN_NETWORK = """
from pathlib import Path
from scripts.parts import block

Path({canary!r}).touch()


def Own(channels):
    return block(channels)
"""


def own_network(folder: Path, canary: Path) -> Path:
    """A bundle whose network is a Python file of its own, of two files, with a trace when run."""
    bundle = make_bundle(folder)
    file = bundle / "configs" / "inference.json"
    content = json.loads(file.read_text())
    content["network_def"] = {"_target_": "scripts.net.Own", "channels": 1}
    file.write_text(json.dumps(content))
    (bundle / "scripts").mkdir()
    (bundle / "scripts" / "net.py").write_text(OWN_NETWORK.format(canary=str(canary)))
    (bundle / "scripts" / "parts.py").write_text(
        "import torch\n\n\ndef block(channels):\n    return torch.nn.Conv3d(channels, 1, 1)\n"
    )
    torch.save(torch.nn.Conv3d(1, 1, 1).state_dict(), bundle / "models" / "model.pt")
    return bundle


def test_a_bundles_own_network_runs_only_after_trust_in_its_files(
    tmp_path: Path, models: Path
) -> None:
    import sys

    canary = tmp_path / "executed"
    bundle = own_network(tmp_path / "own", canary)
    with pytest.raises(ModelError, match=r"scripts/net\.py, scripts/parts\.py.*--trust"):
        imported(bundle)
    assert not canary.exists()
    assert nothing_left(models)
    spec = imported(bundle, trust=True)
    assert canary.exists()
    assert load_network(spec)(torch.zeros(1, 1, 2, 2, 2)).shape == (1, 1, 2, 2, 2)
    assert not [name for name in sys.modules if name.startswith("scripts")]
    assert not list(spec.path.rglob("*.pyc"))
    canary.unlink()
    changed = spec.path / "scripts" / "parts.py"
    changed.write_text(changed.read_text() + "\n# changed\n")
    with pytest.raises(ModelError, match="a program of the bundle's own"):
        find_model(spec.path)
    torch.save(torch.nn.Conv3d(1, 1, 1).state_dict(), spec.weights)  # so that it is not kept
    with pytest.raises(ConsentNeeded, match="not those that you trust"):
        load_network(spec)
    assert not canary.exists()


@pytest.mark.parametrize("target", ["os.system", "torch.hub.load", "subprocess.run", "numpy.load"])
def test_no_file_of_a_bundle_stands_in_for_a_package(
    tmp_path: Path, models: Path, target: str
) -> None:
    canary = tmp_path / "executed"
    bundle = own_network(tmp_path / "own", canary)
    top = target.partition(".")[0]
    (bundle / f"{top}.py").write_text((bundle / "scripts" / "net.py").read_text())
    file = bundle / "configs" / "inference.json"
    file.write_text(file.read_text().replace("scripts.net.Own", target))
    with pytest.raises(ModelError, match=target):
        imported(bundle, trust=True)
    assert nothing_left(models)
    assert not canary.exists()
