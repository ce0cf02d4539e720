from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.pixels.utils import pack_bits
from pydicom.uid import RLELossless

from napari_medcnn.core.errors import GeometryError, ReadError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Volume
from napari_medcnn.io.dicom_objects.export import DicomResult, write_dicom
from napari_medcnn.io.dicom_objects.read import read_object_alone
from napari_medcnn.io.read import read, read_segmentation, read_segmentations
from tests.io.dicom_objects.dicom_cases import marked, series

GRID = Geometry.from_spacing((5, 7, 9), (3.0, 0.7, 0.5), (-20.0, 15.0, 40.0))

PAIRS = {
    "liver.dcm": ("0{}.dcm", ["liver_seg.nrrd"]),
    "partial_overlaps.dcm": ("0{}.dcm", [f"partial_overlaps-{n}.nrrd" for n in (1, 2, 3)]),
    "sparse-labelmap-noppv.dcm": (
        "data__segmentations__24x38x3__image__IMG000{}.dcm", ["sparse_labelmap_noppv_seg.nrrd"]
    ),
    "sparse-labelmap-ppv5.dcm": (
        "data__segmentations__24x38x3__image__IMG000{}.dcm", ["sparse_labelmap_ppv5_seg.nrrd"]
    ),
}  # fmt: skip
"""A segmentation, its images, and its counterparts: one a label map of what does not overlap."""


def images(shared_data: Path, folder: Path, pattern: str) -> Volume:
    folder.mkdir()
    for number in (1, 2, 3):
        name = pattern.format(number)
        shutil.copy(shared_data / "dicom_seg" / "dcmqi" / name, folder / name)
    (volume,) = read(folder)
    return volume


@pytest.mark.parametrize("name", PAIRS)
def test_every_pair_reads_to_its_counterpart(shared_data: Path, tmp_path: Path, name: str) -> None:
    pattern, counterparts = PAIRS[name]
    volume = images(shared_data, tmp_path / "in", pattern)
    folder = shared_data / "dicom_seg" / "dcmqi"
    found = read_segmentations(folder / name, volume)
    padding = pydicom.dcmread(folder / name, stop_before_pixels=True).get("PixelPaddingValue") or 0
    for segmentation, counterpart in zip(found, counterparts, strict=True):
        truth = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / counterpart)))
        # The counterpart has the padding value, which is no segment, on planes that are not stored.
        truth[truth == padding] = 0
        mine, geometry = volume.on_source_grid(segmentation.array)
        assert np.array_equal(mine, truth)
        again = read_segmentation(folder / counterpart, volume)
        assert geometry.is_close(volume.on_source_grid(again.array)[1])


@pytest.mark.parametrize(
    "name",
    ["heart_seg", "spine_seg", "spine_seg_label5", "liver_spine_seg", "liver_spine_gapped_seg"],
)
def test_label_maps_beside_them_are_read_on_the_same_grid(
    shared_data: Path, tmp_path: Path, name: str
) -> None:
    volume = images(shared_data, tmp_path / "in", "0{}.dcm")
    path = shared_data / "dicom_seg" / "dcmqi" / f"{name}.nrrd"
    truth = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    back = read_segmentation(path, volume)
    assert np.array_equal(volume.on_source_grid(back.array)[0], truth)


def test_overlapping_segments_are_refused_as_one_and_chosen_by_name(
    shared_data: Path, tmp_path: Path
) -> None:
    volume = images(shared_data, tmp_path / "in", "0{}.dcm")
    path = shared_data / "dicom_seg" / "dcmqi" / "partial_overlaps.dcm"
    with pytest.raises(ReadError, match="segments overlap: 'ORANGE', 'PURPLE'"):
        read_segmentation(path, volume)
    one = read_segmentation(path, volume, ["ORANGE"])
    assert np.unique(one.array).tolist() == [0, 2]
    assert np.array_equal(one.array, read_segmentation(path, volume, ["2"]).array)
    with pytest.raises(ReadError, match="no segment 'RED'"):
        read_segmentation(path, volume, ["RED"])


@pytest.mark.parametrize("name", ["seg_image_ct_binary.dcm", "seg_image_ct_binary_overlap.dcm"])
def test_highdicom_files_read_as_highdicom_reads_them(shared_data: Path, name: str) -> None:
    import highdicom as hd

    path = shared_data / "dicom_seg" / "highdicom" / name
    _, found = read_object_alone(path)
    seg = hd.seg.segread(path)
    stored = seg.pixel_array
    numbers = [
        int(
            (group if "SegmentIdentificationSequence" in group else shared)
            .SegmentIdentificationSequence[0]
            .ReferencedSegmentNumber
        )
        for shared in seg.SharedFunctionalGroupsSequence
        for group in seg.PerFrameFunctionalGroupsSequence
    ]
    for number in set(numbers):
        total = sum(
            np.count_nonzero(f) for f, n in zip(stored, numbers, strict=True) if n == number
        )
        layer = next(la for la in found.layers if number in [lb.value for lb in la.labels])
        assert np.count_nonzero(layer.array == number) == total > 0


