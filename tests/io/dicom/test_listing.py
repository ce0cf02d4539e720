"""Listing tells from headers alone what reading would give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.volume import Severity
from napari_medcnn.io.dicom import decode as decode_module
from napari_medcnn.io.dicom.header import FrameHeader
from napari_medcnn.io.dicom.listing import findings_of, list_volumes
from napari_medcnn.io.read import read
from tests.io.dicom.series_factory import places_along, save_slices
from tests.io.io_files import numbers, oblique, save_dicom


def forbid(*_: object) -> None:
    raise AssertionError("pixels were decoded")


def decoded_files(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose pixels are read from now on."""
    seen: list[Path] = []
    real = decode_module.read_into

    def noted(header: FrameHeader, target: np.ndarray) -> bool:
        seen.append(header.path)
        return real(header, target)

    monkeypatch.setattr(decode_module, "read_into", noted)
    return seen


def test_findings_are_told_without_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    geometry = oblique((5, 6, 7))
    paths = save_slices(
        tmp_path, places_along(geometry, [0, 3, 6, 12, 15]), geometry, numbers(geometry)
    )
    wanted = read(tmp_path)[0].findings
    for way in ("file_pixels", "read_into"):
        monkeypatch.setattr(decode_module, way, forbid)
    assert findings_of(paths) == wanted
    assert wanted[0].severity is Severity.BLOCKING


def test_a_refusal_is_a_blocking_finding(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("hello")
    (finding,) = findings_of(tmp_path.iterdir())
    assert (finding.code, finding.severity) == ("series-refused", Severity.BLOCKING)


def test_volumes_are_listed_as_they_load(tmp_path: Path) -> None:
    save_dicom(tmp_path / "a", numbers(oblique()), oblique(), SeriesNumber=7)
    small = oblique((3, 4, 5))
    save_dicom(tmp_path / "b", numbers(small), small, SeriesNumber=2, description="small")
    listed = list_volumes(sorted(tmp_path.rglob("IM*")), tmp_path).volumes
    loaded = read(tmp_path)
    assert [v.name for v in listed] == [v.name for v in loaded] == ["small (2)", "Chest 3 mm (7)"]
    assert [v.series for v in listed] == [v.source.series for v in loaded]
    assert [v.unit for v in listed] == ["HU", "HU"]
    assert [len(v.files) for v in listed] == [3, 5]


def test_only_the_wanted_series_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2):
        save_dicom(tmp_path / str(number), numbers(oblique(), number), oblique(),
                   SeriesNumber=number)  # fmt: skip
    decoded = decoded_files(monkeypatch)
    wanted = read(tmp_path, series="2")
    assert np.array_equal(wanted[0].array, numbers(oblique(), 2))
    assert {path.parent.name for path in decoded} == {"2"}
    assert len(decoded) == 5


def test_one_part_of_a_series_decodes_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    geometry = oblique((6, 6, 7))
    places = places_along(geometry, [0, 3, 6, 100, 103, 106])
    save_slices(tmp_path, places, geometry, numbers(geometry))
    high = read(tmp_path)[1]
    decoded = decoded_files(monkeypatch)
    (again,) = read(tmp_path, series=high.source.series)
    assert np.array_equal(again.array, high.array)
    assert again.name == high.name
    assert len(decoded) == 3


def test_a_list_of_files_is_read_like_their_folder(tmp_path: Path) -> None:
    paths = save_dicom(tmp_path, numbers(oblique()), oblique())
    (volume,) = read(paths)
    assert np.array_equal(volume.array, read(tmp_path)[0].array)
    assert volume.source.path == tmp_path
    with pytest.raises(ReadError, match="no files"):
        read([])
