"""Patients out of numbers, one split, and both in nnU-Net's form."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from benchmarks.hippocampus_data import (
    folder_name,
    make_data,
    nnunet_splits,
    patient_of,
    scale_correlation,
    write_nnunet_raw,
)
from napari_medcnn.training.manifest import Manifest, Split
from napari_medcnn.training.splits import read_split

WITHOUT_LABEL = "hippocampus_007"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twenty small images; an odd number and the next one have the same scale."""
    generator = np.random.default_rng(0)
    for below in ("images", "labels"):
        (tmp_path / "data" / below).mkdir(parents=True)
    scale = 1.0
    for number in range(1, 21):
        scale = generator.uniform(1, 5000) if number % 2 else scale
        name = f"hippocampus_{number:03d}"
        values = generator.uniform(0.9, 1.1, (6, 8, 7)) * scale
        labels = np.zeros((6, 8, 7), np.uint8)
        labels[2:4, 2 : 4 + number % 3, 2:5], labels[4, 3, 3] = 1, 2
        _write(values.astype(np.float32), tmp_path / "data" / "images" / f"{name}.nii.gz")
        if name != WITHOUT_LABEL:
            _write(labels, tmp_path / "data" / "labels" / f"{name}.nii.gz")
    return tmp_path / "data"


@pytest.fixture
def made(data: Path, tmp_path: Path) -> tuple[Manifest, Split]:
    (tmp_path / "out").mkdir()
    return make_data(data, tmp_path / "out", test=0.2, validation=0.1, seed=0)


def _write(array: np.ndarray, path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(array), path)


def test_an_odd_number_and_the_next_one_are_one_patient() -> None:
    cases = [f"hippocampus_{number:03d}" for number in (1, 2, 3, 4, 393, 394)]
    assert [patient_of(case) for case in cases] == ["001", "001", "002", "002", "197", "197"]


def test_a_name_without_a_number_is_refused() -> None:
    with pytest.raises(SystemExit, match="no number"):
        patient_of("hippocampus")


def test_no_patient_stands_on_two_sides(made: tuple[Manifest, Split]) -> None:
    _, split = made
    sides = [{patient_of(name) for name in names} for names in split.parts.values()]
    assert len(set.union(*sides)) == sum(map(len, sides)) == 10
    assert len(split.test) == 4


def test_the_files_say_what_was_returned(made: tuple[Manifest, Split], tmp_path: Path) -> None:
    manifest, split = made
    assert read_split(tmp_path / "out" / "split.json", manifest) == split
    assert manifest.classes == ("anterior", "posterior")
    assert "inferred" in manifest.description


def test_a_case_without_a_label_is_in_no_part(made: tuple[Manifest, Split]) -> None:
    manifest, split = made
    assert manifest.case(WITHOUT_LABEL).label is None
    assert all(WITHOUT_LABEL not in names for names in split.parts.values())


def test_pairs_of_one_scale_are_seen(made: tuple[Manifest, Split]) -> None:
    own, other = scale_correlation(made[0])
    assert own > 0.99
    assert other < 0.9


def test_nnunet_gets_the_same_cases_and_no_label_of_the_test(
    made: tuple[Manifest, Split], tmp_path: Path
) -> None:
    manifest, split = made
    images = write_nnunet_raw(manifest, split, tmp_path / "raw")
    folder = tmp_path / "raw" / folder_name()
    taught = sorted((*split.train, *split.validation))
    assert _names(images) == [f"{name}_0000.nii.gz" for name in sorted(split.test)]
    assert _names(folder / "imagesTr") == [f"{name}_0000.nii.gz" for name in taught]
    assert _names(folder / "labelsTr") == [f"{name}.nii.gz" for name in taught]
    described = json.loads((folder / "dataset.json").read_text())
    assert described["labels"] == {"background": 0, "anterior": 1, "posterior": 2}
    assert described["numTraining"] == len(taught)


def test_nnunets_fold_is_the_same_split(made: tuple[Manifest, Split]) -> None:
    _, split = made
    assert nnunet_splits(split) == [{"train": list(split.train), "val": list(split.validation)}]


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
