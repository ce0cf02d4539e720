"""napari offers this plugin for what it can read, and for nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from npe2 import PluginManager, PluginManifest

from napari_medcnn.app.settings import Settings

MANIFEST = Path(import_module("napari_medcnn").__file__ or "").with_name("napari.yaml")
NAME = "napari-medcnn"


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    return PluginManifest.from_file(MANIFEST)


@pytest.fixture
def plugins(manifest: PluginManifest) -> Iterator[PluginManager]:
    manager = PluginManager()
    manager.register(manifest)
    yield manager
    manager.unregister(manifest.name)


def test_the_manifest_belongs_to_the_package(manifest: PluginManifest) -> None:
    assert manifest.name == NAME


def test_every_command_is_there(manifest: PluginManifest) -> None:
    for command in manifest.contributions.commands:
        module, _, name = str(command.python_name).partition(":")
        assert callable(getattr(import_module(module), name)), command.id


@pytest.mark.parametrize(
    "name",
    [
        "brain.nii",
        "brain.nii.gz",
        "BRAIN.NII.GZ",
        "ct.nrrd",
        "labels.seg.nrrd",
        "ct.mha",
        "slice.DCM",
        "x.ima",
        "IM0001",
        "IM000012",
        "I10",
        "00000001",
        "1.2.840.113619.2.5.1762583153.215519.978957063.78",
        "1.2.840.113.4",
        "DICOMDIR",
        "1",
        "I7",
    ],
)
def test_medical_files_are_offered_to_the_reader(plugins: PluginManager, name: str) -> None:
    found = [reader.plugin_name for reader in plugins.iter_compatible_readers([f"/scans/{name}"])]
    assert found == [NAME]


@pytest.mark.parametrize(
    "name",
    ["cells.tif", "photo.png", "photo.jpg", "film.mp4", "stack.h5", "table.csv", "a.npy", "x.obj"],
)
def test_other_files_are_left_to_others(plugins: PluginManager, name: str) -> None:
    assert list(plugins.iter_compatible_readers([f"/data/{name}"])) == []


def test_folders_are_offered_to_the_reader(plugins: PluginManager, tmp_path: Path) -> None:
    assert [r.plugin_name for r in plugins.iter_compatible_readers([str(tmp_path)])] == [NAME]


@pytest.mark.parametrize(
    ("name", "kind", "command"),
    [
        ("a.nii.gz", "image", "write_image"),
        ("a.nrrd", "image", "write_image"),
        ("a.seg.nrrd", "labels", "write_labels"),
        ("a.nii.gz", "labels", "write_labels"),
    ],
)
def test_layers_find_their_writer(
    plugins: PluginManager, name: str, kind: str, command: str
) -> None:
    writer, _ = plugins.get_writer(name, [kind])
    assert writer is not None
    assert writer.command == f"{NAME}.{command}"


def test_the_preferences_have_the_defaults_of_the_settings(manifest: PluginManifest) -> None:
    page = manifest.contributions.configurations["analysis"]
    defaults = {name: entry.default for name, entry in page.properties.items()}
    assert Settings.from_values(defaults) == Settings()
    assert set(defaults) == set(vars(Settings()))
