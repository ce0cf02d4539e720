from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from napari_medcnn.core.errors import GeometryError, ReadError
from napari_medcnn.core.geometry import AxisMap, Geometry
from napari_medcnn.core.volume import Volume
from napari_medcnn.imaging.lesions import find_lesions
from napari_medcnn.io.dicom_objects.export import DicomResult, write_dicom
from napari_medcnn.io.read import read, read_segmentation, read_segmentations
from tests.io.dicom_objects.dicom_cases import LESION, assert_valid, marked, series, two_boxes
from tests.io.io_files import AXIS_MAPS, oblique

GRID = Geometry.from_spacing((6, 24, 20), (3.0, 0.7, 0.5), (-20.0, 15.0, 40.0))


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    return series(tmp_path_factory.mktemp("series"), GRID)


@pytest.mark.parametrize("modality", ["CT", "MR_T1"])
def test_a_planning_system_s_contours_give_the_published_mask(
    shared_data: Path, modality: str
) -> None:
    case = shared_data / "sarcoma" / "dicom" / "STS_025" / modality
    (volume,) = read(case / "image")
    contoured = read_segmentation(case / "mask" / "RS.dcm", volume)
    mask = shared_data / "sarcoma" / "nifti" / "STS_025" / f"{modality}_mask.nii.gz"
    published = read_segmentation(mask, volume)
    assert np.array_equal(contoured.array > 0, published.array > 0)
    assert contoured.labels[0].name == f"GTV_Mass_{modality}"
    assert "notes" not in contoured.parameters


def test_contours_between_the_slices_of_pet_are_read_on_them(shared_data: Path) -> None:
    case = shared_data / "sarcoma" / "dicom" / "STS_025" / "PET"
    (volume,) = read(case / "image")
    tumour = read_segmentation(case / "mask" / "RS.dcm", volume)
    ml = np.count_nonzero(tumour.array) * volume.geometry.voxel_volume_mm3 / 1000
    assert ml == pytest.approx(9655 * 0.976562**2 * 3.27 / 1000, rel=0.03)


@pytest.mark.slow
def test_a_contour_of_many_points_stays_one_of_numbers(tmp_path: Path) -> None:
    volume = series(tmp_path / "in", Geometry.from_spacing((2, 90, 90), (1.0, 1.0, 1.0)))
    segmentation = marked(volume, (LESION,))
    segmentation.array[...] = 1
    segmentation.array[:, 1:-1:2, 1:-1:2] = 0  # 1,936 holes in one region
    (path,) = write_dicom(DicomResult(segmentation, volume), tmp_path / "a.rtstruct.dcm")
    (contour,) = pydicom.dcmread(path).ROIContourSequence[0].ContourSequence[:1]
    assert contour["ContourData"].VR == "DS"
    assert len("\\".join(map(str, contour.ContourData))) > 1 << 16
    assert_valid(path)
    assert np.array_equal(read_segmentation(path, volume).array, segmentation.array)


@pytest.mark.parametrize("axes", AXIS_MAPS[::4], ids=str)
def test_contours_come_back_voxel_for_voxel_on_any_axes(tmp_path: Path, axes: AxisMap) -> None:
    volume = series(tmp_path / "in", oblique((8, 9, 10)).reordered(axes))
    segmentation = marked(volume)
    (path,) = write_dicom(DicomResult(segmentation, volume), tmp_path / "a.rtstruct.dcm")
    back = read_segmentation(path, volume)
    for label, original in zip(back.labels, segmentation.labels, strict=True):
        assert label.name == original.name
        mine = segmentation.array == original.value
        assert np.array_equal(back.array == label.value, mine)


