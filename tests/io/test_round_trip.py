"""Read, export, read: voxels identical and every voxel centre within 1e-3 mm, on every grid."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings

from napari_medcnn.core.geometry import POSITION_TOLERANCE_MM, AxisMap, Geometry
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import FrameAxis, Volume
from napari_medcnn.io.itk import write_itk
from napari_medcnn.io.labels import read_segmentation
from napari_medcnn.io.read import read
from napari_medcnn.io.single_file import read_image
from napari_medcnn.io.write import write_segmentation, write_volume
from tests.io.io_files import AXIS_MAPS, numbers, oblique, oblique_grids, save_dicom, save_nifti

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")


def save(path: Path, array: np.ndarray, geometry: Geometry) -> None:
    if ".nii" in path.name:
        save_nifti(path, array, geometry)
    else:
        write_itk(path, array, geometry)


def assert_same_image(first: Path, second: Path) -> None:
    """The same voxels at the same places in the same axis order."""
    one, two = read_image(first), read_image(second)
    assert np.array_equal(one.array, two.array)
    assert one.geometry.max_distance_mm(two.geometry) <= POSITION_TOLERANCE_MM


def value_positions(volume: Volume) -> dict[int, np.ndarray]:
    centres = volume.geometry.index_to_lps(np.stack(np.indices(volume.geometry.shape), -1))
    return dict(zip(volume.array.ravel().tolist(), centres.reshape(-1, 3), strict=True))


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
@pytest.mark.parametrize("axes", AXIS_MAPS)
def test_all_axis_orders_and_flips_return(axes: AxisMap, suffix: str, tmp_path: Path) -> None:
    geometry = oblique((2, 3, 4)).reordered(axes)
    source, out = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    array = numbers(geometry)
    save(source, array, geometry)
    (volume,) = read(source)
    assert volume.geometry.orientation == "SPL"
    assert volume.geometry.is_close(oblique((2, 3, 4)))
    assert np.array_equal(axes.apply(volume.array), array)
    write_volume(volume, out)
    assert_same_image(source, out)


@given(geometry=oblique_grids())
@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_random_oblique_grids_return(geometry: Geometry, suffix: str, tmp_path: Path) -> None:
    source, out = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    array = numbers(geometry)
    save(source, array, geometry)
    (volume,) = read(source)
    assert volume.source.geometry is not None
    assert volume.source.geometry.max_distance_mm(geometry) <= POSITION_TOLERANCE_MM
    write_volume(volume, out)
    assert_same_image(source, out)
    (again,) = read(out)
    assert np.array_equal(again.array, volume.array)
    assert again.geometry.is_close(volume.geometry)


@pytest.mark.parametrize("target", SUFFIXES)
@pytest.mark.parametrize("source", SUFFIXES)
def test_every_format_goes_to_every_other(source: str, target: str, tmp_path: Path) -> None:
    geometry = oblique().reordered(AxisMap((2, 0, 1), (True, False, True)))
    save(tmp_path / f"in{source}", numbers(geometry), geometry)
    (volume,) = read(tmp_path / f"in{source}")
    write_volume(volume, tmp_path / f"out{target}")
    assert_same_image(tmp_path / f"in{source}", tmp_path / f"out{target}")


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "i8", "f4", "f8"])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_extreme_values_of_every_type_return_in_their_type(
    suffix: str, dtype: str, tmp_path: Path
) -> None:
    kind = np.dtype(dtype)
    limits = np.finfo(kind) if kind.kind == "f" else np.iinfo(kind)
    ends = [limits.min, limits.max, 0, 1, 7, 100]
    if kind.itemsize == 8 and kind.kind in "iu":
        ends = [-(2**53), 2**53, 0, 1, 7, 100]  # float64's whole numbers
    geometry = Geometry.from_spacing((1, 2, 3), (1.0, 1.0, 1.0))
    array = np.array(ends, dtype=kind).reshape(1, 2, 3)
    save(tmp_path / f"in{suffix}", array, geometry)
    (volume,) = read(tmp_path / f"in{suffix}")
    write_volume(volume, tmp_path / f"out{suffix}")
    if suffix == ".nii.gz":
        stored = np.asanyarray(nibabel.load(tmp_path / "out.nii.gz").dataobj).T
    else:
        stored = sitk.GetArrayFromImage(sitk.ReadImage(tmp_path / f"out{suffix}"))
    assert stored.dtype == kind
    assert np.array_equal(stored, array)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_four_dimensions_return(suffix: str, tmp_path: Path) -> None:
    geometry = oblique((2, 3, 4)).reordered(AxisMap((1, 2, 0), (True, False, True)))
    array = np.stack([numbers(geometry, seed) for seed in range(5)])
    save(tmp_path / f"in{suffix}", array, geometry)
    (volume,) = read(tmp_path / f"in{suffix}")
    assert volume.frame_count == 5
    assert volume.geometry.is_close(oblique((2, 3, 4)))
    write_volume(volume, tmp_path / f"out{suffix}")
    assert_same_image(tmp_path / f"in{suffix}", tmp_path / f"out{suffix}")


def test_the_time_of_frames_returns(tmp_path: Path) -> None:
    geometry = oblique((2, 3, 4))
    array = np.stack([numbers(geometry, seed) for seed in range(3)])
    axis = FrameAxis("time", (0.0, 2.5, 5.0), "s")
    write_volume(Volume(array, geometry, frames=axis), tmp_path / "made.nii.gz")
    (volume,) = read(tmp_path / "made.nii.gz")
    assert volume.frames == axis
    write_volume(volume, tmp_path / "again.nii.gz")
    (again,) = read(tmp_path / "again.nii.gz")
    assert again.frames == axis


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_two_dimensional_files_return(suffix: str, tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.int16).reshape(3, 4)
    if ".nii" in suffix:
        image = nibabel.Nifti1Image(array.T, np.diag([-0.5, -0.7, 1, 1]))
        image.to_filename(tmp_path / f"in{suffix}")
    else:
        picture = sitk.GetImageFromArray(array)
        picture.SetSpacing((0.5, 0.7))
        sitk.WriteImage(picture, tmp_path / f"in{suffix}")
    (volume,) = read(tmp_path / f"in{suffix}")
    assert volume.is_2d
    assert volume.array.shape == (1, 3, 4)
    assert volume.geometry.spacing[1:] == pytest.approx((0.7, 0.5))
    write_volume(volume, tmp_path / f"out{suffix}")
    assert_same_image(tmp_path / f"in{suffix}", tmp_path / f"out{suffix}")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("axes", AXIS_MAPS[::5])
def test_labels_come_back_to_the_voxels_they_were_drawn_on(
    axes: AxisMap, suffix: str, tmp_path: Path
) -> None:
    geometry = oblique().reordered(axes)
    save_nifti(tmp_path / "image.nii.gz", numbers(geometry), geometry)
    (volume,) = read(tmp_path / "image.nii.gz")
    labels = np.random.default_rng(0).integers(0, 4, volume.array.shape).astype(np.uint16)
    drawn = Segmentation(labels, volume.geometry, (Label(1, "lesion"),), volume.id)
    path = write_segmentation(drawn, volume, tmp_path / f"labels{suffix}")
    assert read_image(path).geometry.is_close(geometry)
    back = read_segmentation(path, volume)
    assert np.array_equal(back.array, labels)
    assert [label.value for label in back.labels] == [1, 2, 3]


@pytest.mark.parametrize("code", [(1, 1), (4, 1), (2, 0), (0, 2), (0, 0)])
def test_label_maps_open_in_simpleitk_with_exactly_the_grid_of_their_nifti(
    code: tuple[int, int], tmp_path: Path
) -> None:
    geometry = oblique().reordered(AxisMap((2, 0, 1), (True, False, True)))
    sform_code, qform_code = code
    source = save_nifti(tmp_path / "image.nii.gz", numbers(geometry), geometry,
                        sform_code=sform_code, qform_code=qform_code)  # fmt: skip
    (volume,) = read(source)
    labels = np.ones(volume.array.shape, np.uint8)
    drawn = Segmentation(labels, volume.geometry, (Label(1, "lesion"),), volume.id)
    write_segmentation(drawn, volume, tmp_path / "labels.nii.gz")
    image, mask = (sitk.ReadImage(tmp_path / f"{name}.nii.gz") for name in ("image", "labels"))
    for of in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(mask, of)() == getattr(image, of)()
    header = nibabel.load(tmp_path / "labels.nii.gz").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == code


def test_a_dicom_series_goes_to_nifti_and_nrrd_and_stays_where_it_is(tmp_path: Path) -> None:
    geometry = oblique().reordered(AxisMap((0, 2, 1), (False, True, False)))
    array = numbers(geometry)
    save_dicom(tmp_path / "series", array, geometry, intercept=-1024)
    (volume,) = read(tmp_path / "series")
    expected = value_positions(volume)
    assert volume.array.dtype == np.int16
    for name in ("out.nii.gz", "out.nrrd", "out.mha"):
        write_volume(volume, tmp_path / name)
        (again,) = read(tmp_path / name)
        found = value_positions(again)
        assert found.keys() == expected.keys()
        assert max(np.linalg.norm(found[v] - expected[v]) for v in expected) < 1e-3


def test_real_scans_return_exactly(shared_data: Path, tmp_path: Path) -> None:
    for name in (
        "ms_longitudinal/patient01/study1_FLAIR.nii.gz",
        "hippocampus/images/hippocampus_001.nii.gz",
        "stroke_t2/T2.nii.gz",
        "radiomics/brain1_image.nrrd",
        "sarcoma/nifti/STS_025/CT_image.nii.gz",
    ):
        source = shared_data / name
        out = tmp_path / source.name
        (volume,) = read(source)
        write_volume(volume, out)
        assert_same_image(source, out)
        before, after = sitk.ReadImage(source), sitk.ReadImage(out)
        assert after.GetPixelID() == before.GetPixelID()
        assert after.GetDirection() == pytest.approx(before.GetDirection(), abs=1e-12)
        assert after.GetOrigin() == pytest.approx(before.GetOrigin(), abs=1e-12)
        assert np.array_equal(sitk.GetArrayViewFromImage(after), sitk.GetArrayViewFromImage(before))
