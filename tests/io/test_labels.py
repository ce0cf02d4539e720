"""Label maps are taken as they are or refused; nothing is interpolated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_medcnn.core.errors import GeometryError, ReadError
from napari_medcnn.core.geometry import AxisMap, Geometry
from napari_medcnn.io.read import read, read_segmentation
from tests.io.io_files import numbers, oblique, save_nifti


def test_labels_in_another_axis_order_fit(tmp_path: Path) -> None:
    geometry = oblique()
    (volume,) = read(save_nifti(tmp_path / "image.nii", numbers(geometry), geometry))
    labels = np.random.default_rng(0).integers(0, 3, geometry.shape).astype(np.float64)
    axes = AxisMap((2, 0, 1), (False, True, True))
    path = save_nifti(tmp_path / "labels.nii", axes.apply(labels), geometry.reordered(axes))
    segmentation = read_segmentation(path, volume)
    assert segmentation.array.dtype == np.uint8
    assert np.array_equal(segmentation.array, labels)
    assert [label.name for label in segmentation.labels] == ["label 1", "label 2"]
    assert segmentation.labels[0].colour != segmentation.labels[1].colour


def test_another_grid_is_refused_with_the_difference(tmp_path: Path) -> None:
    geometry = oblique()
    (volume,) = read(save_nifti(tmp_path / "image.nii", numbers(geometry), geometry))
    ones = np.ones(geometry.shape, np.uint8)
    affine = geometry.affine.copy()
    affine[0, 3] += 0.01
    path = save_nifti(tmp_path / "moved.nii", ones, Geometry(geometry.shape, affine))
    with pytest.raises(GeometryError, match=r"up to 0\.010 mm apart"):
        read_segmentation(path, volume)
    path = save_nifti(tmp_path / "small.nii", ones[1:], geometry.cropped((1, 0, 0), (4, 6, 7)))
    with pytest.raises(GeometryError, match=r"\(4, 6, 7\) voxels.*\(5, 6, 7\)"):
        read_segmentation(path, volume)


@pytest.mark.parametrize("value", [0.5, -1.0, np.nan, np.inf, 1e12])
def test_what_is_no_label_map_is_refused(value: float, tmp_path: Path) -> None:
    geometry = oblique()
    (volume,) = read(save_nifti(tmp_path / "image.nii", numbers(geometry), geometry))
    array = np.zeros(geometry.shape, np.float64)
    array[0, 0, 0] = value
    with pytest.raises(ReadError, match="label map"):
        read_segmentation(save_nifti(tmp_path / "labels.nii", array, geometry), volume)


def test_four_dimensions_are_no_label_map(tmp_path: Path) -> None:
    geometry = oblique()
    (volume,) = read(save_nifti(tmp_path / "image.nii", numbers(geometry), geometry))
    array = np.zeros((2, *geometry.shape), np.uint8)
    with pytest.raises(ReadError, match="four dimensions"):
        read_segmentation(save_nifti(tmp_path / "labels.nii", array, geometry), volume)


def test_real_masks_fit_their_scans(shared_data: Path) -> None:
    for image, mask, values in (
        ("ms_flair/patient19/flair.nii.gz", "ms_flair/patient19/lesions.nii.gz", [1]),
        ("hippocampus/images/hippocampus_001.nii.gz",
         "hippocampus/labels/hippocampus_001.nii.gz", [1, 2]),
        ("stroke_t2/T2.nii.gz", "stroke_t2/lesionT2.nii.gz", None),
        ("radiomics/brain1_image.nrrd", "radiomics/brain1_label.nrrd", [1]),
    ):  # fmt: skip
        (volume,) = read(shared_data / image)
        segmentation = read_segmentation(shared_data / mask, volume)
        assert segmentation.array.any()
        if values is not None:
            assert [label.value for label in segmentation.labels] == values
