"""Cases from paths, folders and tables: nothing is guessed, and what is wrong is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from napari_medcnn.app.batch_csv import read_cases
from napari_medcnn.app.batch_folder import FoundCases, case_of_series, find_cases
from napari_medcnn.app.case import Case, ImageSource, cases_of, one_volume, safe_id, stamp
from napari_medcnn.core.errors import Cancelled, InputMismatch, MedcnnError, ReadError
from napari_medcnn.core.events import JobControl, run_to_end
from napari_medcnn.models.channels import order_channels
from napari_medcnn.models.registry import find_model
from napari_medcnn.models.spec import Channel, ModelSpec
from tests.app.batch_cases import write_scan
from tests.bundle_factory import make_bundle


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    return find_model(make_bundle(tmp_path_factory.mktemp("model") / "bright"))


@pytest.fixture(scope="module")
def two_channels(spec: ModelSpec) -> ModelSpec:
    return replace(spec, channels=(Channel("FLAIR", "MR"), Channel("T1c", "MR")))


def found(folder: Path, **options: object) -> FoundCases:
    return run_to_end(find_cases(folder, **options), FoundCases)  # type: ignore[arg-type]


def test_paths_of_one_name_get_numbers() -> None:
    inputs = [Path("/a/scan.nii.gz"), Path("/b/scan.nii.gz"), Path("/c/scan")]
    assert [case.id for case in cases_of(inputs)] == ["scan", "scan_2", "scan_3"]


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "x\n", "con:1", "a" * 300])
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    assert Path(safe_id(name)).name == safe_id(name) != ""
    with pytest.raises(MedcnnError, match="cannot name a folder"):
        Case(name, (ImageSource((Path("x"),)),))


def test_every_image_below_a_folder_is_a_case_named_by_its_path(tmp_path: Path) -> None:
    for name in ("p1/flair.nii.gz", "p2/flair.nii.gz", "top.nrrd", "p2/mask.seg.nrrd"):
        write_scan(tmp_path / name, 1)
    (tmp_path / "notes.txt").write_text("no image")
    write_scan(tmp_path / "out" / "p1" / "labels.nii.gz", 1)
    (tmp_path / "out" / "p1" / "run.json").write_text("{}")
    write_scan(tmp_path / "mine" / "x.nii.gz", 1)
    cases = found(tmp_path, without=[tmp_path / "mine"]).cases
    assert [case.id for case in cases] == ["p1__flair", "p2__flair", "top"]
    assert one_volume(cases[0].images[0]).name == "flair"


def test_each_dicom_series_below_a_folder_is_a_case(shared_data: Path) -> None:
    folder = shared_data / "dicom"
    if not folder.is_dir():
        pytest.skip("no DICOM series here")
    some = sorted(path for path in folder.iterdir() if path.is_dir())[:2]
    for place in some:
        try:
            cases = found(place).cases
        except ReadError:
            continue
        assert len({case.id.casefold() for case in cases}) == len(cases)
        assert all(c.images[0].series for c in cases if len(c.images[0].paths) > 1)


def test_an_empty_folder_and_no_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no folder"):
        found(tmp_path / "nowhere")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(ReadError, match="no image"):
        found(tmp_path)


def test_looking_can_be_cancelled(tmp_path: Path) -> None:
    write_scan(tmp_path / "a.nii.gz", 1)
    control = JobControl()
    control.cancel()
    with pytest.raises(Cancelled):
        found(tmp_path, control=control)


def test_a_chosen_series_is_called_after_its_title(tmp_path: Path) -> None:
    one = case_of_series([tmp_path / "1", tmp_path / "2"], "T2 / FLAIR", "1.2.3")
    other = case_of_series([tmp_path / "1", tmp_path / "2"], "T2 / FLAIR", "1.2.4")
    assert one.id.startswith("T2 _ FLAIR_") and one.id != other.id


def test_a_table_of_cases_is_read_with_paths_from_its_own_folder(
    spec: ModelSpec, two_channels: ModelSpec, tmp_path: Path
) -> None:
    table = tmp_path / "cases.csv"
    table.write_text("﻿case;image;age\n p1 ;scans/a.nii.gz;60\n\np2;/b.nii.gz;\n", encoding="utf-8")
    first, second = read_cases(table, spec)
    assert (first.id, first.images[0].paths[0]) == ("p1", tmp_path / "scans" / "a.nii.gz")
    assert second.images[0].paths[0] == Path("/b.nii.gz")
    table.write_text("case_id,t1c,flair,series\np1,a.nii,b.nii,7\n")
    (case,) = read_cases(table, two_channels)
    ordered = case.ordered_for(two_channels)
    assert [image.paths[0].name for image in ordered] == ["b.nii", "a.nii"]
    assert {image.series for image in ordered} == {"7"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "line 1: no column is called 'case'"),
        ("name,image\na,b", "line 1: no column is called 'case', only name, image"),
        ("case,path\na,b", "line 1: .* needs a column for .*; the columns are case, path"),
        ("case,image,case\na,b,c", "line 1: two columns have the same name"),
        ("case,image\n", "lists no case"),
        ("case,image\na,x.nii\n,y.nii\nb,\n", "line 3: the case has no name; line 4: no path"),
        ("case,image\na,x.nii\nA,y.nii\n", "line 3: case 'A' is on line 2 already"),
        ("case,image\n../a,x.nii\n", "line 2: the case's name '../a' cannot name a folder"),
        ("case,image\na,x.nii,z,z\n", "line 2: more cells"),
    ],
)
def test_what_is_wrong_with_a_table_is_told_with_its_line(
    spec: ModelSpec, tmp_path: Path, text: str, wanted: str
) -> None:
    table = tmp_path / "cases.csv"
    table.write_text(text)
    with pytest.raises(ReadError, match=wanted):
        read_cases(table, spec)


def test_a_table_that_is_no_text_is_refused(spec: ModelSpec, tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_bytes(b"\xff\xfe\x00c\x00a")
    with pytest.raises(ReadError, match="UTF-8"):
        read_cases(tmp_path / "cases.csv", spec)


def test_channels_are_ordered_by_name_and_misfits_are_named(two_channels: ModelSpec) -> None:
    assert order_channels(two_channels, {"t1C": 2, "flair": 1}) == (1, 2)
    with pytest.raises(InputMismatch, match="no channel is called T2; no image for T1c"):
        order_channels(two_channels, {"FLAIR": 1, "T2": 2})


def test_the_stamp_of_files_changes_with_any_of_them(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    files = [tmp_path / "s" / name for name in "ab"]
    for file in files:
        file.write_bytes(b"1")
    source = ImageSource((tmp_path / "s",))
    before = stamp([source])
    assert stamp([source]) == before != stamp([replace(source, series="2")])
    files[1].write_bytes(b"12")
    assert stamp([source]) != before
    with pytest.raises(ReadError, match="does not exist"):
        stamp([ImageSource((tmp_path / "gone.nii",))])


def test_voxels_beside_a_header_belong_to_the_stamp(tmp_path: Path) -> None:
    write_scan(tmp_path / "a.mhd", 1)
    source = ImageSource((tmp_path / "a.mhd",))
    before = stamp([source])
    next(path for path in tmp_path.iterdir() if path.suffix != ".mhd").touch()
    assert stamp([source]) != before
