"""DICOM folders: right where regular, told or refused where not, never silently wrong."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import IO

import numpy as np
import pydicom
import pytest
from pydicom.filebase import DicomFileLike
from pydicom.uid import DeflatedExplicitVRLittleEndian, generate_uid

from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.geometry import AxisMap, Geometry
from napari_medcnn.core.volume import Volume
from napari_medcnn.io.dicom import guarded as guarded_module
from napari_medcnn.io.dicom.decode import decode
from napari_medcnn.io.dicom.scan import scan
from napari_medcnn.io.read import is_readable, read
from tests.io.io_files import AXIS_MAPS, numbers, oblique, save_dicom

PIXEL_TOLERANCE_MM = 0.1
"""Of a source pixel's centre to a voxel's: headers give positions to about 0.01 mm."""


def codes(volume: Volume) -> list[str]:
    return [finding.code for finding in volume.findings]


@pytest.mark.parametrize("axes", AXIS_MAPS[::3])
def test_slices_of_any_direction_lie_where_their_headers_say(axes: AxisMap, tmp_path: Path) -> None:
    geometry = oblique((4, 5, 6)).reordered(axes)
    array = numbers(geometry)
    save_dicom(tmp_path, array, geometry)
    (volume,) = read(tmp_path)
    assert not volume.findings
    assert volume.geometry.orientation == "SPL"
    assert volume.geometry.is_close(oblique((4, 5, 6)))
    assert np.array_equal(axes.apply(volume.array), array)
    assert (volume.modality, volume.unit) == ("CT", "HU")
    assert volume.name == "Chest 3 mm (3)"


def test_hounsfield_units_of_unsigned_files_do_not_wrap(tmp_path: Path) -> None:
    stored = np.full((3, 4, 5), 24, np.uint16)
    stored[0, 0, 0] = 4095
    save_dicom(tmp_path, stored, oblique((3, 4, 5)), intercept=-1024)
    (volume,) = read(tmp_path)
    assert volume.array.dtype == np.int16
    assert sorted(np.unique(volume.array)) == [-1000, 3071]


@pytest.mark.parametrize(("slope", "top"), [(0.001, 4000), (1.0, 65535), (3.0, 30000)])
def test_values_that_int16_cannot_hold_are_float32(slope: float, top: int, tmp_path: Path) -> None:
    stored = np.zeros((3, 4, 5), np.uint16)
    stored[1, 2, 3] = top
    save_dicom(tmp_path, stored, oblique((3, 4, 5)), slope=slope)
    (volume,) = read(tmp_path)
    assert volume.array.dtype == np.float32
    assert volume.array.max() == pytest.approx(top * slope)


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
@pytest.mark.parametrize(
    "tags", [{"RescaleSlope": "0"}, {"RescaleSlope": "nan"}, {"RescaleIntercept": "inf"}]
)
def test_a_scale_that_would_lose_the_values_is_refused(tags: dict, tmp_path: Path) -> None:
    save_dicom(tmp_path, numbers(oblique()), oblique(), **tags)
    with pytest.raises(ReadError, match="would lose its values"):
        read(tmp_path)


def test_values_that_begin_above_the_lowest_bit_are_refused(tmp_path: Path) -> None:
    stored = np.full((3, 4, 5), 1000 << 4, np.uint16)
    save_dicom(tmp_path, stored, oblique((3, 4, 5)), BitsStored=12, HighBit=15)
    with pytest.raises(ReadError, match="above the lowest bit"):
        read(tmp_path)


def test_a_blank_slice_may_have_slope_zero(tmp_path: Path) -> None:
    array = numbers(oblique())
    paths = save_dicom(tmp_path, array, oblique())
    dataset = pydicom.dcmread(paths[0])
    dataset.PixelData, dataset.RescaleSlope = bytes(len(dataset.PixelData)), 0
    dataset.save_as(paths[0])
    (volume,) = read(tmp_path)
    assert not volume.findings
    assert sum(not plane.any() for plane in volume.array) == 1


def test_every_slice_has_its_own_slope(tmp_path: Path) -> None:
    stored = np.full((3, 4, 5), 100, np.int16)
    for path in save_dicom(tmp_path, stored, oblique((3, 4, 5))):
        dataset = pydicom.dcmread(path)
        # Slice k's slope is told by its height along the stack.
        k = int(np.rint(oblique((3, 4, 5)).lps_to_index(dataset.ImagePositionPatient)[0]))
        dataset.RescaleSlope = k + 1
        dataset.save_as(path)
    (volume,) = read(tmp_path)
    assert volume.array.reshape(3, -1).mean(axis=1).tolist() == [100, 200, 300]


def test_junk_and_copies_in_the_folder_are_told(tmp_path: Path) -> None:
    paths = save_dicom(tmp_path, numbers(oblique()), oblique())
    (tmp_path / "README").write_text("hello")
    (tmp_path / "empty").touch()
    (tmp_path / "broken.dcm").write_bytes(bytes(128) + b"DICM" + b"\xff" * 300)
    (tmp_path / "copy").write_bytes(paths[0].read_bytes())
    (volume,) = read(tmp_path)
    assert volume.array.shape == oblique().shape
    assert codes(volume) == ["files-ignored", "repeated-files"]
    assert volume.findings[0].text.startswith("3 files")


def test_the_same_slice_under_two_uids_is_left_out_once_its_pixels_are_equal(
    tmp_path: Path,
) -> None:
    paths = save_dicom(tmp_path, numbers(oblique()), oblique())
    dataset = pydicom.dcmread(paths[0])
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.save_as(tmp_path / "again")
    (volume,) = read(tmp_path)
    assert np.array_equal(volume.array, numbers(oblique()))
    assert codes(volume) == ["repeated-slices"]
    dataset.PixelData = bytes(len(dataset.PixelData))
    dataset.save_as(tmp_path / "again")
    with pytest.raises(ReadError, match="nothing tells them apart"):
        read(tmp_path)


def test_a_tilted_stack_is_straightened_and_says_so(tmp_path: Path) -> None:
    affine = oblique((6, 20, 16)).affine.copy()
    affine[:3, 0] += affine[:3, 1]
    geometry = Geometry((6, 20, 16), affine)
    save_dicom(tmp_path, numbers(geometry), geometry)
    (volume,) = read(tmp_path)
    assert volume.resampled
    assert not volume.geometry.is_sheared
    assert codes(volume) == ["sheared-grid"]


@pytest.mark.parametrize("jitter_mm", [0.002, 0.005])
def test_positions_jittered_by_micrometres_are_one_stack(jitter_mm: float, tmp_path: Path) -> None:
    geometry = oblique()
    rng = np.random.default_rng(0)
    for path in save_dicom(tmp_path, numbers(geometry), geometry):
        dataset = pydicom.dcmread(path)
        moved = np.asarray(dataset.ImagePositionPatient) + rng.uniform(-1, 1, 3) * jitter_mm
        dataset.ImagePositionPatient = [f"{v:.6f}" for v in moved]
        dataset.save_as(path)
    (volume,) = read(tmp_path)
    assert volume.geometry.is_close(geometry, 3 * jitter_mm)


def test_time_points_become_frames_in_their_order(tmp_path: Path) -> None:
    geometry = oblique()
    arrays = [numbers(geometry, seed) for seed in range(3)]
    for time in (2, 0, 1):
        save_dicom(tmp_path / str(time), arrays[time], geometry, SeriesInstanceUID="1.2.3",
                   TemporalPositionIdentifier=time + 1)  # fmt: skip
    (volume,) = read(tmp_path)
    assert volume.frames is not None
    assert (volume.frames.name, volume.frames.values) == ("time", (1.0, 2.0, 3.0))
    assert np.array_equal(volume.array, np.stack(arrays))


def test_time_points_that_nothing_tells_apart_are_refused(tmp_path: Path) -> None:
    # Neither volume after volume nor position after position, so no order can be told.
    numbering = ((1, 2, 4, 5, 6), (10, 3, 9, 8, 7))
    for time in range(2):
        paths = save_dicom(tmp_path / str(time), numbers(oblique(), time), oblique(),
                           SeriesInstanceUID="1.2.3")  # fmt: skip
        for number, path in zip(numbering[time], paths, strict=True):
            dataset = pydicom.dcmread(path)
            dataset.InstanceNumber = number
            dataset.save_as(path)
    with pytest.raises(ReadError, match="belong together"):
        read(tmp_path)


def test_a_file_without_preamble_and_meta_header_is_read(tmp_path: Path) -> None:
    (path,) = save_dicom(tmp_path, numbers(oblique((1, 5, 6))), oblique((1, 5, 6)))
    dataset = pydicom.dcmread(path)
    with path.open("wb") as stream:
        pydicom.filewriter.write_dataset(_little_endian(stream), dataset)
    assert is_readable(path)
    assert np.array_equal(read(path)[0].array, numbers(oblique((1, 5, 6))))


def _little_endian(stream: IO[bytes]) -> DicomFileLike:
    wrapped = DicomFileLike(stream)
    wrapped.is_little_endian, wrapped.is_implicit_VR = True, False
    return wrapped


def test_a_truncated_slice_refuses_the_series_and_names_the_file(tmp_path: Path) -> None:
    paths = save_dicom(tmp_path, numbers(oblique()), oblique())
    paths[2].write_bytes(paths[2].read_bytes()[:-100])
    with pytest.raises(ReadError, match=paths[2].name):
        read(tmp_path)


def test_a_refused_series_is_told_beside_the_others(tmp_path: Path) -> None:
    save_dicom(tmp_path / "good", numbers(oblique()), oblique())
    for path in save_dicom(tmp_path / "bad", numbers(oblique()), oblique(), description="broken"):
        path.write_bytes(path.read_bytes()[:-100])
    (volume,) = read(tmp_path)
    assert codes(volume) == ["series-refused"]
    assert "broken (3)" in volume.findings[0].text


def test_a_file_that_inflates_without_end_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded_module, "MAX_INFLATED_BYTES", 5 * 2**20)
    (path,) = save_dicom(tmp_path, numbers(oblique((1, 5, 6))), oblique((1, 5, 6)))
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    assert read(path)[0].array.shape == (1, 5, 6)
    content = path.read_bytes()
    start = 132 + 12 + int(pydicom.dcmread(path).file_meta.FileMetaInformationGroupLength)
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = deflater.compress(bytes(20 * 2**20)) + deflater.flush()
    path.write_bytes(content[:start] + bomb)
    found = scan([path])
    assert not found.frames
    assert list(found.skipped) == ["it inflates beyond every image's size"]


@pytest.mark.parametrize(
    ("tags", "spacing", "known", "code"),
    [
        ({"PixelSpacing": [0.2, 0.3]}, (0.2, 0.3), True, "spacing-calibrated"),
        ({"ImagerPixelSpacing": [0.2, 0.3]}, (0.2, 0.3), True, "spacing-at-detector"),
        ({"ImagerPixelSpacing": [0.2, 0.3], "EstimatedRadiographicMagnificationFactor": 1.25},
         (0.16, 0.24), True, "spacing-demagnified"),
        ({}, (1.0, 1.0), False, "spacing-unknown"),
    ],
)  # fmt: skip
def test_radiographs_say_where_their_spacing_comes_from(
    tags: dict, spacing: tuple[float, float], known: bool, code: str, tmp_path: Path
) -> None:
    geometry = oblique((1, 20, 30))
    (path,) = save_dicom(tmp_path, numbers(geometry), geometry)
    dataset = pydicom.dcmread(path)
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        del dataset[name]
    dataset.Modality = "DX"
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.save_as(path)
    (volume,) = read(path)
    assert volume.is_2d
    assert volume.geometry.spacing[1:] == pytest.approx(spacing)
    assert volume.spacing_known is known
    assert codes(volume) == [code, "position-unknown"]
    assert (volume.modality, volume.unit) == ("DX", "")


def test_colour_dicom_becomes_grey(tmp_path: Path) -> None:
    (path,) = save_dicom(tmp_path, numbers(oblique((1, 4, 5))), oblique((1, 4, 5)))
    dataset = pydicom.dcmread(path)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "RGB"
    dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = bytes([200, 10, 10] * 20)
    dataset.save_as(path)
    (volume,) = read(path)
    assert volume.array == pytest.approx(0.299 * 200 + 0.701 * 10)
    assert codes(volume) == ["colour-to-grey"]


def test_one_file_of_a_series_is_one_slice(tmp_path: Path) -> None:
    paths = save_dicom(tmp_path, numbers(oblique()), oblique())
    (volume,) = read(paths[0])
    assert volume.array.shape == (1, 6, 7)
    assert volume.geometry.spacing[0] == pytest.approx(3.0)
    assert is_readable(paths[0])


def test_voxels_are_decoded_into_one_array_of_16_bits(tmp_path: Path) -> None:
    save_dicom(tmp_path, numbers(oblique((9, 5, 6))), oblique((9, 5, 6)))
    frames = sorted(scan(tmp_path.iterdir()).frames, key=lambda f: f.position or ())
    array, _ = decode([list(frames)])
    assert array.dtype == np.int16
    assert array.base is None


def source_pixels(case: Path) -> tuple[np.ndarray, np.ndarray]:
    truth = np.load(case / "truth.npz", allow_pickle=False)
    return truth["xyz"], truth["val"]


def share_right(volumes: list[Volume], points: np.ndarray, values: np.ndarray) -> float:
    """The part of source pixels that some volume holds at their place with their value."""
    right = np.zeros(len(values), bool)
    span = max(float(np.ptp(values)), 1e-12)
    for volume in volumes:
        index = volume.geometry.lps_to_index(points)
        nearest = np.rint(index).astype(int)
        inside = ((nearest >= 0) & (nearest < volume.geometry.shape)).all(-1)
        nearest = np.clip(nearest, 0, np.asarray(volume.geometry.shape) - 1)
        apart = np.linalg.norm(volume.geometry.index_to_lps(nearest) - points, axis=1)
        frames = volume.array if volume.frames is not None else volume.array[np.newaxis]
        for frame in frames:
            found = frame[tuple(nearest.T)].astype(float)
            close = np.abs(found - values) <= 1e-3 * np.maximum(np.abs(values), 0.01 * span)
            right |= inside & (apart <= PIXEL_TOLERANCE_MM) & close
    return float(right.mean())


CASES = (
    "syn_anisotropic_pixels", "syn_duplicate_same_uid", "syn_hostile_neighbour",
    "syn_junk_files", "syn_lying_thickness", "syn_missing_end_slice",
    "syn_mixed_pixel_representation", "syn_mixed_transfer_syntax", "syn_monochrome1",
    "syn_shuffled_instance_numbers", "syn_tiny_slope", "ico_non_isotropic_pixels",
    "ico_philips_fmri_4d", "multiecho_fieldmap", "philips_classic_slopes", "enh_philips_dti",
    "enh_philips_fmri", "decubitus_HFDR", "ge_3plane_localizer", "uih_t1_sag",
    "slice_orientation_inconsistent", "deident_ge_sag", "fmap_phase", "xa30_classic_4d",
    "bits12", "mosaic_sag", "mosaic_ax_jpeg",
)  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_source_pixels_of_real_series_lie_where_their_own_headers_place_them(
    name: str, shared_data: Path
) -> None:
    case = shared_data / "dicom" / name
    if not (case / "truth.npz").exists():
        pytest.skip("this case has no truth by pixel")
    volumes = read(case / "in")
    assert not any(volume.resampled for volume in volumes)
    assert share_right(volumes, *source_pixels(case)) > 0.999


@pytest.mark.parametrize("name", ["pydicom_enh_mr", "ct_missing_slice"])
def test_real_series_without_places_or_with_too_few_tilted_slices_are_refused(
    name: str, shared_data: Path
) -> None:
    case = shared_data / "dicom" / name
    assert json.loads((case / "case.json").read_text())["expect"] == "match_or_refuse"
    with pytest.raises(ReadError, match="no regular volume"):
        read(case / "in")


def test_a_real_tilted_scan_is_straightened(shared_data: Path) -> None:
    case = shared_data / "dicom" / "ct_philips_tilt"
    (volume,) = read(case / "in")
    assert volume.resampled
    points, values = source_pixels(case)
    index = volume.geometry.lps_to_index(points)
    # New slices lie in the old slices' planes, so only rows are interpolated.
    assert np.abs(index[:, 0] - np.rint(index[:, 0])).max() < 0.01
    nearest = np.clip(np.rint(index).astype(int), 0, np.asarray(volume.geometry.shape) - 1)
    found = volume.array[tuple(nearest.T)]
    assert np.corrcoef(found, values)[0, 1] > 0.95
