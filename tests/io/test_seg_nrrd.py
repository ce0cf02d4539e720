"""Segments keep names, colours and places in 3D Slicer's files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_medcnn.core.errors import GeometryError, ReadError
from napari_medcnn.core.geometry import AxisMap, Geometry
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.io.itk import write_itk
from napari_medcnn.io.read import read, read_segmentation, read_segmentations
from napari_medcnn.io.write import write_segmentation
from tests.io.io_files import numbers, oblique, save_nifti

LABELS = (Label(2, "Lésion, active", (1.0, 0.25, 0.0)), Label(5, "lung := left", (0.0, 0.5, 1.0)))


def volume_of(tmp_path: Path, axes: AxisMap = AxisMap()) -> Volume:
    geometry = oblique((6, 8, 10)).reordered(axes)
    (volume,) = read(save_nifti(tmp_path / "image.nii.gz", numbers(geometry), geometry))
    return volume


def drawn(volume: Volume) -> Segmentation:
    array = np.zeros(volume.array.shape, np.uint8)
    array[1:3, 2:5, 3:9] = 2
    array[4, 6, 1] = 5
    return Segmentation(array, volume.geometry, LABELS, volume.id)


@pytest.mark.parametrize(
    "axes", [AxisMap(), AxisMap((2, 0, 1), (True, False, True)), AxisMap((1, 0, 2))]
)
def test_names_colours_and_voxels_come_back(axes: AxisMap, tmp_path: Path) -> None:
    volume = volume_of(tmp_path, axes)
    segmentation = drawn(volume)
    path = write_segmentation(segmentation, volume, tmp_path / "out.seg.nrrd")
    back = read_segmentation(path, volume)
    assert np.array_equal(back.array, segmentation.array)
    assert back.labels == LABELS
    assert back.volume_id == volume.id


def test_keys_are_what_slicer_reads(tmp_path: Path) -> None:
    volume = volume_of(tmp_path)
    write_segmentation(drawn(volume), volume, tmp_path / "out.seg.nrrd")
    image = sitk.ReadImage(tmp_path / "out.seg.nrrd")
    expected = {
        "Segment0_ID": "Segment_2",
        "Segment0_Name": "Lésion, active",
        "Segment0_Color": "1 0.25 0",
        "Segment0_LabelValue": "2",
        "Segment0_Layer": "0",
        "Segment0_Extent": "3 8 2 4 1 2",
        "Segment1_LabelValue": "5",
        "Segment1_Extent": "1 1 6 6 4 4",
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
        "Segmentation_MasterRepresentation": "Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
    }
    assert {key: image.GetMetaData(key) for key in expected} == expected
    source = sitk.ReadImage(tmp_path / "image.nii.gz")
    assert image.GetSize() == source.GetSize()
    assert image.GetOrigin() == pytest.approx(source.GetOrigin(), abs=1e-4)
    assert image.GetDirection() == pytest.approx(source.GetDirection(), abs=1e-6)


def test_values_without_a_name_and_names_without_a_voxel_are_kept(tmp_path: Path) -> None:
    volume = volume_of(tmp_path)
    array = np.zeros(volume.array.shape, np.uint16)
    array[0, 0, 0] = 300
    segmentation = Segmentation(array, volume.geometry, (Label(1, "none found"),), volume.id)
    back = read_segmentation(
        write_segmentation(segmentation, volume, tmp_path / "out.seg.nrrd"), volume
    )
    assert np.array_equal(back.array, array)
    assert [(label.value, label.name) for label in back.labels] == [
        (1, "none found"),
        (300, "label 300"),
    ]


@given(name=st.text(min_size=1, max_size=30))
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_name_comes_back_on_one_line(name: str, tmp_path: Path) -> None:
    geometry = Geometry.from_spacing((1, 2, 2), (1.0, 1.0, 1.0))
    volume = Volume(np.zeros(geometry.shape, np.int16), geometry)
    segmentation = Segmentation(
        np.ones(geometry.shape, np.uint8), geometry, (Label(1, name),), volume.id
    )
    path = write_segmentation(segmentation, volume, tmp_path / "out.seg.nrrd")
    (label,) = read_segmentation(path, volume).labels
    printable = "".join(c if c.isprintable() else " " for c in name)
    assert label.name == (" ".join(printable.split()) or "segment")


def slicer_file(path: Path, array: np.ndarray, geometry: Geometry, keys: dict[str, str]) -> None:
    fields = {"Segment0_ID": "a", "Segment0_Name": "one", "Segment0_Color": "1 0 0",
              "Segment0_LabelValue": "1", "Segment0_Layer": "0",
              "Segment1_ID": "b", "Segment1_Name": "two", "Segment1_Color": "0 1 0",
              "Segment1_LabelValue": "1",
              "Segment1_Layer": str(array.ndim - 3), **keys}  # fmt: skip
    if array.ndim == 3:
        write_itk(path, array, geometry, metadata=fields)
        return
    image = sitk.GetImageFromArray(np.moveaxis(array, 0, -1), isVector=True)
    placed = geometry.to_sitk()
    image.SetSpacing(placed["spacing"])
    image.SetOrigin(placed["origin"])
    image.SetDirection(placed["direction"])
    for name, value in fields.items():
        image.SetMetaData(name, value)
    sitk.WriteImage(image, path)


def test_layers_that_do_not_overlap_are_joined(tmp_path: Path) -> None:
    volume = volume_of(tmp_path)
    layers = np.zeros((2, *volume.array.shape), np.uint8)
    layers[0, 0], layers[1, 3] = 1, 1
    slicer_file(tmp_path / "a.seg.nrrd", layers, volume.geometry, {})
    back = read_segmentation(tmp_path / "a.seg.nrrd", volume)
    assert [(label.value, label.name) for label in back.labels] == [(1, "one"), (2, "two")]
    assert (back.array[0] == 1).all()
    assert (back.array[3] == 2).all()


def test_overlapping_segments_come_as_several_label_maps_or_are_refused(tmp_path: Path) -> None:
    volume = volume_of(tmp_path)
    layers = np.ones((2, *volume.array.shape), np.uint8)
    slicer_file(tmp_path / "a.seg.nrrd", layers, volume.geometry, {})
    with pytest.raises(ReadError, match="overlap: 'two'"):
        read_segmentation(tmp_path / "a.seg.nrrd", volume)
    one, two = read_segmentations(tmp_path / "a.seg.nrrd", volume)
    assert (one.array == 1).all()
    assert (two.array == 2).all()
    only = read_segmentation(tmp_path / "a.seg.nrrd", volume, ["two"])
    assert (only.array == 2).all()


def test_a_cropped_file_is_placed_in_the_volume(tmp_path: Path) -> None:
    volume = volume_of(tmp_path)
    part = np.arange(8, dtype=np.uint8).reshape(2, 2, 2) % 2
    geometry = volume.geometry.cropped((3, 4, 5), (2, 2, 2))
    slicer_file(tmp_path / "a.seg.nrrd", part, geometry, {"Segment1_LabelValue": "2"})
    back = read_segmentation(tmp_path / "a.seg.nrrd", volume)
    assert np.array_equal(back.array[3:5, 4:6, 5:7], part)
    assert back.array.sum() == part.sum()


def test_a_cropped_file_off_the_grid_or_outside_is_refused(tmp_path: Path) -> None:
    volume = volume_of(tmp_path)
    part = np.ones((2, 2, 2), np.uint8)
    for start in ((3.4, 4, 5), (-1, 0, 0), (50, 50, 50)):
        affine = volume.geometry.affine.copy()
        affine[:3, 3] = volume.geometry.index_to_lps(start)
        geometry = Geometry((2, 2, 2), affine)
        slicer_file(tmp_path / "a.seg.nrrd", part, geometry, {"Segment1_LabelValue": "2"})
        with pytest.raises(GeometryError):
            read_segmentation(tmp_path / "a.seg.nrrd", volume)


def test_broken_keys_are_refused(tmp_path: Path) -> None:
    volume = volume_of(tmp_path)
    array = np.ones(volume.array.shape, np.uint8)
    for keys in ({"Segment0_Color": "red"}, {"Segment0_LabelValue": "x"}, {"Segment0_Layer": "7"}):
        slicer_file(tmp_path / "a.seg.nrrd", array, volume.geometry, keys)
        with pytest.raises(ReadError):
            read_segmentation(tmp_path / "a.seg.nrrd", volume)
