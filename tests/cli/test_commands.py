"""The smaller commands: inspect, convert, models, lesions."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from rich.console import Console

from napari_medcnn.cli import output
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.imaging.lesions import find_lesions
from napari_medcnn.io.read import read
from napari_medcnn.io.write import write_segmentation
from napari_medcnn.models.registry import MODELS_FOLDER_VARIABLE
from tests.io.io_files import numbers, oblique, save_dicom


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    image = sitk.GetImageFromArray(np.zeros((6, 8, 10), np.int16))
    image.SetSpacing((1.0, 2.0, 3.0))
    path = tmp_path / "scan.nrrd"
    sitk.WriteImage(image, str(path))
    return path


def test_inspect_tells_the_grid(medcnn: Callable, scan: Path) -> None:
    outcome = medcnn("inspect", scan, "--json")
    assert outcome.code == 0, outcome.err
    (volume,) = json.loads(outcome.out)["volumes"]
    assert volume["shape_zyx"] == [6, 8, 10]
    assert volume["spacing_zyx_mm"] == pytest.approx([3.0, 2.0, 1.0])
    shown = medcnn("inspect", scan).out
    assert "10 × 8 × 6" in shown and "1 × 2 × 3" in shown and "x × y × z" in shown


def test_convert_writes_nifti_and_a_sidecar(medcnn: Callable, scan: Path, tmp_path: Path) -> None:
    outcome = medcnn("convert", scan, tmp_path / "out")
    assert outcome.code == 0, outcome.err
    (image,) = (tmp_path / "out").glob("*.nii.gz")
    sidecar = json.loads(image.with_name(image.name.removesuffix(".nii.gz") + ".json").read_text())
    assert sidecar["findings"] == [] and sidecar["resampled"] is False


def test_convert_of_several_volumes_to_one_file_lists_them(
    medcnn: Callable, scan: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "two"
    folder.mkdir()
    for name in ("first.nii.gz", "second.nii.gz"):
        sitk.WriteImage(sitk.ReadImage(str(scan)), str(folder / name))
    outcome = medcnn("convert", folder, tmp_path / "one.nii.gz")
    assert outcome.code == 1
    assert "first" in outcome.err and "second" in outcome.err
    assert not (tmp_path / "one.nii.gz").exists()


def test_models_lists_and_shows_what_ships(medcnn: Callable) -> None:
    listed = json.loads(medcnn("models", "list", "--json").out)["models"]
    assert "flair_lesions" in [model["id"] for model in listed]
    assert "flair_lesions" in medcnn("models").out
    assert "research" in medcnn("models", "show", "flair_lesions").out.lower()


def test_a_broken_model_of_the_user_is_told_with_its_reason(
    medcnn: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine" / "configs").mkdir(parents=True)
    monkeypatch.setenv(MODELS_FOLDER_VARIABLE, str(tmp_path))
    outcome = medcnn("models", "--json")
    assert outcome.code == 0
    assert "mine" not in [model["id"] for model in json.loads(outcome.out)["models"]]
    assert "mine" in outcome.err and "inference.json" in outcome.err


def test_lesions_measures_a_label_map(medcnn: Callable, scan: Path, tmp_path: Path) -> None:
    labels = np.zeros((6, 8, 10), np.uint8)
    labels[1:3, 2:4, 3:5] = 1
    image = sitk.GetImageFromArray(labels)
    image.CopyInformation(sitk.ReadImage(str(scan)))
    path = tmp_path / "labels.nrrd"
    sitk.WriteImage(image, str(path))
    outcome = medcnn("lesions", path, scan, "--json", "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    (lesion,) = json.loads(outcome.out)["lesions"]
    assert lesion["volume_mm3"] == pytest.approx(8 * 6.0)
    assert (tmp_path / "out" / "lesions.csv").is_file()


def test_lesions_of_an_accepted_image_have_their_sizes(medcnn: Callable, tmp_path: Path) -> None:
    """The yes must reach the measuring itself, not only the question before it."""
    geometry = oblique((9, 12, 14))
    for path in save_dicom(tmp_path / "gap", numbers(geometry), geometry):
        position = pydicom.dcmread(path).ImagePositionPatient
        if round(float(geometry.lps_to_index(position)[0])) == 5:
            path.unlink()
    volume = read(tmp_path / "gap")[0]
    array = np.zeros(volume.geometry.shape, np.uint8)
    array[1:3, 2:4, 3:5] = 1
    drawn = Segmentation(array, volume.geometry, (Label(1, "lesion"),), volume.id)
    labels = write_segmentation(drawn, volume, tmp_path / "labels.nrrd")
    command = ("lesions", labels, tmp_path / "gap", "--series", volume.source.series, "--json")
    assert medcnn(*command).code == 1
    outcome = medcnn(*command, "--accept-findings")
    assert outcome.code == 0, outcome.err
    (lesion,) = json.loads(outcome.out)["lesions"]
    assert lesion["volume_mm3"] == pytest.approx(8 * volume.geometry.voxel_volume_mm3)


def test_lesions_refuses_an_image_in_place_of_a_label_map(
    medcnn: Callable, scan: Path, tmp_path: Path
) -> None:
    shape = (40, 48, 50)
    noise = np.random.default_rng(0).integers(0, 700, shape).astype(np.int16)
    path = tmp_path / "image.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(noise), str(path))
    outcome = medcnn("lesions", path, path)
    assert outcome.code == 1
    assert "is it an image rather than a label map?" in outcome.err


def test_a_table_of_lesions_fits_80_columns_with_its_headings_whole(
    medcnn: Callable, scan: Path, tmp_path: Path
) -> None:
    array = np.zeros((60, 120, 120), np.uint8)
    array[10:50, 20:100, 20:100] = 1
    array[0:2, 110:112, 110:112] = 1
    path = tmp_path / "labels.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    lines = medcnn("lesions", path, path).out.splitlines()
    assert "2 lesions" in lines[0]
    assert any("centre LPS mm" in line for line in lines)
    assert not any("…" in line for line in lines)


def test_doubtful_candidates_are_marked_with_one_line_that_says_why() -> None:
    grid = Geometry.from_spacing((8, 8, 8), (1.0, 1.0, 1.0))
    drawn = np.zeros(grid.shape, np.uint8)
    drawn[1:3, 1:3, 1:3] = drawn[5:7, 5:7, 5:7] = 1
    probability = np.full(grid.shape, 0.95, np.float16)
    probability[5:] = 0.55
    volume = Volume(np.zeros(grid.shape, np.float32), grid)
    found = Segmentation(drawn, grid, (Label(1, "lesion"),), volume.id, probability)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(output.lesion_table(find_lesions(found, volume), "2 lesions"))
    text = console.export_text()
    assert "0.55?" in text and "0.95?" not in text
    assert text.count("doubtful: mean probability under 0.7") == 1


def test_names_that_begin_alike_are_shown_whole(medcnn: Callable, tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.full((164, 198, 161), 1000, np.int16))
    for name in ("flair_baseline", "flair_baseline_labels"):
        sitk.WriteImage(image, str(tmp_path / f"{name}.nii.gz"))
    shown = medcnn("inspect", tmp_path).out
    cells = [line.split("│")[1].strip() for line in shown.splitlines() if line.count("│") > 2]
    assert "flair_baseline_labels" in "".join(cells)


def test_lesions_refuses_labels_of_another_grid(
    medcnn: Callable, scan: Path, tmp_path: Path
) -> None:
    path = tmp_path / "other.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((6, 8, 10), np.uint8)), str(path))
    outcome = medcnn("lesions", path, scan)
    assert outcome.code == 1
    assert "grid" in outcome.err


def test_help_and_version_import_neither_torch_nor_monai() -> None:
    code = (
        "import sys; sys.argv = ['medcnn', '--help']\n"
        "from napari_medcnn.cli.app import cli\n"
        "try: cli()\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'monai', 'napari'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_as_stored_and_suv_are_the_users_choice(medcnn: Callable, tmp_path: Path) -> None:
    geometry = oblique((6, 5, 6))
    paths = save_dicom(tmp_path / "in", numbers(geometry), geometry)
    for path in paths:
        position = pydicom.dcmread(path).ImagePositionPatient
        if round(float(geometry.lps_to_index(position)[0])) == 3:
            path.unlink()
    outcome = medcnn("inspect", tmp_path / "in")
    assert outcome.code == 0
    assert "slices-missing" in outcome.err and "resampled" in outcome.out
    for options, count in (((), 1), (("--as-stored", "--suv"), 2)):
        out = tmp_path / f"out{count}"
        assert medcnn("convert", tmp_path / "in", out, *options).code == 0
        assert len(list(out.glob("*.nii.gz"))) == count
