"""The shipped lesion model is a sound MONAI Bundle and finds the sample's lesions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

import napari_medcnn as mc
from napari_medcnn.models.bundle import read_bundle
from recipes.flair_lesions.build import FIGURES
from recipes.flair_lesions.bundle import FOLDER, inference_config
from recipes.flair_lesions.metrics import score

MAX_WEIGHT_BYTES = 8_000_000


def metadata() -> dict[str, Any]:
    return dict(json.loads((FOLDER / "configs" / "metadata.json").read_text()))


def test_the_package_reads_it_within_its_own_table_of_classes() -> None:
    spec = read_bundle(FOLDER)
    assert spec.id == "flair_lesions"
    assert spec.activation == "sigmoid"
    assert spec.spacing_mm == (1.0, 1.0, 1.0)
    assert [channel.name for channel in spec.channels] == ["FLAIR"]
    assert [label.value for label in spec.labels] == [1]


def test_configuration_is_what_the_recipe_writes() -> None:
    shipped = json.loads((FOLDER / "configs" / "inference.json").read_text())
    assert shipped == inference_config()


def test_weights_are_small_plain_float32_and_fit_the_network() -> None:
    import torch

    from recipes.flair_lesions.network import build_network

    path = FOLDER / "models" / "model.pt"
    assert path.stat().st_size <= MAX_WEIGHT_BYTES
    weights = torch.load(path, weights_only=True)
    floating = [value for value in weights.values() if value.is_floating_point()]
    assert {value.dtype for value in floating} == {torch.float32}
    build_network().load_state_dict(weights, strict=True)


def test_the_card_says_what_it_must() -> None:
    text = (FOLDER / "docs" / "README.md").read_text()
    for needed in ("Research demonstration", "held out", "CC BY", "Where it fails"):
        assert needed in text
    assert "{" not in text, "every figure of the template is filled in"


def test_metadata_and_card_state_the_figures_that_were_measured() -> None:
    measured = json.loads(FIGURES.read_text())["shipped"]
    stated = metadata()["eval_metrics"]
    text = (FOLDER / "docs" / "README.md").read_text()
    for patient, figures in measured.items():
        assert stated[f"dice_{patient}"] == figures["dice"]
        assert f"| {figures['dice']:g} |" in text


def test_the_licence_carries_the_templates_notice() -> None:
    text = (FOLDER / "LICENSE").read_text()
    assert "McConnell Brain Imaging Centre" in text


@pytest.mark.slow
def test_monais_own_command_finds_the_lesions_that_this_package_finds(
    sample_data: Path, tmp_path: Path
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    image = source / "case.nii.gz"
    image.write_bytes((sample_data / "flair_baseline.nii.gz").read_bytes())
    command = [sys.executable, "-m", "monai.bundle", "run"]
    command += ["--config_file", str(FOLDER / "configs" / "inference.json")]
    command += ["--meta_file", str(FOLDER / "configs" / "metadata.json")]
    command += ["--bundle_root", str(FOLDER), "--dataset_dir", str(source)]
    command += ["--output_dir", str(tmp_path / "out"), "--device", "$torch.device('cpu')"]
    subprocess.run(command, check=True, capture_output=True, timeout=280)
    found = nib.load(tmp_path / "out" / "case_lesions.nii.gz")
    labels = np.asarray(found.dataobj)

    truth = nib.load(sample_data / "flair_baseline_labels.nii.gz")
    np.testing.assert_allclose(found.affine, truth.affine)
    result = score(labels, np.asarray(truth.dataobj), 1.0)
    assert result.recall >= 0.85
    assert result.precision >= 0.5
    assert result.dice >= 0.7

    volume = mc.read(image)[0]
    ours = mc.segment(volume, "flair_lesions", backend="torch")
    stored = volume.on_source_grid(ours.array)[0].transpose(2, 1, 0)
    assert 2 * (stored & labels).sum() / (stored.sum() + labels.sum()) >= 0.999
    shifted = np.roll(stored, 1, axis=0)
    assert 2 * (shifted & labels).sum() / (shifted.sum() + labels.sum()) < 0.99