def test_points_lie_on_the_plane_of_the_slice_that_they_name(
    volume: Volume, tmp_path: Path
) -> None:
    (path,) = write_dicom(DicomResult(two_boxes(volume), volume), tmp_path / "a.rtstruct.dcm")
    assert volume.source.path is not None
    headers = {
        str(h.SOPInstanceUID): h for h in (pydicom.dcmread(f) for f in volume.source.path.iterdir())
    }
    regions = pydicom.dcmread(path).ROIContourSequence
    for contour in (contour for region in regions for contour in region.ContourSequence):
        points = np.reshape(np.array(contour.ContourData, float), (-1, 3))
        assert len(points) == contour.NumberOfContourPoints
        header = headers[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
        normal = np.cross(*np.reshape(np.array(header.ImageOrientationPatient, float), (2, 3)))
        heights = (points - np.array(header.ImagePositionPatient, float)) @ normal
        assert np.abs(heights).max() < 1e-3


def test_a_region_a_lesion_is_named_after_it(volume: Volume, tmp_path: Path) -> None:
    segmentation = two_boxes(volume)
    table = find_lesions(segmentation, volume)
    (path,) = write_dicom(
        DicomResult(segmentation, volume, table), tmp_path / "a.rtstruct.dcm", per_lesion=True
    )
    dataset = pydicom.dcmread(path)
    names = [item.ROIName for item in dataset.StructureSetROISequence]
    assert names == [f"{lesion.label_name} {lesion.id}" for lesion in table.lesions]
    volumes = [float(item.ROIVolume) for item in dataset.StructureSetROISequence]
    assert volumes == pytest.approx([le.volume_mm3.value / 1000 for le in table.lesions])
    assert np.array_equal(read_segmentation(path, volume).array, table.id_map)


def square(low: float, high: float, k: float, kind: str = "CLOSED_PLANAR") -> Dataset:
    """A square in pixels of GRID on slice `k`."""
    index = [[k, low, low], [k, low, high], [k, high, high], [k, high, low]]
    item = Dataset()
    item.ContourGeometricType = kind
    item.ContourData = [f"{v:.4f}" for v in GRID.index_to_lps(index).ravel()]
    item.NumberOfContourPoints = 4
    return item


def structure_set(volume: Volume, folder: Path, *regions: list[Dataset]) -> Path:
    """A structure set of our own with other contours in it."""
    (path,) = write_dicom(DicomResult(two_boxes(volume), volume), folder / "a.rtstruct.dcm")
    dataset = pydicom.dcmread(path)
    names, contours = [], []
    for number, region in enumerate(regions, 1):
        name, item = Dataset(), Dataset()
        name.ROINumber = item.ReferencedROINumber = number
        name.ROIName = f"ROI {number}"
        item.ContourSequence = region
        names.append(name)
        contours.append(item)
    dataset.StructureSetROISequence, dataset.ROIContourSequence = names, contours
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("kind", ["CLOSED_PLANAR", "CLOSEDPLANAR_XOR"])
def test_a_contour_inside_another_is_a_hole(volume: Volume, tmp_path: Path, kind: str) -> None:
    ring = [square(2.5, 12.5, 2, kind), square(5.5, 8.5, 2, kind)]
    back = read_segmentation(structure_set(volume, tmp_path, ring), volume)
    assert np.count_nonzero(back.array) == 100 - 9
    assert back.array[2, 7, 7] == 0


def test_contours_that_cross_are_joined_and_none_is_lost(volume: Volume, tmp_path: Path) -> None:
    both = [square(2.5, 8.5, 2), square(5.5, 12.5, 2), square(2.5, 8.5, 2)]
    back = read_segmentation(structure_set(volume, tmp_path, both), volume)
    assert np.count_nonzero(back.array) == 36 + 49 - 9


def test_regions_that_overlap_come_as_several_label_maps(volume: Volume, tmp_path: Path) -> None:
    path = structure_set(volume, tmp_path, [square(2.5, 12.5, 2)], [square(5.5, 8.5, 2)])
    with pytest.raises(ReadError, match="'ROI 2' share voxels"):
        read_segmentation(path, volume)
    outer, inner = read_segmentations(path, volume)
    assert np.count_nonzero(outer.array) == 100
    assert np.count_nonzero(inner.array) == 9


def test_moved_slices_gaps_and_what_encloses_nothing_are_told(
    volume: Volume, tmp_path: Path
) -> None:
    contours = [square(2.5, 8.5, 1.3), square(2.5, 8.5, 4), square(1, 3, 2, "POINT")]
    path = structure_set(volume, tmp_path, contours, [square(3.1, 3.4, 2)])
    back = read_segmentation(path, volume)
    assert np.flatnonzero(back.array.any(axis=(1, 2))).tolist() == [1, 4]
    notes = " ".join(back.parameters["notes"])
    assert "nearest" in notes
    assert "0.90 mm" in notes
    assert "ROI 1 (2)" in notes
    assert "open contours" in notes
    assert "Too small for any voxel's centre, left out: ROI 2" in notes


def test_contours_outside_the_image_or_across_its_slices_are_refused(
    volume: Volume, tmp_path: Path
) -> None:
    for contour in (square(2.5, 8.5, 9), square(15.5, 30.5, 2)):
        path = structure_set(volume, tmp_path, [contour])
        with pytest.raises(GeometryError, match="outside the image"):
            read_segmentation(path, volume)
    tilted = square(2.5, 8.5, 2)
    tilted.ContourData[2] = float(tilted.ContourData[2]) + 4
    with pytest.raises(GeometryError, match="do not lie in the slices"):
        read_segmentation(structure_set(volume, tmp_path, [tilted]), volume)
