"""A batch: every case in its own folder, no case stops another, and nothing is done twice."""

from __future__ import annotations

import csv
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import SimpleITK as sitk

from napari_medcnn.app import batch_ahead
from napari_medcnn.app.batch import CASES, run_batch
from napari_medcnn.app.batch_outcome import BatchResult
from napari_medcnn.app.batch_summary import ALL_LESIONS, SUMMARY_CSV, SUMMARY_JSON, failed_ids
from napari_medcnn.app.case import Case, cases_of
from napari_medcnn.app.case_folder import LABELS, PROBABILITY, RUN
from napari_medcnn.app.case_options import CaseOptions
from napari_medcnn.core.errors import Cancelled, MedcnnError, ModelError, ReadError
from napari_medcnn.core.events import (
    CaseUpdate,
    Event,
    JobControl,
    Message,
    Progress,
    run_to_end,
)
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.models.registry import find_model
from napari_medcnn.models.spec import ModelSpec
from tests.app.batch_cases import three_cases, three_scans, write_scan
from tests.bundle_factory import make_bundle

OPTIONS = CaseOptions(RunOptions(device="cpu", threads=1))


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    """A model that marks bright voxels: its answer is known exactly."""
    return find_model(make_bundle(tmp_path_factory.mktemp("model") / "bright"))


@pytest.fixture
def cases(tmp_path: Path) -> tuple[Case, ...]:
    return three_cases(tmp_path / "in")


def run(cases: Any, spec: ModelSpec, out: Path, options: CaseOptions = OPTIONS, **more: Any):
    """The result of a batch, and its events."""
    events: list[Event] = []
    result = run_to_end(
        run_batch(cases, spec, out, None, options, **more), BatchResult, events.append
    )
    return result, events


def states(result: BatchResult) -> dict[str, str]:
    return {outcome.case: outcome.state for outcome in result.cases}


def test_each_case_gets_its_folder_and_all_of_them_a_summary(
    cases: tuple[Case, ...], spec: ModelSpec, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result, events = run(cases, spec, out)
    assert states(result) == {"a": "done", "b": "done", "c": "done"}
    assert [outcome.lesions for outcome in result.cases] == [1, 2, 3]
    assert all((out / name / RUN).is_file() for name in "abc")
    summary = json.loads((out / SUMMARY_JSON).read_text())
    assert summary["counts"] == {"done": 3} and summary["lesion_count"] == 6
    with (out / SUMMARY_CSV).open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["case"] for row in rows] == ["a", "b", "c"]
    with (out / "b" / "lesions.csv").open() as stream:
        volumes = [float(row["volume_ml"]) for row in csv.DictReader(stream)]
    assert float(rows[1]["volume_ml"]) == pytest.approx(sum(volumes), rel=1e-3)
    with (out / ALL_LESIONS).open() as stream:
        assert [row["case"] for row in csv.DictReader(stream)] == list("abbccc")
    told = [e.state for e in events if isinstance(e, CaseUpdate) and e.case == "b"]
    assert told == ["reading", "computing", "writing", "done"]
    whole = [e for e in events if isinstance(e, Progress) and e.stage == CASES]
    assert (whole[0].done, whole[-1].done, whole[-1].total) == (0, 3, 3)
    assert any(e.eta_s is not None for e in whole)


