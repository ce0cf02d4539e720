"""The rooms of the package: who may import whom, and what opening napari must not pay for."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

import napari_medcnn

PACKAGE = "napari_medcnn"
ROOT = Path(__file__).resolve().parents[1] / "src" / PACKAGE
MAX_LINES = 400

LEVELS = (
    {"core"},
    {"imaging"},
    {"models", "io"},
    {"inference", "evaluation", "report"},
    {"training", "followup"},
    {"app"},
    {"gui", "contrib", "cli", "api"},
)
"""From the innermost to the front doors. A room imports from lower levels and from itself."""

SIDEWAYS = {("evaluation", "inference"), ("report", "evaluation"), ("training", "inference")}
"""Neighbours of one level that one may import from."""

ROOMS = set().union(*LEVELS)

PUBLIC = set(napari_medcnn.__all__)

GUI_LIBRARIES = ("qtpy", "PySide6", "PyQt5", "PyQt6", "napari", "magicgui", "superqt", "vispy")
NETWORK_LIBRARIES = ("torch", "monai")
LIGHT_ROOMS = ("core", "imaging", "io", "contrib", "followup", "app", "report", "api")
LIGHT_MODULES = (
    "models.spec",
    "models.registry",
    "models.bundle",
    "inference.classify_check",
    "inference.plan",
    "training.check",
    "training.checkpoint",
    "training.curves",
    "training.default_grid",
    "training.default_means",
    "training.defaults",
    "training.epochs",
    "training.fingerprint",
    "training.grouping",
    "training.job",
    "training.job_problems",
    "training.look_alikes",
    "training.manifest",
    "training.networks",
    "training.origin",
    "training.proposal",
    "training.run_folder",
    "training.sources.recognise",
    "training.splits",
    "training.starting_from",
    "training.strict_json",
    "training.topology",
)
"""Whatever decides without running a network."""


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """The room of a module of the package; "" for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def level_of(room: str) -> int:
    return next(i for i, rooms in enumerate(LEVELS) if room in rooms)


def may_import(room: str, other: str) -> bool:
    if room == other or (room, other) in SIDEWAYS:
        return True
    return level_of(other) < level_of(room)


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, anywhere in it, types and functions included."""
    package = dotted(path) if path.name == "__init__.py" else dotted(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
                base = f"{parent}.{base}" if base else parent
            if base == PACKAGE:
                yield from (f"{PACKAGE}.{alias.name}" for alias in node.names)
            else:
                yield base


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_imports_go_inwards_only(path: Path) -> None:
    room = room_of(dotted(path))
    if not room:
        return  # the package itself re-exports the interface
    inside = [room_of(name) for name in imported(path) if name.split(".")[0] == PACKAGE]
    # What the package itself re-exports belongs to the interface.
    rooms = {"api" if other in PUBLIC else other for other in inside} & ROOMS
    wrong = sorted(other for other in rooms if not may_import(room, other))
    assert not wrong, f"{dotted(path)} ({room}) may not import {wrong}"


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_only_the_gui_names_qt_and_napari(path: Path) -> None:
    if room_of(dotted(path)) == "gui":
        return
    named = {name.split(".")[0] for name in imported(path)}
    assert not named & set(GUI_LIBRARIES)


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_a_module_stays_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_every_room_is_known() -> None:
    rooms = {room_of(dotted(path)) for path in modules()} - {""}
    assert rooms <= ROOMS, "a new room needs its place in LEVELS"


TELL = "import json, sys; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"


def loaded_after(code: str) -> set[str]:
    """The top-level modules in a fresh interpreter after running `code`."""
    script = f"{code}\n{TELL}"
    outcome = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert outcome.returncode == 0, outcome.stderr
    return set(json.loads(outcome.stdout.splitlines()[-1]))


def importing(names: list[str]) -> str:
    return "\n".join(f"import {name}" for name in names)


def in_rooms(*rooms: str) -> list[str]:
    names = [dotted(path) for path in modules()]
    return [name for name in names if room_of(name) in rooms and not name.endswith("__main__")]


def test_the_light_rooms_load_no_network_and_no_gui_library() -> None:
    names = in_rooms(*LIGHT_ROOMS)
    names += [
        f"{PACKAGE}.{name}"
        for name in LIGHT_MODULES
        if (ROOT / name.replace(".", "/")).with_suffix(".py").exists()
    ]
    loaded = loaded_after(importing(names))
    assert not loaded & {*GUI_LIBRARIES, *NETWORK_LIBRARIES}


def test_every_room_but_the_gui_does_without_qt_and_napari() -> None:
    loaded = loaded_after(importing(in_rooms(*ROOMS - {"gui"})))
    assert not loaded & set(GUI_LIBRARIES)


def test_the_widgets_load_no_network_library() -> None:
    loaded = loaded_after(importing(in_rooms("gui")))
    assert "napari" in loaded
    assert not loaded & set(NETWORK_LIBRARIES)


def test_the_command_loads_neither_before_it_must() -> None:
    loaded = loaded_after(importing(in_rooms("cli")))
    assert not loaded & {*GUI_LIBRARIES, *NETWORK_LIBRARIES}


def test_opening_napari_and_a_scan_loads_no_network_library(tmp_path: Path) -> None:
    scan = str(tmp_path / "scan.nii.gz")
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((4, 5, 6), np.int16)), scan)
    loaded = loaded_after(
        f"""
import napari
from npe2 import PluginManager, read
manager = PluginManager.instance()
manager.discover()
manifest = manager.get_manifest("napari-medcnn")
(layer,) = read([{scan!r}], stack=False, plugin_name="napari-medcnn")
assert "medcnn" in layer[1]["metadata"], "another plugin read it"
for widget in manifest.contributions.widgets:
    widget.get_callable()
"""
    )
    assert PACKAGE in loaded
    assert not loaded & set(NETWORK_LIBRARIES)


@pytest.mark.parametrize("name", ["training.strict_json", "app.session_manifest"])
def test_napari_starts_in_a_script_that_used_the_package_before(name: str) -> None:
    loaded = loaded_after(
        f"import {PACKAGE}.{name}\nfrom qtpy.QtWidgets import QApplication\nimport napari.viewer"
    )
    assert "napari" in loaded
