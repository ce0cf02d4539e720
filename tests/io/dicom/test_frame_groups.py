"""Frames at one position: time, echo, b-value, direction, component, each with its meaning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_medcnn.core.errors import ReadError
from napari_medcnn.io.read import read
from tests.io.dicom.series_factory import (
    SERIES,
    grid_at,
    holds_source_pixels,
    places_along,
    save_enhanced_mr,
    save_slices,
    smooth,
)
from tests.io.io_files import ct_slice, numbers, oblique

GRID = oblique((5, 6, 7))
PLACES = [GRID.index_to_lps((k, 0, 0)) for k in range(5)]
MR = {"Modality": "MR", "SeriesInstanceUID": SERIES}


def save_volume(folder: Path, seed: int, **tags: object) -> tuple[list[Path], np.ndarray]:
    array = numbers(GRID, seed)
    return save_slices(folder, np.array(PLACES), GRID, array, **{**MR, **tags}), array


def test_directions_and_b_values_are_named(tmp_path: Path) -> None:
    weightings = [(0, None), (1000, (1.0, 0, 0)), (1000, (0, 0.6, 0.8))]
    arrays = []
    for seed, (b_value, gradient) in enumerate(weightings):
        told = {"DiffusionBValue": float(b_value)}
        if gradient:
            told["DiffusionGradientOrientation"] = list(gradient)
        arrays.append(save_volume(tmp_path, seed, **told)[1])
    (volume,) = read(tmp_path)
    assert volume.frames is not None
    assert (volume.frames.name, volume.frames.unit) == ("b-value", "s/mm²")
    assert sorted(volume.frames.values) == [0, 1000, 1000]
    directions = volume.source.header["gradients_lps"]
    for b_value, direction, frame in zip(
        volume.frames.values, directions, volume.array, strict=True
    ):
        wanted = weightings.index((b_value, tuple(direction) if direction else None))
        assert np.array_equal(frame, arrays[wanted])


def test_echoes_are_volumes_of_their_own(tmp_path: Path) -> None:
    # Instance numbers are not unique here: each echo counts from 1.
    for seed, time in enumerate((4.92, 7.38)):
        save_volume(tmp_path, seed, EchoTime=time, EchoNumbers=seed + 1)
    first, second = read(tmp_path)
    assert np.array_equal(first.array, numbers(GRID, 0))
    assert np.array_equal(second.array, numbers(GRID, 1))
    assert first.source.series != second.source.series


def test_magnitude_and_phase_in_one_series_are_volumes_of_their_own(tmp_path: Path) -> None:
    save_volume(tmp_path, 0, ImageType=["ORIGINAL", "PRIMARY", "M"])
    save_volume(tmp_path, 1, ImageType=["ORIGINAL", "PRIMARY", "P"], RescaleSlope=2,
                RescaleIntercept=-4096)  # fmt: skip
    magnitude, phase = read(tmp_path)
    assert np.array_equal(magnitude.array, numbers(GRID, 0))
    assert np.array_equal(phase.array, numbers(GRID, 1) * 2 - 4096)


def test_acquisition_times_become_seconds(tmp_path: Path) -> None:
    for seed, time in enumerate(("235959.5", "000002.0")):
        save_volume(tmp_path, seed, AcquisitionDate=f"2020010{seed + 1}", AcquisitionTime=time,
                    TemporalPositionIdentifier=seed + 1)  # fmt: skip
    (volume,) = read(tmp_path)
    assert volume.frames is not None
    assert (volume.frames.name, volume.frames.values, volume.frames.unit) == ("time", (0, 2.5), "s")


@pytest.mark.parametrize("by_volume", [True, False], ids=["volume by volume", "slice by slice"])
def test_instance_numbers_alone_tell_time_points_apart(by_volume: bool, tmp_path: Path) -> None:
    for time in range(3):
        given = [time * 5 + k + 1 if by_volume else k * 3 + time + 1 for k in range(5)]
        save_volume(tmp_path, time, InstanceNumber=given)
    (volume,) = read(tmp_path)
    assert np.array_equal(volume.array, np.stack([numbers(GRID, t) for t in range(3)]))


def test_every_enhanced_frame_has_its_own_slope_and_place(tmp_path: Path) -> None:
    stored = numbers(GRID)
    order = [3, 0, 4, 1, 2]
    frames = [{"place": PLACES[k], "slope": 0.5 + k, "intercept": -k} for k in order]
    save_enhanced_mr(tmp_path / "e", frames, stored[order], GRID)
    (volume,) = read(tmp_path)
    wanted = stored * (0.5 + np.arange(5))[:, None, None] - np.arange(5)[:, None, None]
    assert np.allclose(volume.array, wanted)
    assert volume.geometry.is_close(GRID, 0.01)


def test_enhanced_diffusion_is_one_volume_with_b_values_and_directions(tmp_path: Path) -> None:
    weightings = [(0, (0, 0, 0), [1]), (700, (0, 0, 1.0), [2]), (700, (1.0, 0, 0), [3])]
    arrays = [numbers(GRID, seed) for seed in range(3)]
    frames, pixels = [], []
    for k in range(5):
        for n, (b_value, gradient, index) in enumerate(weightings):
            frames.append({"place": PLACES[k], "b_value": b_value, "gradient": gradient,
                           "index": [1, k + 1, *index]})  # fmt: skip
            pixels.append(arrays[n][k])
    save_enhanced_mr(tmp_path / "e", frames, np.array(pixels), GRID,
                     (0x00209056, 0x00209057, 0x00189087))  # fmt: skip
    (volume,) = read(tmp_path)
    assert volume.frames is not None
    assert (volume.frames.name, volume.frames.values) == ("b-value", (0, 700, 700))
    assert volume.source.header["gradients_lps"] == [None, [0, 0, 1], [1, 0, 0]]
    assert np.array_equal(volume.array, np.stack(arrays))


def test_one_enhanced_file_a_time_point(tmp_path: Path) -> None:
    for time in range(3):
        frames = [{"place": place, "index": [k + 1]} for k, place in enumerate(PLACES)]
        save_enhanced_mr(tmp_path / str(9 - time), frames, numbers(GRID, time), GRID,
                         (0x00209057,), InstanceNumber=time + 1)  # fmt: skip
    (volume,) = read(tmp_path)
    assert np.array_equal(volume.array, np.stack([numbers(GRID, t) for t in range(3)]))


def test_enhanced_echoes_and_components_are_volumes_of_their_own(tmp_path: Path) -> None:
    frames, pixels = [], []
    for n, (echo, component) in enumerate(((5, "MAGNITUDE"), (5, "PHASE"), (9, "MAGNITUDE"))):
        for k, place in enumerate(PLACES):
            frames.append({"place": place, "echo_time": echo, "component": component})
            pixels.append(numbers(GRID, n)[k])
    save_enhanced_mr(tmp_path / "e", frames, np.array(pixels), GRID)
    volumes = read(tmp_path)
    assert len(volumes) == 3
    for n in range(3):
        assert sum(np.array_equal(v.array, numbers(GRID, n)) for v in volumes) == 1


def test_enhanced_frames_without_places_are_refused(tmp_path: Path) -> None:
    save_enhanced_mr(tmp_path / "e", [{} for _ in PLACES], numbers(GRID), GRID)
    with pytest.raises(ReadError, match="do not say where"):
        read(tmp_path)


def test_a_plain_multi_frame_file_with_one_place_is_refused(tmp_path: Path) -> None:
    dataset = ct_slice(numbers(GRID)[0], GRID, 0, SERIES)
    dataset.NumberOfFrames = 5
    dataset.PixelData = numbers(GRID).tobytes()
    dataset.save_as(tmp_path / "nm", enforce_file_format=True)
    with pytest.raises(ReadError, match="do not say where"):
        read(tmp_path)


@pytest.mark.parametrize("first_offset", [0.0, None], ids=["relative", "heights"])
def test_a_dose_grid_lies_where_its_offsets_say(first_offset: float | None, tmp_path: Path) -> None:
    geometry = oblique((4, 5, 6))
    affine = np.array([[0, 0, 2.0, -10], [0, 2.5, 0, 20], [3.0, 0, 0, -7.5], [0, 0, 0, 1]])
    geometry = type(geometry)((4, 5, 6), affine)
    stored = smooth((4, 5, 6)).astype(np.uint16)
    dataset = ct_slice(stored[0], geometry, 0, SERIES)
    dataset.Modality, dataset.DoseUnits, dataset.DoseGridScaling = "RTDOSE", "GY", "0.0005"
    dataset.NumberOfFrames = 4
    start = -7.5 if first_offset is None else first_offset
    dataset.GridFrameOffsetVector = [start + 3.0 * k for k in range(4)]
    dataset.PixelData = stored.tobytes()
    dataset.save_as(tmp_path / "dose", enforce_file_format=True)
    (volume,) = read(tmp_path)
    assert volume.geometry.is_close(geometry, 0.01)
    assert np.allclose(volume.array, stored * 0.0005)
    assert (volume.modality, volume.unit) == ("RTDOSE", "Gy")


def test_series_of_other_modalities_in_one_folder_stay_apart(tmp_path: Path) -> None:
    ct = save_slices(tmp_path, np.array(PLACES), GRID, numbers(GRID))
    pet_places = places_along(oblique((4, 6, 7)), [0, 4, 8, 12])
    save_slices(tmp_path, pet_places, oblique((4, 6, 7)), numbers(oblique((4, 6, 7))),
                Modality="PT", SeriesInstanceUID="1.2.4", SeriesNumber=4)  # fmt: skip
    scout = grid_at(PLACES[0], GRID)
    save_slices(tmp_path, np.array([PLACES[0]]), scout, numbers(scout),
                SeriesInstanceUID="1.2.5", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
                SeriesNumber=1)  # fmt: skip
    first, second, last = read(tmp_path)
    assert holds_source_pixels(first, ct)
    assert second.modality == "PT"
    assert last.array.shape[0] == 1
