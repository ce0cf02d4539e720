"""Stacks that are no even, right-angled grid: each slice stays where its header places it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_medcnn.core.errors import MedcnnError, ReadError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Severity, Volume
from napari_medcnn.io.read import read
from tests.io.dicom.series_factory import (
    grid_at,
    holds_source_pixels,
    places_along,
    save_slices,
    smooth,
)
from tests.io.io_files import numbers, oblique, save_dicom

SHAPE = (9, 12, 10)


def finding(volume: Volume, code: str) -> tuple[Severity, tuple[int, ...]]:
    (found,) = [f for f in volume.findings if f.code == code]
    return found.severity, found.slices


def uneven(
    folder: Path, heights: list[float], sideways: object = 0.0, **tags: object
) -> list[Path]:
    geometry = oblique((len(heights), 12, 10))
    places = places_along(geometry, heights, sideways)
    return save_slices(folder, places, geometry, numbers(geometry), **tags)


def test_a_missing_slice_is_bridged_named_and_forbids_measuring(tmp_path: Path) -> None:
    paths = uneven(tmp_path, [0, 3, 6, 9, 15, 18, 21])
    (volume,) = read(tmp_path)
    assert volume.resampled and volume.geometry.shape == (8, 12, 10)
    assert volume.geometry.spacing[0] == pytest.approx(3)
    assert finding(volume, "slices-missing") == (Severity.BLOCKING, (4,))
    assert holds_source_pixels(volume, paths)
    between = (volume.array[3].astype(float) + volume.array[5]) / 2
    assert np.allclose(volume.array[4], between)
    assert volume.source.header["source_slices"]["positions_lps_mm"][4] == pytest.approx(
        places_along(oblique((7, 12, 10)), [15])[0].tolist()
    )


def test_a_missing_slice_as_stored_is_two_volumes_that_forbid_measuring(tmp_path: Path) -> None:
    paths = uneven(tmp_path, [0, 3, 6, 9, 15, 18, 21])
    low, high = read(tmp_path, resample=False)
    assert not low.resampled and not high.resampled
    assert holds_source_pixels(low, paths[:4]) and holds_source_pixels(high, paths[4:])
    assert finding(low, "slices-missing") == (Severity.BLOCKING, (3,))
    assert finding(high, "slices-missing") == (Severity.BLOCKING, (0,))
    for volume in (low, high):
        (again,) = read(tmp_path, series=volume.source.series, resample=False)
        assert np.array_equal(again.array, volume.array)


@pytest.mark.parametrize("heights", [[0, 5, 10, 20], [0, 1, 2, 4], [0, 2, 4]])
def test_short_stacks_with_gaps_are_read(heights: list[float], tmp_path: Path) -> None:
    paths = uneven(tmp_path, heights)
    (volume,) = read(tmp_path)
    assert holds_source_pixels(volume, paths)
    assert volume.resampled is (len(heights) == 4)


def test_two_missing_slices_beside_each_other_and_apart_are_all_named(tmp_path: Path) -> None:
    uneven(tmp_path, [0, 2, 4, 10, 12, 16, 18, 20, 22])
    (volume,) = read(tmp_path)
    assert finding(volume, "slices-missing") == (Severity.BLOCKING, (3, 4, 7))


def test_a_gap_wider_than_a_measurable_lesion_is_never_bridged(tmp_path: Path) -> None:
    paths = uneven(tmp_path, [0, 3, 6, 9, 200, 203, 206])
    low, high = read(tmp_path)
    assert not low.resampled and not high.resampled
    assert holds_source_pixels(low, paths[:4]) and holds_source_pixels(high, paths[4:])
    assert finding(low, "slices-missing")[0] is Severity.BLOCKING


def test_table_stations_beside_each_other_stay_apart(tmp_path: Path) -> None:
    heights = [0, 3, 6, 9, 9.5, 12.5, 15.5]
    paths = uneven(tmp_path, heights, [0, 0, 0, 0, 40, 40, 40])
    low, high = read(tmp_path)
    assert holds_source_pixels(low, paths[:4]) and holds_source_pixels(high, paths[4:])


def test_stations_that_overlap_are_told_apart_by_their_places(tmp_path: Path) -> None:
    first = uneven(tmp_path, [0, 3, 6, 9, 12, 15])
    second = uneven(tmp_path, [11, 14, 17, 20, 23])
    low, high = read(tmp_path)
    assert not low.resampled and not high.resampled
    assert holds_source_pixels(low, first) and holds_source_pixels(high, second)
    assert finding(low, "stacks-interleaved")[0] is Severity.WARNING


def test_stations_at_the_same_heights_are_told_apart(tmp_path: Path) -> None:
    first = uneven(tmp_path, [0, 3, 6, 9])
    second = uneven(tmp_path, [0, 3, 6, 9], 60.0)
    one, two = read(tmp_path)
    assert holds_source_pixels(one, first) or holds_source_pixels(one, second)
    assert one.array.shape == two.array.shape == (4, 12, 10)


def test_acquisitions_between_one_another_are_not_mixed(tmp_path: Path) -> None:
    first = uneven(tmp_path, [0, 5, 10, 15], AcquisitionNumber=1)
    second = uneven(tmp_path, [2, 7, 12, 17], AcquisitionNumber=2)
    one, two = read(tmp_path)
    assert holds_source_pixels(one, first) and holds_source_pixels(two, second)


@pytest.mark.parametrize(
    ("heights", "step"),
    [([0, 5, 10, 15, 17.5, 20, 22.5, 25], 2.5), ([0, 2.5, 5, 7.5, 10, 15, 20, 25, 30], 2.5),
     ([0, 3, 5, 8, 10, 13], 1.0)],
)  # fmt: skip
def test_a_spacing_that_changes_meets_every_slice(
    heights: list[float], step: float, tmp_path: Path
) -> None:
    paths = uneven(tmp_path, heights)
    (volume,) = read(tmp_path)
    assert volume.resampled
    assert volume.geometry.spacing[0] == pytest.approx(step)
    assert holds_source_pixels(volume, paths)
    assert finding(volume, "spacing-uneven")[0] is Severity.WARNING
    assert not volume.blocking_findings


def test_spacings_without_a_common_step_are_interpolated_finely(tmp_path: Path) -> None:
    heights = [0, 2.93, 6.11, 9.02, 12.37]
    geometry = oblique((5, 12, 10))
    array = np.stack([np.full((12, 10), 100 * h) for h in heights]).astype(np.int16)
    save_slices(tmp_path, places_along(geometry, heights), geometry, array)
    (volume,) = read(tmp_path)
    at = np.linspace(0, heights[-1], volume.geometry.shape[0])
    assert np.allclose(volume.array[:, 5, 5], 100 * at, atol=1.0)
    assert volume.geometry.spacing[0] < 2.91


def test_a_constant_tilt_is_straightened_without_its_tag(tmp_path: Path) -> None:
    geometry = oblique((9, 30, 20))
    places = places_along(geometry, [3.0 * k for k in range(9)], [1.05 * k for k in range(9)])
    array = smooth((9, 30, 20))
    paths = save_slices(tmp_path, places, geometry, array)
    (volume,) = read(tmp_path)
    assert volume.resampled and not volume.geometry.is_sheared
    assert [f.code for f in volume.findings] == ["sheared-grid"]
    for k in (0, 4, 8):
        plane = grid_at(places[k], geometry)
        points = plane.index_to_lps([[0, j, i] for j in range(2, 28) for i in range(2, 18)])
        index = volume.geometry.lps_to_index(points)
        low = np.floor(index).astype(int)
        part = index - low
        # Linear interpolation of values that are linear in the plane is exact.
        found = sum(
            np.where(up, part[:, 1], 1 - part[:, 1])
            * volume.array[np.rint(index[:, 0]).astype(int), low[:, 1] + up,
                           np.rint(index[:, 2]).astype(int)]
            for up in (0, 1)
        )  # fmt: skip
        assert np.allclose(found, array[k, 2:28, 2:18].ravel(), atol=0.1)
    (stored,) = read(tmp_path, resample=False)
    assert stored.geometry.is_sheared and not stored.resampled
    assert holds_source_pixels(stored, paths)
    assert "stays as stored" in stored.findings[0].text


def test_a_tilt_that_changes_is_straightened_slice_by_slice(tmp_path: Path) -> None:
    geometry = oblique((9, 30, 20))
    # Whole pixels of 0.7 mm, so that every stored value must come back.
    shifts = 0.7 * np.array([0, 1, 2, 3, 4, 4, 3, 2, 1])
    places = places_along(geometry, [3.0 * k for k in range(9)], shifts)
    paths = save_slices(tmp_path, places, geometry, numbers(geometry))
    (volume,) = read(tmp_path)
    assert volume.resampled and not volume.geometry.is_sheared
    assert finding(volume, "slices-shifted")[0] is Severity.WARNING
    assert holds_source_pixels(volume, paths)


def test_directions_that_change_within_a_series_are_told(tmp_path: Path) -> None:
    geometry = oblique((4, 12, 10))
    turned = Geometry((4, 12, 10), oblique((4, 12, 10), seed=9).affine)
    save_dicom(tmp_path / "a", numbers(geometry), geometry, SeriesInstanceUID="1.2.3")
    save_dicom(tmp_path / "b", numbers(turned), turned, SeriesInstanceUID="1.2.3")
    volumes = read(tmp_path)
    assert len(volumes) == 2
    assert all(finding(v, "directions-mixed")[0] is Severity.WARNING for v in volumes)


def test_time_points_of_an_uneven_stack_are_bridged_each(tmp_path: Path) -> None:
    heights = [0, 3, 6, 12, 15]
    paths = [p for t in (1, 2) for p in uneven(tmp_path, heights, TemporalPositionIdentifier=t)]
    (volume,) = read(tmp_path)
    assert volume.array.shape == (2, 6, 12, 10)
    assert holds_source_pixels(volume, paths)


def test_few_tilted_slices_with_a_gap_are_refused_with_the_reason(tmp_path: Path) -> None:
    uneven(tmp_path, [0, 3, 6, 12], [0, 0.5, 1, 2])
    with pytest.raises(ReadError, match="too few to tell how"):
        read(tmp_path)
    assert len(read(tmp_path, resample=False)) == 2


def test_slices_that_nearly_coincide_are_refused(tmp_path: Path) -> None:
    uneven(tmp_path, [0, 3, 3.05, 6, 9, 12])
    with pytest.raises(MedcnnError, match="too unevenly"):
        read(tmp_path)