def test_one_corrupt_case_stops_no_other_and_the_next_run_does_only_it(
    tmp_path: Path, spec: ModelSpec
) -> None:
    scans, out = three_scans(tmp_path / "in"), tmp_path / "out"
    whole = scans[1].read_bytes()
    scans[1].write_bytes(whole[: len(whole) // 2])
    result, events = run(cases_of(scans), spec, out)
    assert states(result) == {"a": "done", "b": "failed", "c": "done"}
    (failure,) = result.failures
    assert "b.nii.gz" in failure.text
    assert [e.text for e in events if isinstance(e, CaseUpdate) and e.state == "failed"] == [
        failure.text
    ]
    assert failed_ids(out) == {"b"}
    assert not (out / "b" / RUN).exists()
    scans[1].write_bytes(whole)
    again, _ = run(cases_of(scans), spec, out)
    assert states(again) == {"a": "skipped", "b": "done", "c": "skipped"}
    assert [outcome.lesions for outcome in again.cases] == [1, 2, 3]
    assert failed_ids(out) == frozenset()


def test_only_the_failures_run_again_and_the_summary_stays_whole(
    tmp_path: Path, spec: ModelSpec
) -> None:
    scans, out = three_scans(tmp_path / "in"), tmp_path / "out"
    whole = scans[1].read_bytes()
    scans[1].write_bytes(b"no image")
    run(cases_of(scans[:2]), spec, out)
    scans[1].write_bytes(whole)
    result, _ = run(cases_of(scans), spec, out, only=failed_ids(out))
    assert states(result) == {"a": "skipped", "b": "done", "c": "waiting"}
    assert not (out / "c").exists()


def test_a_restart_skips_what_is_done_and_loads_no_network(
    cases: tuple[Case, ...], spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(cases, spec, tmp_path / "out")
    before = (tmp_path / "out" / "a" / RUN).read_bytes()
    monkeypatch.setattr("napari_medcnn.app.batch.compute_case", None)
    elsewhere = replace(OPTIONS, run=replace(OPTIONS.run, threads=2, batch=1))
    result, _ = run(cases, spec, tmp_path / "out", elsewhere)
    assert set(states(result).values()) == {"skipped"}
    assert (tmp_path / "out" / "a" / RUN).read_bytes() == before


@pytest.mark.slow
def test_changed_options_are_computed_again_and_the_reason_is_told(
    cases: tuple[Case, ...], spec: ModelSpec, tmp_path: Path
) -> None:
    run(cases, spec, tmp_path / "out")
    stricter = replace(OPTIONS, min_volume_mm3=5000.0, probability=True)
    result, events = run(cases, spec, tmp_path / "out", stricter)
    assert set(states(result).values()) == {"done"} and result.lesions == 0
    assert "min volume mm3 from none to 5000" in result.cases[0].text
    reasons = [e.text for e in events if isinstance(e, CaseUpdate) and e.state == "computing"]
    assert all("probability from False to True" in reason for reason in reasons)
    assert (tmp_path / "out" / "a" / PROBABILITY).is_file()
    run(cases, spec, tmp_path / "out")
    assert not (tmp_path / "out" / "a" / PROBABILITY).exists(), "it would not fit the labels"


def test_a_case_whose_files_were_only_touched_is_not_computed_again(
    cases: tuple[Case, ...], spec: ModelSpec, tmp_path: Path
) -> None:
    run(cases, spec, tmp_path / "out")
    for case in cases:
        case.images[0].paths[0].touch()
    result, _ = run(cases, spec, tmp_path / "out")
    assert set(states(result).values()) == {"skipped"}
    assert "voxels did not" in result.cases[0].text


def test_another_image_under_the_same_name_replaces_nothing_untold(
    cases: tuple[Case, ...], spec: ModelSpec, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(cases, spec, out)
    labels = (out / "a" / LABELS).read_bytes()
    write_scan(cases[0].images[0].paths[0], 4)
    result, _ = run(cases, spec, out)
    assert states(result) == {"a": "failed", "b": "skipped", "c": "skipped"}
    assert "--overwrite" in result.cases[0].text
    assert (out / "a" / LABELS).read_bytes() == labels
    result, _ = run(cases, spec, out, replace(OPTIONS, overwrite=True))
    assert [o.lesions for o in result.cases] == [4, 2, 3]


def test_everything_is_computed_again_when_asked(
    cases: tuple[Case, ...], spec: ModelSpec, tmp_path: Path
) -> None:
    run(cases, spec, tmp_path / "out")
    result, _ = run(cases, spec, tmp_path / "out", again=True)
    assert set(states(result).values()) == {"done"}


def test_a_deleted_file_of_a_result_is_made_again(
    cases: tuple[Case, ...], spec: ModelSpec, tmp_path: Path
) -> None:
    run(cases, spec, tmp_path / "out")
    (tmp_path / "out" / "b" / LABELS).unlink()
    result, _ = run(cases, spec, tmp_path / "out")
    assert states(result) == {"a": "skipped", "b": "done", "c": "skipped"}
    assert "labels.nii.gz was missing" in result.cases[1].text


def test_cancelling_keeps_what_is_done_and_says_what_is_not(
    cases: tuple[Case, ...], spec: ModelSpec, tmp_path: Path
) -> None:
    control, out = JobControl(), tmp_path / "out"
    job = run_batch(cases, spec, out, control, OPTIONS)
    with pytest.raises(Cancelled):
        for event in job:
            if isinstance(event, CaseUpdate) and (event.case, event.state) == ("a", "done"):
                control.cancel()
                since = time.perf_counter()
    assert time.perf_counter() - since < 2
    told = {c["case"]: c["state"] for c in json.loads((out / SUMMARY_JSON).read_text())["cases"]}
    assert told["a"] == "done" and told["c"] == "waiting"
    result, _ = run(cases, spec, out)
    assert result.cases[0].state == "skipped" and result.lesions == 6


def test_a_consumer_that_goes_away_leaves_no_thread(
    cases: tuple[Case, ...], spec: ModelSpec, tmp_path: Path
) -> None:
    job = run_batch(cases, spec, tmp_path / "out", None, OPTIONS)
    while not isinstance(next(job), CaseUpdate):
        pass
    job.close()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and _own_threads():
        time.sleep(0.05)
    assert not _own_threads()


def test_a_failure_while_writing_is_that_cases_alone(
    cases: tuple[Case, ...], spec: ModelSpec, tmp_path: Path
) -> None:
    in_the_way = tmp_path / "out" / "b" / "lesions.csv"
    in_the_way.mkdir(parents=True)
    (in_the_way / "x").touch()
    result, _ = run(cases, spec, tmp_path / "out", replace(OPTIONS, overwrite=True))
    assert states(result) == {"a": "done", "b": "failed", "c": "done"}


@pytest.mark.slow
def test_at_most_one_case_is_ahead_and_one_behind(
    tmp_path: Path, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The images in memory stay few, however slow writing is; and writing overlaps computing."""
    held, most, lock = set(), [0], threading.Lock()
    overlapped: list[str] = []
    real_read, real_write = batch_ahead.read_case, batch_ahead.write_case

    def read(case: Case, *arguments: Any) -> Any:
        found = real_read(case, *arguments)
        with lock:
            held.add(case.id)
            most[0] = max(most[0], len(held))
        return found

    def write(computed: Any, *arguments: Any) -> Any:
        time.sleep(0.3)
        result = real_write(computed, *arguments)
        with lock:
            overlapped.extend(held - {computed.read.case.id})
            held.discard(computed.read.case.id)
        return result

    monkeypatch.setattr(batch_ahead, "read_case", read)
    monkeypatch.setattr(batch_ahead, "write_case", write)
    scans = [write_scan(tmp_path / "in" / f"{n}.nii.gz", 1) for n in range(6)]
    result, _ = run(cases_of(scans), spec, tmp_path / "out")
    assert result.counts == {"done": 6}
    assert most[0] <= 3 and overlapped


def test_messages_name_their_case(tmp_path: Path, spec: ModelSpec) -> None:
    coarse = write_scan(tmp_path / "coarse.nii.gz", 1)
    image = sitk.ReadImage(str(coarse))
    image.SetSpacing((1.0, 1.5, 9.0))
    sitk.WriteImage(image, str(coarse))
    _, events = run(cases_of([coarse]), spec, tmp_path / "out")
    assert any(isinstance(e, Message) and e.text.startswith("coarse: ") for e in events)


def test_cases_of_one_name_are_refused_before_anything_runs(
    cases: tuple[Case, ...], spec: ModelSpec, tmp_path: Path
) -> None:
    with pytest.raises(MedcnnError, match="share a folder"):
        run([*cases, replace(cases[0], id="A")], spec, tmp_path / "out")
    with pytest.raises(MedcnnError, match="no cases"):
        run([], spec, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_model_without_weights_is_no_cases_fault(cases: tuple[Case, ...], tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "model")
    spec = find_model(bundle)
    for weights in (bundle / "models").iterdir():
        weights.unlink()
    with pytest.raises(ModelError, match="weights"):
        run(cases, spec, tmp_path / "out")


def test_a_folder_without_a_summary_tells_of_no_failures(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no summary"):
        failed_ids(tmp_path)


def _own_threads() -> Iterator[str] | list[str]:
    """Of a batch; a process for jobs that waits for the next one has a listener."""
    names = [t.name for t in threading.enumerate()]
    return [n for n in names if n.startswith("medcnn") and n != "medcnn-job-process"]
