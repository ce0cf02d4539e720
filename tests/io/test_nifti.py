"""What NIfTI headers say, and what is made of headers that contradict themselves."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_medcnn.core.errors import ReadError, WriteError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import FrameAxis, Severity
from napari_medcnn.io import limits
from napari_medcnn.io.nifti import read_nifti, write_nifti
from napari_medcnn.io.read import read
from napari_medcnn.io.write import write_volume
from tests.io.io_files import numbers, oblique, save_nifti


def sheared_geometry(shape: tuple[int, int, int] = (6, 20, 16)) -> Geometry:
    """A stack whose slices shift along the columns by 15 degrees."""
    affine = oblique(shape).affine.copy()
    affine[:3, 0] += 3.0 * np.tan(np.radians(15)) * affine[:3, 1] / 0.7
    return Geometry(shape, affine)


def codes(path: Path) -> set[str]:
    (volume,) = read(path)
    return {finding.code for finding in volume.findings}


def test_slope_and_intercept_are_applied(tmp_path: Path) -> None:
    geometry = oblique((2, 3, 4))
    array = numbers(geometry)
    path = save_nifti(tmp_path / "a.nii", array, geometry, scl_slope=2.0, scl_inter=-1000.0)
    (volume,) = read(path)
    assert volume.array.dtype == np.int16
    assert np.array_equal(volume.array, array * 2 - 1000)
    path = save_nifti(tmp_path / "b.nii", array, geometry, scl_slope=0.5, scl_inter=0.25)
    (volume,) = read(path)
    assert volume.array.dtype == np.float32
    assert np.array_equal(volume.array, array * 0.5 + 0.25)


def test_a_sheared_file_is_straightened_marked_and_stays_on_the_new_grid(tmp_path: Path) -> None:
    geometry = sheared_geometry()
    centres = geometry.index_to_lps(np.stack(np.indices(geometry.shape), -1))
    field = (centres @ (1.0, 2.0, 3.0)).astype(np.float32)
    path = save_nifti(tmp_path / "tilted.nii.gz", field, geometry)
    (volume,) = read(path)
    assert volume.resampled
    assert not volume.geometry.is_sheared
    (finding,) = volume.findings
    assert finding.code == "sheared-grid"
    assert finding.severity is Severity.WARNING
    assert "15.0 degrees" in finding.text
    index = geometry.lps_to_index(
        volume.geometry.index_to_lps(np.stack(np.indices(volume.geometry.shape), -1))
    )
    inside = ((index > 0) & (index < np.asarray(geometry.shape) - 1)).all(-1)
    where = volume.geometry.index_to_lps(np.argwhere(inside))
    assert inside.sum() > 500
    np.testing.assert_allclose(volume.array[inside], where @ (1.0, 2.0, 3.0), atol=0.01)
    kept = volume.source.header["sheared_grid"]
    assert np.array_equal(kept["affine_lps"], read_nifti(path).geometry.affine)
    write_volume(volume, tmp_path / "out.nii.gz")
    (again,) = read(tmp_path / "out.nii.gz")
    assert not again.findings
    assert again.geometry.is_close(volume.geometry)
    assert np.array_equal(again.array, volume.array)


def test_a_sheared_grid_can_be_written(tmp_path: Path) -> None:
    geometry = sheared_geometry()
    write_nifti(tmp_path / "a.nii", numbers(geometry), geometry)
    assert read_nifti(tmp_path / "a.nii").geometry.is_close(geometry)


def test_sform_and_qform_that_disagree_are_told(tmp_path: Path) -> None:
    geometry = oblique()
    save_nifti(tmp_path / "a.nii", numbers(geometry), geometry, qoffset_x=55.0)
    assert codes(tmp_path / "a.nii") == {"sform-qform-disagree"}
    assert read_nifti(tmp_path / "a.nii").geometry.is_close(geometry)


def test_qform_is_used_where_there_is_no_sform(tmp_path: Path) -> None:
    geometry = oblique()
    save_nifti(tmp_path / "a.nii", numbers(geometry), geometry, sform_code=0, srow_x=[9, 9, 9, 9])
    (volume,) = read(tmp_path / "a.nii")
    assert not volume.findings
    assert volume.geometry.is_close(geometry)


def test_a_broken_sform_gives_way_to_the_qform(tmp_path: Path) -> None:
    geometry = oblique()
    save_nifti(tmp_path / "a.nii", numbers(geometry), geometry, srow_x=[0, 0, 0, 0])
    assert codes(tmp_path / "a.nii") == {"broken-placement"}
    assert read_nifti(tmp_path / "a.nii").geometry.is_close(geometry)


def test_without_a_code_the_orientation_is_unknown(tmp_path: Path) -> None:
    geometry = Geometry.from_spacing((2, 3, 4), (3.0, 2.0, 1.0))
    save_nifti(tmp_path / "a.nii", numbers(geometry), geometry, sform_code=0, qform_code=0)
    (volume,) = read(tmp_path / "a.nii")
    (finding,) = volume.findings
    assert (finding.code, finding.severity) == ("orientation-unknown", Severity.WARNING)
    assert volume.geometry.spacing == pytest.approx((3.0, 2.0, 1.0))


@pytest.mark.parametrize(("unit", "factor"), [(1, 1000.0), (3, 0.001)])
def test_metres_and_microns_become_mm(unit: int, factor: float, tmp_path: Path) -> None:
    geometry = oblique()
    save_nifti(tmp_path / "a.nii", numbers(geometry), geometry, xyzt_units=unit)
    (volume,) = read(tmp_path / "a.nii")
    assert volume.geometry.spacing == pytest.approx(np.multiply(geometry.spacing, factor))
    assert volume.geometry.origin == pytest.approx(np.multiply(geometry.origin, factor), rel=1e-5)
    assert [finding.code for finding in volume.findings] == ["units-converted"]
    write_volume(volume, tmp_path / "out.nii")
    assert read_nifti(tmp_path / "out.nii").geometry.is_close(
        read_nifti(tmp_path / "a.nii").geometry
    )


@pytest.mark.parametrize(("units", "step"), [(10, 2.0), (18, 2000.0), (26, 2e6)])
def test_frames_have_times_in_seconds(units: int, step: float, tmp_path: Path) -> None:
    geometry = oblique((2, 3, 4))
    array = np.stack([numbers(geometry)] * 3)
    pixdim = [1.0, *reversed(geometry.spacing), step, 1, 1, 1]
    save_nifti(tmp_path / "a.nii", array, geometry, pixdim=pixdim, xyzt_units=units)
    (volume,) = read(tmp_path / "a.nii")
    assert volume.frames == FrameAxis("time", (0.0, 2.0, 4.0), "s")


def test_vectors_in_the_fifth_dimension_are_frames(tmp_path: Path) -> None:
    array = np.arange(2 * 3 * 4 * 3, dtype=np.float32).reshape(2, 3, 4, 1, 3)
    nibabel.Nifti1Image(array, np.eye(4)).to_filename(tmp_path / "a.nii")
    (volume,) = read(tmp_path / "a.nii")
    assert volume.frames == FrameAxis("component")
    assert volume.array.shape == (3, 4, 3, 2)


def test_two_dimensions_beyond_space_are_refused(tmp_path: Path) -> None:
    nibabel.Nifti1Image(np.zeros((2, 2, 2, 3, 3), np.float32), None).to_filename(tmp_path / "a.nii")
    with pytest.raises(ReadError, match="dimensions"):
        read(tmp_path / "a.nii")


def test_colour_becomes_grey_with_a_finding(tmp_path: Path) -> None:
    kind = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    array = np.zeros((3, 3, 2), kind)
    array["R"], array["G"], array["B"] = 100, 50, 20
    nibabel.Nifti1Image(array, np.eye(4)).to_filename(tmp_path / "a.nii")
    (volume,) = read(tmp_path / "a.nii")
    assert volume.array == pytest.approx(0.299 * 100 + 0.587 * 50 + 0.114 * 20)
    assert codes(tmp_path / "a.nii") == {"colour-to-grey"}


def test_complex_values_are_refused(tmp_path: Path) -> None:
    nibabel.Nifti1Image(np.zeros((2, 2, 2), np.complex64), None).to_filename(tmp_path / "a.nii")
    with pytest.raises(ReadError, match="complex64"):
        read(tmp_path / "a.nii")


def test_voxels_that_are_no_numbers_are_told(tmp_path: Path) -> None:
    array = np.zeros((2, 3, 4), np.float32)
    array[0, 0, :2] = np.nan
    save_nifti(tmp_path / "a.nii", array, oblique((2, 3, 4)))
    assert codes(tmp_path / "a.nii") == {"non-finite-voxels"}


def test_nifti_2_and_big_endian_files_are_read(tmp_path: Path) -> None:
    geometry = oblique()
    affine = geometry.to_ras_affine()
    nibabel.Nifti2Image(numbers(geometry).T, affine).to_filename(tmp_path / "two.nii.gz")
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    nibabel.Nifti1Image(numbers(geometry).T, affine, header).to_filename(tmp_path / "big.nii")
    assert nibabel.load(tmp_path / "big.nii").header.endianness == ">"
    for name in ("two.nii.gz", "big.nii"):
        (volume,) = read(tmp_path / name)
        assert np.array_equal(volume.array, numbers(geometry))
        assert volume.geometry.is_close(geometry)
        write_volume(volume, tmp_path / f"out_{name}")
        assert np.array_equal(read_nifti(tmp_path / f"out_{name}").array, numbers(geometry))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.97])
def test_truncated_files_are_refused(suffix: str, part: float, tmp_path: Path) -> None:
    geometry = oblique((20, 30, 40))
    path = save_nifti(tmp_path / f"a{suffix}", numbers(geometry), geometry)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(ReadError) as caught:
        read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_an_absurd_size_is_refused_before_allocation(suffix: str, tmp_path: Path) -> None:
    geometry = oblique()
    path = save_nifti(tmp_path / f"a{suffix}", numbers(geometry), geometry,
                      dim=[3, 32767, 32767, 32767, 1, 1, 1, 1])  # fmt: skip
    with pytest.raises(ReadError, match="claims"):
        read(path)


def test_a_size_that_the_file_cannot_hold_is_refused(tmp_path: Path) -> None:
    geometry = oblique()
    path = save_nifti(tmp_path / "a.nii.gz", numbers(geometry), geometry,
                      dim=[3, 1000, 1000, 1000, 1, 1, 1, 1])  # fmt: skip
    assert limits.MAX_VOLUME_BYTES > 2 * 1000**3
    with pytest.raises(ReadError, match="truncated"):
        read(path)


def test_negative_sizes_and_broken_affines_are_refused(tmp_path: Path) -> None:
    geometry = oblique()
    for number, fields in enumerate((
        {"dim": [3, -5, 6, 7, 1, 1, 1, 1]},
        {"dim": [0, 7, 6, 5, 1, 1, 1, 1]},
        {"srow_x": [np.nan] * 4, "qform_code": 0},
    )):  # fmt: skip
        path = save_nifti(tmp_path / f"{number}.nii", numbers(geometry), geometry, **fields)
        with pytest.raises(ReadError):
            read(path)


def test_a_type_that_nifti_has_not_is_refused(tmp_path: Path) -> None:
    geometry = oblique((2, 3, 4))
    with pytest.raises(WriteError, match="float16"):
        write_nifti(tmp_path / "a.nii", np.zeros(geometry.shape, np.float16), geometry)
    assert not list(tmp_path.iterdir())


def test_display_range_of_the_source_is_kept(tmp_path: Path) -> None:
    geometry = oblique()
    save_nifti(tmp_path / "a.nii", numbers(geometry), geometry, cal_max=700.0, cal_min=-50.0)
    (volume,) = read(tmp_path / "a.nii")
    write_volume(volume, tmp_path / "b.nii")
    header = nibabel.load(tmp_path / "b.nii").header
    assert (float(header["cal_min"]), float(header["cal_max"])) == (-50.0, 700.0)


def test_no_text_of_the_header_is_kept(tmp_path: Path) -> None:
    geometry = oblique()
    save_nifti(tmp_path / "a.nii", numbers(geometry), geometry, descrip="Secret Person",
               db_name="Secret")  # fmt: skip
    (volume,) = read(tmp_path / "a.nii")
    assert "Secret" not in repr(volume.source.header) + volume.name
    write_volume(volume, tmp_path / "b.nii")
    assert b"Secret" not in (tmp_path / "b.nii").read_bytes()


def test_two_dimensional_qform_without_a_third_size(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.arange(12, dtype=np.int16).reshape(4, 3), None)
    image.header.set_xyzt_units("mm")
    rotation = np.eye(4)
    rotation[:3, :3] = Rotation.from_euler("z", 30, degrees=True).as_matrix()
    image.header.set_qform(rotation, code=1)
    image.header["pixdim"][1:4] = (0.5, 0.7, 0.0)
    image.to_filename(tmp_path / "a.nii")
    (volume,) = read(tmp_path / "a.nii")
    assert volume.geometry.spacing == pytest.approx((1.0, 0.7, 0.5), abs=1e-6)
    assert not volume.findings


@pytest.mark.parametrize(
    ("name", "content"), [("a.nii.gz", b"hello"), ("b.nii", b"hello"), ("c.nii", b"")]
)
def test_a_file_that_cannot_be_read_is_named_once(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ReadError, match=r"cannot be read as NIfTI: \w+ ") as caught:
        read(tmp_path / name)
    assert str(caught.value).count(name) == 1
