"""Anything to NIfTI with a sidecar that tells what was noticed and names nobody."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from napari_medcnn.core.errors import InputMismatch, ReadError, WriteError
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.io.convert import convert
from napari_medcnn.io.read import read
from napari_medcnn.io.write import write_segmentation, write_volume
from tests.io.io_files import numbers, oblique, save_dicom, save_nifti


def two_series(folder: Path) -> Path:
    save_dicom(folder / "a", numbers(oblique()), oblique(), intercept=-1024, SeriesNumber=3)
    save_dicom(folder / "b", numbers(oblique()), oblique(), description="Head/neck: 1 mm",
               SeriesNumber=4)  # fmt: skip
    return folder


def test_a_folder_gets_one_file_a_volume_with_its_sidecar(tmp_path: Path) -> None:
    paths = convert(two_series(tmp_path / "in"), tmp_path / "out")
    names = ["Chest_3_mm_3.nii.gz", "Head_neck_1_mm_4.nii.gz"]
    assert [path.name for path in paths] == names
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        [*names, "Chest_3_mm_3.json", "Head_neck_1_mm_4.json"]
    )
    record = json.loads((tmp_path / "out" / "Chest_3_mm_3.json").read_text())
    assert record["series_description"] == "Chest 3 mm"
    assert (record["modality"], record["unit"]) == ("CT", "HU")
    assert record["resampled"] is False
    assert record["findings"] == []
    assert record["spacing_zyx_mm"] == pytest.approx([3.0, 0.7, 0.5])
    values = np.asanyarray(nibabel.load(paths[0]).dataobj)
    assert values.dtype == np.int16
    assert values.min() == numbers(oblique()).min() - 1024


def test_nobody_is_named_anywhere(tmp_path: Path) -> None:
    for path in convert(two_series(tmp_path / "in"), tmp_path / "out"):
        for file in (path, path.with_name(path.name.replace(".nii.gz", ".json"))):
            content = file.read_bytes()
            assert b"Secret" not in content
            assert b"4711" not in content
    for volume in read(tmp_path / "in"):
        assert "Secret" not in volume.name + repr(volume.source.header)


def test_several_volumes_do_not_go_into_one_file(tmp_path: Path) -> None:
    source = two_series(tmp_path / "in")
    with pytest.raises(InputMismatch, match=r"2 volumes.*Chest 3 mm \(3\).*1 mm \(4\).*--series"):
        convert(source, tmp_path / "out.nii.gz")
    assert not (tmp_path / "out.nii.gz").exists()
    assert convert(source, tmp_path / "out.nii.gz", series="4") == [tmp_path / "out.nii.gz"]
    assert json.loads((tmp_path / "out.json").read_text())["series_number"] == 4
    uid = read(source)[0].source.series
    assert convert(source, tmp_path / "one.nrrd", series=uid) == [tmp_path / "one.nrrd"]
    with pytest.raises(ReadError, match="no series '9'"):
        convert(source, tmp_path / "out.nii.gz", series="9")


def test_equal_names_are_told_apart(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        save_dicom(tmp_path / "in" / folder, numbers(oblique()), oblique())
    names = [path.name for path in convert(tmp_path / "in", tmp_path / "out")]
    assert names == ["Chest_3_mm_3.nii.gz", "Chest_3_mm_3_2.nii.gz"]


def test_resampled_volumes_and_findings_are_told(tmp_path: Path) -> None:
    affine = oblique().affine.copy()
    affine[:3, 0] += affine[:3, 1]
    geometry = type(oblique())(oblique().shape, affine)
    save_nifti(tmp_path / "in.nii", numbers(geometry), geometry)
    convert(tmp_path / "in.nii", tmp_path / "out.nii.gz")
    record = json.loads((tmp_path / "out.json").read_text())
    assert record["resampled"] is True
    assert [finding["code"] for finding in record["findings"]] == ["sheared-grid"]


def test_four_dimensions_stay_four(tmp_path: Path) -> None:
    array = np.stack([numbers(oblique()), numbers(oblique(), 1)])
    save_nifti(tmp_path / "in.nii", array, oblique())
    convert(tmp_path / "in.nii", tmp_path / "out.nii.gz")
    assert nibabel.load(tmp_path / "out.nii.gz").shape == (7, 6, 5, 2)
    assert json.loads((tmp_path / "out.json").read_text())["frames"]["count"] == 2


def test_unknown_suffixes_are_told_with_the_known_ones(tmp_path: Path) -> None:
    (volume,) = read(save_nifti(tmp_path / "in.nii", numbers(oblique()), oblique()))
    for name in ("out.dcm", "out", "out.gz"):
        with pytest.raises(WriteError, match=r"\.nii\.gz, \.nii, \.seg\.nrrd, \.nrrd, \.mha"):
            write_volume(volume, tmp_path / name)
    with pytest.raises(WriteError, match="holds segments"):
        write_volume(volume, tmp_path / "out.seg.nrrd")


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha", ".seg.nrrd"])
def test_what_cannot_be_written_leaves_the_old_file(suffix: str, tmp_path: Path) -> None:
    (volume,) = read(save_nifti(tmp_path / "in.nii", numbers(oblique()), oblique()))
    labels = np.ones(volume.array.shape, np.uint8)
    drawn = Segmentation(labels, volume.geometry, (Label(1, "a"),), volume.id)
    (tmp_path / "file").write_text("a file where a folder should be")
    with pytest.raises(WriteError, match="cannot be written"):
        write_segmentation(drawn, volume, tmp_path / "file" / f"out{suffix}")
    (tmp_path / f"out{suffix}").mkdir()
    with pytest.raises(WriteError, match="cannot be written"):
        write_segmentation(drawn, volume, tmp_path / f"out{suffix}")
    assert (tmp_path / "file").read_text().startswith("a file")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_json_of_a_picture_has_no_spacing(shared_data: Path, tmp_path: Path) -> None:
    picture = next((shared_data / "brain_tumor_slices").rglob("*.jpg"))
    convert(picture, tmp_path / "out.nii.gz")
    assert json.loads((tmp_path / "out.json").read_text())["spacing_zyx_mm"] is None
