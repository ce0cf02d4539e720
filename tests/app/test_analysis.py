"""A case is either done, with everything written, or not done."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from napari_medcnn.app.analysis import CaseResult, analyse
from napari_medcnn.app.case import one_volume, require_measurable
from napari_medcnn.app.case_folder import LABELS, RUN
from napari_medcnn.app.case_options import CaseOptions
from napari_medcnn.core.errors import Cancelled, InputMismatch, MedcnnError, ReadError, WriteError
from napari_medcnn.core.events import Event, JobControl, Progress, run_to_end
from napari_medcnn.core.volume import Finding, Severity, Volume
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.models.registry import find_model
from napari_medcnn.models.spec import ModelSpec
from tests.bundle_factory import make_bundle

CPU = RunOptions(device="cpu")


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    """A model that marks bright voxels: its answer is known exactly."""
    return find_model(make_bundle(tmp_path_factory.mktemp("model") / "bright"))


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    array = np.zeros((12, 20, 24), np.float32)
    array[4:8, 6:12, 10:16] = 100
    array[1, 2, 2] = 100
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((1.0, 1.5, 3.0))
    image.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, 1))
    sitk.WriteImage(image, str(tmp_path / "scan.nii.gz"))
    return tmp_path / "scan.nii.gz"


def test_a_case_is_read_segmented_measured_and_written(
    scan: Path, spec: ModelSpec, tmp_path: Path
) -> None:
    events: list[Event] = []
    job = analyse(scan, spec, tmp_path / "out", CaseOptions(CPU, min_volume_mm3=50.0))
    result = run_to_end(job, CaseResult, events.append)
    stages = list(dict.fromkeys(e.stage for e in events if isinstance(e, Progress)))
    assert (stages[0], stages[-2:]) == ("reading image", ["measuring", "writing"])
    assert len(stages) > 4
    record = json.loads((tmp_path / "out" / RUN).read_text())
    assert record["input"] == "scan.nii.gz"
    assert record["parameters"]["min_volume_mm3"] == 50.0
    assert set(stages) <= set(record["seconds"])
    assert "seconds" not in record["parameters"], "two sets of times that differ"
    assert len(result.table.lesions) == 1
    assert len(result.to_json()["lesions"]) == 1
    json.dumps(result.to_json(), allow_nan=False)
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / LABELS)))
    assert labels[5, 8, 12] == 1


def test_a_cancelled_case_has_no_record(scan: Path, spec: ModelSpec, tmp_path: Path) -> None:
    control = JobControl()
    job = analyse(scan, spec, tmp_path / "out", CaseOptions(CPU), control=control)
    with pytest.raises(Cancelled):
        for event in job:
            if isinstance(event, Progress) and event.stage == "measuring":
                control.cancel()
    assert not (tmp_path / "out" / RUN).exists()


def test_a_record_never_stands_beside_files_of_another_run(
    scan: Path, spec: ModelSpec, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run_to_end(analyse(scan, spec, out, CaseOptions(CPU)), CaseResult)
    (out / "lesions.json").unlink()
    (out / "lesions.json").mkdir()  # the second run fails in the middle of writing
    (out / "lesions.json" / "x").touch()
    with pytest.raises(WriteError):
        run_to_end(analyse(scan, spec, out, CaseOptions(CPU)), CaseResult)
    assert not (out / RUN).exists()


def test_a_bad_input_leaves_the_results_of_before(
    scan: Path, spec: ModelSpec, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run_to_end(analyse(scan, spec, out, CaseOptions(CPU)), CaseResult)
    scan.write_bytes(b"not an image")
    with pytest.raises(MedcnnError):
        run_to_end(analyse(scan, spec, out, CaseOptions(CPU)), CaseResult)
    assert (out / RUN).exists()


def _another(scan: Path, folder: Path) -> Path:
    """Another patient's image of the same name."""
    image = sitk.ReadImage(str(scan))
    image[0, 0, 0] = 7
    folder.mkdir()
    sitk.WriteImage(image, str(folder / scan.name))
    return folder / scan.name


def test_the_same_case_may_run_again_and_another_may_not(
    scan: Path, spec: ModelSpec, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for smallest in (0.0, 50.0):
        job = analyse(scan, spec, out, CaseOptions(CPU, min_volume_mm3=smallest))
        assert run_to_end(job, CaseResult).table.min_volume_mm3 == smallest
    before = (out / LABELS).read_bytes()
    other = _another(scan, tmp_path / "other")
    with pytest.raises(WriteError, match=r"another case .*scan\.nii\.gz.*--overwrite"):
        run_to_end(analyse(other, spec, out, CaseOptions(CPU)), CaseResult)
    assert (out / LABELS).read_bytes() == before and (out / RUN).exists()
    run_to_end(analyse(other, spec, out, CaseOptions(CPU, overwrite=True)), CaseResult)


def test_another_model_does_not_replace_the_results_of_the_first(
    scan: Path, spec: ModelSpec, tmp_path: Path
) -> None:
    run_to_end(analyse(scan, spec, tmp_path / "out", CaseOptions(CPU)), CaseResult)
    with pytest.raises(WriteError, match="another case or model"):
        run_to_end(analyse(scan, replace(spec, id="dark"), tmp_path / "out"), CaseResult)


@pytest.mark.parametrize("name", [LABELS, RUN])
def test_files_of_unknown_origin_are_not_replaced(
    scan: Path, spec: ModelSpec, tmp_path: Path, name: str
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    with pytest.raises(WriteError, match="--overwrite"):
        run_to_end(analyse(scan, spec, tmp_path / "out"), CaseResult)
    assert (tmp_path / "out" / name).read_text() == "mine"


def test_an_impossible_folder_is_refused_before_anything_is_read(
    spec: ModelSpec, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    job = analyse(tmp_path / "missing.nii.gz", spec, tmp_path / "file" / "out")
    with pytest.raises(WriteError, match="cannot be written"):
        next(job)


def test_several_volumes_are_listed_and_one_can_be_chosen(scan: Path) -> None:
    (scan.parent / "other.nii.gz").write_bytes(scan.read_bytes())
    with pytest.raises(ReadError, match=r"2 volumes.*other.*scan"):
        one_volume(scan.parent)
    assert one_volume(scan.parent, "other.nii.gz").name == "other"


def test_a_blocking_finding_needs_a_yes(small_volume: Volume) -> None:
    finding = Finding("tilted", Severity.BLOCKING, "The gantry was tilted.")
    tilted = replace(small_volume, findings=(finding,))
    with pytest.raises(InputMismatch, match="gantry was tilted"):
        require_measurable(tilted, accept_findings=False)
    require_measurable(tilted, accept_findings=True)
    require_measurable(small_volume, accept_findings=False)
