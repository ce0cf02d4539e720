"""``medcnn segment``: its files, its grid, and every kind of bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from tests.bundle_factory import make_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A model that marks bright voxels: its answer is known exactly."""
    return make_bundle(tmp_path / "bright")


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """An oblique scan with one bright block, as NIfTI."""
    array = np.zeros((12, 20, 24), dtype=np.float32)
    array[4:8, 6:12, 10:16] = 100
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((1.0, 1.5, 3.0))
    image.SetOrigin((-20.0, 31.0, 7.5))
    image.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, 1))
    path = tmp_path / "scan.nii.gz"
    sitk.WriteImage(image, str(path))
    return path


def test_a_case_gives_labels_tables_picture_and_a_record(
    medcnn: Callable, bundle: Path, scan: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    outcome = medcnn("segment", scan, "--model", bundle, "--out", out)
    assert outcome.code == 0, outcome.err
    written = {path.name for path in out.iterdir()}
    assert {"labels.nii.gz", "lesions.csv", "lesions.json", "overlay.png", "run.json"} <= written
    source, labels = sitk.ReadImage(str(scan)), sitk.ReadImage(str(out / "labels.nii.gz"))
    assert labels.GetSize() == source.GetSize()
    np.testing.assert_allclose(labels.GetSpacing(), source.GetSpacing(), rtol=1e-6)
    np.testing.assert_allclose(labels.GetOrigin(), source.GetOrigin(), atol=1e-4)
    np.testing.assert_allclose(labels.GetDirection(), source.GetDirection(), atol=1e-6)
    table = pd.read_csv(out / "lesions.csv")
    assert len(table) == 1
    record = json.loads((out / "run.json").read_text())
    assert len(record["model"]["weights_sha256"]) == 64
    assert "Research use" in outcome.err or "research" in outcome.err.lower()


def test_several_cases_go_on_after_a_bad_one(
    medcnn: Callable, bundle: Path, scan: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.nii.gz"
    bad.write_bytes(b"not an image")
    out = tmp_path / "out"
    outcome = medcnn("segment", bad, scan, "--model", bundle, "--out", out)
    assert outcome.code == 1
    assert "bad.nii.gz" in outcome.err
    assert (out / "scan" / "run.json").is_file()


def test_several_cases_go_on_after_one_that_nobody_expected(
    medcnn: Callable, bundle: Path, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug that one image brings to light is no reason to leave the others."""
    from napari_medcnn.inference import preprocess

    large = tmp_path / "large.nii.gz"
    large.write_bytes(scan.read_bytes())
    real, calls = preprocess.prepare, []

    def prepare(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("nobody thought of this")
        return (yield from real(*arguments, **options))

    monkeypatch.setattr(preprocess, "prepare", prepare)
    out = tmp_path / "out"
    outcome = medcnn("segment", large, scan, "--model", bundle, "--out", out, "--json")
    assert outcome.code == 1
    (failure,) = json.loads(outcome.out)["failures"]
    assert "large: RuntimeError: nobody thought of this" in failure
    assert (out / "scan" / "run.json").is_file()
    assert not (out / "large" / "run.json").exists()


def test_an_error_of_the_model_names_its_case(medcnn: Callable, scan: Path, tmp_path: Path) -> None:
    """Of twenty cases, someone must know which one it was."""
    other = tmp_path / "other.nii.gz"
    other.write_bytes(scan.read_bytes())
    two = make_bundle(tmp_path / "two", channels=2)
    outcome = medcnn("segment", scan, other, "--model", two, "--out", tmp_path / "out")
    first, second = (line for line in outcome.err.splitlines() if "error:" in line)
    assert "scan:" in first and "other:" in second


def test_machines_read_json_from_stdout_alone(
    medcnn: Callable, bundle: Path, scan: Path, tmp_path: Path
) -> None:
    outcome = medcnn("segment", scan, "--model", bundle, "--out", tmp_path / "out", "--json")
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    assert len(document["cases"]) == 1 and document["failures"] == []


def test_results_of_another_case_are_replaced_only_when_told(
    medcnn: Callable, bundle: Path, scan: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert medcnn("segment", scan, "--model", bundle, "--out", out).code == 0
    other = sitk.ReadImage(str(scan))
    other[0, 0, 0] = 7
    sitk.WriteImage(other, str(scan))
    refused = medcnn("segment", scan, "--model", bundle, "--out", out)
    assert refused.code == 1 and "--overwrite" in refused.err
    assert medcnn("segment", scan, "--model", bundle, "--out", out, "--overwrite").code == 0


def _bad_input(kind: str, tmp_path: Path, scan: Path) -> Path:
    path = tmp_path / f"{kind}.nii.gz"
    if kind == "not-an-image":
        path.write_bytes(b"hello")
    elif kind == "truncated":
        content = scan.read_bytes()
        path.write_bytes(content[: len(content) // 2])
    elif kind == "empty-folder":
        path = tmp_path / "empty"
        path.mkdir()
    elif kind == "missing":
        path = tmp_path / "nowhere.nii.gz"
    elif kind == "two-dimensional":
        picture = sitk.GetImageFromArray(np.zeros((32, 32), np.uint8))
        path = tmp_path / "picture.png"
        sitk.WriteImage(picture, str(path))
    return path


@pytest.mark.parametrize(
    "kind", ["not-an-image", "truncated", "empty-folder", "missing", "two-dimensional"]
)
def test_bad_input_is_one_clear_line_that_names_it(
    medcnn: Callable, bundle: Path, scan: Path, tmp_path: Path, kind: str
) -> None:
    bad = _bad_input(kind, tmp_path, scan)
    out = tmp_path / "out"
    outcome = medcnn("segment", bad, "--model", bundle, "--out", out)
    assert outcome.code == 1
    assert "error:" in outcome.err and "Traceback" not in outcome.err
    assert bad.name.split(".")[0] in outcome.err
    assert not (out / "run.json").exists()


def test_wrong_number_of_channels_is_refused(medcnn: Callable, scan: Path, tmp_path: Path) -> None:
    two = make_bundle(tmp_path / "two", channels=2)
    outcome = medcnn("segment", scan, "--model", two, "--out", tmp_path / "out")
    assert outcome.code == 1
    assert "channel" in outcome.err


def test_a_model_folder_without_weights_is_refused(
    medcnn: Callable, bundle: Path, scan: Path, tmp_path: Path
) -> None:
    for weights in (bundle / "models").iterdir():
        weights.unlink()
    outcome = medcnn("segment", scan, "--model", bundle, "--out", tmp_path / "out")
    assert outcome.code == 1
    assert "weights" in outcome.err


def test_an_unknown_model_is_answered_with_the_known_ones(
    medcnn: Callable, scan: Path, tmp_path: Path
) -> None:
    outcome = medcnn("segment", scan, "--model", "flair_lesion", "--out", tmp_path / "out")
    assert outcome.code == 1
    assert "flair_lesions" in outcome.err


def test_an_unwritable_output_is_refused(
    medcnn: Callable, bundle: Path, scan: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    outcome = medcnn("segment", scan, "--model", bundle, "--out", tmp_path / "file" / "out")
    assert outcome.code == 1
    assert "file" in outcome.err


def test_bad_usage_is_exit_code_2(medcnn: Callable) -> None:
    assert medcnn("segment").code == 2
    assert medcnn("no-such-command").code == 2


def three_scans(folder: Path, scan: Path) -> list[Path]:
    folder.mkdir()
    scans = [folder / f"{name}.nii.gz" for name in "abc"]
    for path in scans:
        path.write_bytes(scan.read_bytes())
    return scans


def test_a_folder_is_a_batch_with_a_summary_and_a_second_run_does_nothing(
    medcnn: Callable, bundle: Path, scan: Path, tmp_path: Path
) -> None:
    scans, out = three_scans(tmp_path / "scans", scan), tmp_path / "scans" / "out"
    scans[1].write_bytes(b"no image")
    outcome = medcnn("segment", tmp_path / "scans", "--model", bundle, "--out", out)
    assert outcome.code == 1
    assert "3 cases: 2 done, 1 failed" in outcome.out and "error: b:" in outcome.err
    assert {"summary.csv", "summary.json", "all_lesions.csv"} <= {p.name for p in out.iterdir()}
    scans[1].write_bytes(scan.read_bytes())
    mended = medcnn("segment", tmp_path / "scans", "--model", bundle, "--out", out)
    assert mended.code == 0, mended.err
    assert "1 done" in mended.out and "2 skipped" in mended.out, "results are no cases"
    again = medcnn("segment", tmp_path / "scans", "--model", bundle, "--out", out, "--json")
    cases = json.loads(again.out)["cases"]
    assert [case["state"] for case in cases] == ["skipped"] * 3
    assert all(len(case["lesions"]) == 1 for case in cases)


def test_only_failed_cases_run_when_asked(
    medcnn: Callable, bundle: Path, scan: Path, tmp_path: Path
) -> None:
    scans, out = three_scans(tmp_path / "scans", scan), tmp_path / "out"
    refused = medcnn("segment", *scans, "--model", bundle, "--out", out, "--failed-only")
    assert refused.code == 1 and "no summary" in refused.err
    scans[0].write_bytes(b"no image")
    medcnn("segment", *scans, "--model", bundle, "--out", out)
    scans[0].write_bytes(scan.read_bytes())
    mended = medcnn(
        "segment", *scans, "--model", bundle, "--out", out, "--failed-only", "--restart"
    )
    assert mended.code == 0 and "1 done, 2 skipped" in mended.out


def test_a_table_names_the_cases_and_its_mistakes_have_lines(
    medcnn: Callable, bundle: Path, scan: Path, tmp_path: Path
) -> None:
    table, out = tmp_path / "cases.csv", tmp_path / "out"
    table.write_text("case,image\npatient 1,scan.nii.gz\npatient 2,\n")
    outcome = medcnn("segment", "--cases", table, "--model", bundle, "--out", out)
    assert outcome.code == 1 and "line 3" in outcome.err and not out.exists()
    table.write_text("case,image\npatient 1,scan.nii.gz\n")
    outcome = medcnn("segment", "--cases", table, "--model", bundle, "--out", out)
    assert outcome.code == 0, outcome.err
    assert (out / "patient 1" / "run.json").is_file()


def test_channels_are_given_by_name_in_any_order(
    medcnn: Callable, scan: Path, tmp_path: Path
) -> None:
    two, out = make_bundle(tmp_path / "two", channels=2), tmp_path / "out"
    other = tmp_path / "other.nii.gz"
    image = sitk.ReadImage(str(scan)) * 0
    sitk.WriteImage(image, str(other))
    named = ("--channel", f"image 1={other}", "--channel", f"image 0={scan}")
    outcome = medcnn("segment", *named, "--model", two, "--out", out)
    assert outcome.code == 0, outcome.err
    assert len(pd.read_csv(out / "lesions.csv")) == 1, "the first channel is the bright one"
    record = json.loads((out / "run.json").read_text())
    assert record["input"] == "scan.nii.gz, other.nii.gz"
    wrong = medcnn("segment", "--channel", f"t1={scan}", "--model", two, "--out", out)
    assert wrong.code == 1 and "no channel is called t1" in wrong.err
    assert medcnn("segment", "--channel", "t1", "--model", two, "--out", out).code == 2


def test_the_plan_is_told_and_nothing_is_run(
    medcnn: Callable, bundle: Path, scan: Path, tmp_path: Path
) -> None:
    outcome = medcnn("segment", scan, "--model", bundle, "--plan")
    assert outcome.code == 0, outcome.err
    assert "Windows:" in outcome.out and "Memory:" in outcome.out
    scans = three_scans(tmp_path / "scans", scan)
    scans[2].write_bytes(b"no image")
    outcome = medcnn("segment", *scans, "--model", bundle, "--plan", "--json")
    document = json.loads(outcome.out)
    assert outcome.code == 1
    assert [plan["case"] for plan in document["plans"]] == ["a", "b"]
    assert document["plans"][0]["windows"] > 0 and "c:" in document["failures"][0]


def test_maps_are_written_on_the_grid_of_the_source(
    medcnn: Callable, bundle: Path, scan: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    wishes = ("--probability", "--uncertainty", "--mirror", "all")
    outcome = medcnn("segment", scan, "--model", bundle, "--out", out, *wishes)
    assert outcome.code == 0, outcome.err
    source = sitk.ReadImage(str(scan))
    for name in ("probability", "entropy", "variance"):
        found = sitk.ReadImage(str(out / f"{name}.nii.gz"))
        assert found.GetSize() == source.GetSize(), name
        np.testing.assert_allclose(found.GetDirection(), source.GetDirection(), atol=1e-6)
        values = sitk.GetArrayFromImage(found)
        assert values.dtype == np.float32 and 0 <= values.min() <= values.max() <= 1
    probability = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "probability.nii.gz")))
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "labels.nii.gz")))
    assert probability[labels > 0].min() > 0.5


def test_the_record_holds_what_was_planned_beside_what_came(
    medcnn: Callable, bundle: Path, scan: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert medcnn("segment", scan, "--model", bundle, "--out", out, "--threads", 1).code == 0
    record = json.loads((out / "run.json").read_text())
    assert record["plan"]["predicted"]["peak_memory_bytes"] > 0
    assert record["plan"]["measured"]["peak_memory_bytes"] > 0
    assert record["plan"]["measured"]["seconds"] > 0
    assert record["fallbacks"] == []
    assert record["request"]["options"]["mirror"] == "model"
    assert record["parameters"]["threads"] == 1


def test_a_region_is_all_that_is_marked(
    medcnn: Callable, bundle: Path, scan: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    base = ("segment", scan, "--model", bundle, "--out", out)
    outcome = medcnn(*base, "--region", ":,:,0:3")
    assert outcome.code == 0, outcome.err
    assert len(pd.read_csv(out / "lesions.csv")) == 0
    assert medcnn(*base, "--region", "1:2").code == 2
    assert medcnn(*base, "--region", "5:2,:,:").code == 2


def test_a_finished_case_is_run_again_only_when_told_or_asked_otherwise(
    medcnn: Callable, bundle: Path, scan: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    base = ("segment", scan, "--model", bundle, "--out", out)
    assert medcnn(*base).code == 0
    before = (out / "run.json").read_bytes()
    same = medcnn(*base, "--json")
    assert same.code == 0 and "--restart" in same.err
    (case,) = json.loads(same.out)["cases"]
    assert case["state"] == "skipped" and len(case["lesions"]) == 1
    assert (out / "run.json").read_bytes() == before
    changed = medcnn(*base, "--min-volume", 1e6)
    assert changed.code == 0 and "min volume mm3 from none to 1000000.0" in changed.err
    assert medcnn(*base, "--min-volume", 1e6, "--restart").code == 0


def test_ways_to_name_cases_exclude_each_other(
    medcnn: Callable, scan: Path, tmp_path: Path
) -> None:
    both = medcnn("segment", scan, "--cases", scan, "--out", tmp_path / "out")
    assert both.code == 2
    assert medcnn("segment", scan).code == 2, "--out is needed"


def test_a_folder_of_images_is_no_case_of_several_channels(
    medcnn: Callable, scan: Path, tmp_path: Path
) -> None:
    two = make_bundle(tmp_path / "two", channels=2)
    three_scans(tmp_path / "scans", scan)
    outcome = medcnn("segment", tmp_path / "scans", "--model", two, "--out", tmp_path / "out")
    assert outcome.code == 1 and "--cases" in outcome.err and "--channel" in outcome.err
