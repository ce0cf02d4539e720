"""Tiles of Siemens mosaics and UIH grids are slices at their own places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.io.read import read
from tests.io.dicom.series_factory import save_siemens_mosaic, save_uih_grid
from tests.io.io_files import numbers, oblique

GRID = oblique((7, 6, 8))


def against_the_normal() -> Geometry:
    """A grid whose slices run against the normal of its rows and columns."""
    affine = GRID.affine.copy()
    affine[:3, 0] *= -1
    return Geometry(GRID.shape, affine)


@pytest.mark.parametrize("geometry", [GRID, against_the_normal()], ids=["along", "against"])
def test_tiles_of_a_siemens_mosaic_lie_where_the_csa_header_says(
    geometry: Geometry, tmp_path: Path
) -> None:
    array = numbers(geometry)
    save_siemens_mosaic(tmp_path / "mosaic", array, geometry)
    (volume,) = read(tmp_path)
    stored, grid = volume.on_source_grid(volume.array)
    assert not volume.findings and not volume.resampled
    k = (
        0
        if np.allclose(grid.index_to_lps((0, 0, 0)), geometry.index_to_lps((0, 0, 0)), atol=1e-3)
        else -1
    )
    assert np.array_equal(stored[k], array[0])
    for index in range(7):
        point = geometry.index_to_lps((index, 2, 3))
        at = volume.geometry.lps_to_index(point)
        assert np.allclose(at, np.rint(at), atol=1e-3)
        assert volume.array[tuple(np.rint(at).astype(int))] == array[index, 2, 3]


def test_mosaics_over_time_are_frames(tmp_path: Path) -> None:
    arrays = [numbers(GRID, seed) for seed in range(3)]
    for time, array in enumerate(arrays):
        save_siemens_mosaic(tmp_path / str(time), array, GRID, InstanceNumber=3 - time,
                            AcquisitionNumber=3 - time, AcquisitionDate="20200101",
                            AcquisitionTime=f"12000{2 * (2 - time)}.5")  # fmt: skip
    (volume,) = read(tmp_path)
    assert volume.frames is not None
    assert (volume.frames.name, volume.frames.values, volume.frames.unit) == (
        "time",
        (0, 2, 4),
        "s",
    )
    assert np.array_equal(volume.array, np.stack(arrays[::-1]))


def test_a_mosaic_without_its_csa_header_is_refused(tmp_path: Path) -> None:
    save_siemens_mosaic(tmp_path / "mosaic", numbers(GRID), GRID, csa=False)
    with pytest.raises(ReadError, match="tiles of a mosaic"):
        read(tmp_path)


def test_tiles_of_a_uih_grid_lie_at_their_own_positions(tmp_path: Path) -> None:
    save_uih_grid(tmp_path / "grid", numbers(GRID), GRID)
    (volume,) = read(tmp_path)
    assert volume.geometry.is_close(GRID, 0.01)
    assert np.array_equal(volume.array, numbers(GRID))


def test_a_uih_grid_without_all_positions_is_refused(tmp_path: Path) -> None:
    save_uih_grid(tmp_path / "grid", numbers(GRID), GRID, told=5)
    with pytest.raises(ReadError, match="places are not told"):
        read(tmp_path)


def test_instances_of_a_mosaic_name_its_one_frame(tmp_path: Path) -> None:
    save_siemens_mosaic(tmp_path / "mosaic", numbers(GRID), GRID)
    (volume,) = read(tmp_path)
    (row,) = volume.source.header["instances"]
    assert {number for _, number in row} == {1}
    assert volume.source.header["source_slices"]["tiles"][1] == [0, 8]
