"""What napari opens through the plugin goes back to the file's own grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from napari.layers import Image, Labels, Layer

from napari_medcnn.app.layers import segmentation_layer
from napari_medcnn.contrib.reader import get_reader, read_layers
from napari_medcnn.contrib.writer import write_image, write_labels
from napari_medcnn.core.errors import MedcnnError, WriteError
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Volume

DIRECTION = (0.0, -0.8, 0.6, 1.0, 0.0, 0.0, 0.0, 0.6, 0.8)


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """An oblique scan whose axes the reader reorders."""
    rng = np.random.default_rng(3)
    image = sitk.GetImageFromArray(rng.integers(-900, 900, (7, 9, 11)).astype(np.int16))
    image.SetSpacing((0.8, 1.5, 3.0))
    image.SetOrigin((-20.0, 31.0, 7.5))
    image.SetDirection(DIRECTION)
    sitk.WriteImage(image, str(tmp_path / "scan.nii.gz"))
    return tmp_path / "scan.nii.gz"


def opened(path: Path) -> Layer:
    (layer,) = read_layers(str(path))
    return Layer.create(*layer)


def saved(layer: Layer) -> tuple[Any, dict[str, Any]]:
    data, attributes, _ = layer.as_layer_data_tuple()
    return data, attributes


def assert_same_grid(one: Path, other: Path) -> None:
    a, b = sitk.ReadImage(str(one)), sitk.ReadImage(str(other))
    assert a.GetSize() == b.GetSize()
    corners = [(0, 0, 0), tuple(n - 1 for n in a.GetSize())]
    for corner in corners:
        np.testing.assert_allclose(
            a.TransformIndexToPhysicalPoint(corner),
            b.TransformIndexToPhysicalPoint(corner),
            atol=1e-3,
        )


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_an_image_goes_back_to_its_grid_and_voxels(scan: Path, suffix: str) -> None:
    target = scan.with_name(f"copy{suffix}")
    assert write_image(str(target), *saved(opened(scan))) == [str(target)]
    assert_same_grid(scan, target)
    before, after = (sitk.GetArrayFromImage(sitk.ReadImage(str(p))) for p in (scan, target))
    assert np.array_equal(before, after)


@pytest.mark.parametrize("suffix", [".nii.gz", ".seg.nrrd"])
def test_labels_go_to_their_images_grid(scan: Path, suffix: str) -> None:
    volume: Volume = opened(scan).metadata["medcnn"]["volume"]
    drawn = np.zeros(volume.geometry.shape, np.uint8)
    drawn[2:4, 3:6, 4] = 5
    segmentation = Segmentation(drawn, volume.geometry, (Label(5, "cyst"),), volume.id)
    layer = Layer.create(*segmentation_layer(segmentation, volume))
    target = scan.with_name(f"labels{suffix}")
    write_labels(str(target), *saved(layer))
    written = sitk.ReadImage(str(target))
    assert np.count_nonzero(sitk.GetArrayFromImage(written)) == 6
    expected, _ = volume.on_source_grid(drawn)
    if suffix == ".nii.gz":
        assert_same_grid(scan, target)
        assert np.array_equal(sitk.GetArrayFromImage(written), expected)
    else:
        again = opened(target)
        assert isinstance(again, Labels)
        assert list(again.features["name"]) == ["cyst"]
        assert again.data.astype(bool).sum() == 6


def test_a_foreign_labels_layer_is_written_by_scale_and_translate(tmp_path: Path) -> None:
    data = np.zeros((4, 6, 5), np.int64)
    data[1, 2, 3] = 3
    layer = Labels(data, scale=(3, 1, 2), translate=(9, -4, 2.5), units=("mm",) * 3)
    target = tmp_path / "foreign.nii.gz"
    write_labels(str(target), *saved(layer))
    image = sitk.ReadImage(str(target))
    np.testing.assert_allclose(image.GetSpacing(), (2, 1, 3))
    np.testing.assert_allclose(image.GetOrigin(), (2.5, -4, 9))
    assert sitk.GetArrayFromImage(image)[1, 2, 3] == 3


def test_a_foreign_image_layer_keeps_its_values(tmp_path: Path) -> None:
    data = np.linspace(0, 1, 60, dtype=np.float32).reshape(3, 4, 5)
    target = tmp_path / "foreign.nrrd"
    write_image(str(target), *saved(Image(data, scale=(2, 1, 1), units=("mm",) * 3)))
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(target))), data)


def test_colours_pyramids_and_negative_labels_are_refused(tmp_path: Path) -> None:
    colour = Image(np.zeros((5, 5, 3)), rgb=True)
    with pytest.raises(WriteError, match="colour"):
        write_image(str(tmp_path / "a.nii.gz"), *saved(colour))
    pyramid = Image([np.zeros((8, 8, 8)), np.zeros((4, 4, 4))], multiscale=True)
    with pytest.raises(WriteError, match="pyramids"):
        write_image(str(tmp_path / "a.nii.gz"), *saved(pyramid))
    negative = Labels(np.full((2, 2, 2), -1))
    with pytest.raises(WriteError, match="negative"):
        write_labels(str(tmp_path / "a.nii.gz"), *saved(negative))
    assert list(tmp_path.iterdir()) == []


def test_the_reader_takes_what_it_can_read(scan: Path, tmp_path: Path) -> None:
    assert get_reader(str(scan)) is read_layers
    assert get_reader([str(scan), str(scan)]) is read_layers
    assert get_reader(str(tmp_path)) is read_layers
    assert len(read_layers([str(scan), str(scan)])) == 2


def test_the_reader_declines_the_rest_and_never_raises(scan: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "IM0001").write_text("hello")
    (tmp_path / "empty").mkdir()
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((9, 9), np.uint8)), str(tmp_path / "a.png"))
    for path in ("notes.txt", "IM0001", "empty", "a.png", "none.tif", "bad\0name"):
        assert get_reader(str(tmp_path / path)) is None, path
    assert get_reader([]) is None
    assert get_reader([str(scan), str(tmp_path / "notes.txt")]) is None


def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "broken.nii.gz").write_bytes(b"\x1f\x8b broken")
    with pytest.raises(MedcnnError, match=r"broken\.nii\.gz"):
        read_layers(str(tmp_path / "broken.nii.gz"))


def test_dicom_files_chosen_together_become_their_series(shared_data: Path) -> None:
    slices = sorted(f for f in (shared_data / "ct" / "dicom_j2k").rglob("*") if f.is_file())
    files = [str(f) for f in slices]
    assert get_reader(files) is read_layers
    (layer,) = read_layers(files)
    assert layer[0].shape[0] == 20