def test_fractions_are_taken_from_one_half_on_and_that_is_told(shared_data: Path) -> None:
    path = shared_data / "dicom_seg" / "highdicom" / "seg_image_ct_true_fractional.dcm"
    dataset = pydicom.dcmread(path)
    _, found = read_object_alone(path)
    half = dataset.MaximumFractionalValue / 2
    assert np.count_nonzero(found.layers[0].array) == np.count_nonzero(dataset.pixel_array >= half)
    assert "fractional" in found.notes[0]


@pytest.mark.parametrize("name", ["control", "control_labelmap", "dots", "dots_tiled_full"])
def test_microscopy_is_refused(shared_data: Path, small_volume: Volume, name: str) -> None:
    path = shared_data / "dicom_seg" / "highdicom" / f"seg_image_sm_{name}.dcm"
    with pytest.raises(ReadError, match="tiled"):
        read_segmentation(path, small_volume)


def test_another_grid_is_refused_and_nothing_is_interpolated(tmp_path: Path) -> None:
    volume = series(tmp_path / "in", GRID)
    write_dicom(DicomResult(marked(volume), volume), tmp_path / "a.seg.dcm")
    shifted = Geometry.from_spacing(GRID.shape, GRID.spacing, (-19.8, 15.0, 40.0))
    coarse = Geometry.from_spacing(GRID.shape, (3.0, 0.7, 0.6), GRID.origin)
    for number, grid in enumerate((shifted, coarse)):
        other = series(tmp_path / str(number), grid)
        with pytest.raises(GeometryError, match="voxels"):
            read_segmentation(tmp_path / "a.seg.dcm", other)


def test_a_part_of_the_image_is_placed_and_more_than_the_image_is_refused(tmp_path: Path) -> None:
    small = series(tmp_path / "small", GRID.cropped((1, 2, 3), (3, 4, 5)))
    whole = series(tmp_path / "whole", GRID)
    segmentation = marked(small)
    write_dicom(DicomResult(segmentation, small), tmp_path / "a.labelmap.dcm")
    back = read_segmentation(tmp_path / "a.labelmap.dcm", whole)
    assert np.array_equal(back.array[1:4, 2:6, 3:8], segmentation.array)
    assert np.count_nonzero(back.array) == np.count_nonzero(segmentation.array)
    write_dicom(DicomResult(marked(whole), whole), tmp_path / "b.labelmap.dcm")
    with pytest.raises(GeometryError, match="outside the image"):
        read_segmentation(tmp_path / "b.labelmap.dcm", small)


def test_compressed_frames_are_read_too(tmp_path: Path) -> None:
    volume = series(tmp_path / "in", GRID)
    segmentation = marked(volume)
    write_dicom(DicomResult(segmentation, volume), tmp_path / "a.labelmap.dcm")
    dataset = pydicom.dcmread(tmp_path / "a.labelmap.dcm")
    dataset.compress(RLELossless)
    dataset.save_as(tmp_path / "b.dcm")
    assert np.array_equal(read_segmentation(tmp_path / "b.dcm", volume).array, segmentation.array)


def test_truncated_and_contradicting_files_are_refused(tmp_path: Path) -> None:
    volume = series(tmp_path / "in", GRID)
    write_dicom(DicomResult(marked(volume), volume), tmp_path / "a.seg.dcm")
    dataset = pydicom.dcmread(tmp_path / "a.seg.dcm")
    frames = dataset.PerFrameFunctionalGroupsSequence
    dataset.PixelData = pack_bits(np.zeros((2, 7, 9), np.uint8))
    dataset.save_as(tmp_path / "b.dcm")
    with pytest.raises(ReadError, match="frames are missing"):
        read_segmentation(tmp_path / "b.dcm", volume)
    dataset.PerFrameFunctionalGroupsSequence = frames[:1]
    dataset.save_as(tmp_path / "c.dcm")
    with pytest.raises(ReadError, match="describes 1"):
        read_segmentation(tmp_path / "c.dcm", volume)
    content = (tmp_path / "a.seg.dcm").read_bytes()
    (tmp_path / "d.dcm").write_bytes(content[: len(content) // 2])
    with pytest.raises(ReadError):
        read_segmentation(tmp_path / "d.dcm", volume)


def test_a_radiograph_is_found_by_the_image_that_it_names(shared_data: Path) -> None:
    path = shared_data / "dicom_seg" / "highdicom" / "seg_image_cr_binary.dcm"
    dataset = pydicom.dcmread(path)
    (image,) = dataset.SourceImageSequence
    grid = Geometry.from_spacing((1, 16, 16), (1.0, 1.0, 1.0))
    other = Volume(np.zeros(grid.shape, np.int16), grid)
    with pytest.raises(GeometryError, match="another image"):
        read_segmentation(path, other)
    other.source.header["instances"] = [[[str(image.ReferencedSOPInstanceUID), 1]]]
    back = read_segmentation(path, other)
    assert np.array_equal(back.array[0], dataset.pixel_array)
