"""Private numbers without which images are lost stay; not a byte of what stood beside them does."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.events import run_to_end
from napari_medcnn.core.volume import Volume
from napari_medcnn.io.deidentify.job import deidentify
from napari_medcnn.io.deidentify.options import Options
from napari_medcnn.io.deidentify.report import Report
from napari_medcnn.io.read import read
from tests.io.dicom.series_factory import csa_header, save_siemens_mosaic, save_uih_grid
from tests.io.io_files import numbers, oblique

GRID = oblique((7, 6, 8))
DIFFUSION = (
    ("SIEMENS MR HEADER", 0x0019, 0x0C, "IS", 1000),
    ("SIEMENS MR HEADER", 0x0019, 0x0E, "FD", [0.6, 0.0, 0.8]),
    ("Philips Imaging DD 001", 0x2001, 0x03, "FL", 700.0),
    ("Philips MR Imaging DD 001", 0x2005, 0xB0, "FL", 0.5),
    ("GEMS_ACQU_01", 0x0019, 0xBB, "DS", "-0.25"),
)


def run(source: Path, out: Path) -> Report:
    return run_to_end(deidentify(source, out, Options()), Report)


def changed(path: Path, **tags: Any) -> Dataset:
    dataset = pydicom.dcmread(path)
    for name, value in tags.items():
        setattr(dataset, name, value)
    return dataset


def assert_same(before: Volume, after: Volume) -> None:
    assert np.array_equal(before.array, after.array)
    assert before.geometry.is_close(after.geometry)


@pytest.mark.parametrize("save", [save_siemens_mosaic, save_uih_grid], ids=["siemens", "uih"])
def test_a_mosaic_is_the_same_volume_without_its_private_header(save: Any, tmp_path: Path) -> None:
    path = save(tmp_path / "in" / "mosaic", numbers(GRID), GRID)
    dataset = pydicom.dcmread(path)
    if save is save_siemens_mosaic:
        tags = {"NumberOfImagesInMosaic": [7], "UsedPatientName": ["Secret^Person"],
                "SliceNormalVector": [f"{v:.8f}" for v in GRID.direction[:, 0]]}  # fmt: skip
        dataset[0x0029, 0x1010].value = csa_header(tags)
    else:
        dataset[0x0065, 0x1051].value[0].PatientName = "Secret^Person"
    dataset.private_block(0x0029, "SECRET MAKER", create=True).add_new(0, "LO", "Secret")
    dataset.save_as(path)
    report = run(path.parent, tmp_path / "out")
    assert not report.look_at
    (volume,) = read(tmp_path / "out")
    assert len(volume.array) == 7
    assert_same(read(path)[0], volume)
    (written,) = (tmp_path / "out").rglob("*.dcm")
    assert b"secret" not in written.read_bytes().lower()
    codes = [code.CodeValue for code in pydicom.dcmread(written).DeidentificationMethodCodeSequence]
    assert "113111" in codes


@pytest.mark.parametrize("name", ["bits12", "mosaic_sag", "mosaic_ax_jpeg"])
def test_real_mosaics_are_the_same_volumes(name: str, shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "dicom" / name / "in"
    run(source, tmp_path / "out")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for before, after in zip(read(source), read(tmp_path / "out"), strict=True):
            assert_same(before, after)


@pytest.mark.parametrize(
    "tags",
    [
        {"NumberOfImagesInMosaic": ["4711 Secret"], "SliceNormalVector": ["0", "0", "1"]},
        {"NumberOfImagesInMosaic": [19500101], "SliceNormalVector": ["0", "0", "1"]},
        {"NumberOfImagesInMosaic": [7], "SliceNormalVector": ["1950", "1", "1"]},
        {"NumberOfImagesInMosaic": [7], "SliceNormalVector": ["nan", "0", "1"]},
        {"NumberOfImagesInMosaic": [7]},
    ],
)
def test_what_is_no_sound_number_goes_and_the_mosaic_is_listed(
    tags: dict[str, Any], tmp_path: Path
) -> None:
    path = save_siemens_mosaic(tmp_path / "in" / "mosaic", numbers(GRID), GRID)
    dataset = pydicom.dcmread(path)
    dataset[0x0029, 0x1010].value = csa_header(tags)
    dataset.save_as(path)
    report = run(path.parent, tmp_path / "out")
    assert len(report.look_at) == 1
    with pytest.raises(ReadError, match="tiles of a mosaic"):
        read(tmp_path / "out")


def test_diffusion_stays_under_its_exact_creator_and_in_its_range_only(tmp_path: Path) -> None:
    path = save_siemens_mosaic(tmp_path / "in" / "image", numbers(GRID), GRID)
    dataset = changed(path, ImageType=["ORIGINAL", "PRIMARY"])
    for creator, group, element, vr, value in DIFFUSION:
        block = dataset.private_block(group, creator, create=True)
        block.add_new(element, vr, value)
        block.add_new(0x99, "LO", "Secret")
    ge = dataset.private_block(0x0043, "GEMS_PARM_01", create=True)
    ge.add_new(0x39, "IS", [1_000_000_800, 8, 4711, 0])
    dataset.private_block(0x0021, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", 4711)
    dataset.private_block(0x0043, "SOMEONE", create=True).add_new(0x39, "IS", [4711])
    dataset.save_as(path)
    run(path.parent, tmp_path / "out")
    (written,) = (tmp_path / "out").rglob("*.dcm")
    after = pydicom.dcmread(written)
    for creator, group, element, _, value in DIFFUSION:
        assert after.private_block(group, creator)[element].value == value
    assert after.private_block(0x0043, "GEMS_PARM_01")[0x39].value == [800, 0, 0, 0]
    assert sum(element.tag.is_private and not element.tag.is_private_creator
               for element in after) == len(DIFFUSION) + 1  # fmt: skip
    assert b"Secret" not in written.read_bytes() and b"4711" not in written.read_bytes()


@pytest.mark.parametrize(
    ("vr", "value"), [("IS", 470_811), ("LO", "Secret"), ("UN", b"Secret!!"), ("IS", [1, 2])]
)
def test_a_b_value_that_is_none_goes(vr: str, value: Any, tmp_path: Path) -> None:
    path = save_siemens_mosaic(tmp_path / "in" / "image", numbers(GRID), GRID)
    dataset = changed(path)
    dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, vr, value)
    dataset.save_as(path)
    run(path.parent, tmp_path / "out")
    (written,) = (tmp_path / "out").rglob("*.dcm")
    assert (0x0019, 0x0010) not in pydicom.dcmread(written)
